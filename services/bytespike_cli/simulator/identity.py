"""Ids and opaque strings that look random and depend on nothing but the request."""

from __future__ import annotations

import base64
import hashlib

__all__ = ["Identity"]


class Identity:
    """Everything in one answer that must look made up, derived from the request's bytes."""

    def __init__(self, body: bytes) -> None:
        self._seed = hashlib.sha256(body).digest()

    def opaque(self, label: str, size: int) -> str:
        """``size`` characters of base64."""
        stream = hashlib.shake_256(self._seed + label.encode()).digest(size)
        return base64.b64encode(stream).decode()[:size]

    def id(self, prefix: str, label: str = "") -> str:
        """An id of Anthropic's look: prefix, ``01``, 22 letters and digits."""
        digest = hashlib.sha256(self._seed + prefix.encode() + label.encode()).digest()
        letters = base64.b32encode(digest).decode()[:22]
        return f"{prefix}01{letters}"

    def letters(self, label: str, size: int) -> str:
        """``size`` letters and digits."""
        stream = hashlib.shake_256(self._seed + label.encode()).digest(size)
        return base64.b32encode(stream).decode()[:size]

    def digits(self, label: str, size: int) -> str:
        """``size`` hexadecimal digits."""
        return hashlib.shake_256(self._seed + label.encode()).hexdigest(size)[:size]
