"""Chat Completions streams read the same in any cut, and no bytes break the codec."""

from __future__ import annotations

import re
from contextlib import suppress
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bytespike_protocols.codec import RouteHints
from bytespike_protocols.errors import BadClientMessage, BadUpstreamMessage
from bytespike_protocols.events import Event, StreamGuard
from bytespike_protocols.folding import fold, unfold
from bytespike_protocols.ir import (
    Dialect,
    Json,
    Opaque,
    RedactedThinking,
    Refusal,
    Response,
    Stop,
    StopReason,
    Text,
    Thinking,
    ToolUse,
    Usage,
)
from bytespike_protocols.openai_chat import CODEC
from bytespike_protocols.sse import Frame
from tests.support.chat_corpus import context_for, decode_stream, streams
from tests.support.openai_chat_grammar import check_stream

STREAMS = [(case.id, case.sse.encode()) for case in streams() if case.sse is not None]

FINISH = re.compile(rb'"finish_reason": ?"')


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@pytest.mark.parametrize(("name", "data"), STREAMS, ids=[name for name, _ in STREAMS])
def test_streams_read_the_same_byte_by_byte(name: str, data: bytes) -> None:
    # More would cost seconds and hold nothing new: cuts of whole streams have a test of their own.
    data = data[:20_000]
    whole, single = events_of([data]), events_of([data[i : i + 1] for i in range(len(data))])
    assert single == whole
    assert whole, name


@settings(max_examples=5, deadline=None)
@given(places=st.lists(st.integers(0, 1_000_000), max_size=60))
def test_streams_read_the_same_in_any_cut(places: list[int]) -> None:
    for name, data in STREAMS:
        assert decode_stream(cut(data, places)) == decode_stream([data]), name


def events_of(pieces: list[bytes]) -> list[Event] | str:
    """Events, or what was wrong with the end of a stream that was cut short."""
    try:
        return decode_stream(pieces)
    except BadUpstreamMessage as error:
        return str(error)


@given(place=st.integers(0, 1_000_000), stream=st.sampled_from(STREAMS))
def test_a_prefix_never_ends_well_before_its_finish_reason(
    place: int, stream: tuple[str, bytes]
) -> None:
    data = stream[1][: place % len(stream[1])]
    if FINISH.search(data) is None and b"[DONE]" not in data:
        with suppress(BadUpstreamMessage):
            assert type(decode_stream([data])[-1]).__name__ == "Failed"


# fmt: off
FIELDS = [
    "id", "model", "created", "choices", "delta", "message", "index", "content", "text", "type",
    "tool_calls", "function", "name", "arguments", "finish_reason", "usage", "prompt_tokens",
    "reasoning_details", "signature", "error", "refusal", "annotations", "url_citation",
    "reasoning", "function_call", "messages", "role", "image_url", "file", "tools", "stop",
    "response_format",
]
# fmt: on

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(FIELDS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)


@given(frames=st.lists(st.binary(max_size=60) | JSON.map(msgspec.json.encode), max_size=8))
def test_no_chunks_break_the_decoder(frames: list[bytes]) -> None:
    guard, decoder = StreamGuard("ours"), CODEC.stream_decoder()
    with suppress(BadUpstreamMessage):
        for data in frames:
            for event in decoder.feed(Frame(b"", data)):
                guard.check(event)
        for event in decoder.close():
            guard.check(event)


@given(body=st.binary(max_size=60) | JSON.map(msgspec.json.encode))
def test_no_answer_breaks_the_decoder(body: bytes) -> None:
    with suppress(BadUpstreamMessage):
        CODEC.decode_response(body)


@given(body=st.binary(max_size=60) | JSON.map(msgspec.json.encode))
def test_no_request_breaks_the_decoder(body: bytes) -> None:
    with suppress(BadClientMessage):
        CODEC.decode_request(body, RouteHints())


@given(
    messages=st.lists(
        st.fixed_dictionaries(
            {"role": st.just("user")},
            optional={
                "content": JSON,
                "name": JSON,
                "tool_calls": JSON,
            },
        )
        | JSON,
        max_size=4,
    ),
    fields=st.dictionaries(
        st.sampled_from(["tools", "stop", "response_format", "tool_choice", "x", "metadata"]), JSON
    ),
)
def test_what_decodes_is_written_back_the_same(
    messages: list[object], fields: dict[str, object]
) -> None:
    body = msgspec.json.encode({"model": "m", "messages": messages, **fields})
    try:
        request = CODEC.decode_request(body, RouteHints())
    except BadClientMessage:
        return
    encoded = CODEC.encode_request(request, model="m")
    assert CODEC.decode_request(encoded.body, RouteHints()) == request


WORDS = st.text(min_size=1, max_size=20)
OPAQUE = st.none() | st.builds(
    Opaque, issuer=st.sampled_from([Dialect.ANTHROPIC, Dialect.GEMINI]), payload=WORDS
)
CALLS = st.builds(
    ToolUse,
    id=WORDS,
    name=WORDS,
    arguments=st.just(Json('{"x": 1.0}')),
    opaque=OPAQUE,
)
BLOCKS = st.lists(
    st.builds(Text, text=WORDS)
    | st.builds(Thinking, text=WORDS, opaque=OPAQUE)
    | st.builds(RedactedThinking, opaque=OPAQUE.filter(lambda opaque: opaque is not None))
    | st.builds(Refusal, text=WORDS)
    | CALLS,
    max_size=6,
)
RESPONSES = st.builds(
    Response,
    id=st.just("msg_1"),
    model=st.just("m"),
    blocks=BLOCKS.map(tuple),
    stop=st.builds(
        Stop,
        reason=st.sampled_from([r for r in StopReason if r is not StopReason.BROKEN_CALL]),
    ),
    usage=st.none() | st.builds(Usage, input_tokens=st.integers(0, 9)),
)


@given(response=RESPONSES, usage=st.booleans())
def test_any_answer_makes_a_stream_of_the_grammar(response: Response, usage: bool) -> None:
    encoder = CODEC.stream_encoder(context_for(stream=True, stream_usage=usage))
    stream = b"".join(encoder.feed(event) for event in unfold(response))
    checked = check_stream(stream, strict=True, usage=usage)
    blocks = response.blocks
    assert checked.end == "done"
    assert checked.content == "".join(b.text for b in blocks if isinstance(b, Text))
    assert checked.refusal == "".join(b.text for b in blocks if isinstance(b, Refusal))
    assert [(call["id"], call["name"]) for call in checked.calls] == [
        (b.id, b.name) for b in blocks if isinstance(b, ToolUse)
    ]
    # Whoever reads it back gets every signature unharmed.
    again = fold(decode_stream([stream]))
    assert signatures(again) == signatures(response)


def signatures(response: Response) -> list[str]:
    """Payloads in the order of their blocks; the dialect keeps calls apart from thoughts."""
    found = [
        (isinstance(block, ToolUse), block.opaque.payload)
        for block in response.blocks
        if isinstance(block, Thinking | RedactedThinking | ToolUse) and block.opaque is not None
    ]
    return [payload for _, payload in sorted(found, key=lambda item: item[0])]
