"""What becomes of a vendor's stream on its way to the client: the same bytes, or other words.

Each takes every network read together with the whole frames it completed, and gives the bytes to
send for them, synchronously: it runs inside the socket's callback.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from bytespike_protocols.codec import (
    Codec,
    Framing,
    ReplyContext,
)
from bytespike_protocols.events import Event, Failed, StreamGuard
from bytespike_protocols.failures import VendorFailure
from bytespike_protocols.ir import Dialect
from bytespike_protocols.json_array import ArraySplitter
from bytespike_protocols.openai_chat.stream_usage import is_usage_only
from bytespike_protocols.renaming import restoring
from bytespike_protocols.sse import Frame, FrameSplitter
from bytespike_protocols.tap import Tap
from bytespike_text.errors import Words

__all__ = ["KEEP_ALIVE", "Splitter", "Translated", "Verbatim", "WithoutUsage", "Wording"]

Splitter = FrameSplitter | ArraySplitter

#: What fills the silence of a stream. Google's own SDK survives no bytes but events, so there the
#: silence stays.
KEEP_ALIVE: Mapping[Dialect, bytes] = {
    Dialect.ANTHROPIC: b'event: ping\ndata: {"type": "ping"}\n\n',
    Dialect.OPENAI_CHAT: b": keepalive\n\n",
    Dialect.OPENAI_RESPONSES: b": keepalive\n\n",
    Dialect.GEMINI: b"",
}


class Wording(Protocol):
    """The way of one stream."""

    def pass_on(self, chunk: bytes, frames: Sequence[Frame]) -> bytes:
        """What to send for ``chunk``, which completed ``frames``; may be empty. Raises
        ``BadUpstreamMessage``.
        """

    def close(self, last: Frame | None) -> bytes:
        """The vendor's clean end, with a frame if only its blank line was missing."""

    def at_boundary(self, splitter: Splitter) -> bool:
        """Whether something of our own may be put in after what has been sent."""

    def failure(self, words: Words, tap: Tap, splitter: Splitter) -> bytes:
        """How to tell the client that the stream breaks off here; empty where its framing does not
        allow it any more.
        """


class Verbatim:
    """Byte for byte."""

    def __init__(self, codec: Codec, framing: Framing) -> None:
        self._codec = codec
        self._framing = framing

    def pass_on(self, chunk: bytes, frames: Sequence[Frame]) -> bytes:
        """See :class:`Wording`."""
        del frames
        return chunk

    def close(self, last: Frame | None) -> bytes:
        """See :class:`Wording`."""
        del last  # it went with its bytes
        return b""

    def at_boundary(self, splitter: Splitter) -> bool:
        """See :class:`Wording`."""
        return splitter.at_boundary

    def failure(self, words: Words, tap: Tap, splitter: Splitter) -> bytes:
        """See :class:`Wording`."""
        if tap.error is not None or not self.at_boundary(splitter):
            return b""  # the client has been told, or is in the middle of a frame
        event = self._codec.failures.encode_stream_error(
            code=words.code,
            message=words.message,
            request_id=words.request_id,
            framing=self._framing,
            number=tap.next_number,
        )
        return splitter.last_element(event) if isinstance(splitter, ArraySplitter) else event


class WithoutUsage(Verbatim):
    """Chat: the usage that we asked for in the client's place is kept from it. Frames leave one by
    one, so that half a usage chunk never does.
    """

    def pass_on(self, chunk: bytes, frames: Sequence[Frame]) -> bytes:
        """See :class:`Wording`."""
        del chunk
        return b"".join([b"data: %b\n\n" % frame.data for frame in frames if _is_wanted(frame)])

    def close(self, last: Frame | None) -> bytes:
        """See :class:`Wording`."""
        return self.pass_on(b"", [] if last is None else [last])

    def at_boundary(self, splitter: Splitter) -> bool:
        """See :class:`Wording`."""
        del splitter
        return True


class Translated:
    """From the vendor's dialect to the client's, held to the stream grammar on both sides."""

    def __init__(
        self,
        vendor: Codec,
        renamed: tuple[tuple[str, str], ...],
        client: Codec,
        context: ReplyContext,
    ) -> None:
        """``renamed`` as in ``Encoded``."""
        self._decoder = restoring(vendor.stream_decoder(), renamed)
        self._encoder = client.stream_encoder(context)
        self._guard = StreamGuard("upstream")

    def pass_on(self, chunk: bytes, frames: Sequence[Frame]) -> bytes:
        """See :class:`Wording`."""
        del chunk
        decode = self._decoder.feed
        return b"".join([self._say(event) for frame in frames for event in decode(frame)])

    def close(self, last: Frame | None) -> bytes:
        """See :class:`Wording`."""
        said = b"" if last is None else self.pass_on(b"", [last])
        if self._guard.over:
            return said
        return said + b"".join([self._say(event) for event in self._decoder.close()])

    def at_boundary(self, splitter: Splitter) -> bool:
        """See :class:`Wording`."""
        del splitter
        return True

    def failure(self, words: Words, tap: Tap, splitter: Splitter) -> bytes:
        """See :class:`Wording`."""
        del tap, splitter  # what the client has got are whole events of ours
        if self._guard.over:
            return b""
        kind = VendorFailure(status=words.status, message="").kind
        return self._say(Failed(kind=kind, message=words.message))

    def _say(self, event: Event) -> bytes:
        self._guard.check(event)
        return self._encoder.feed(event)


def _is_wanted(frame: Frame) -> bool:
    return not is_usage_only(frame)
