"""Names and ids as Anthropic accepts them, without two of them becoming one.

What is not refused stays as it is. The rest is written in allowed characters and told apart by a
digest of the original, so that the same name always becomes the same one: in the definition, the
choice, the history, and the next request (prompt caches compare bytes).
"""

from __future__ import annotations

import hashlib
import re

__all__ = ["Identities", "safe_id"]

_NAME_LIMIT = 128
_DIGEST_CHARS = 8
_GOOD = re.compile(r"[a-zA-Z0-9_-]+")
_BAD_CHAR = re.compile(r"[^a-zA-Z0-9_-]")


def safe_id(call_id: str) -> str:
    """A tool call's id in the characters Anthropic allows."""
    return call_id if _GOOD.fullmatch(call_id) else _rewrite(call_id)


class Identities:
    """The identities of one request, in the order they are met."""

    __slots__ = ("_current", "_names", "_taken")

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._taken: set[str] = set()
        self._current: dict[str, str] = {}

    @property
    def renamed(self) -> tuple[tuple[str, str], ...]:
        """Names that were refused: (what the vendor sees, what the client said)."""
        return tuple((safe, name) for name, safe in self._names.items() if safe != name)

    def name(self, name: str) -> str:
        """A tool's name."""
        if name not in self._names:
            good = len(name) <= _NAME_LIMIT and _GOOD.fullmatch(name)
            safe = name if good else _rewrite(name)
            while safe in self._names.values():
                safe = _rewrite(safe)
            self._names[name] = safe
        return self._names[name]

    def call(self, call_id: str) -> str:
        """The id of a call in the history. An id used before gets a number: some vendors count from
        nought in every answer, and a result must find its own call.
        """
        safe = wanted = safe_id(call_id)
        count = 1
        while safe in self._taken:
            count += 1
            safe = f"{wanted}-{count}"
        self._taken.add(safe)
        self._current[call_id] = safe
        return safe

    def result(self, call_id: str) -> str:
        """The id for a result: that of the latest call of this id."""
        return self._current.get(call_id) or safe_id(call_id)


def _rewrite(original: str) -> str:
    digest = hashlib.sha256(original.encode("utf-8", "surrogatepass")).hexdigest()
    stem = _BAD_CHAR.sub("_", original)[: _NAME_LIMIT - _DIGEST_CHARS - 1]
    return f"{stem}-{digest[:_DIGEST_CHARS]}"
