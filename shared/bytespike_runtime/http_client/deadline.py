"""One timer per connection, moved without touching the event loop.

Deadlines change with every request and every chunk, and almost none of them is ever reached.
Setting one therefore only writes a number; the single loop timer looks at that number when it fires
and goes back to sleep if it has moved on.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

__all__ = ["Deadline"]


class Deadline:
    """Calls ``on_expiry`` once, at or shortly after the moment last set, unless cleared."""

    __slots__ = ("_at", "_loop", "_on_expiry", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, on_expiry: Callable[[], None]) -> None:
        self._loop = loop
        self._on_expiry = on_expiry
        self._at = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def set(self, delay_s: float) -> None:
        """Expire ``delay_s`` from now, whatever was set before."""
        at = self._at = self._loop.time() + delay_s
        timer = self._timer
        if timer is None:
            self._timer = self._loop.call_at(at, self._fire)
        elif at < timer.when():
            timer.cancel()
            self._timer = self._loop.call_at(at, self._fire)

    def clear(self) -> None:
        """Expect nothing; the timer stays armed and will find that out by itself."""
        self._at = math.inf

    def cancel(self) -> None:
        """End for good: the owner is gone."""
        self._at = math.inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        self._timer = None
        if self._at == math.inf:
            return
        if self._at > self._loop.time():
            self._timer = self._loop.call_at(self._at, self._fire)
            return
        self._at = math.inf
        self._on_expiry()
