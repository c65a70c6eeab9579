"""Who waits for requests to end: each is brought to its end, whether its client stays or not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

from bytespike_runtime.logs import get_logger

__all__ = ["Supervisor"]

_log = get_logger()


class Supervisor:
    """Runs work that must be brought to its end; :meth:`wind_up` says how long it may take, and
    leaving the block waits for what was spawned.

    A task's unexpected exception is logged and counted, and never touches its neighbours.
    """

    def __init__(self, *, on_crash: Callable[[], None]) -> None:
        self._group = asyncio.TaskGroup()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._on_crash = on_crash
        self._loop = asyncio.get_running_loop()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._group.__aexit__(kind, error, traceback)

    async def carry(self, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work`` in the caller's own task, which from now on is waited for like the others.

        The server does not cancel a handler whose client leaves, so no second task is needed to
        outlive it; but the server forgets such a handler, and the drain must not.
        """
        task = asyncio.current_task(self._loop)
        if task is None:
            raise RuntimeError("must run in a task")
        self._tasks.add(task)
        try:
            await work
        except Exception:  # noqa: BLE001 - see _crashed
            self._crashed()
        finally:
            self._tasks.discard(task)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Start ``work`` now; it ends in its own time."""
        task = self._group.create_task(self._guard(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def wind_up(self, timeout_s: float) -> None:
        """Give what still runs that much time, then cancel it: cancelled work settles itself."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception:  # noqa: BLE001 - see _crashed
            self._crashed()

    def _crashed(self) -> None:
        """One request must not end the others: its exception ends here, counted and logged."""
        self._on_crash()
        _log.exception("a request's task crashed")
