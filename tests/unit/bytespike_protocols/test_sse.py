"""Frames out of bytes: line ends, fields, limits, and where the stream stands."""

from __future__ import annotations

import pytest

from bytespike_protocols.errors import BadUpstreamMessage
from bytespike_protocols.sse import Frame, FrameSplitter

PING = Frame(b"ping", b'{"type": "ping"}')


@pytest.mark.parametrize(
    ("data", "frames"),
    [
        (b'event: ping\ndata: {"type": "ping"}\n\n', [PING]),
        (b'event: ping\r\ndata: {"type": "ping"}\r\n\r\n', [PING]),
        (b'event: ping\rdata: {"type": "ping"}\r\r', [PING]),
        (b'event:ping\ndata:{"type": "ping"}\n\n', [PING]),
        (b'data: {"type": "ping"}\nevent: ping\n\n', [PING]),
        (b"data: one\ndata: two\n\n", [Frame(b"", b"one\ntwo")]),
        (b"data: one\r\ndata: two\r\n\r\n", [Frame(b"", b"one\ntwo")]),
        (b"data: a\n\ndata: b\n\n", [Frame(b"", b"a"), Frame(b"", b"b")]),
        (b"data\n\n", [Frame(b"", b"")]),
        (b"data:  two spaces\n\n", [Frame(b"", b" two spaces")]),
        (b": a comment\n\n", []),
        (b"event: nothing\n\n", []),
        (b"id: 7\nretry: 3\n\n", []),
        (b"\n\n\r\n\r", []),
        (b"data: unfinished\n", []),
    ],
)
def test_whole_and_byte_by_byte_give_the_same_frames(data: bytes, frames: list[Frame]) -> None:
    whole = FrameSplitter()
    assert whole.feed(data) == frames
    single = FrameSplitter()
    assert [f for n in range(len(data)) for f in single.feed(data[n : n + 1])] == frames
    assert whole.at_boundary == single.at_boundary


def test_a_character_may_straddle_two_reads() -> None:
    splitter = FrameSplitter()
    data = "data: größe\n\n".encode()
    assert splitter.feed(data[:9]) == []
    assert splitter.feed(data[9:]) == [Frame(b"", "größe".encode())]


@pytest.mark.parametrize(
    ("sent", "at_boundary"),
    [
        (b"", True),
        (b"data: x", False),
        (b"data: x\n", False),
        (b"data: x\n\n", True),
        (b"data: x\n\n\n", True),
        (b"data: x\r\n\r", True),
        (b"data: x\n\n: half a comment", False),
    ],
)
def test_it_knows_whether_it_stands_between_frames(sent: bytes, at_boundary: bool) -> None:
    splitter = FrameSplitter()
    splitter.feed(sent)
    assert splitter.at_boundary is at_boundary


def test_the_end_flushes_a_frame_without_its_blank_line_only() -> None:
    splitter = FrameSplitter()
    splitter.feed(b"event: a\ndata: b\n")
    assert splitter.close() == Frame(b"a", b"b")
    splitter.feed(b"event: a\ndata: b")
    assert splitter.close() is None


def test_a_frame_over_the_limit_is_refused() -> None:
    splitter = FrameSplitter(limit_bytes=100)
    assert splitter.feed(b"data: " + b"x" * 90 + b"\n\n") != []
    with pytest.raises(BadUpstreamMessage):
        splitter.feed(b"data: " + b"x" * 101)
