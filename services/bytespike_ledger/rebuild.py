"""Rebuilding Redis: noticing that its memory was lost, and loading it again from Postgres.

The order is what makes it exact. Close every account (nothing is admitted from here on); give the
routers a moment to put the holds of running requests back; drain the usage stream, so that nothing
finished before the loss is still missing from Postgres; then, alone with the projection, load and
open. A finish that comes later finds no hold and writes its pending entry all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from bytespike_ledger.books import Books
from bytespike_ledger.carryover import channel_state, load_key
from bytespike_ledger.mirror import Mirror
from bytespike_ledger.store import Connection, Lock, connection, lock, state, try_lock
from bytespike_ledger.store import channels as channel_store
from bytespike_ledger.store import keys as key_store
from bytespike_ledger.store.state import AccountSettled
from bytespike_runtime.kv import KvUnavailable
from bytespike_runtime.logs import get_logger
from bytespike_runtime.unavailable import Unavailable

__all__ = ["NotDrained", "Rebuilder"]

_LOOK_EVERY_S = 1.0
_POLL_S = 0.1
#: Longer than an event of unknown prices is put back before it is parked (see the consumer).
_DRAIN_TIMEOUT_S = 60.0
#: Per round trip; a page of accounts with hundreds of keys each stays within a second.
_PAGE = 200

_log = get_logger()


class NotDrained(Exception):
    """Usage events were still on their way at the deadline; the accounts stay closed."""


class Rebuilder:
    """Keeps Redis loaded. ``unsettled`` tells how many usage messages are not acknowledged yet."""

    def __init__(
        self,
        books: Books,
        mirror: Mirror,
        unsettled: Callable[[], Awaitable[int]],
        *,
        grace_s: float,
    ) -> None:
        self._books = books
        self._mirror = mirror
        self._unsettled = unsettled
        self._grace_s = grace_s

    async def run(self) -> None:
        """Watch Redis and rebuild whenever it is not the one that was filled. Until cancelled."""
        while True:
            try:
                if not await self._books.projector.intact():
                    await self.rebuild()
            except (Unavailable, NotDrained) as error:
                _log.warning("rebuild waits", error=str(error))
            await asyncio.sleep(_LOOK_EVERY_S)

    async def rebuild(self) -> bool:
        """Load everything anew; False if another ledger is doing it.

        Raises ``Unavailable`` of whatever is away, or :class:`NotDrained`; trying again is right.
        """
        async with (
            connection(self._books.pool) as conn,
            try_lock(conn, Lock.REBUILD) as mine,
        ):
            if not mine:
                return False
            server = await self._books.projector.server()
            _log.warning("rebuilding the projection")
            await self._close_all()
            await asyncio.sleep(self._grace_s)
            await self._drain()
            async with lock(conn, Lock.PROJECTION):
                # Before anything is admitted again, and told aloud: a router that began after the
                # loss has read an empty list.
                await self._load_channels(conn)
                accounts = await self._load_accounts(conn)
                keys = await self._load_keys(conn)
                await self._bury_the_dead(conn)
                await self._books.projector.begin_epoch(server)
                # From here on the ledger is ready, so an unknown key must be a 401, not a 503.
                await self._books.projector.vouch()
        self._books.metrics.rebuilds.inc()
        _log.info("projection rebuilt", accounts=accounts, keys=keys)
        return True

    async def _close_all(self) -> None:
        """Nothing to do in an empty Redis; needed when it came back with an old memory."""
        async for account_id in self._mirror.accounts("wallet"):
            await self._books.projector.close_account(account_id)

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(_DRAIN_TIMEOUT_S):
                while await self._unsettled() > 0:  # noqa: ASYNC110 - JetStream has no event
                    await asyncio.sleep(_POLL_S)
        except TimeoutError as error:
            raise NotDrained("usage events are still waiting to be settled") from error

    async def _load_accounts(self, conn: Connection) -> int:
        loaded, after = 0, ""
        while page := await state.accounts_after(conn, after, limit=_PAGE):
            accounts = await state.whole_accounts(conn, page, now_ms=self._books.now_ms())
            await self._open(accounts)
            await state.mark_projected(conn, accounts)
            loaded, after = loaded + len(page), page[-1]
        return loaded

    async def _open(self, accounts: Sequence[AccountSettled]) -> None:
        projector = self._books.projector

        async def open_one(account: AccountSettled) -> None:
            # Once more, naming the scopes: what is loaded replaces what may be wrong.
            await projector.close_account(
                account.account_id, [spend.scope for spend in account.scopes]
            )
            await projector.account(account, open_account=True)

        try:
            async with asyncio.TaskGroup() as group:
                for account in accounts:
                    group.create_task(open_one(account))
        except* KvUnavailable as failed:
            raise KvUnavailable(str(failed.exceptions[0])) from failed

    async def _load_channels(self, conn: Connection) -> None:
        for row in await channel_store.all_channels(conn):
            await self._books.projector.channel(channel_state(row))

    async def _load_keys(self, conn: Connection) -> int:
        loaded, after = 0, ""
        while page := await key_store.keys_after(conn, after, limit=_PAGE):
            for row in page:
                await load_key(self._books, row, announce=False)
            loaded, after = loaded + len(page), page[-1].id
        return loaded

    async def _bury_the_dead(self, conn: Connection) -> None:
        """A Redis that came back with an old memory may know secrets that have been rotated away or
        deleted since. None of them lives again.
        """
        async for hashes in self._mirror.key_hashes():
            known = await key_store.live_hashes(conn, [bytes.fromhex(text) for text in hashes])
            for hash_hex in hashes:
                if bytes.fromhex(hash_hex) in known:
                    continue
                record = await self._mirror.key_record(hash_hex)
                if record is not None and record.enabled:
                    # Newer than what an edge may have read in the meantime.
                    record = msgspec.structs.replace(record, version=record.version + 1)
                    await self._books.projector.key(hash_hex, record, deleted=True)
