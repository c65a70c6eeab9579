"""How many failures a client may cause in a minute: sliding counters, bounded, in one process.

A counter is two numbers, the failures of the running minute and of the one before; the latter
counts for the part of it that still lies within the last sixty seconds. Nothing is counted while a
client is over its limit, so the wait it is told is the wait there is. A credential that failed from
there a moment ago and fails again is somebody's broken client and no guess: it counts once.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from bytespike_runtime.addresses import client_network

__all__ = ["WINDOW_S", "FailureLimit"]

WINDOW_S = 60.0
#: Networks remembered; a hundred bytes each. Whoever commands more than that is not held by any
#: limit per address.
_SIZE = 16_384
#: Dead keys that one address may go on trying without being taken for a guesser.
_REMEMBERED = 8


@dataclass(slots=True)
class _Counter:
    window: int
    current: int = 0
    previous: int = 0
    #: Digests of the credentials that failed last.
    failed: deque[bytes] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))


class FailureLimit:
    """Failures per client network, at most ``per_minute``. Belongs to one thread."""

    def __init__(
        self, per_minute: int, *, size: int = _SIZE, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = per_minute
        self._size = size
        self._clock = clock
        self._counters: OrderedDict[str, _Counter] = OrderedDict()

    def __len__(self) -> int:
        return len(self._counters)

    def wait_s(self, address: str | None) -> int:
        """Whole seconds until a failure is free again, 0 = it is."""
        now_s = self._clock()
        counter = self._counters.get(client_network(address))
        if counter is None:
            return 0
        _advance(counter, now_s)
        elapsed = now_s % WINDOW_S / WINDOW_S
        if counter.previous * (1 - elapsed) + counter.current < self._limit:
            return 0
        if counter.current >= self._limit:
            # Not before the next window, and then not until enough of this one has slid out.
            free_at = 2 - self._limit / counter.current
        else:
            free_at = 1 - (self._limit - counter.current) / counter.previous
        # At that very moment it is exactly at its limit still; a float may say a hair less.
        return math.floor((free_at - elapsed) * WINDOW_S + 1e-6) + 1

    def failed(self, address: str | None, digest: bytes) -> None:
        """Count the failure of a credential, known by its ``digest``."""
        network, now_s = client_network(address), self._clock()
        counter = self._counters.get(network)
        if counter is None:
            counter = self._counters[network] = _Counter(int(now_s // WINDOW_S))
            if len(self._counters) > self._size:
                self._counters.popitem(last=False)
        self._counters.move_to_end(network)
        _advance(counter, now_s)
        if digest not in counter.failed:
            counter.failed.append(digest)
            counter.current += 1


def _advance(counter: _Counter, now_s: float) -> None:
    """Bring the two numbers to the window of ``now_s``."""
    window = int(now_s // WINDOW_S)
    if window == counter.window:
        return
    counter.previous = counter.current if window == counter.window + 1 else 0
    counter.current = 0
    counter.window = window
    counter.failed.clear()
