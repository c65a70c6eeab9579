"""Waiting for a condition with a deadline, instead of sleeping and hoping."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

from bytespike_runtime.unavailable import Unavailable

__all__ = ["eventually"]

_POLL_S = 0.02


async def eventually(
    condition: Callable[[], Awaitable[object] | object], *, within_s: float = 10.0
) -> None:
    """Return when ``condition`` gives something true; ``AssertionError`` if it does not in time.

    A dependency that is away counts as "not yet".
    """
    deadline = time.monotonic() + within_s
    while True:
        try:
            answer = condition()
            if inspect.isawaitable(answer):
                answer = await answer
        except Unavailable:
            answer = None
        if answer:
            return
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(_POLL_S)
