"""Planning a company's month: its requests, and the money it buys before it runs out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bytespike_contracts.money import UUSD_PER_USD
from bytespike_contracts.settlement import Outcome
from bytespike_contracts.usage import UsageEvent

__all__ = ["Purchase", "Stretch", "stretches"]


@dataclass(frozen=True, slots=True)
class Purchase:
    """A top-up; ``at_ms`` is when the money came in."""

    number: int
    usd: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """A purchase and the requests that were made until the next one."""

    purchase: Purchase
    events: list[UsageEvent]

    @property
    def last_listed(self) -> UsageEvent | None:
        """The last request the customer's usage list will show."""
        listed = (event for event in reversed(self.events) if event.outcome is not Outcome.FAILED)
        return next(listed, None)


def stretches(
    events: Iterable[UsageEvent], *, start_ms: int, top_up_usd: int, refill_below_usd: int
) -> Iterator[Stretch]:
    """Cut a month (oldest first) where money is bought: at its start, and whenever the next request
    would leave less than ``refill_below_usd``. Bonuses are left out of the sum, so there is never
    too little.
    """
    purchase = Purchase(1, top_up_usd, start_ms)
    taken: list[UsageEvent] = []
    left_uusd = top_up_usd * UUSD_PER_USD
    for event in events:
        if left_uusd - event.charge_uusd < refill_below_usd * UUSD_PER_USD:
            yield Stretch(purchase, taken)
            purchase = Purchase(purchase.number + 1, top_up_usd, event.admitted_ms)
            taken, left_uusd = [], left_uusd + top_up_usd * UUSD_PER_USD
        taken.append(event)
        left_uusd -= event.charge_uusd
    yield Stretch(purchase, taken)
