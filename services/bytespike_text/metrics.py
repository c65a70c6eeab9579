"""All metrics of the text-router. Labels come from closed sets only: catalogue ids, enums."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic, NamedTuple, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from bytespike_contracts.money import TokenUsage
from bytespike_text.breaker import State

__all__ = ["Labels", "TextMetrics"]

# Requests last from a tenth of a second to the ten minutes SDKs wait at most.
_DURATION_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640)
_FIRST_TOKEN_BUCKETS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 6, 12, 25, 50)
_OVERHEAD_BUCKETS = (0.0002, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.05, 0.2, 1)

_TOKEN_TYPES = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write_5m": "cache_write_5m_tokens",
    "cache_write_1h": "cache_write_1h_tokens",
    "reasoning": "reasoning_tokens",
}


class Labels(NamedTuple):
    """What most series are split by. ``provider`` is the dialect of the channel that answered, or
    ``none``; ``model_id`` comes from the catalogue.
    """

    protocol: str
    model_id: str
    provider: str
    stream: str


M = TypeVar("M", Counter, Histogram)


class _Children(Generic[M]):
    """The labelled children of a metric, each looked up in the client library only once: its own
    look-up takes a lock and builds keys, six times a request. Labels are closed sets, so this is
    as bounded as they are.
    """

    __slots__ = ("_known", "_parent")

    def __init__(self, parent: M) -> None:
        self._parent: M = parent
        self._known: dict[tuple[str, ...], M] = {}

    def __call__(self, *labels: str) -> M:
        child = self._known.get(labels)
        if child is None:
            child = self._known[labels] = self._parent.labels(*labels)
        return child


class TextMetrics:
    """The router's series in one registry. Labelled ones are called with their labels."""

    def __init__(self, registry: CollectorRegistry) -> None:
        names = list(Labels._fields)
        self._registry = registry
        self.duration = _Children(
            Histogram(
                "gen_ai_server_request_duration_seconds",
                "From the request's arrival to the end of its answer.",
                names,
                buckets=_DURATION_BUCKETS,
                registry=registry,
            )
        )
        self.first_token = _Children(
            Histogram(
                "gen_ai_server_time_to_first_token_seconds",
                "From the request's arrival to the first bytes of a stream.",
                names,
                buckets=_FIRST_TOKEN_BUCKETS,
                registry=registry,
            )
        )
        self.tokens = _Children(
            Counter(
                "gen_ai_client_token_usage_total",
                "Tokens the customer was served, reported or counted.",
                ["type", "model_id", "provider"],
                registry=registry,
            )
        )
        self.overhead = Histogram(
            "gateway_overhead_seconds",
            "Time spent here, waiting for the vendor left out.",
            ["component"],
            buckets=_OVERHEAD_BUCKETS,
            registry=registry,
        ).labels("router")
        self.errors = _Children(
            Counter(
                "gateway_errors_total",
                "Requests ended in an error.",
                ["error_type"],
                registry=registry,
            )
        )
        self.cost = _Children(
            Counter(
                "gateway_cost_micro_usd_total",
                "Money by book: what customers are charged, what vendors bill us.",
                ["book"],
                registry=registry,
            )
        )
        self.outcomes = _Children(
            Counter(
                "bytespike_text_outcomes_total",
                "Admitted requests by row of the success table.",
                ["outcome"],
                registry=registry,
            )
        )
        self.attempts = _Children(
            Counter(
                "bytespike_text_attempts_total",
                "Upstream calls by what came of them.",
                ["channel", "result"],
                registry=registry,
            )
        )
        self.streams = Gauge(
            "bytespike_text_streams_in_flight", "Streams being relayed now.", registry=registry
        )
        self.pings = Counter(
            "bytespike_text_pings_total", "Keep-alives put into silent streams.", registry=registry
        )
        self.stray_tasks = Counter(
            "bytespike_text_task_failures_total",
            "Requests that ended in an unexpected exception.",
            registry=registry,
        )
        self.catalogue_reloads = _Children(
            Counter(
                "bytespike_text_catalogue_reloads_total",
                "Catalogue reloads by result.",
                ["result"],
                registry=registry,
            )
        )
        self._finish_failures = Counter(
            "bytespike_text_finish_failures_total",
            "Holds whose finish Redis did not confirm.",
            registry=registry,
        )
        self._published = Counter(
            "bytespike_text_published_events_total", "Events the bus took.", registry=registry
        )
        self._publish_failures = Counter(
            "bytespike_text_publish_failures_total",
            "Batches the bus did not take.",
            registry=registry,
        )
        self._torn = Counter(
            "bytespike_text_spool_torn_total", "Spool lines that were damaged.", registry=registry
        )
        self.spool_refusals = Counter(
            "bytespike_text_spool_refusals_total",
            "Events the disk refused; their requests were not charged.",
            registry=registry,
        )

    def served(self, usage: TokenUsage, *, model_id: str, provider: str) -> None:
        """Count tokens by type; types with none are left alone."""
        for kind, field in _TOKEN_TYPES.items():
            count = getattr(usage, field)
            if count:
                self.tokens(kind, model_id, provider).inc(count)

    def finish_failed(self) -> None:
        """Redis did not confirm a finish."""
        self._finish_failures.inc()

    def published(self, events: int) -> None:
        """The bus took a batch."""
        self._published.inc(events)

    def publish_failed(self) -> None:
        """The bus did not take a batch; it stays in the spool."""
        self._publish_failures.inc()

    def spool_torn(self, lines: int) -> None:
        """Damaged lines were skipped."""
        self._torn.inc(lines)

    def watch_spool(self, pending_bytes: Callable[[], int], events: Callable[[], int]) -> None:
        """Read the spool's size when asked."""
        Gauge(
            "bytespike_text_spool_bytes",
            "Usage events on disk, unpublished.",
            registry=self._registry,
        ).set_function(pending_bytes)
        Gauge(
            "bytespike_text_spool_events",
            "Usage events not yet published.",
            registry=self._registry,
        ).set_function(events)

    def watch_channels(self, states: Callable[[], Mapping[str, State]]) -> None:
        """Read the channels' states when asked."""
        self._registry.register(_ChannelCollector(states))


class _ChannelCollector(Collector):
    """One series per channel and state, 1 for the state it is in. Channels come and go with the
    catalogue, so the series are made when asked for.
    """

    def __init__(self, states: Callable[[], Mapping[str, State]]) -> None:
        self._states = states

    def collect(self) -> list[GaugeMetricFamily]:
        family = GaugeMetricFamily(
            "bytespike_text_channel_state",
            "1 for the state of a channel.",
            labels=["channel", "state"],
        )
        for channel, current in self._states().items():
            for state in State:
                family.add_metric([channel, state.value], float(state is current))
        return [family]
