"""Sums of usage per account, hour, key and model, made from what a batch settles. Pure.

They count what the usage list shows (every answer that began, whether it cost something or not), so
that list and sums can be held against each other. A replay is not in what a batch settles and so
adds nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import add
from typing import NamedTuple

from bytespike_contracts.money import CostParts, TokenUsage, split_charge
from bytespike_contracts.settlement import CLIENT_SUCCESS
from bytespike_ledger.settle import Settled

__all__ = ["DAY_MS", "HOUR_MS", "Place", "Sums", "by_account", "by_day", "by_hour"]

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

_NOTHING = TokenUsage()


class Place(NamedTuple):
    """What is summed; ``at_ms`` is where the UTC hour or day of the admission begins."""

    account_id: str
    at_ms: int
    key_id: str
    model: str


class Sums(NamedTuple):
    """Columns of ``usage_hours`` and ``usage_days``; the five parts sum to ``charge_uusd``."""

    calls: int
    input_tokens: int
    cache_write_tokens: int
    cache_read_tokens: int
    output_tokens: int
    reasoning_tokens: int
    web_searches: int
    charge_uusd: int
    input_uusd: int
    cache_write_uusd: int
    cache_read_uusd: int
    output_uusd: int
    web_search_uusd: int


def by_hour(settled: Iterable[Settled]) -> dict[Place, Sums]:
    """What a batch adds to each hour, in lock order."""
    return _summed(
        (_place(item), _sums(item))
        for item in settled
        if item.priced.event.outcome in CLIENT_SUCCESS
    )


def by_day(hours: Mapping[Place, Sums]) -> dict[Place, Sums]:
    """The same by day, in lock order."""
    return _summed(
        (place._replace(at_ms=place.at_ms - place.at_ms % DAY_MS), sums)
        for place, sums in hours.items()
    )


def by_account(hours: Mapping[Place, Sums]) -> dict[Place, Sums]:
    """The hours of all keys and models together, in lock order."""
    return _summed((place._replace(key_id="", model=""), sums) for place, sums in hours.items())


def _summed(parts: Iterable[tuple[Place, Sums]]) -> dict[Place, Sums]:
    found: dict[Place, Sums] = {}
    for place, sums in parts:
        known = found.get(place)
        found[place] = sums if known is None else Sums(*map(add, known, sums))
    return dict(sorted(found.items()))


def _place(item: Settled) -> Place:
    event = item.priced.event
    hour_ms = event.admitted_ms - event.admitted_ms % HOUR_MS
    return Place(event.account_id, hour_ms, event.key_id, event.model)


def _sums(item: Settled) -> Sums:
    usage = item.priced.event.usage or _NOTHING
    parts: CostParts = split_charge(item.charge_uusd, usage, item.priced.rates)
    return Sums(
        1,
        usage.input_tokens,
        usage.cache_write_5m_tokens + usage.cache_write_1h_tokens,
        usage.cache_read_tokens,
        usage.output_tokens,
        usage.reasoning_tokens,
        usage.web_searches,
        item.charge_uusd,
        *parts,
    )
