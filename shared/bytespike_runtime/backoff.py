"""How long to wait before trying a server again: doubling, capped, with jitter.

Short first waits bring a service back quickly after a blip; the cap keeps it within a second of a
server that returns; the jitter keeps replicas from knocking in step.
"""

from __future__ import annotations

import asyncio
import random

__all__ = ["Backoff"]

_FIRST_S = 0.05
_LONGEST_S = 1.0


class Backoff:
    """Consecutive waits of one retry loop."""

    def __init__(self) -> None:
        self._next_s = _FIRST_S

    def reset(self) -> None:
        """Call after a success: the next wait is a short one again."""
        self._next_s = _FIRST_S

    async def wait(self) -> None:
        """Sleep between half of the current wait and all of it, then double it."""
        wait_s = self._next_s * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
        self._next_s = min(2 * self._next_s, _LONGEST_S)
        await asyncio.sleep(wait_s)
