"""Names and ids as Anthropic accepts them, without two of them becoming one.

What is not refused stays as it is. The rest is written in allowed characters and told apart by a
digest of the original, so that the same name always becomes the same one: in the definition, the
choice, the history, and the next request (prompt caches compare bytes).
"""

from __future__ import annotations

import hashlib
import re

from bytespike_protocols.ir import Dialect
from bytespike_protocols.renaming import NameRule

__all__ = ["NAMES", "Identities", "safe_id"]

_ID_STEM_CHARS = 119
_DIGEST_CHARS = 8
_GOOD = re.compile(r"[a-zA-Z0-9_-]+")
_BAD_CHAR = re.compile(r"[^a-zA-Z0-9_-]")

NAMES = NameRule(Dialect.ANTHROPIC, _GOOD, 128)


def safe_id(call_id: str) -> str:
    """A tool call's id in the characters Anthropic allows."""
    return call_id if _GOOD.fullmatch(call_id) else _rewrite(call_id)


class Identities:
    """The ids of the calls of one request, in the order they are met."""

    __slots__ = ("_current", "_taken")

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._current: dict[str, str] = {}

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
    stem = _BAD_CHAR.sub("_", original)[:_ID_STEM_CHARS]
    return f"{stem}-{digest[:_DIGEST_CHARS]}"
