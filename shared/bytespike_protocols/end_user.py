"""The client's name for its end user, where OpenAI must be told who it is."""

from __future__ import annotations

import hashlib
from typing import Final

__all__ = ["sendable_user"]

#: Longer ones are refused.
_LIMIT: Final = 64


def sendable_user(user: str) -> str:
    """The name itself, or a digest that names the same person if it is too long."""
    if len(user) <= _LIMIT:
        return user
    return hashlib.sha256(user.encode(errors="replace")).hexdigest()
