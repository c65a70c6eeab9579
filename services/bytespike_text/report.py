"""The end of a request as operators see it: one canonical log line, and its metrics."""

from __future__ import annotations

import msgspec

from bytespike_runtime.logs import RequestLine, log_request
from bytespike_text.job import Job
from bytespike_text.metrics import Labels, TextMetrics
from bytespike_text.routing import Lane
from bytespike_text.usage import Ending

__all__ = ["Facts", "report"]


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Times are monotonic seconds; ``vendor_s`` is the time spent waiting for vendors up to the
    first byte, ``lane`` the last one called.
    """

    job: Job
    lane: Lane | None
    status: int
    ending: Ending | None
    charge_uusd: int
    error_type: str
    attempts: int
    arrived_s: float
    first_byte_s: float | None
    ended_s: float
    vendor_s: float
    client_left: bool


class TextLine(RequestLine, kw_only=True):
    """The canonical line of a text request: ids, words from closed sets, numbers; never content."""

    request_id: str
    route: str
    account_id: str
    key_id: str
    model: str
    channel: str | None
    stream: bool
    status: int
    outcome: str | None
    error_type: str | None
    attempts: int
    charge_uusd: int
    estimated: bool
    duration_ms: int
    upstream_ms: int
    client_left: bool


def report(metrics: TextMetrics, facts: Facts) -> None:
    """Count and log the request."""
    _count(metrics, facts)
    job, ending = facts.job, facts.ending
    log_request(
        TextLine(
            request_id=job.principal.request_id,
            route=job.surface.route,
            account_id=job.principal.account_id,
            key_id=job.principal.key_id,
            model=job.reading.model,
            channel=None if facts.lane is None else facts.lane.id,
            stream=job.reading.stream,
            status=facts.status,
            outcome=None if ending is None else ending.outcome.value,
            error_type=facts.error_type or None,
            attempts=facts.attempts,
            charge_uusd=facts.charge_uusd,
            estimated=ending is not None and ending.estimated,
            duration_ms=round((facts.ended_s - facts.arrived_s) * 1000),
            upstream_ms=round(facts.vendor_s * 1000),
            client_left=facts.client_left,
        )
    )


def _count(metrics: TextMetrics, facts: Facts) -> None:
    reading = facts.job.reading
    usage = None if facts.ending is None else facts.ending.usage
    provider = "none" if facts.lane is None else facts.lane.channel.dialect
    stream = "true" if reading.stream else "false"
    labels = Labels(facts.job.dialect.value, reading.model, provider, stream)
    metrics.duration.series(*labels).observe(facts.ended_s - facts.arrived_s)
    answered_s = facts.first_byte_s or facts.ended_s
    metrics.overhead.observe(max(0.0, answered_s - facts.arrived_s - facts.vendor_s))
    if reading.stream and facts.first_byte_s is not None:
        metrics.first_token.series(*labels).observe(facts.first_byte_s - facts.arrived_s)
        if usage is not None and usage.output_tokens > 1:
            # The first token came with the first bytes; the rest took the rest of the time.
            streaming_s = facts.ended_s - facts.first_byte_s
            metrics.per_token.series(*labels).observe(streaming_s / (usage.output_tokens - 1))
    if facts.error_type:
        metrics.errors.add(facts.error_type)
    if usage is not None:
        metrics.served(usage, model_id=reading.model, provider=provider)
