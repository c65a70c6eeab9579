"""What a dialect's codec is: eight directions (request, answer, stream and failure, each way), and
the tap that reads along where nothing is translated.

All of it is pure: bytes in, values out. A codec knows its own dialect and the IR, nothing of the
other three. What could not be said in the target dialect is listed in :class:`Encoded`; content
that may not be lost raises :class:`Unrepresentable` instead.
"""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from bytespike_protocols.events import Event
from bytespike_protocols.failures import VendorFailure
from bytespike_protocols.ir import Dialect, Request, Response
from bytespike_protocols.sse import Frame
from bytespike_protocols.tap import Tap

__all__ = [
    "Codec",
    "Encoded",
    "Failures",
    "Framing",
    "Loss",
    "ReplyContext",
    "RouteHints",
    "StreamDecoder",
    "StreamEncoder",
]


#: How the parts of a stream are told apart; ``array`` is Gemini's alone.
Framing = Literal["sse", "array"]


class Loss(msgspec.Struct, frozen=True):
    """A field of the client's request that the vendor will not see as it was meant.

    ``path`` is the JSON path in the client's own dialect, without places in arrays; inside of an
    encoder, before ``client_paths`` has seen it, it may be the IR's name with them.
    ``dropped``: not said at all. ``emulated``: said by other means with nearly the same effect.
    """

    path: str
    verdict: Literal["dropped", "emulated"] = "dropped"


class Encoded(msgspec.Struct, frozen=True):
    """A body in the target dialect and what was lost on the way to it. ``renamed`` has the tools
    whose names the vendor would refuse: (the name it sees and will answer with, the client's), for
    ``renaming`` to give the client its own back.
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
    framing: Framing = "sse"


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


class Failures(Protocol):
    """A dialect's errors. Its ``failure`` module is one of these."""

    def read_failure(self, status: int, body: bytes) -> VendorFailure | None:
        """The error a vendor sent with ``status`` (200: found inside a success); None if ``body``
        is in no envelope that is known (a proxy's page, a good answer).
        """

    def client_status(self, status: int) -> int:
        """``status`` as clients of this dialect know it: only Anthropic's know 529."""

    def encode_error(
        self, *, status: int, code: str, message: str, param: str | None, request_id: str
    ) -> bytes:
        """The JSON body of an error for a client; ``status`` in our terms."""

    def encode_stream_error(
        self,
        *,
        code: str,
        message: str,
        request_id: str,
        framing: Framing = "sse",
        number: int | None = None,
    ) -> bytes:
        """An error to put into a relayed stream where a frame has ended: a whole event or, with
        ``array``, the bare element. ``number`` is :attr:`Tap.next_number`.
        """


class Codec(Protocol):
    """One dialect."""

    dialect: Dialect
    failures: Failures

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

    def tap(self) -> Tap:
        """For one answer of a vendor's, relayed or translated."""
