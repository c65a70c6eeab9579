"""Health: is this process able to do its work, asked of its dependencies and remembered briefly.

``/healthz`` says only that the event loop turns; ``/readyz`` says whether to send traffic here. A
dependency that is down must not take the readiness endpoint down with it: every ping has a deadline
and the answer is shared by everyone who asks within a second.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from bytespike_runtime.unavailable import Unavailable

__all__ = ["Health", "Ping"]

Ping = Callable[[], Awaitable[None]]

_PING_TIMEOUT_S = 1.0
_REMEMBER_S = 1.0


class Health:
    """Readiness of one process. A ping is good if it returns, bad if it raises or is slow."""

    def __init__(self) -> None:
        self._pings: dict[str, Ping] = {}
        self._draining = False
        self._asking = asyncio.Lock()
        self._answers: dict[str, str] = {}
        self._asked_at = float("-inf")

    def add(self, name: str, ping: Ping) -> None:
        """Readiness depends on ``ping`` from now on; ``name`` appears in the answer."""
        self._pings[name] = ping

    def start_draining(self) -> None:
        """Say "not ready" from now on, whatever the pings say: the process is about to stop."""
        self._draining = True

    async def ready(self) -> tuple[bool, dict[str, str]]:
        """Whether to send traffic here, and ``{dependency: "ok" or what is wrong}``."""
        async with self._asking:
            if time.monotonic() - self._asked_at >= _REMEMBER_S:
                await self._ask()
        answers = dict(self._answers)
        if self._draining:
            answers["process"] = "draining"
        return all(answer == "ok" for answer in answers.values()), answers

    async def _ask(self) -> None:
        async with asyncio.TaskGroup() as group:
            asked = {name: group.create_task(_try(ping)) for name, ping in self._pings.items()}
        self._answers = {name: task.result() for name, task in asked.items()}
        self._asked_at = time.monotonic()


async def _try(ping: Ping) -> str:
    try:
        async with asyncio.timeout(_PING_TIMEOUT_S):
            await ping()
    except TimeoutError:
        return f"no answer within {_PING_TIMEOUT_S:g} s"
    except (Unavailable, OSError) as error:
        return str(error) or type(error).__name__
    return "ok"
