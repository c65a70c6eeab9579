"""Where a relayed stream stands, so that an error of ours can be put to its end if it breaks.

Only where a frame has ended, and only if the service has not said why it stops: in the middle of a
frame nobody could parse an error, and a second one says nothing new.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from bytespike_contracts.errors import GatewayError
from bytespike_edge.errors import stream_error
from bytespike_protocols.codec import Framing
from bytespike_protocols.errors import BadUpstreamMessage
from bytespike_protocols.ir import Dialect
from bytespike_protocols.json_array import ArraySplitter

__all__ = ["StreamEnd", "stream_end"]

#: Longer than any error event of ours, so that the last one sent can be recognised.
_TAIL_BYTES = 1_024
_FRAME_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")
#: How the errors begin that a service writes; one that a vendor wrote otherwise gets company.
_ERRORS: Mapping[Dialect, tuple[bytes, ...]] = {
    Dialect.ANTHROPIC: (b"event: error\n",),
    Dialect.OPENAI_CHAT: (b'data: {"error":',),
    Dialect.OPENAI_RESPONSES: (b"event: error\n", b"event: response.failed\n"),
    Dialect.GEMINI: (b'data: {"error":',),
}
_ERROR_ELEMENT = b'{"error":'


class StreamEnd(Protocol):
    """The end of what was relayed so far."""

    def note(self, data: bytes) -> None:
        """The next bytes of the stream, in any cut."""

    def last_words(self, error: GatewayError, *, request_id: str) -> bytes:
        """What tells the client of ``error``; nothing if it cannot or need not be told. It never
        makes the stream look complete.
        """


def stream_end(dialect: Dialect, framing: Framing) -> StreamEnd:
    """For one stream."""
    return _Array(dialect) if framing == "array" else _Events(dialect)


class _Events:
    """Server-sent events: their last bytes are enough to see whether they end a frame and which."""

    __slots__ = ("_dialect", "_tail")

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._tail = b""

    def note(self, data: bytes) -> None:
        whole = data if len(data) >= _TAIL_BYTES else self._tail + data
        self._tail = whole[-_TAIL_BYTES:]

    def last_words(self, error: GatewayError, *, request_id: str) -> bytes:
        tail = self._tail
        if tail and not tail.endswith(_FRAME_ENDS):
            return b""
        frames = tail.replace(b"\r\n", b"\n")[:-2].rpartition(b"\n\n")
        if frames[2].startswith(_ERRORS[self._dialect]):
            return b""
        return stream_error(error, dialect=self._dialect, request_id=request_id, framing="sse")


class _Array:
    """A JSON array: a bracket at the end of the bytes may stand inside a text, so all are read."""

    __slots__ = ("_dialect", "_last", "_splitter")

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._splitter: ArraySplitter | None = ArraySplitter()
        self._last = b""

    def note(self, data: bytes) -> None:
        if self._splitter is None:
            return
        try:
            elements = self._splitter.feed(data)
        except BadUpstreamMessage:
            self._splitter = None  # no array: nothing can be added to it
            return
        if elements:
            self._last = elements[-1].data[: len(_ERROR_ELEMENT)]

    def last_words(self, error: GatewayError, *, request_id: str) -> bytes:
        splitter = self._splitter
        if splitter is None or not splitter.at_boundary or self._last == _ERROR_ELEMENT:
            return b""
        element = stream_error(error, dialect=self._dialect, request_id=request_id, framing="array")
        # Readers of elements see it; to readers of the whole the array stays broken.
        return splitter.last_element(element).removesuffix(b"]")
