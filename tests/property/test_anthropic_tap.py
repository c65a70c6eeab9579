"""The tap reads the same from a recorded stream however the network cuts it."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bytespike_protocols.anthropic.tap import MessagesTap
from bytespike_protocols.failures import VendorFailure
from bytespike_protocols.ir import Usage
from bytespike_protocols.sse import FrameSplitter

#: Recorded exchanges live beside the checkout and are not part of it.
CORPUS = Path(__file__).parents[3] / "shared" / "corpus" / "anthropic"

EVENTS: list[tuple[str, dict[str, Any]]] = [
    ("message_start", {"message": {"type": "message", "usage": {"input_tokens": 9}}}),
    ("content_block_start", {"content_block": {"type": "text", "text": ""}}),
    ("ping", {}),
    ("content_block_delta", {"delta": {"type": "text_delta", "text": 'größe "quoted" \\ \n'}}),
    ("content_block_delta", {"delta": {"type": "signature_delta", "signature": "s"}}),
    ("content_block_stop", {}),
    ("message_delta", {"delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}}),
    ("message_stop", {}),
]
OWN = b"".join(
    b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode({"type": kind, **fields}))
    for kind, fields in EVENTS
)

Reading = tuple[bool, bool, bool, str | None, VendorFailure | None, Usage | None, Usage]


def reading(pieces: list[bytes]) -> Reading:
    splitter, tap = FrameSplitter(), MessagesTap()
    for piece in pieces:
        for frame in splitter.feed(piece):
            tap.feed(frame)
    return (
        tap.started,
        tap.finished,
        tap.content_seen,
        tap.stop_reason,
        tap.error,
        tap.usage,
        tap.usage_so_far,
    )


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@given(places=st.lists(st.integers(0, 10_000), max_size=40))
def test_cuts_do_not_matter(places: list[int]) -> None:
    whole = reading([OWN])
    assert reading(cut(OWN, places)) == whole
    assert whole[5] == Usage(input_tokens=9, output_tokens=7)


@given(place=st.integers(0, len(OWN)))
def test_a_prefix_never_claims_more_than_it_holds(place: int) -> None:
    started, finished, content_seen, *_, usage, so_far = reading([OWN[:place]])
    assert finished is (place == len(OWN))
    assert (usage is None) or finished or b"message_delta" in OWN[:place]
    assert not content_seen or started
    assert so_far.output_tokens <= 7


@given(frames=st.lists(st.binary(max_size=200), max_size=10))
def test_no_bytes_break_the_tap(frames: list[bytes]) -> None:
    noisy = b"".join(
        b"event: %b\ndata: %b\n\n" % (kind, data.replace(b"\n", b"").replace(b"\r", b""))
        for data in frames
        for kind in (b"message_start", b"message_delta", b"content_block_start", b"error", b"x")
    )
    reading([noisy])


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the recorded exchanges are not here")
@settings(max_examples=5)
@given(places=st.lists(st.integers(0, 1_000_000), max_size=60))
def test_recorded_streams_read_the_same_in_any_cut(places: list[int]) -> None:
    streams = 0
    for path in sorted(CORPUS.glob("*.json")):
        case = json.loads(path.read_text(encoding="utf-8"))
        sse = case["response"].get("sse")
        if sse is None:
            continue
        streams += 1
        data = sse.encode()
        whole = reading([data])
        assert reading(cut(data, places)) == whole
        complete = "stream-cut-short" not in case["tags"] and "mid-stream-error" not in case["tags"]
        assert whole[1] is complete, path.name
        assert (whole[5] is not None) is complete, path.name
    assert streams > 50
