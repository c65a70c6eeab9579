"""Whatever the network does to a stream, and whatever a vendor sends, the codec keeps its word."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bytespike_protocols.codec import RouteHints
from bytespike_protocols.errors import BadClientMessage, BadUpstreamMessage
from bytespike_protocols.events import Event
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
from bytespike_protocols.openai_responses import CODEC
from bytespike_protocols.sse import Frame
from tests.support.responses_corpus import (
    CASES,
    Case,
    context_for,
    cut,
    decode_pieces,
    encode_events,
)
from tests.support.responses_grammar import check_stream

STREAMS = [case for case in CASES if case.sse and case.status == 200]
#: Long streams are cut at random only: byte by byte they would take the suite's time.
BYTEWISE = [case for case in STREAMS if len(case.sse or b"") < 24_000]

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
counts = st.integers(0, 1_000_000)
foreign_state = st.builds(
    Opaque,
    issuer=st.sampled_from([Dialect.ANTHROPIC, Dialect.GEMINI]),
    payload=st.text("abcXYZ+/=", min_size=1, max_size=20),
    model=st.just("m-1"),
)
own_state = st.builds(
    Opaque, issuer=st.just(Dialect.OPENAI_RESPONSES), payload=st.text("abc=", min_size=1)
)
blocks = st.one_of(
    st.builds(Text, text=words),
    st.builds(Refusal, text=words),
    st.builds(Thinking, text=words, opaque=st.none() | own_state | foreign_state),
    st.builds(RedactedThinking, opaque=foreign_state),
    st.builds(
        ToolUse,
        id=st.text("abc_", min_size=1, max_size=8),
        name=st.text("abc_-", min_size=1, max_size=8),
        arguments=st.dictionaries(words, words, max_size=3).map(lambda v: Json(json.dumps(v))),
    ),
)
usages = st.builds(
    Usage,
    input_tokens=counts,
    cache_read_tokens=counts,
    cache_write_5m_tokens=counts,
    output_tokens=st.integers(1_000, 1_000_000),
    reasoning_tokens=st.integers(0, 1_000),
)
responses = st.builds(
    Response,
    id=st.just("r"),
    model=st.just("m"),
    blocks=st.lists(blocks, max_size=6).map(tuple),
    stop=st.sampled_from([StopReason.END, StopReason.MAX_TOKENS, StopReason.CONTEXT_FULL]).map(
        lambda reason: Stop(reason=reason)
    ),
    usage=st.none() | usages,
)


@pytest.mark.parametrize("case", BYTEWISE, ids=lambda case: case.id)
def test_a_stream_byte_by_byte_is_the_same(case: Case) -> None:
    sse = case.sse or b""
    assert decode_pieces(cut(sse, range(len(sse)))) == decode_pieces([sse])


@settings(max_examples=60, deadline=None)
@given(data=st.data(), places=st.lists(st.integers(0, 10_000_000), max_size=30))
def test_cuts_do_not_matter(data: st.DataObject, places: list[int]) -> None:
    sse = data.draw(st.sampled_from(STREAMS)).sse or b""
    assert decode_pieces(cut(sse, places)) == decode_pieces([sse])


def decode_frames(frames: list[bytes]) -> list[Event]:
    decoder = CODEC.stream_decoder()
    events = [event for frame in frames for event in decoder.feed(Frame(b"", frame))]
    return events + decoder.close()


@given(frames=st.lists(st.binary(max_size=60), max_size=4))
def test_random_frames_are_events_or_the_vendors_fault(frames: list[bytes]) -> None:
    with pytest.raises(BadUpstreamMessage):
        decode_frames(frames)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | words,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "text",
                    "role",
                    "content",
                    "id",
                    "call_id",
                    "name",
                    "output",
                    "item",
                    "part",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
event_types = st.sampled_from(
    [
        "response.created",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.refusal.delta",
        "response.function_call_arguments.delta",
        "response.reasoning_summary_text.delta",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
        "response.failed",
        "error",
    ]
)
items = st.fixed_dictionaries(
    {"type": st.sampled_from(["message", "function_call", "reasoning", "web_search_call"])},
    optional={"content": json_values, "name": words, "call_id": words, "arguments": words},
)
wild_events = st.fixed_dictionaries(
    {"type": event_types},
    optional={
        "output_index": st.integers(0, 2),
        "delta": words | json_values,
        "item": items | json_values,
        "part": json_values,
        "response": json_values | st.fixed_dictionaries({"output": st.lists(items, max_size=2)}),
    },
)


@settings(max_examples=300)
@given(events=st.lists(wild_events, max_size=12))
def test_wild_events_are_events_or_the_vendors_fault(events: list[object]) -> None:
    opening = {"type": "response.created", "response": {"id": "r", "model": "m"}}
    with suppress(BadUpstreamMessage):
        assert decode_frames([json.dumps(event).encode() for event in [opening, *events]])


@given(body=st.binary(max_size=80) | json_values.map(lambda value: json.dumps(value).encode()))
def test_random_answers_are_the_vendors_fault(body: bytes) -> None:
    with suppress(BadUpstreamMessage):
        assert isinstance(CODEC.decode_response(body), Response)


@settings(max_examples=300)
@given(given_input=json_values, tools=json_values, choice=json_values, text=json_values)
def test_random_requests_are_requests_or_the_clients_fault(
    given_input: object, tools: object, choice: object, text: object
) -> None:
    body = {"model": "m", "input": given_input, "tools": tools, "tool_choice": choice, "text": text}
    with suppress(BadClientMessage):
        request = CODEC.decode_request(json.dumps(body).encode(), RouteHints())
        encoded = CODEC.encode_request(request, model="m")
        assert CODEC.decode_request(encoded.body, RouteHints()) == request


@given(response=responses)
def test_any_answer_is_a_grammatical_stream_that_says_the_same(response: Response) -> None:
    stream = encode_events(unfold(response))
    checked = check_stream(stream, strict=True)
    whole = CODEC.encode_response(response, context_for())
    assert json.loads(whole) == checked.response
    folded, decoded = fold(decode_pieces([stream])), CODEC.decode_response(whole)
    assert folded.blocks == decoded.blocks
    assert folded.stop == decoded.stop
    assert folded.usage == decoded.usage == response.usage
