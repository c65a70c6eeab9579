"""May this request spend its worst case? Asked of Redis in one round trip, all or nothing.

Fails closed: when Redis cannot answer, nobody spends. The hold's id is the request id; whoever
holds it later (the router) finishes it, and its lease returns it if everybody dies.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Sequence

from bytespike_contracts import holds
from bytespike_contracts.holds import AccountState, Admission
from bytespike_edge.key_cache import KnownKey
from bytespike_edge.metrics import EdgeMetrics
from bytespike_edge.refusals import not_loaded, refusal_error
from bytespike_runtime.kv import KvUnavailable, ScriptPipe

__all__ = ["SCRIPTS", "Gate", "Look"]

#: What the pipe must know by name.
SCRIPTS = {"admit": holds.ADMIT, "finish": holds.FINISH}

_LOOK_ONLY = -1


class Look:
    """The account as last seen while serving one request, for its limit headers."""

    __slots__ = ("now_ms", "state")

    def __init__(self, now_ms: int, state: AccountState) -> None:
        self.now_ms = now_ms
        self.state = state


class Gate:
    """The edge's calls on account state."""

    def __init__(self, pipe: ScriptPipe, metrics: EdgeMetrics) -> None:
        self._pipe = pipe
        self._metrics = metrics

    async def look(self, key: KnownKey) -> Look | None:
        """The state without touching it; None where no limit applies or it cannot be had (headers
        are a courtesy, not worth failing for).
        """
        if not key.limited:
            return None
        try:
            reply = await self._asked(key, "look", _LOOK_ONLY)
        except KvUnavailable:
            return None
        admission = holds.read_admission(reply)
        state = admission.state
        return None if state is None else Look(admission.admitted_ms, state)

    async def admit(
        self, key: KnownKey, hold_id: str, amount_uusd: int
    ) -> tuple[Admission, Look | None]:
        """Take ``amount_uusd`` under ``hold_id`` or nothing; see :func:`require_admitted`.

        Raises :class:`GatewayError` (503) if Redis cannot answer; the hold may then exist, and its
        lease takes it back.
        """
        started = time.perf_counter()
        try:
            reply = await self._asked(key, hold_id, amount_uusd)
        except KvUnavailable:
            raise not_loaded() from None
        finally:
            self._metrics.observe_redis_s(time.perf_counter() - started)
        admission = holds.read_admission(reply)
        state = admission.state
        return admission, None if state is None else Look(admission.admitted_ms, state)

    async def release(self, key: KnownKey, hold_id: str, admitted_ms: int) -> None:
        """Give a hold back that nobody will ever finish. Best effort: the lease does it later."""
        args = holds.finish_args(hold_id, 0, admitted_ms=admitted_ms, scopes=key.scope_names)
        try:
            await self._pipe.script("finish", holds.wallet_name(key.record.account_id), args)
        except KvUnavailable:
            return

    def _asked(
        self, key: KnownKey, hold_id: str, amount_uusd: int
    ) -> Awaitable[Sequence[int | bytes]]:
        record = key.record
        args = holds.admit_args(
            hold_id, amount_uusd, concurrency=record.concurrency, scopes=key.scopes
        )
        return self._pipe.script("admit", holds.wallet_name(record.account_id), args)


def require_admitted(admission: Admission, key: KnownKey, *, needed_uusd: int) -> None:
    """Raises :class:`GatewayError` (402, 429 or 503) unless the hold was taken."""
    if admission.refusal is not None:
        raise refusal_error(admission, key, needed_uusd=needed_uusd)
