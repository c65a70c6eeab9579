"""Every tap reads from the vendor's bytes what its codec decodes, however the network cuts them."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bytespike_protocols.dialects import CODECS
from bytespike_protocols.errors import BadUpstreamMessage
from bytespike_protocols.events import Ended, Event, Failed
from bytespike_protocols.folding import fold
from bytespike_protocols.ir import Dialect, Refusal, StopReason, Usage
from bytespike_protocols.json_array import ArraySplitter
from bytespike_protocols.sse import FrameSplitter
from tests.support import anthropic_corpus, chat_corpus, gemini_corpus, responses_corpus


class Stream(NamedTuple):
    """A vendor's streamed answer."""

    name: str
    dialect: Dialect
    data: bytes
    array: bool = False


class Reading(NamedTuple):
    """All that a tap tells."""

    started: bool
    finished: bool
    content_seen: bool
    refused: bool
    failed: bool
    usage: Usage | None
    usage_so_far: Usage


def _streams() -> list[Stream]:
    gemini_arrays = [case for case in gemini_corpus.answers() if isinstance(case.body, list)]
    return [
        *(
            Stream(case.name, Dialect.ANTHROPIC, case.stream)
            for case in anthropic_corpus.CASES
            if case.stream is not None and case.status == 200
        ),
        *(
            Stream(case.id, Dialect.OPENAI_CHAT, (case.sse or "").encode())
            for case in chat_corpus.streams()
        ),
        *(
            Stream(case.id, Dialect.OPENAI_RESPONSES, case.sse)
            for case in responses_corpus.CASES
            if case.sse is not None
        ),
        *(
            Stream(case.id, Dialect.GEMINI, (case.sse or "").encode())
            for case in gemini_corpus.streams()
            if case.status == 200
        ),
        *(
            Stream(case.id, Dialect.GEMINI, json.dumps(case.body, indent=2).encode(), array=True)
            for case in gemini_arrays
        ),
    ]


def _answers() -> list[tuple[str, Dialect, bytes]]:
    return [
        *(
            (case.name, Dialect.ANTHROPIC, json.dumps(case.body).encode())
            for case in anthropic_corpus.CASES
            if case.body is not None and case.status == 200 and "content" in case.body
        ),
        *(
            (case.id, Dialect.OPENAI_CHAT, json.dumps(case.body).encode())
            for case in chat_corpus.answers()
        ),
        *(
            (case.id, Dialect.OPENAI_RESPONSES, case.answer)
            for case in responses_corpus.CASES
            if case.answer is not None and case.status == 200
        ),
        *(
            (case.id, Dialect.GEMINI, json.dumps(case.body).encode())
            for case in gemini_corpus.answers()
            if isinstance(case.body, dict)
        ),
    ]


STREAMS, ANSWERS = _streams(), _answers()
OWN = [stream for stream in STREAMS if stream.name.startswith("own-")]


def reading(stream: Stream, pieces: list[bytes]) -> Reading:
    splitter: FrameSplitter | ArraySplitter = ArraySplitter() if stream.array else FrameSplitter()
    tap = CODECS[stream.dialect].tap()
    for piece in pieces:
        for frame in splitter.feed(piece):
            tap.feed(frame)
    last = splitter.close()
    if last is not None:
        tap.feed(last)
    tap.close()
    return Reading(
        tap.started,
        tap.finished,
        tap.content_seen,
        tap.refused,
        tap.error is not None,
        tap.usage,
        tap.usage_so_far,
    )


def decoded(stream: Stream) -> list[Event] | None:
    """The events of the stream; None if the codec cannot translate a frame of it."""
    splitter: FrameSplitter | ArraySplitter = ArraySplitter() if stream.array else FrameSplitter()
    decoder = CODECS[stream.dialect].stream_decoder()
    frames = splitter.feed(stream.data)
    last = splitter.close()
    try:
        events = [
            event
            for frame in (frames if last is None else [*frames, last])
            for event in decoder.feed(frame)
        ]
    except BadUpstreamMessage:
        return None
    with suppress(BadUpstreamMessage):
        events += decoder.close()
    return events


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)
def test_a_tap_and_a_codec_read_the_same(stream: Stream) -> None:
    events = decoded(stream)
    tapped = reading(stream, [stream.data])
    if events is None:
        return  # whoever is relayed such an answer pays for it all the same
    ends = [event for event in events if isinstance(event, Ended)]
    failures = [event for event in events if isinstance(event, Failed)]
    assert tapped.finished is bool(ends)
    assert tapped.failed is bool(failures)
    if not ends:
        return
    assert tapped.usage == ends[0].usage
    if tapped.usage is not None:
        assert tapped.usage_so_far == tapped.usage
    response = fold(events)
    content = [block for block in response.blocks if not isinstance(block, Refusal)]
    if tapped.refused:
        assert response.stop.reason is StopReason.REFUSED
    elif response.stop.reason is StopReason.REFUSED:
        assert content


