"""Carrying changes that no usage event brings to Redis: keys, new accounts, top-ups, channels.

Each change commits together with a mark that Redis does not have it yet. Normally it is carried
over by the request that made it; if that process dies or Redis is away, the loop here does it
within a second of both being there. So no change is lost and none needs a transaction over two
stores.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from bytespike_contracts.channel_states import ChannelState
from bytespike_contracts.keys import KeyRecord, Scope, SpendCaps, SpendLimit
from bytespike_ledger.books import Books
from bytespike_ledger.store import Connection, Lock, connection, lock, state
from bytespike_ledger.store import channels as channel_store
from bytespike_ledger.store import keys as key_store
from bytespike_ledger.store.channels import ChannelRow
from bytespike_ledger.store.keys import KeyRow
from bytespike_runtime.kv import KvUnavailable
from bytespike_runtime.logs import get_logger
from bytespike_runtime.unavailable import Unavailable

__all__ = [
    "carry_account",
    "carry_channel",
    "carry_due",
    "carry_key",
    "carry_keys",
    "carry_limits",
    "channel_state",
    "keep_carrying",
    "key_record",
    "load_key",
    "project_account",
]

_EVERY_S = 1.0
_MARKER_EVERY_TURNS = 2
#: Each takes a connection of the pool for a moment, and the smallest pool has four.
_KEYS_AT_ONCE = 4
#: Per turn; a longer queue is worked off over several turns.
_LIMIT = 500

_log = get_logger()


def key_record(row: KeyRow) -> KeyRecord:
    """What the edge must know of a key."""
    return KeyRecord(
        key_id=row.id,
        account_id=row.account_id,
        version=row.version,
        group=row.routing_group,
        scopes=tuple(Scope(scope) for scope in row.scopes),
        concurrency=row.concurrency,
        enabled=row.status == "active" and row.owner_active,
        org_id=row.org_id,
        expires_ms=row.expires_ms,
        caps=row.caps,
        limits=_limits(row),
        ip_allow=tuple(row.ip_allow),
        ip_deny=tuple(row.ip_deny),
    )


def _limits(row: KeyRow) -> tuple[SpendLimit, ...]:
    """The owners' caps. Owners without any are left out: what nobody limits need not be counted on
    every request (the ledger counts it all the same, so that a limit set later knows the past).
    """
    found = []
    if row.member_id is not None and row.member_caps not in (None, SpendCaps()):
        found.append(SpendLimit(scope=row.member_id, owner="member", caps=row.member_caps))
    if row.org_id is not None and row.org_caps not in (None, SpendCaps()):
        found.append(SpendLimit(scope=row.org_id, owner="org", caps=row.org_caps))
    return tuple(found)


async def carry_key(books: Books, row: KeyRow) -> None:
    """Put a committed key change in force. Left to the loop if Redis is away."""
    try:
        await _project_key(books, row)
    except KvUnavailable as error:
        _log.warning("key change waits for Redis", key_id=row.id, error=str(error))


async def carry_keys(books: Books, rows: Sequence[KeyRow]) -> None:
    """The same for several, some at a time: an organisation may have thousands. What fails on the
    way is committed all the same, and left to the loop.
    """
    waiting = iter(rows)

    async def work() -> None:
        try:
            for row in waiting:
                await carry_key(books, row)
        except Unavailable as error:
            _log.warning("key changes wait for Postgres", error=str(error))

    async with asyncio.TaskGroup() as group:
        for _ in range(min(_KEYS_AT_ONCE, len(rows))):
            group.create_task(work())


def channel_state(row: ChannelRow) -> ChannelState:
    """What the routers must know of a channel."""
    return ChannelState(channel=row.channel, enabled=row.state == "enabled", version=row.version)


async def carry_channel(books: Books, row: ChannelRow) -> bool:
    """Put a committed switch of a channel in force. False if Redis is away: the loop does it."""
    try:
        await _project_channel(books, row)
    except KvUnavailable as error:
        _log.warning("channel switch waits for Redis", channel=row.channel, error=str(error))
        return False
    return True


async def carry_limits(books: Books, account_id: str, rows: Sequence[KeyRow]) -> None:
    """Put committed limits of a member or an organisation in force; ``rows`` are the keys they bind
    (see ``touch_keys``). Left to the loop if Redis is away.

    First what the account has spent, then the keys: from the first request that is held against
    the new limit, the limit knows the past.
    """
    if await carry_account(books, account_id):
        await carry_keys(books, rows)


async def carry_account(books: Books, account_id: str) -> bool:
    """Carry a committed change of a wallet to Redis. False = left to the loop, Redis is away."""
    try:
        async with connection(books.pool) as conn, lock(conn, Lock.PROJECTION, shared=True):
            await project_account(books, conn, account_id)
    except KvUnavailable as error:
        _log.warning("wallet change waits for Redis", account_id=account_id, error=str(error))
        return False
    return True


async def carry_due(books: Books) -> bool:
    """Carry over what is still due; True if nothing is left and Redis is whole."""
    async with connection(books.pool) as conn:
        await key_store.end_overlaps(conn, now_ms=books.now_ms(), limit=_LIMIT)
        accounts = await state.accounts_due(conn, limit=_LIMIT)
        keys = await key_store.keys_due(conn, limit=_LIMIT)
        channels = await channel_store.channels_due(conn)
        books.metrics.unprojected.set(len(accounts) + len(keys) + len(channels))
        # As in `carry_limits`; which of the keys have new limits is not known here.
        limited = {row.account_id for row in keys if _limits(row)}
        if accounts or limited:
            async with lock(conn, Lock.PROJECTION, shared=True):
                for account_id in sorted(limited.union(accounts)):
                    await project_account(books, conn, account_id)
    for row in keys:
        await _project_key(books, row)
    for channel in channels:
        await _project_channel(books, channel)
    return max(len(accounts), len(keys)) < _LIMIT and await books.projector.intact()


async def keep_carrying(books: Books) -> None:
    """The loop: carry over what is due and vouch for the projection. Runs until cancelled."""
    turn = 0
    while True:
        try:
            if await carry_due(books) and turn % _MARKER_EVERY_TURNS == 0:
                await books.projector.vouch()
        except Unavailable as error:
            _log.debug("projection not checked", error=str(error))
        turn += 1
        await asyncio.sleep(_EVERY_S)


async def load_key(books: Books, row: KeyRow, *, announce: bool) -> None:
    """Write what Redis must know of a key: the record under its secret, and for as long as the
    overlap of a rotation runs, one under the old secret that ends with it.
    """
    record = key_record(row)
    await books.projector.key(
        row.key_hash.hex(), record, deleted=row.status == "deleted", announce=announce
    )
    if row.old_key_hash is not None and row.old_expires_ms is not None:
        expires_ms = min(row.old_expires_ms, row.expires_ms or row.old_expires_ms)
        await books.projector.key(
            row.old_key_hash.hex(),
            msgspec.structs.replace(record, expires_ms=expires_ms),
            deleted=False,
            announce=announce,
        )


async def _project_key(books: Books, row: KeyRow) -> None:
    await load_key(books, row, announce=True)
    dead = [key_hash for key_hash in row.retired if key_hash != row.old_key_hash]
    for key_hash in dead:
        await books.projector.key(key_hash.hex(), key_record(row), deleted=True)
    async with connection(books.pool) as conn:
        if dead:
            await key_store.bury_secrets(conn, dead)
        await key_store.mark_key_projected(conn, row.id, row.version)


async def _project_channel(books: Books, row: ChannelRow) -> None:
    await books.projector.channel(channel_state(row))
    async with connection(books.pool) as conn:
        await channel_store.mark_channel_projected(conn, row.channel, row.version)


async def project_account(
    books: Books, conn: Connection, account_id: str, hold_ids: Sequence[str] = ()
) -> None:
    """Tell Redis what is committed and drop holds. Raises ``KvUnavailable``.

    Needs the projection lock, so that it does not meet a rebuild.

    While Redis is whole, an account it lacks is a new one and may be opened; after a loss only the
    rebuild may open, because only it has waited for what is pending.
    """
    whole = await books.projector.intact()
    accounts = await state.whole_accounts(conn, [account_id], now_ms=books.now_ms())
    for account in accounts:
        await books.projector.account(account, hold_ids, open_account=whole)
    if whole:
        await state.mark_projected(conn, accounts)
