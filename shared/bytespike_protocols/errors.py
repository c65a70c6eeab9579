"""Whose fault bad bytes are: the client's or the vendor's. There is no third kind."""

from __future__ import annotations

__all__ = ["BadClientMessage", "BadUpstreamMessage", "Unrepresentable"]


class BadClientMessage(ValueError):
    """The request cannot be understood (HTTP 400).

    ``path`` is the JSON path of the offending field, ``""`` for the body as a whole; ``message``
    may be shown to the caller and never quotes the value found there.
    """

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path
        self.message = message


class BadUpstreamMessage(ValueError):
    """The vendor broke its own protocol (HTTP 502, or the end of the stream)."""


class Unrepresentable(BadClientMessage):
    """Well-formed content that the target dialect has no way to say (HTTP 400
    ``unsupported_feature``): refused rather than lost.
    """
