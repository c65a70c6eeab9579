"""Writing the projection: settled money, key records and the marker that vouches for them.

Everything written is absolute and versioned, so calls may be repeated, overtake one another or come
from several ledgers: a balance only moves to a newer version, settled spend only grows, a key
record only gives way to a newer one. This module never decides what is true; it carries what
Postgres has committed.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import resources

import msgspec

from bytespike_contracts import holds
from bytespike_contracts.channel_states import (
    CHANNEL_HEALTH,
    CHANNEL_STATES,
    HEALTH_TTL_MS,
    ChannelState,
    RouterHealth,
)
from bytespike_contracts.holds import AccountState, Admission, Refusal, ScopeCaps, ScopeSpend
from bytespike_contracts.key_uses import (
    KEY_USES,
    TAKE_KEY_USES,
    USES_PER_CALL,
    KeyUse,
    read_taken,
)
from bytespike_contracts.keys import (
    PROJECTION_MARKER,
    KeyChange,
    KeyRecord,
    ProjectionMarker,
    SpendCaps,
    key_record_name,
)
from bytespike_contracts.subjects import CHANNELS_CHANGED, KEYS_CHANGED
from bytespike_ledger.store.state import AccountSettled
from bytespike_runtime.bus import Bus, BusUnavailable
from bytespike_runtime.kv import KvUnavailable, ScriptPipe

__all__ = ["SCRIPTS", "Projector"]

#: What the ledger runs in Redis, by name.
SCRIPTS = {
    "project": holds.PROJECT,
    "expire": holds.EXPIRE,
    "close": holds.CLOSE,
    "admit": holds.ADMIT,
    "mirror": (resources.files("bytespike_ledger") / "mirror.lua").read_text(),
    "channel_state": (resources.files("bytespike_ledger") / "channel_state.lua").read_text(),
    "take_key_uses": TAKE_KEY_USES,
    "key_record": (resources.files("bytespike_ledger") / "key_record.lua").read_text(),
}

#: Redis string: run_id of the process the last rebuild filled. Absent or another one = the memory
#: was lost or is somebody else's.
EPOCH = "bs:epoch"

#: One script call blocks Redis for everybody: about a millisecond at these sizes.
_HOLDS_PER_CALL = 256
_SCOPES_PER_CALL = 16
_EXPIRED_PER_CALL = 256

#: A deleted key leaves a disabled record for a while, so that a change of it that is still on its
#: way finds a newer version and cannot bring it back.
_TOMBSTONE_MS = 3_600_000
_MARKER_TTL_MS = 10_000

#: Windows without a cap are not reported by the admit script; nobody reaches this one.
_SHOW_ALL = SpendCaps(
    quota_uusd=2**53 - 1,
    window_5h_uusd=2**53 - 1,
    window_1d_uusd=2**53 - 1,
    window_7d_uusd=2**53 - 1,
)

_decode_report = msgspec.json.Decoder(RouterHealth).decode


#: More requests than any account may have in flight.
_NO_CAP = 2**31


class Projector:
    """The ledger's hand in Redis. Every method raises ``KvUnavailable`` if Redis is away.

    ``now_ms`` is the clock the scripts see; the default is Redis' own.
    """

    def __init__(
        self, pipe: ScriptPipe, bus: Bus, *, now_ms: Callable[[], int] = lambda: holds.SERVER_CLOCK
    ) -> None:
        self._pipe = pipe
        self._bus = bus
        self._now_ms = now_ms

    async def settled(
        self, accounts: Sequence[AccountSettled], hold_ids: Mapping[str, Sequence[str]]
    ) -> None:
        """Carry over settled accounts and drop ``hold_ids`` (by account id)."""
        try:
            async with asyncio.TaskGroup() as group:
                for account in accounts:
                    group.create_task(self.account(account, hold_ids.get(account.account_id, ())))
        except* KvUnavailable as failed:
            raise KvUnavailable(str(failed.exceptions[0])) from failed

    async def account(
        self,
        account: AccountSettled,
        hold_ids: Sequence[str] = (),
        *,
        open_account: bool = False,
    ) -> None:
        """Carry over one account; ``open_account`` lets it serve, once all its scopes are there.

        No hold is dropped before every scope has what it became: between two calls a limit may
        count something twice, but never not at all.
        """
        scopes_first = max(0, math.ceil(len(account.scopes) / _SCOPES_PER_CALL) - 1)
        calls = scopes_first + max(1, math.ceil(len(hold_ids) / _HOLDS_PER_CALL))
        for number in range(calls):
            first = (number - scopes_first) * _HOLDS_PER_CALL
            await self._project(
                account,
                hold_ids[first : first + _HOLDS_PER_CALL] if first >= 0 else (),
                account.scopes[number * _SCOPES_PER_CALL : (number + 1) * _SCOPES_PER_CALL],
                open_account=open_account and number == calls - 1,
            )

    async def close_account(self, account_id: str, scopes: Sequence[str] = ()) -> None:
        """Refuse paid requests until the account is opened; forget the scopes' settled spend."""
        await self._pipe.script("close", holds.wallet_name(account_id), scopes)

    async def expire(self, account_id: str) -> list[str]:
        """Return the holds whose owners died; their ids."""
        ids = await self._pipe.script(
            "expire", holds.wallet_name(account_id), [self._now_ms(), _EXPIRED_PER_CALL]
        )
        return [hold_id.decode() for hold_id in ids]

    async def look(self, account_id: str, *scopes: str) -> AccountState:
        """The account and these scopes as admission sees them. Raises ``KvUnavailable`` also while
        the account is not loaded.
        """
        args = holds.admit_args(
            "",
            -1,
            concurrency=0,
            scopes=[ScopeCaps(scope, _SHOW_ALL) for scope in scopes],
            now_ms=self._now_ms(),
        )
        reply = await self._pipe.script("admit", holds.wallet_name(account_id), args)
        state = holds.read_admission(reply).state
        if state is None:
            raise KvUnavailable("the account is being loaded")
        return state

    async def hold(
        self, account_id: str, hold_id: str, amount_uusd: int, *, lease_ms: int
    ) -> Admission:
        """Take money out of what requests can spend, as a request does, but counted in no scope.

        Raises ``KvUnavailable`` also while the account is not loaded.
        """
        args = holds.admit_args(
            hold_id,
            amount_uusd,
            concurrency=_NO_CAP,
            scopes=[],
            now_ms=self._now_ms(),
            lease_ms=lease_ms,
        )
        reply = await self._pipe.script("admit", holds.wallet_name(account_id), args)
        admission = holds.read_admission(reply)
        if admission.refusal is Refusal.NOT_LOADED:
            raise KvUnavailable("the account is being loaded")
        return admission

    async def key(
        self, hash_hex: str, record: KeyRecord, *, deleted: bool, announce: bool = True
    ) -> None:
        """Put a key record in force: in Redis first, then (``announce``) in the edges' caches."""
        if deleted:
            record = msgspec.structs.replace(record, enabled=False)
        await self._pipe.script(
            "key_record",
            key_record_name(hash_hex),
            [
                record.version,
                msgspec.json.encode(record).decode(),
                _TOMBSTONE_MS if deleted else 0,
            ],
        )
        if announce:
            change = KeyChange(hash=hash_hex, version=record.version)
            await self._announce(KEYS_CHANGED, msgspec.json.encode(change))

    async def channel(self, state: ChannelState) -> None:
        """Put a channel's state in force: in Redis first, then in the routers."""
        text = msgspec.json.encode(state)
        await self._pipe.script(
            "channel_state", CHANNEL_STATES, [state.channel, state.version, text.decode()]
        )
        await self._announce(CHANNELS_CHANGED, text)

    async def router_reports(self) -> dict[str, RouterHealth]:
        """What routers said of their channels within the time a report counts, by router."""
        flat: list[bytes] = await self._pipe.command("HGETALL", CHANNEL_HEALTH)
        seconds, micros = await self._pipe.command("TIME")
        oldest_ms = int(seconds) * 1000 + int(micros) // 1000 - HEALTH_TTL_MS
        reports = {}
        for router, value in zip(flat[::2], flat[1::2], strict=True):
            taken_ms, _, text = value.partition(b"|")
            if int(taken_ms) >= oldest_ms:
                reports[router.decode()] = _decode_report(text)
        return reports

    async def take_key_uses(self) -> list[KeyUse]:
        """Some of what the edges noted of keys; it is gone from Redis then."""
        taken = await self._pipe.script("take_key_uses", KEY_USES, [USES_PER_CALL])
        return read_taken(taken)

    async def intact(self) -> bool:
        """Whether Redis is still the server, with the memory, that the last rebuild filled."""
        filled: bytes | None = await self._pipe.command("GET", EPOCH)
        return await self.server() == filled

    async def ping(self) -> None:
        """Raises ``KvUnavailable`` unless Redis is loaded."""
        if not await self.intact():
            raise KvUnavailable("Redis is being loaded")

    async def server(self) -> bytes:
        """Identity of the running Redis process: another one after a restart or a failover."""
        info: bytes = await self._pipe.command("INFO", "server")
        for line in info.splitlines():
            name, _, value = line.partition(b":")
            if name == b"run_id":
                return value
        raise KvUnavailable("Redis does not tell its run_id")

    async def begin_epoch(self, server: bytes) -> None:
        """Remember in Redis itself that everything was loaded into this process."""
        await self._pipe.command("SET", EPOCH, server)

    async def vouch(self) -> None:
        """Say that the key projection is complete and was compared with Postgres just now."""
        marker = ProjectionMarker(verified_ms=time.time_ns() // 1_000_000)
        await self._pipe.command(
            "SET", PROJECTION_MARKER, msgspec.json.encode(marker), "PX", _MARKER_TTL_MS
        )

    async def _announce(self, subject: str, body: bytes) -> None:
        try:
            await self._bus.broadcast(subject, body)
        except BusUnavailable:
            # An edge without NATS keeps records for a second only, and a router looks for states
            # twice a second, so nothing is lost by silence.
            return

    async def _project(
        self,
        account: AccountSettled,
        hold_ids: Sequence[str],
        scopes: Sequence[ScopeSpend],
        *,
        open_account: bool,
    ) -> None:
        await self._pipe.script(
            "project",
            holds.wallet_name(account.account_id),
            holds.project_args(
                balance_uusd=account.balance_uusd,
                version=account.version,
                hold_ids=hold_ids,
                scopes=scopes,
                open_account=open_account,
                now_ms=self._now_ms(),
            ),
        )
