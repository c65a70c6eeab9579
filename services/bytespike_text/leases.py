"""Holds in flight: kept alive while their request runs, finished once when its outcome is known.

Both live here because their order matters: a hold that was given back must never be renewed again,
or it would come back as a debt nobody owes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from bytespike_contracts.holds import (
    FINISH,
    RENEW,
    RENEW_EVERY_S,
    finish_args,
    renew_args,
    wallet_name,
)
from bytespike_contracts.principal import Grant
from bytespike_runtime.kv import KvError, KvUnavailable, ScriptPipe
from bytespike_runtime.logs import get_logger
from bytespike_text.metrics import TextMetrics

__all__ = ["SCRIPTS", "Holds"]

#: What the pipe must have loaded.
SCRIPTS = {"finish": FINISH, "renew": RENEW}

#: Renewals in one write: thousands of streams must not fill the pipe the hot path shares.
_RENEW_AT_ONCE = 512

_log = get_logger()


class Holds:
    """The holds this process is answerable for, by request id."""

    def __init__(self, pipe: ScriptPipe, *, metrics: TextMetrics) -> None:
        self._pipe = pipe
        self._metrics = metrics
        self._kept: dict[str, tuple[str, Grant]] = {}
        self._renew_now = asyncio.Event()
        # Redis may have come back empty: what we answer for must be there before an admission.
        pipe.on_reconnect.append(self._renew_now.set)

    def keep(self, request_id: str, account_id: str, grant: Grant) -> None:
        """Renew this hold until it is finished."""
        self._kept[request_id] = (wallet_name(account_id), grant)

    def finish(
        self, request_id: str, cost_uusd: int, *, at_once: bool, then: Callable[[], None]
    ) -> None:
        """Replace the hold by the cost (0 gives it back), and call ``then`` when Redis has done so
        or cannot. Best effort, once: if Redis does not answer, the lease or the ledger's settlement
        clears the hold.

        A client that has its answer may ask again at once, and its slot and money must be free by
        then: either the answer waits for ``then``, or ``at_once`` makes sure that the order has
        left for Redis when this returns.
        """

        def finished(error: Exception | None) -> None:
            if error is not None:
                self._metrics.finish_failures.inc()
                if not isinstance(error, KvUnavailable):
                    _log.error("finish script failed", request_id=request_id, error=str(error))
            then()

        wallet, grant = self._kept.pop(request_id)
        args = finish_args(
            request_id, cost_uusd, admitted_ms=grant.admitted_ms, scopes=grant.scopes
        )
        try:
            self._pipe.post("finish", wallet, args, finished, at_once=at_once)
        except KvUnavailable as error:
            finished(error)

    async def run(self) -> None:
        """Renew on time, and at once after a reconnect. Runs until cancelled."""
        while True:
            try:
                async with asyncio.timeout(RENEW_EVERY_S):
                    await self._renew_now.wait()
            except TimeoutError:
                pass
            self._renew_now.clear()
            await self._renew_all()

    async def _renew_all(self) -> None:
        ids = list(self._kept)
        try:
            for at in range(0, len(ids), _RENEW_AT_ONCE):
                await self._renew(ids[at : at + _RENEW_AT_ONCE])
        except* KvUnavailable:
            pass  # the reconnect will call again
        except* KvError as errors:
            _log.error("renew script failed", error=str(errors.exceptions[0]))

    async def _renew(self, ids: Sequence[str]) -> None:
        async with asyncio.TaskGroup() as group:
            for request_id in ids:
                group.create_task(self._renew_one(request_id))

    async def _renew_one(self, request_id: str) -> None:
        kept = self._kept.get(request_id)
        if kept is None:
            return  # finished since
        wallet, grant = kept
        args = renew_args(
            request_id, grant.hold_uusd, admitted_ms=grant.admitted_ms, scopes=grant.scopes
        )
        await self._pipe.script("renew", wallet, args)
