"""What a dialect's codec is: eight directions (request, answer, stream and failure, each way).

All of it is pure: bytes in, values out. A codec knows its own dialect and the IR, nothing of the
other three. What could not be said in the target dialect is listed in :class:`Encoded`; content
that may not be lost raises :class:`Unrepresentable` instead.
"""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from bytespike_protocols.events import Event
from bytespike_protocols.ir import Dialect, Request, Response
from bytespike_protocols.sse import Frame

__all__ = [
    "Codec",
    "Encoded",
    "Loss",
    "ReplyContext",
    "RouteHints",
    "StreamDecoder",
    "StreamEncoder",
]


class Loss(msgspec.Struct, frozen=True):
    """A field of the client's request that the vendor will not see as it was meant.

    ``path`` is the JSON path in the client's own dialect where known, else the IR's name.
    ``dropped``: not said at all. ``emulated``: said by other means with nearly the same effect.
    """

    path: str
    verdict: Literal["dropped", "emulated"] = "dropped"


class Encoded(msgspec.Struct, frozen=True):
    """A body in the target dialect and what was lost on the way to it. ``renamed`` has the tools
    whose names the vendor would refuse: (the name it sees and will answer with, the client's).
    """

    body: bytes
    losses: tuple[Loss, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()


class RouteHints(msgspec.Struct, frozen=True):
    """What the path says where the body does not (Gemini): model and whether to stream."""

    model: str | None = None
    stream: bool | None = None


class ReplyContext(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer must say beside the vendor's words: our id (its ULID goes into the dialect's
    own form), the time, the client's spelling of the model, and the request it belongs to.
    ``framing`` matters to Gemini alone.
    """

    request: Request
    request_id: str
    created_s: int
    model: str
    framing: Literal["sse", "array"] = "sse"


class StreamDecoder(Protocol):
    """The vendor's frames to events, in the order of the grammar."""

    def feed(self, frame: Frame) -> list[Event]:
        """Raises ``BadUpstreamMessage`` on a frame that cannot be understood."""

    def close(self) -> list[Event]:
        """The connection has ended cleanly: what is still to say. Raises ``BadUpstreamMessage`` if
        the answer is not complete.
        """


class StreamEncoder(Protocol):
    """Events to the bytes of the client's dialect."""

    def feed(self, event: Event) -> bytes:
        """Bytes to send now; may be empty."""


class Codec(Protocol):
    """One dialect."""

    dialect: Dialect

    def decode_request(self, body: bytes, hints: RouteHints) -> Request:
        """A client's request. Raises ``BadClientMessage`` with the JSON path."""

    def encode_request(self, request: Request, *, model: str) -> Encoded:
        """The request for a vendor that calls the model ``model``. Raises ``Unrepresentable``."""

    def decode_response(self, body: bytes) -> Response:
        """A vendor's whole answer. Raises ``BadUpstreamMessage``."""

    def encode_response(self, response: Response, context: ReplyContext) -> bytes:
        """The whole answer for a client."""

    def stream_decoder(self) -> StreamDecoder:
        """For one answer."""

    def stream_encoder(self, context: ReplyContext) -> StreamEncoder:
        """For one answer."""
