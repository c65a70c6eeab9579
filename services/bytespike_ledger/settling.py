"""One batch of events through Postgres and Redis: the transaction, then the projection.

All or nothing per attempt. A batch the database refuses is halved until the one event that it
refuses stands alone, so one bad event never costs the others more than a few tries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from bytespike_contracts.usage import UsageEvent
from bytespike_ledger.books import Books
from bytespike_ledger.settle import (
    ParkReason,
    Plan,
    PricedEvent,
    bucket_deltas,
    plan,
    spend_deltas,
    spending_keys,
)
from bytespike_ledger.store import Connection, Lock, RefusedByDatabase, connection, lock, upkeep
from bytespike_ledger.store import settlement as store
from bytespike_ledger.store.rollups import add_rollups
from bytespike_ledger.store.state import AccountSettled

__all__ = ["Refusal", "Settler"]

#: A concurrent ledger can settle one of our events between our look and our insert. It then holds
#: the lock we wait for next, so the second try sees it; more tries only guard against a bug.
_TRIES = 5

#: Partitions known to exist; a few days are ever in use.
_MAX_KNOWN_DAYS = 1_000


class _Overtaken(Exception):
    """Another ledger settled one of these events meanwhile; look again."""


Refusal = tuple[UsageEvent, ParkReason]


@dataclass(slots=True)
class _Committed:
    """What a transaction left behind, to be carried to Redis."""

    plan: Plan
    accounts: list[AccountSettled] = field(default_factory=list)


class Settler:
    """Settles batches. Safe to run in several ledgers at once, on the same events even."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._days: set[date] = set()

    async def settle(self, events: Sequence[PricedEvent]) -> list[Refusal]:
        """Commit the batch and carry it to Redis; returns the events that cannot be applied.

        Raises ``PgUnavailable`` (nothing or everything may be committed) or ``KvUnavailable``
        (committed, not carried over); repeating the call is right in both cases.
        """
        if not events:
            return []
        try:
            return await self._settle(events)
        except RefusedByDatabase:
            if len(events) == 1:
                return [(events[0].event, ParkReason.REFUSED_BY_DATABASE)]
        half = len(events) // 2
        return [*await self.settle(events[:half]), *await self.settle(events[half:])]

    async def _settle(self, events: Sequence[PricedEvent]) -> list[Refusal]:
        async with (
            connection(self._books.pool) as conn,
            # From before the commit until Redis has it: a rebuild in between would load the state
            # after the commit and then lose a hold that this projection would have dropped.
            lock(conn, Lock.PROJECTION, shared=True),
        ):
            await self._ensure_days(conn, events)
            committed = await self._commit_or_retry(conn, events)
            await self._project(committed)
        self._count(committed.plan)
        return [(priced.event, reason) for priced, reason in committed.plan.refused]

    async def _ensure_days(self, conn: Connection, events: Sequence[PricedEvent]) -> None:
        for day in {priced.day for priced in events} - self._days:
            await upkeep.ensure_day(conn, day)
            if len(self._days) >= _MAX_KNOWN_DAYS:
                self._days.clear()
            self._days.add(day)

    async def _commit_or_retry(self, conn: Connection, events: Sequence[PricedEvent]) -> _Committed:
        for _ in range(_TRIES - 1):
            try:
                return await self._commit(conn, events)
            except _Overtaken:
                continue
        return await self._commit(conn, events)

    async def _commit(self, conn: Connection, events: Sequence[PricedEvent]) -> _Committed:
        async with conn.transaction():
            accounts = await store.lock_balances(conn, (p.event.account_id for p in events))
            known = await store.known_fingerprints(conn, events)
            balances = {name: account.balance_uusd for name, account in accounts.items()}
            decided = plan(events, known=known, balances=balances)
            await _write(conn, decided, accounts)
        return _Committed(decided, list(accounts.values()))

    async def _project(self, committed: _Committed) -> None:
        hold_ids: dict[str, list[str]] = {}
        done = committed.plan
        for priced in (*(item.priced for item in done.settled), *done.replayed):
            hold_ids.setdefault(priced.event.account_id, []).append(priced.event.request_id)
        await self._books.projector.settled(committed.accounts, hold_ids)

    def _count(self, done: Plan) -> None:
        metrics, now_ms = self._books.metrics, self._books.now_ms()
        metrics.duplicates.inc(len(done.replayed))
        for item in done.settled:
            event = item.priced.event
            metrics.settled.labels(event.outcome.value).inc()
            metrics.settle_lag.observe(max(0, now_ms - event.finished_ms) / 1000)
        metrics.cost.labels("customer").inc(sum(item.charge_uusd for item in done.settled))
        metrics.cost.labels("upstream").inc(
            sum(a.cost_uusd for item in done.settled for a in item.priced.event.attempts)
        )
        metrics.shortfall.inc(sum(item.shortfall_uusd for item in done.settled))


async def _write(conn: Connection, decided: Plan, accounts: Mapping[str, AccountSettled]) -> None:
    # In the order of their ids, so that two ledgers with one event never wait for each other.
    rows = sorted(decided.settled, key=lambda item: item.priced.event.request_id)
    if rows:
        if await store.insert_usage(conn, rows) < len(rows):
            raise _Overtaken
        await store.insert_attempts(conn, rows)
        await store.post_charges(conn, rows, accounts)
        await add_rollups(conn, rows)
    # Replays take part: their first settlement may have died before Redis heard of it.
    owners = await store.owners_of(conn, spending_keys(decided))
    await store.add_spend(
        conn, spend_deltas(decided, owners), bucket_deltas(decided, owners), accounts
    )
