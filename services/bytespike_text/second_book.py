"""The second book: what each upstream call will cost us, whoever pays for the request."""

from __future__ import annotations

import time

from bytespike_contracts.money import Rates, TokenUsage, price
from bytespike_contracts.usage import Attempt
from bytespike_protocols.tap import Tap
from bytespike_text.attempts import Failure
from bytespike_text.routing import Lane
from bytespike_text.usage import token_usage

__all__ = ["Stopwatch", "UpstreamTry"]


class Stopwatch:
    """Adds up the time spent inside its ``with`` blocks."""

    __slots__ = ("_since_s", "total_s")

    def __init__(self) -> None:
        self.total_s = 0.0
        self._since_s = 0.0

    def __enter__(self) -> None:
        self._since_s = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self.total_s += time.monotonic() - self._since_s


class UpstreamTry:
    """One upstream call under way, to become a line of the second book."""

    __slots__ = ("failure", "lane", "recorded", "started_s", "status", "tap")

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.started_s = time.monotonic()
        self.status = 0
        self.failure: Failure | None = None
        self.tap: Tap = lane.codec.tap()
        self.recorded = False

    def line(self, model_id: str) -> Attempt:
        """What the vendor will bill us for this call, as far as anybody knows now."""
        usage, cost_uusd, estimated = _bill(self.tap, self.lane.cost_rates.get(model_id))
        return Attempt(
            channel=self.lane.id,
            status=self.status,
            duration_ms=round((time.monotonic() - self.started_s) * 1000),
            cost_uusd=cost_uusd,
            usage=usage,
            estimated=estimated,
            error_type="" if self.failure is None else self.failure.kind.value,
        )


def _bill(tap: Tap, rates: Rates | None) -> tuple[TokenUsage, int, bool]:
    """Usage, its cost in micro-USD, and whether we had to count it ourselves."""
    if not tap.started:
        return TokenUsage(), 0, False
    reported = tap.usage
    usage = token_usage(tap.usage_so_far if reported is None else reported)
    cost_uusd = 0 if rates is None else price(usage, rates)
    return usage, cost_uusd, reported is None
