"""Tool names and call ids that this dialect's vendors accept.

What they accept already stays as it is; the rest gets a cleaned form with a hash of the original,
so two names that clean alike stay apart and a name is written the same way in every request
(prompt caches compare bytes).
"""

from __future__ import annotations

import hashlib
import re

__all__ = ["sendable_id", "sendable_name"]

_NAME_LIMIT = 64
#: The API refuses longer call ids.
_ID_LIMIT = 40
_HASH_LENGTH = 10
_NAME = re.compile(rf"[A-Za-z0-9_-]{{1,{_NAME_LIMIT}}}")
_REFUSED = re.compile(r"[^A-Za-z0-9_-]")


def sendable_name(name: str) -> str:
    """At most 64 of ``A-Za-z0-9_-``."""
    if _NAME.fullmatch(name):
        return name
    return f"{_REFUSED.sub('_', name)[: _NAME_LIMIT - _HASH_LENGTH - 1]}_{_hash(name)}"


def sendable_id(call_id: str) -> str:
    """At most 40 characters, and not empty."""
    if 0 < len(call_id) <= _ID_LIMIT:
        return call_id
    return f"call_{_hash(call_id)}{_hash(call_id[::-1])}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:_HASH_LENGTH]
