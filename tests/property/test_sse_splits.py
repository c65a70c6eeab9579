"""However a stream is cut, the frames are the same; whatever is fed, nothing else is raised."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bytespike_protocols.errors import BadUpstreamMessage
from bytespike_protocols.sse import Frame, FrameSplitter

LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
FIELDS = st.sampled_from(
    [
        b"data: {}",
        b"data:",
        b"data",
        b"event: ping",
        b"event:x",
        b": note",
        b"id: 1",
        b"",
        b"data: \xc3",
    ]
)


@st.composite
def event_streams(draw: st.DrawFn) -> bytes:
    end = draw(LINE_ENDS)
    return b"".join(line + end for line in draw(st.lists(FIELDS, max_size=30)))


@st.composite
def cuts(draw: st.DrawFn, data: bytes) -> list[bytes]:
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=20)))
    edges = [0, *places, len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def frames_of(pieces: list[bytes]) -> tuple[list[Frame], bool, Frame | None]:
    splitter = FrameSplitter()
    frames = [frame for piece in pieces for frame in splitter.feed(piece)]
    return frames, splitter.at_boundary, splitter.close()


@given(data=st.data(), stream=event_streams())
def test_cuts_do_not_matter(data: st.DataObject, stream: bytes) -> None:
    assert frames_of(data.draw(cuts(stream))) == frames_of([stream])


@given(data=st.data(), stream=event_streams())
def test_mixed_line_ends_do_not_matter_either(data: st.DataObject, stream: bytes) -> None:
    other = data.draw(event_streams())
    assert frames_of(data.draw(cuts(stream + other))) == frames_of([stream + other])


@given(chunks=st.lists(st.binary(max_size=300), max_size=30))
def test_any_bytes_give_frames_or_a_bad_upstream_message(chunks: list[bytes]) -> None:
    splitter = FrameSplitter(limit_bytes=500)
    try:
        for chunk in chunks:
            for frame in splitter.feed(chunk):
                assert isinstance(frame, Frame)
    except BadUpstreamMessage:
        pass
