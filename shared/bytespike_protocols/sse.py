"""Server-sent events by bytes: an incremental, bounded frame splitter.

It follows the event-stream format of the HTML standard (LF, CRLF and CR line ends, multi-line data,
comments) and works on bytes, because a UTF-8 character may straddle two reads. It never changes or
re-encodes anything: relaying is the business of whoever holds the bytes; this module only tells
what went by and whether the stream stands between two frames.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from bytespike_protocols.errors import BadUpstreamMessage

__all__ = ["FRAME_LIMIT_BYTES", "Frame", "FrameSplitter"]

#: A frame is held until it is whole, so its size must have a limit. Deltas are below 1 KiB; blocks
#: that arrive whole (search results, encrypted reasoning) stay well below 1 MiB in recordings.
FRAME_LIMIT_BYTES = 1024 * 1024

# Atomic groups: CRLF must never be read as CR followed by an empty line's LF.
_FRAME_END = re.compile(rb"(?>\r\n|\r|\n)(?>\r\n|\r|\n)")
_LINE_END = re.compile(rb"\r\n|\r|\n")
#: A frame end is at most four bytes; three of them may already lie in the buffer.
_OVERLAP = 3


class Frame(NamedTuple):
    """One dispatched event; ``event`` is empty when no ``event:`` line was sent."""

    event: bytes
    data: bytes


class FrameSplitter:
    """Feed bytes in any cuts, get whole frames out, in order and exactly once."""

    __slots__ = ("_buffer", "_limit_bytes")

    def __init__(self, limit_bytes: int = FRAME_LIMIT_BYTES) -> None:
        self._buffer = bytearray()
        self._limit_bytes = limit_bytes

    @property
    def at_boundary(self) -> bool:
        """Whether no frame is under way, so that bytes of our own may be put in between."""
        # After CR-CR a late LF may still belong to the boundary: harmless, it is an empty line.
        return not self._buffer.strip(b"\r\n")

    def feed(self, chunk: bytes) -> list[Frame]:
        """Whole frames completed by ``chunk``. Raises ``BadUpstreamMessage`` on a frame over the
        limit.
        """
        blocks = self._cut(chunk)
        if len(self._buffer) > self._limit_bytes:
            raise BadUpstreamMessage(f"an event of more than {self._limit_bytes} bytes")
        frames = []
        for block in blocks:
            frame = _read_frame(block)
            if frame is not None:
                frames.append(frame)
        return frames

    def close(self) -> Frame | None:
        """The end of the stream: the last frame if only its blank line is missing."""
        block = bytes(self._buffer)
        self._buffer.clear()
        # Only a finished line can be trusted; the vendor may have been cut inside it.
        return _read_frame(block) if block.endswith((b"\n", b"\r")) else None

    def _cut(self, chunk: bytes) -> list[bytes]:
        if not self._buffer and b"\r" not in chunk:
            # Nearly every read of a real stream: LF only and starting at a boundary.
            blocks = chunk.split(b"\n\n")
            self._buffer += blocks.pop()
            return blocks
        return self._cut_buffer(chunk)

    def _cut_buffer(self, chunk: bytes) -> list[bytes]:
        search_from = max(0, len(self._buffer) - _OVERLAP)
        self._buffer += chunk
        blocks, start = [], 0
        while (match := _FRAME_END.search(self._buffer, search_from)) is not None:
            blocks.append(bytes(self._buffer[start : match.start()]))
            start = search_from = match.end()
        if start:
            del self._buffer[:start]
        return blocks


def _read_frame(block: bytes) -> Frame | None:
    """A block without its blank line as a frame; None if it holds no data (comments, blanks)."""
    if block.startswith(b"event: "):
        first_end = block.find(b"\n")
        if block.startswith(b"data: ", first_end + 1) and block.find(b"\n", first_end + 1) < 0:
            # The shape every event of the big vendors has; the carriage returns of CRLF streams go.
            return Frame(block[7:first_end].rstrip(b"\r"), block[first_end + 7 :].rstrip(b"\r"))
    return _read_lines(block)


def _read_lines(block: bytes) -> Frame | None:
    event, data = b"", []
    for line in _LINE_END.split(block):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            event = value
    return Frame(event, b"\n".join(data)) if data else None
