"""When and from where keys were last used: edges note it in Redis, the ledger takes it from there.

One Redis hash for all of them: a field per key, however often it is used, so it cannot outgrow the
number of keys. What is lost with Redis is made good by the next use.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import resources
from typing import NamedTuple

__all__ = [
    "KEY_USES",
    "NOTE_KEY_USES",
    "TAKE_KEY_USES",
    "USES_PER_CALL",
    "KeyUse",
    "note_args",
    "read_taken",
]

_LUA = resources.files("bytespike_contracts") / "lua"

#: Scripts over :data:`KEY_USES`; arguments by :func:`note_args`, and a number to take.
NOTE_KEY_USES = (_LUA / "note_key_uses.lua").read_text()
TAKE_KEY_USES = (_LUA / "take_key_uses.lua").read_text()

#: Redis hash: key id -> ``"<Unix ms> <address>"``.
KEY_USES = "bs:key-uses"
#: One call blocks Redis for everybody: about a millisecond at this size.
USES_PER_CALL = 500


class KeyUse(NamedTuple):
    """The last use of a key; ``address`` is an IP address in its one spelling, None = unknown."""

    key_id: str
    at_ms: int
    address: str | None


def note_args(uses: Iterable[KeyUse]) -> list[str | int]:
    """Arguments of :data:`NOTE_KEY_USES`."""
    return [word for use in uses for word in (use.key_id, use.at_ms, use.address or "")]


def read_taken(reply: Sequence[bytes]) -> list[KeyUse]:
    """The reply of :data:`TAKE_KEY_USES`."""
    uses = []
    for key_id, value in zip(reply[::2], reply[1::2], strict=True):
        at_ms, _, address = value.decode().partition(" ")
        uses.append(KeyUse(key_id.decode(), int(at_ms), address or None))
    return uses
