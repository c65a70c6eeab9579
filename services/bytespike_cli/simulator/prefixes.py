"""Which prompt prefixes the vendor's cache holds. The clock is passed in."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Literal, NamedTuple

__all__ = ["AUTOMATIC_MINIMUM_TOKENS", "TTL_MS", "Part", "PrefixCache", "Ttl", "prefix_hashes"]

Ttl = Literal["5m", "1h"]

TTL_MS: dict[str, int] = {"5m": 300_000, "1h": 3_600_000}
#: Far more prefixes than one test run caches; the oldest go first.
_MAX_CACHED_PREFIXES = 4_096
#: Vendors that cache without being asked leave shorter prompts alone.
AUTOMATIC_MINIMUM_TOKENS = 1_024


class Part(NamedTuple):
    """One cacheable piece of a prompt, in the vendor's order (tools, system, messages)."""

    content: bytes
    tokens: int
    breakpoint: Ttl | None = None


class PrefixCache:
    """Prefixes by hash, each with the time it is dropped."""

    def __init__(self) -> None:
        self._expires_ms: OrderedDict[bytes, int] = OrderedDict()

    def clear(self) -> None:
        """Forget everything."""
        self._expires_ms.clear()

    def live(self, prefix: bytes, now_ms: int) -> bool:
        """Whether this prefix can be read."""
        return self._expires_ms.get(prefix, 0) > now_ms

    def store(self, prefix: bytes, expires_ms: int) -> None:
        """Keep this prefix."""
        self._expires_ms[prefix] = expires_ms
        self._expires_ms.move_to_end(prefix)
        if len(self._expires_ms) > _MAX_CACHED_PREFIXES:
            self._expires_ms.popitem(last=False)

    def read_automatic(self, scope: str, parts: list[Part], now_ms: int, *, step: int) -> int:
        """Tokens of the longest known prefix, in whole ``step`` tokens, for vendors that cache by
        themselves; the whole prompt is known for five minutes from here on.
        """
        hashes, known, total = prefix_hashes(scope, parts), 0, 0
        for prefix, part in zip(hashes, parts, strict=True):
            total += part.tokens
            if total < AUTOMATIC_MINIMUM_TOKENS:
                continue
            if self.live(prefix, now_ms):
                known = total
            self.store(prefix, now_ms + TTL_MS["5m"])
        return known // step * step


def prefix_hashes(scope: str, parts: list[Part]) -> list[bytes]:
    """The hash of each prefix, ended by each part in turn."""
    running, hashes = hashlib.sha256(scope.encode()), []
    for part in parts:
        running.update(len(part.content).to_bytes(8, "big") + part.content)
        hashes.append(running.copy().digest())
    return hashes
