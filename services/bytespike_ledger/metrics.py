"""Every metric of the ledger. Labels are closed sets: reasons, checks, books, outcomes."""

from __future__ import annotations

from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from bytespike_contracts.settlement import Outcome
from bytespike_ledger.courier.results import Result
from bytespike_ledger.settle import ParkReason

__all__ = ["LedgerMetrics", "PaymentReport"]


class PaymentReport(StrEnum):
    """What came of a payment provider's report (closed set)."""

    CREDITED = "credited"
    FAILED = "failed"
    REFUNDED = "refunded"
    DUPLICATE = "duplicate"
    IGNORED = "ignored"


class LedgerMetrics:
    """Counters and gauges of one ledger process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._calls(registry)
        self._events(registry)
        self._money(registry)
        self._holds(registry)
        self._proofs(registry)
        self._webhooks(registry)
        self._payments(registry)

    def _calls(self, registry: CollectorRegistry) -> None:
        self.auth_failures = Counter(
            "bytespike_ledger_auth_failures",
            "Calls without a valid admin token: answered with 401, or put off with 429.",
            ["result"],
            registry=registry,
        )
        for result in ("refused", "put_off"):
            self.auth_failures.labels(result)

    def _events(self, registry: CollectorRegistry) -> None:
        self.settled = Counter(
            "bytespike_ledger_settled_events",
            "Usage events settled, by how the request ended.",
            ["outcome"],
            registry=registry,
        )
        for outcome in Outcome:
            self.settled.labels(outcome.value)
        self.duplicates = Counter(
            "bytespike_ledger_duplicate_events",
            "Events delivered again after they were settled; ignored.",
            registry=registry,
        )
        self.parked = Counter(
            "bytespike_ledger_parked_events",
            "Events put aside for a human because they cannot be applied.",
            ["reason"],
            registry=registry,
        )
        for reason in ParkReason:
            self.parked.labels(reason.value)
        self.deferred = Counter(
            "bytespike_ledger_deferred_events",
            "Deliveries put back because their price revision is not known yet.",
            registry=registry,
        )
        self.unsettled = Gauge(
            "bytespike_ledger_unsettled_messages",
            "Messages on the usage stream not acknowledged, as of the last sweep.",
            registry=registry,
        )
        self.settle_lag = Histogram(
            "bytespike_ledger_settle_lag_seconds",
            "From the end of a request to its settlement.",
            buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600),
            registry=registry,
        )
        self.batch_seconds = Histogram(
            "bytespike_ledger_batch_seconds",
            "Transaction, projection and acknowledgement of one batch.",
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
            registry=registry,
        )

    def _money(self, registry: CollectorRegistry) -> None:
        self.price_differences = Counter(
            "bytespike_ledger_price_differences",
            "Events whose charge the router computed differently; the ledger's number counts.",
            registry=registry,
        )
        self.cost = Counter(
            "gateway_cost_micro_usd",
            "Money of settled requests: what customers paid, what vendors will bill.",
            ["book"],
            registry=registry,
        )
        for book in ("customer", "upstream"):
            self.cost.labels(book)
        self.shortfall = Counter(
            "bytespike_ledger_shortfall_micro_usd",
            "Charges beyond what the balance could cover; our loss.",
            registry=registry,
        )

    def _holds(self, registry: CollectorRegistry) -> None:
        self.holds_open = Gauge(
            "bytespike_ledger_holds_open",
            "Holds of running requests, as of the last sweep.",
            registry=registry,
        )
        self.hold_age = Gauge(
            "bytespike_ledger_hold_age_max_seconds",
            "Age of the oldest open hold, as of the last sweep.",
            registry=registry,
        )
        self.holds_expired = Counter(
            "bytespike_ledger_holds_expired",
            "Holds the sweeper returned because their owner died.",
            registry=registry,
        )
        self.ghosts = Counter(
            "bytespike_ledger_ghost_holds",
            "Finished holds let go without their event having arrived here.",
            ["settled"],
            registry=registry,
        )
        for settled in ("true", "false"):
            self.ghosts.labels(settled)

    def _proofs(self, registry: CollectorRegistry) -> None:
        self.rebuilds = Counter(
            "bytespike_ledger_rebuilds",
            "Times the projection was loaded into Redis from nothing.",
            registry=registry,
        )
        self.audit_violations = Gauge(
            "bytespike_ledger_audit_violations",
            "Offenders found by the last audit; anything but 0 is an alert.",
            ["check"],
            registry=registry,
        )
        self.audited_at = Gauge(
            "bytespike_ledger_audit_timestamp_seconds",
            "When the last audit ended.",
            registry=registry,
        )
        self.unprojected = Gauge(
            "bytespike_ledger_unprojected_changes",
            "Changes of keys, wallets and channels that Redis does not have yet.",
            registry=registry,
        )

    def _payments(self, registry: CollectorRegistry) -> None:
        self.payment_reports = Counter(
            "bytespike_ledger_payment_reports",
            "Signed reports of payment providers, by what came of them.",
            ["result"],
            registry=registry,
        )
        for result in PaymentReport:
            self.payment_reports.labels(result.value)
        self.payment_shortfall = Counter(
            "bytespike_ledger_payment_shortfall_micro_usd",
            "Given back by a provider after the wallet had spent it; our loss.",
            registry=registry,
        )

    def _webhooks(self, registry: CollectorRegistry) -> None:
        self.webhook_attempts = Counter(
            "bytespike_ledger_webhook_attempts",
            "Attempts to deliver a webhook, by how they ended.",
            ["result"],
            registry=registry,
        )
        for result in Result:
            self.webhook_attempts.labels(result.value)
        self.webhooks_due = Gauge(
            "bytespike_ledger_webhooks_due",
            "Deliveries that could be attempted now and are not, as of the last look.",
            registry=registry,
        )
        self.webhooks_disabled = Counter(
            "bytespike_ledger_webhooks_disabled",
            "Webhooks given up because their deliveries kept failing.",
            registry=registry,
        )
        self.webhook_lag = Histogram(
            "bytespike_ledger_webhook_lag_seconds",
            "From the queueing of a delivery to the end of its first attempt.",
            buckets=(0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600),
            registry=registry,
        )
        self.event_lag = Histogram(
            "bytespike_ledger_event_lag_seconds",
            "From an account event to its becoming deliveries and notifications.",
            buckets=(0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600),
            registry=registry,
        )
