"""Planning a settlement: which events of a batch move money, and how much. Pure.

The plan is made from values read under the accounts' row locks, so it can decide everything before
a row is written: what is new, what is a replay, what contradicts an earlier event, and how far the
balance covers each charge. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import TypeAlias

from bytespike_contracts.holds import WINDOWS
from bytespike_contracts.ids import request_time_ms
from bytespike_contracts.money import Rates
from bytespike_contracts.settlement import charge
from bytespike_contracts.usage import UsageEvent, fingerprint

__all__ = [
    "USAGE_RETENTION_DAYS",
    "BucketDelta",
    "Owners",
    "ParkReason",
    "Plan",
    "PricedEvent",
    "Rejected",
    "Settled",
    "bucket_deltas",
    "plan",
    "price_event",
    "spend_deltas",
    "spending_keys",
]

#: ``{(account, key): scopes}``: who a key's spend counts for beside the key itself, its member and
#: its organisation by their ids.
Owners: TypeAlias = Mapping[tuple[str, str], tuple[str, ...]]

_DAY_MS = 86_400_000
#: An id from further ahead was not minted by a gateway with a working clock, and must not make us
#: create partitions for it.
_MAX_AHEAD_MS = 2 * _DAY_MS
#: How long rows of usage are kept, unless a setting says otherwise.
USAGE_RETENTION_DAYS = 400


class ParkReason(StrEnum):
    """Why an event waits for a human (closed set; also a metric label)."""

    UNDECODABLE = "undecodable"
    CONTRADICTION = "contradiction"
    IMPLAUSIBLE_ID = "implausible_id"
    #: From days whose rows are gone: whether it was settled then cannot be seen any more.
    PAST_RETENTION = "past_retention"
    UNKNOWN_PRICE = "unknown_price"
    UNKNOWN_ACCOUNT = "unknown_account"
    OTHER_CONTENT = "other_content"
    REFUSED_BY_DATABASE = "refused_by_database"


class Rejected(ValueError):
    """An event that can never be settled as it is."""

    def __init__(self, reason: ParkReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class PricedEvent:
    """An event with what the ledger says it costs; ``day`` is its partition."""

    event: UsageEvent
    fingerprint: bytes
    day: date
    price_uusd: int
    rates: Rates


@dataclass(frozen=True, slots=True)
class Settled:
    """A new event and its money: ``charge_uusd`` moves, ``shortfall_uusd`` is our loss."""

    priced: PricedEvent
    charge_uusd: int
    shortfall_uusd: int


@dataclass(slots=True)
class Plan:
    """What to do with each event of a batch."""

    settled: list[Settled] = field(default_factory=list)
    replayed: list[PricedEvent] = field(default_factory=list)
    refused: list[tuple[PricedEvent, ParkReason]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class BucketDelta:
    """Settled spend to add to one sub-bucket; ``window_no`` is 1-based as in Redis."""

    account_id: str
    scope: str
    window_no: int
    bucket: int
    amount_uusd: int


def price_event(
    event: UsageEvent, rates: Rates, now_ms: int, *, retention_days: int = USAGE_RETENTION_DAYS
) -> PricedEvent:
    """Price an event by the ledger's own table. Raises :class:`Rejected` if it cannot be true."""
    try:
        minted_ms = request_time_ms(event.request_id)
    except ValueError as error:
        raise Rejected(ParkReason.IMPLAUSIBLE_ID, str(error)) from error
    if minted_ms > now_ms + _MAX_AHEAD_MS:
        raise Rejected(ParkReason.IMPLAUSIBLE_ID, "the time in the request id cannot be")
    # A day earlier than the rows go, so that a clock that is slow finds them still there.
    if minted_ms // _DAY_MS <= now_ms // _DAY_MS - retention_days + 1:
        raise Rejected(ParkReason.PAST_RETENTION, "usage of that day is not kept any more")
    try:
        price_uusd = charge(event.outcome, event.usage, rates)
    except ValueError as error:
        raise Rejected(ParkReason.CONTRADICTION, str(error)) from error
    return PricedEvent(
        event=event,
        fingerprint=fingerprint(event),
        day=datetime.fromtimestamp(minted_ms // 1000, UTC).date(),
        price_uusd=price_uusd,
        rates=rates,
    )


def plan(
    events: Sequence[PricedEvent],
    *,
    known: Mapping[str, bytes],
    balances: Mapping[str, int],
) -> Plan:
    """Split a batch into new, replayed and refused events and cover each charge by its balance.

    ``known`` maps the request ids that are settled already to their fingerprints; ``balances`` maps
    every existing account of the batch to its posted micro-USD. An id repeated inside the batch is
    treated like one settled before.
    """
    result = Plan()
    seen = dict(known)
    left = dict(balances)
    for priced in events:
        event = priced.event
        earlier = seen.get(event.request_id)
        if earlier is not None:
            if earlier == priced.fingerprint:
                result.replayed.append(priced)
            else:
                result.refused.append((priced, ParkReason.OTHER_CONTENT))
        elif event.account_id not in left:
            result.refused.append((priced, ParkReason.UNKNOWN_ACCOUNT))
        else:
            # The service was delivered, so a charge is never refused; what an estimate failed to
            # reserve is taken as far as the balance goes and the rest is ours to bear.
            covered = min(priced.price_uusd, left[event.account_id])
            left[event.account_id] -= covered
            seen[event.request_id] = priced.fingerprint
            result.settled.append(Settled(priced, covered, priced.price_uusd - covered))
    return result


def spending_keys(done: Plan) -> set[tuple[str, str]]:
    """``(account, key)`` of all events that count somewhere."""
    return {(event.account_id, event.key_id) for event, _ in _counted(done)}


def spend_deltas(done: Plan, owners: Owners) -> dict[tuple[str, str], int]:
    """``{(account, scope): micro-USD}`` charged by the batch, in lock order: for each event its key
    and the key's ``owners``, whether anybody limits them or not.

    Replays add nothing but are named, so that what they count in is carried to Redis again.
    """
    sums: dict[tuple[str, str], int] = {}
    for event, amount_uusd in _counted(done):
        for scope in _scopes(event, owners):
            key = (event.account_id, scope)
            sums[key] = sums.get(key, 0) + amount_uusd
    return dict(sorted(sums.items()))


def bucket_deltas(done: Plan, owners: Owners) -> list[BucketDelta]:
    """What each window's sub-bucket of the admission gains, in lock order; scopes and replays as
    above.
    """
    sums: dict[tuple[str, str, int, int], int] = {}
    for event, amount_uusd in _counted(done):
        buckets = [(n, window.bucket(event.admitted_ms)) for n, window in enumerate(WINDOWS, 1)]
        for scope in _scopes(event, owners):
            for number, bucket in buckets:
                key = (event.account_id, scope, number, bucket)
                sums[key] = sums.get(key, 0) + amount_uusd
    return [BucketDelta(*key, amount) for key, amount in sorted(sums.items())]


def _scopes(event: UsageEvent, owners: Owners) -> tuple[str, ...]:
    return (event.key_id, *owners.get((event.account_id, event.key_id), ()))


def _counted(done: Plan) -> Iterator[tuple[UsageEvent, int]]:
    """Events that cost something, with what they add to the spend now."""
    for item in done.settled:
        if item.priced.price_uusd:
            yield item.priced.event, item.charge_uusd
    for priced in done.replayed:
        if priced.price_uusd:
            yield priced.event, 0
