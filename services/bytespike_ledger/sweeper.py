"""The sweeper: returns what dead owners left, and keeps tables and gauges in order.

Expired holds are money somebody reserved and will never spend; ghosts are finished entries whose
usage event will not come any more. Every step may run in any number of ledgers at once without
harm; an advisory lock only spares the repetition.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta

from bytespike_contracts.ids import request_time_ms
from bytespike_ledger.books import Books
from bytespike_ledger.mirror import Mirror
from bytespike_ledger.retention import drop_old_days
from bytespike_ledger.store import Connection, Lock, connection, lock, state, try_lock, upkeep
from bytespike_runtime.logs import get_logger
from bytespike_runtime.unavailable import Unavailable

__all__ = ["Sweeper", "days_of"]

_GHOSTS_EVERY_S = 10.0
_TABLES_EVERY_S = 3600.0
#: Buckets are kept a day longer than the longest window, for the audit's sake.
_BUCKET_RETENTION_MS = 8 * 86_400_000
_BUCKETS_PER_SWEEP = 50_000
_DAYS_AHEAD = 2
#: Finished entries looked at in one go; the rest waits for the next.
_MAX_FINISHED = 100_000

_log = get_logger()


class Sweeper:
    """``unsettled`` as for the rebuild; ``ghost_grace_s`` is how long an event may be late."""

    def __init__(
        self,
        books: Books,
        mirror: Mirror,
        unsettled: Callable[[], Awaitable[int]],
        *,
        ghost_grace_s: float,
    ) -> None:
        self._books = books
        self._mirror = mirror
        self._unsettled = unsettled
        self._grace_s = ghost_grace_s
        #: Hold id -> when it was first seen finished and not settled (monotonic seconds).
        self._waiting_since: dict[str, float] = {}
        self._ghosts_at = float("-inf")
        self._tables_at = float("-inf")

    async def run(self, interval_s: float) -> None:
        """Sweep until cancelled."""
        while True:
            try:
                await self.sweep()
            except Unavailable as error:
                _log.warning("sweep waits", error=str(error))
            await asyncio.sleep(interval_s)

    async def sweep(self) -> None:
        """One round, if no other ledger is at it."""
        async with (
            connection(self._books.pool) as conn,
            try_lock(conn, Lock.UPKEEP) as mine,
        ):
            if not mine:
                return
            await self.sweep_holds()
            if time.monotonic() - self._ghosts_at >= min(_GHOSTS_EVERY_S, self._grace_s):
                self._ghosts_at = time.monotonic()
                await self.sweep_ghosts(conn)
            if time.monotonic() - self._tables_at >= _TABLES_EVERY_S:
                await self.sweep_tables(conn)
                self._tables_at = time.monotonic()
            self._books.metrics.unsettled.set(await self._unsettled())

    async def sweep_holds(self) -> None:
        """Return expired holds; measure the open ones."""
        metrics, now_ms = self._books.metrics, self._books.now_ms()
        count, oldest_ms = 0, now_ms
        async for account_id in self._mirror.accounts("leases"):
            expired = await self._books.projector.expire(account_id)
            if expired:
                metrics.holds_expired.inc(len(expired))
                _log.warning("holds expired", account_id=account_id, request_ids=expired[:10])
            for hold_id in (await self._mirror.account(account_id)).leases:
                count += 1
                oldest_ms = min(oldest_ms, _minted_ms(hold_id, now_ms))
        metrics.holds_open.set(count)
        metrics.hold_age.set((now_ms - oldest_ms) / 1000)

    async def sweep_ghosts(self, conn: Connection) -> None:
        """Let go of finished entries that nothing will settle any more.

        One whose request is settled came late (its router could not reach Redis in time) and goes
        at once. One without a usage row may have its event on the way, so it goes only when it has
        been here for the grace time and the stream, asked after that, is empty.
        """
        finished = await self._finished()
        settled = await upkeep.settled_ids(conn, days_of(list(finished)))
        await self._let_go(conn, {i: a for i, a in finished.items() if i in settled}, settled=True)
        now = time.monotonic()
        self._waiting_since = {
            hold_id: self._waiting_since.get(hold_id, now)
            for hold_id in finished
            if hold_id not in settled
        }
        overdue = {
            hold_id: finished[hold_id]
            for hold_id, since in self._waiting_since.items()
            if now - since >= self._grace_s
        }
        if overdue and await self._unsettled() == 0:
            await self._let_go(conn, overdue, settled=False)

    async def sweep_tables(self, conn: Connection) -> None:
        """Partitions for the days to come, and of days gone by; buckets that no window can see any
        more.
        """
        now_ms = self._books.now_ms()
        today = datetime.fromtimestamp(now_ms // 1000, UTC).date()
        for ahead in range(_DAYS_AHEAD + 1):
            await upkeep.ensure_day(conn, today + timedelta(days=ahead))
        await drop_old_days(self._books, conn)
        await upkeep.forget_old_buckets(
            conn, older_than_ms=now_ms - _BUCKET_RETENTION_MS, limit=_BUCKETS_PER_SWEEP
        )

    async def _finished(self) -> dict[str, str]:
        """``{hold id: account id}`` of finished entries."""
        found: dict[str, str] = {}
        async for account_id in self._mirror.accounts("holds"):
            holds = (await self._mirror.account(account_id)).holds
            found.update((hold_id, account_id) for hold_id, hold in holds.items() if not hold.open)
            if len(found) >= _MAX_FINISHED:
                break
        return found

    async def _let_go(self, conn: Connection, gone: dict[str, str], *, settled: bool) -> None:
        """Drop entries (hold id -> account id) and carry their accounts over once more."""
        if not gone:
            return
        per_account: dict[str, list[str]] = {}
        for hold_id, account_id in gone.items():
            per_account.setdefault(account_id, []).append(hold_id)
        async with lock(conn, Lock.PROJECTION, shared=True):
            accounts = await state.whole_accounts(
                conn, list(per_account), now_ms=self._books.now_ms()
            )
            await self._books.projector.settled(accounts, per_account)
        self._books.metrics.ghosts.labels(str(settled).lower()).inc(len(gone))
        # Late for a settlement that has happened is ordinary; money nobody asked for is not.
        log = _log.info if settled else _log.warning
        log("finished holds let go", request_ids=list(gone)[:10], settled=settled)


def days_of(request_ids: list[str]) -> dict[date, list[str]]:
    """Request ids by the partition they belong to; ids that are none of ours are left out."""
    days: dict[date, list[str]] = {}
    for request_id in request_ids:
        minted_ms = _minted_ms(request_id, -1)
        if minted_ms >= 0:
            day = datetime.fromtimestamp(minted_ms // 1000, UTC).date()
            days.setdefault(day, []).append(request_id)
    return days


def _minted_ms(request_id: str, otherwise: int) -> int:
    try:
        return request_time_ms(request_id)
    except ValueError:
        return otherwise
