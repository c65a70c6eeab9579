"""Names and ids of calls where Gemini and the others differ.

Gemini often gives its calls no ids. That is bridged without a table that would have to survive
between requests: a made-up id says that it is one.
"""

from __future__ import annotations

import hashlib
import re
from collections import deque

from bytespike_protocols.ir import Dialect
from bytespike_protocols.renaming import NameRule

__all__ = ["NAMES", "CallBook", "answer_call_id", "is_made_up"]

NAMES = NameRule(Dialect.GEMINI, re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]*"), 128)
_MADE_UP = "gcall_"


def answer_call_id(seed: str, number: int) -> str:
    """An id for the ``number``-th call without one of the answer known by ``seed``; 29 characters
    of the kind all dialects take, and never the same in two answers of a conversation.
    """
    digest = hashlib.blake2b(f"{seed}:{number}".encode(), digest_size=12).hexdigest()
    return f"call_{digest}"


def is_made_up(call_id: str) -> bool:
    """Whether :class:`CallBook` invented the id, so that it must not be written back."""
    return call_id.startswith(_MADE_UP)


class CallBook:
    """Binds the results of a history to its calls: by id where there is one, else by name and
    order. Made-up ids count through the whole conversation, so they stay when it grows.
    """

    __slots__ = ("_made_up", "_open", "_waiting")

    def __init__(self) -> None:
        self._made_up = 0
        self._open: dict[str, str] = {}
        self._waiting: dict[str, deque[str]] = {}

    def call(self, call_id: str | None, name: str) -> str:
        """Enter a call; its id, made up if it has none."""
        known = call_id or self._make_up()
        self._open[known] = name
        self._waiting.setdefault(name, deque()).append(known)
        return known

    def result(self, call_id: str | None, name: str | None) -> tuple[str, str | None]:
        """Id and name of the call a result answers; one of the two must be given."""
        known = call_id or self._oldest(name) or self._make_up()
        called = self._open.pop(known, None)
        return known, name or called

    def _oldest(self, name: str | None) -> str | None:
        waiting = self._waiting.get(name or "")
        while waiting:
            call_id = waiting.popleft()
            if call_id in self._open:
                return call_id
        return None

    def _make_up(self) -> str:
        self._made_up += 1
        return f"{_MADE_UP}{self._made_up}"
