"""Tool names and call ids that this dialect's vendors accept.

Ids they accept already stay as they are; the rest are hashed, the same way in every request (prompt
caches compare bytes).
"""

from __future__ import annotations

import hashlib
import re

from bytespike_protocols.ir import Dialect
from bytespike_protocols.renaming import NameRule

__all__ = ["NAMES", "sendable_id"]

#: The API refuses longer call ids.
_ID_LIMIT = 40
_HASH_LENGTH = 10

#: Also of the labels of answer formats.
NAMES = NameRule(Dialect.OPENAI_CHAT, re.compile(r"[A-Za-z0-9_-]+"), 64)


def sendable_id(call_id: str) -> str:
    """At most 40 characters, and not empty."""
    if 0 < len(call_id) <= _ID_LIMIT:
        return call_id
    return f"call_{_hash(call_id)}{_hash(call_id[::-1])}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:_HASH_LENGTH]
