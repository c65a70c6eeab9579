"""Noting when and from where keys are used: in memory on the request path, in Redis in between.

A request only writes into a dict. What is noted goes to Redis every few seconds, one entry per key
however many requests it made.
"""

from __future__ import annotations

from itertools import islice

from bytespike_contracts.key_uses import (
    KEY_USES,
    NOTE_KEY_USES,
    USES_PER_CALL,
    KeyUse,
    note_args,
)
from bytespike_runtime.addresses import parse_address
from bytespike_runtime.kv import KvUnavailable, ScriptPipe

__all__ = ["FLUSH_EVERY_S", "SCRIPTS", "KeyUses"]

FLUSH_EVERY_S = 3.0
#: What the pipe must know by name.
SCRIPTS = {"note_key_uses": NOTE_KEY_USES}
#: Keys in use between two flushes, or while Redis is away. Of more than that some go unnoted: the
#: time of a last use is worth no more memory.
_MAX_NOTED = 10_000
#: What is longer is no address, whoever wrote it into a header.
_MAX_ADDRESS_CHARS = 64

_Noted = tuple[int, str]


class KeyUses:
    """The last use of each key since the last flush."""

    def __init__(self, pipe: ScriptPipe, *, max_noted: int = _MAX_NOTED) -> None:
        self._pipe = pipe
        self._max_noted = max_noted
        self._noted: dict[str, _Noted] = {}

    def note(self, key_id: str, at_ms: int, address: str) -> None:
        """A key was used at ``at_ms`` (Unix) from ``address``, as it was seen."""
        if key_id in self._noted or len(self._noted) < self._max_noted:
            self._noted[key_id] = at_ms, address[:_MAX_ADDRESS_CHARS]

    async def flush(self) -> None:
        """Hand everything noted until now to Redis; what it does not take stays noted."""
        noted, self._noted = self._noted, {}
        uses = iter(noted.items())
        while some := list(islice(uses, USES_PER_CALL)):
            try:
                await self._pipe.script("note_key_uses", KEY_USES, note_args(map(_use, some)))
            except KvUnavailable:
                self._put_back([*some, *uses])
                return

    def _put_back(self, older: list[tuple[str, _Noted]]) -> None:
        """For the next flush; what was noted in the meantime is newer."""
        room = self._max_noted - len(self._noted)
        missing = [(key_id, use) for key_id, use in older if key_id not in self._noted]
        self._noted.update(missing[:room])


def _use(noted: tuple[str, _Noted]) -> KeyUse:
    key_id, (at_ms, address) = noted
    parsed = parse_address(address)
    return KeyUse(key_id, at_ms, None if parsed is None else str(parsed))
