"""Opaque state the vendor gave out: signatures, encrypted reasoning. Only that may come back.

Kept by hash and bounded. What a scripted reply contains counts as given out too.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

__all__ = ["Issued", "opaque_strings"]

#: More answers with reasoning than any conversation of a test run goes back.
_MAX_ISSUED = 65_536

#: Where the four dialects keep such state.
_FIELDS = frozenset({"signature", "data", "encrypted_content", "thoughtSignature"})


class Issued:
    """What was given out, apart for each dialect: none can read another's."""

    def __init__(self) -> None:
        self._hashes: OrderedDict[bytes, str] = OrderedDict()

    def add(self, dialect: str, state: str, belongs_to: str = "") -> None:
        """The vendor gave this out; ``belongs_to`` is an item it must come back with."""
        key = _key(dialect, state)
        self._hashes[key] = belongs_to
        self._hashes.move_to_end(key)
        if len(self._hashes) > _MAX_ISSUED:
            self._hashes.popitem(last=False)

    def knows(self, dialect: str, state: str) -> bool:
        """Whether the vendor gave this out, unaltered."""
        return _key(dialect, state) in self._hashes

    def belongs_to(self, dialect: str, state: str) -> str:
        """What this must come back with, if it was given out with anything."""
        return self._hashes.get(_key(dialect, state), "")


def opaque_strings(value: Any) -> Iterator[str]:
    """Every piece of opaque state in an answer's JSON."""
    if isinstance(value, list):
        for item in value:
            yield from opaque_strings(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in _FIELDS and isinstance(item, str) and item:
                yield item
            yield from opaque_strings(item)


def _key(dialect: str, state: str) -> bytes:
    # Clients decode base64 and encode it again, in the alphabet they like.
    plain = state.rstrip("=").replace("-", "+").replace("_", "/")
    return hashlib.sha256(f"{dialect}\0{plain}".encode()).digest()
