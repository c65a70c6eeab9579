"""What can go wrong in a call, sorted by how far it had come.

ClientError
├── ConnectFailed      nothing was sent: safe to send elsewhere
├── RequestBroken      the connection ended before a response head; the server may have acted
├── FirstByteTimeout   the server stayed silent; it may have acted
├── BadResponse        what came back is not HTTP we accept
├── ResponseBroken     the body ended before its declared end
├── IdleTimeout        the body stalled
└── BodyTooLarge       the body passed the caller's limit

Malformed calls (line breaks in a header, an unusable URL) are ``ValueError``: they are the caller's
bug, not the network's weather.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "BadResponse",
    "BodyTooLarge",
    "ClientError",
    "ConnectFailed",
    "FirstByteTimeout",
    "IdleTimeout",
    "RequestBroken",
    "ResponseBroken",
]


class ClientError(Exception):
    """Any failure of a call. ``sent`` tells whether the server may have seen the request."""

    sent: ClassVar[bool] = True


class ConnectFailed(ClientError):
    """No connection in time: name, route, refusal, TLS, or every connection to the origin busy."""

    sent = False


class RequestBroken(ClientError):
    """The connection ended after the request was (partly) sent and before a response head.

    ``reused``: it had served a request before, so the likely cause is a server that closed an idle
    connection at the same moment.
    """

    def __init__(self, message: str, *, reused: bool) -> None:
        super().__init__(message)
        self.reused = reused


class FirstByteTimeout(ClientError):
    """No complete response head within ``first_byte_timeout_s``."""


class BadResponse(ClientError):
    """The response head is not HTTP/1.x, is too large, or frames its body in a way we refuse."""


class ResponseBroken(ClientError):
    """The body ended early or its framing broke: what was delivered so far is not the whole."""


class IdleTimeout(ClientError):
    """No body byte arrived for ``idle_timeout_s`` while somebody waited for one."""


class BodyTooLarge(ClientError):
    """``read`` met a body longer than ``limit_bytes``."""
