"""A JSON array that comes in pieces, element by element: Gemini's stream without ``alt=sse``.

The counterpart of ``sse.FrameSplitter``, with the same interface and the same manners: it works on
bytes in any cut, is bounded, and never changes or re-encodes anything.
"""

from __future__ import annotations

import re
from typing import Final

from bytespike_protocols.errors import BadUpstreamMessage
from bytespike_protocols.sse import FRAME_LIMIT_BYTES, Frame

__all__ = ["ArraySplitter"]

_BLANK = re.compile(rb"[ \t\r\n]*+")
_MARK = re.compile(rb'["\[\]{}]')
#: A string up to its closing quote, or as far as it has come; half an escape is left over.
_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_QUOTE, _COMMA, _OPEN, _CLOSE, _OBJECT, _BACKSLASH = b'",[]{\\'
_OPENING: Final = frozenset(b"[{")


class ArraySplitter:
    """Feed bytes in any cuts, get whole elements out, in order and exactly once. An object that
    comes instead of the array (an error) is an element too.
    """

    __slots__ = (
        "_buffer", "_comma", "_depth", "_in_array", "_in_string", "_limit_bytes", "_scanned",
        "_seen", "ended",
    )  # fmt: skip

    def __init__(self, limit_bytes: int = FRAME_LIMIT_BYTES) -> None:
        #: The element under way, as far as it has come, and how far it was looked through.
        self._buffer = bytearray()
        self._scanned = 0
        self._depth = 0
        self._in_string = False
        self._in_array = False
        self._seen = False
        self._comma = False
        self._limit_bytes = limit_bytes
        #: Whether the array has been closed, so that nothing may follow.
        self.ended = False

    @property
    def at_boundary(self) -> bool:
        """Whether no element is under way, so that one of our own may be put in between."""
        return not self._depth and not self.ended

    def feed(self, chunk: bytes) -> list[Frame]:
        """Whole elements completed by ``chunk``. Raises ``BadUpstreamMessage`` on an element over
        the limit, and on what cannot be an array of objects.
        """
        buffer, at = self._buffer, self._scanned
        buffer += chunk
        frames: list[Frame] = []
        start = 0
        while at < len(buffer):
            if not self._depth:
                at = self._between(at)
                start = at - self._depth  # an opening brace belongs to its element
                continue
            at = self._inside(at)
            if not self._depth:
                frames.append(Frame(b"", bytes(buffer[start:at])))
                start = at
            elif self._in_string and at == len(buffer) - 1 and buffer[at] == _BACKSLASH:
                break  # half an escape: what is escaped comes with the next chunk
        del buffer[:start]
        self._scanned = at - start
        if len(buffer) > self._limit_bytes:
            raise BadUpstreamMessage(f"an element of more than {self._limit_bytes} bytes")
        return frames

    def close(self) -> None:
        """The end of the stream. An element that is not whole is none."""
        self._buffer.clear()

    def last_element(self, element: bytes) -> bytes:
        """What puts an element of our own at a boundary and ends the array with it."""
        if not self._in_array:
            return b"[" + element + b"]"
        joint = b",\r\n" if self._seen and not self._comma else b""
        return joint + element + b"]"

    def _between(self, at: int) -> int:
        """Go on to the first byte of the next element."""
        blank = _BLANK.match(self._buffer, at)
        at = blank.end() if blank is not None else at
        if at == len(self._buffer):
            return at
        byte = self._buffer[at]
        if byte == _OBJECT and not self.ended and (self._comma or not self._seen):
            self._depth, self._seen, self._comma = 1, True, False
        elif byte == _OPEN and not (self._in_array or self._seen):
            self._in_array = True
        elif byte == _COMMA and self._in_array and self._seen and not (self._comma or self.ended):
            self._comma = True
        elif byte == _CLOSE and self._in_array and not (self._comma or self.ended):
            self.ended = True
        else:
            raise BadUpstreamMessage("not an array of objects")
        return at + 1

    def _inside(self, at: int) -> int:
        """Go on to just after the next bracket or string end, or as far as the bytes go."""
        if self._in_string:
            string = _STRING.match(self._buffer, at)
            at = string.end() if string is not None else at
            if self._buffer[at : at + 1] != b'"':
                return at
            self._in_string = False
            return at + 1
        mark = _MARK.search(self._buffer, at)
        if mark is None:
            return len(self._buffer)
        byte = self._buffer[mark.start()]
        if byte == _QUOTE:
            self._in_string = True
        else:
            self._depth += 1 if byte in _OPENING else -1
        return mark.end()
