"""Telling operators how the channels are: one report per router, fresh for seconds, in Redis."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from importlib import resources

import msgspec

from bytespike_contracts.channel_states import (
    CHANNEL_HEALTH,
    HEALTH_EVERY_S,
    HEALTH_TTL_MS,
    RouterHealth,
)
from bytespike_runtime.kv import KvError, KvUnavailable, ScriptPipe
from bytespike_runtime.logs import get_logger
from bytespike_text.channels import Channels

__all__ = ["SCRIPTS", "HealthReports"]

#: What the pipe must have loaded.
SCRIPTS = {
    "health_report": (resources.files("bytespike_text") / "health_report.lua").read_text(),
}
#: Reports of routers that are gone are swept by each router's first report and then every minute,
#: so what is left over never grows beyond the restarts of a minute.
_SWEEP_EVERY = 12

_log = get_logger()


class HealthReports:
    """``router`` names this process: host, process id and a bit of chance."""

    def __init__(self, pipe: ScriptPipe, channels: Channels) -> None:
        self._pipe = pipe
        self._channels = channels
        self._made = 0
        self.router = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"

    async def run(self) -> None:
        """Report every few seconds until cancelled. Redis being away is no reason to stop."""
        while True:
            try:
                await self.report()
            except KvUnavailable:
                pass  # the next report comes soon, and operators see that this one is missing
            except KvError as error:
                _log.error("channel health cannot be reported", error=str(error))
            await asyncio.sleep(HEALTH_EVERY_S)

    async def report(self) -> None:
        """Write one report. Raises ``KvUnavailable`` or ``KvError``."""
        report = RouterHealth(at_ms=time.time_ns() // 1_000_000, channels=self._channels.health())
        sweep = self._made % _SWEEP_EVERY == 0
        self._made += 1
        await self._pipe.script(
            "health_report",
            CHANNEL_HEALTH,
            [self.router, msgspec.json.encode(report).decode(), HEALTH_TTL_MS, int(sweep)],
        )