@pytest.mark.parametrize("stream", OWN, ids=lambda stream: stream.name)
def test_byte_by_byte_is_like_whole(stream: Stream) -> None:
    pieces = [stream.data[at : at + 1] for at in range(len(stream.data))]
    assert reading(stream, pieces) == reading(stream, [stream.data])


@settings(max_examples=200)
@given(stream=st.sampled_from(STREAMS), places=st.lists(st.integers(0, 1_000_000), max_size=40))
def test_cuts_do_not_matter(stream: Stream, places: list[int]) -> None:
    assert reading(stream, cut(stream.data, places)) == reading(stream, [stream.data])


@settings(max_examples=200)
@given(stream=st.sampled_from(OWN), place=st.integers(0, 1_000_000))
def test_a_prefix_never_claims_more_than_the_whole(stream: Stream, place: int) -> None:
    whole = reading(stream, [stream.data])
    part = reading(stream, [stream.data[: place % (len(stream.data) + 1)]])
    assert part.started <= whole.started
    assert part.content_seen <= whole.content_seen
    assert part.content_seen <= part.started
    assert part.finished <= (whole.finished or whole.failed)


@pytest.mark.parametrize(("name", "dialect", "body"), ANSWERS, ids=[name for name, *_ in ANSWERS])
def test_a_whole_answer_reads_the_same(name: str, dialect: Dialect, body: bytes) -> None:
    del name
    codec = CODECS[dialect]
    tap = codec.tap()
    try:
        response = codec.decode_response(body)
    except BadUpstreamMessage:
        try:
            tap.read_message(body)
        except BadUpstreamMessage:
            return
        # What cannot be translated may still be an answer to those who speak the dialect.
        assert tap.error is not None or tap.finished
        return
    tap.read_message(body)
    assert (tap.started, tap.finished, tap.error) == (True, True, None)
    assert tap.usage == response.usage
    shown = [block for block in response.blocks if not isinstance(block, Refusal)]
    if response.stop.reason is not StopReason.REFUSED:
        assert not tap.refused
    else:
        assert tap.refused is not tap.content_seen
        assert shown or tap.refused


NOISE = st.lists(
    st.binary(max_size=80)
    | st.sampled_from(
        [
            b'{"choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":-1}}',
            b'{"choices":7,"usage":{"prompt_tokens":"x"}}',
            b'{"type":"response.completed","response":{"usage":{"input_tokens":1e99}}}',
            b'{"type":"response.failed","response":7}',
            b'{"type":"response.output_item.done","item":{"content":7}}',
            b'{"candidates":[{"content":{"parts":[7,{"text":1}]}}],"usageMetadata":{}}',
            b'{"candidates":[{"content":{"parts":[{"functionCall":{"args":[}}]}}]}',
            b'{"error":7}',
            b'{"error":{"code":[],"message":{}}}',
            b'"\\ud800"',
        ]
    ),
    max_size=8,
)


@pytest.mark.parametrize("dialect", Dialect)
@given(frames=NOISE)
def test_no_bytes_break_a_tap(dialect: Dialect, frames: list[bytes]) -> None:
    noisy = b"".join(
        b"event: %b\ndata: %b\n\n" % (kind, data.replace(b"\n", b"").replace(b"\r", b""))
        for data in frames
        for kind in (b"response.completed", b"response.output_item.added", b"error", b"", b"x")
    )
    told = reading(Stream("", dialect, noisy), [noisy])
    assert told.usage_so_far.output_tokens >= 0
    tap = CODECS[dialect].tap()
    for data in frames:
        try:
            tap.read_message(data)
        except BadUpstreamMessage:
            continue
        assert tap.finished or tap.error is not None


BAD_ANSWERS: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "a page": lambda: b"<html>",
    "a count of tokens": lambda: b'{"input_tokens": 4}',
    "Google's count of tokens": lambda: b'{"totalTokens": 4}',
    "a list": lambda: b"[]",
}


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("body", BAD_ANSWERS)
def test_anything_else_is_a_bad_answer(dialect: Dialect, body: str) -> None:
    with pytest.raises(BadUpstreamMessage):
        CODECS[dialect].tap().read_message(BAD_ANSWERS[body]())
