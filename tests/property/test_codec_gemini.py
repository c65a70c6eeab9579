"""Gemini streams read the same in any cut, and no bytes break the codec."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bytespike_protocols.codec import RouteHints
from bytespike_protocols.errors import BadClientMessage, BadUpstreamMessage
from bytespike_protocols.events import Event
from bytespike_protocols.folding import fold, unfold
from bytespike_protocols.gemini import CODEC
from bytespike_protocols.gemini.signature import read_signature, write_signature
from bytespike_protocols.ir import (
    Block,
    Dialect,
    Json,
    Opaque,
    RedactedThinking,
    Response,
    Stop,
    StopReason,
    Text,
    Thinking,
    ToolUse,
    Usage,
)
from bytespike_protocols.sse import Frame
from tests.support.gemini_corpus import context_for, decode_stream, streams
from tests.support.gemini_grammar import check_array, check_stream

STREAMS = [(case.id, case.sse.encode()) for case in streams() if case.sse is not None]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def events_of(pieces: list[bytes]) -> list[Event] | str:
    try:
        return decode_stream(pieces)
    except BadUpstreamMessage as error:
        return str(error)


@pytest.mark.parametrize(("name", "data"), STREAMS, ids=[name for name, _ in STREAMS])
def test_streams_read_the_same_byte_by_byte(name: str, data: bytes) -> None:
    whole = events_of([data])
    assert events_of([data[i : i + 1] for i in range(len(data))]) == whole
    assert whole, name


@settings(max_examples=5, deadline=None)
@given(places=st.lists(st.integers(0, 1_000_000), max_size=60))
def test_streams_read_the_same_in_any_cut(places: list[int]) -> None:
    for name, data in STREAMS:
        assert events_of(cut(data, places)) == events_of([data]), name


@pytest.mark.parametrize(("name", "data"), STREAMS, ids=[name for name, _ in STREAMS])
def test_a_cut_stream_never_ends_cleanly(name: str, data: bytes) -> None:
    finish = min(
        (place for mark in (b'"finishReason"', b'"blockReason"') if (place := data.find(mark)) > 0),
        default=len(data),
    )
    for place in range(0, finish, max(1, finish // 20)):
        assert isinstance(events_of([data[:place]]), str), (name, place)


@given(data=st.binary(max_size=200))
def test_no_bytes_break_the_decoders(data: bytes) -> None:
    for shape in (
        data,
        b'{"candidates":[' + data + b"]}",
        b'{"candidates":[{"content":{"parts":[' + data + b"]}}]}",
    ):
        decoder = CODEC.stream_decoder()
        with suppress(BadUpstreamMessage):
            decoder.feed(Frame(b"", shape))
            decoder.close()
        with suppress(BadUpstreamMessage):
            CODEC.decode_response(shape)
        with suppress(BadClientMessage):
            CODEC.decode_request(shape, RouteHints(model="m"))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
FIELDS = ["text", "thought", "thoughtSignature", "functionCall", "functionResponse", "inlineData"]
FIELDS += ["fileData", "name", "args", "id", "response", "parts", "data", "mimeType", "fileUri"]
parts = st.dictionaries(
    st.sampled_from(FIELDS),
    json_values | st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=4),
    max_size=4,
)


@given(parts=st.lists(parts, max_size=4), role=st.sampled_from(["user", "model"]))
def test_any_json_is_decoded_or_refused(parts: list[object], role: str) -> None:
    content = {"role": role, "parts": parts}
    asked = msgspec.json.encode({"contents": [content]})
    answered = msgspec.json.encode({"candidates": [{"content": content, "finishReason": "STOP"}]})
    with suppress(BadClientMessage):
        request = CODEC.decode_request(asked, RouteHints(model="gemini-3-flash"))
        again = CODEC.encode_request(request, model="gemini-3-flash").body
        assert CODEC.decode_request(again, RouteHints(model="gemini-3-flash")) == request
    with suppress(BadUpstreamMessage):
        CODEC.decode_response(answered)


opaques = st.builds(
    Opaque,
    issuer=st.sampled_from(Dialect),
    payload=st.text(st.characters(codec="ascii"), min_size=1, max_size=60),
    model=st.from_regex(r"[a-z0-9-]{0,20}", fullmatch=True),
)


@given(opaque=opaques.filter(lambda opaque: opaque.issuer is not Dialect.GEMINI))
def test_state_of_others_survives_a_client_that_rewrites_base64(opaque: Opaque) -> None:
    written = write_signature(opaque)
    assert read_signature(written) == opaque
    assert read_signature(written.replace("+", "-").replace("/", "_").rstrip("=")) == opaque


text = st.text(max_size=20)
blocks = st.one_of(
    st.builds(Text, text=text),
    st.builds(Thinking, text=text, opaque=st.none() | opaques),
    st.builds(RedactedThinking, opaque=opaques),
    st.builds(
        ToolUse,
        id=st.from_regex(r"call_[a-z]{1,9}", fullmatch=True),
        name=st.just("look_up"),
        arguments=st.sampled_from([Json("{}"), Json('{\n "a" : [1.50, "é"]}'), Json('{"cut')]),
        opaque=st.none() | opaques,
    ),
)
responses = st.builds(
    Response,
    id=st.just("x"),
    model=st.just("m"),
    blocks=st.lists(blocks, max_size=5).map(tuple),
    stop=st.builds(Stop, reason=st.sampled_from(StopReason), detail=st.none() | text),
    usage=st.none()
    | st.builds(
        Usage,
        input_tokens=st.integers(0, 999),
        cache_read_tokens=st.integers(0, 999),
        output_tokens=st.integers(9, 99),
        reasoning_tokens=st.integers(0, 9),
    ),
)


@settings(deadline=None)
@given(response=responses)
def test_any_answer_makes_streams_clients_can_read(response: Response) -> None:
    for framing in ("sse", "array"):
        encoder = CODEC.stream_encoder(context_for(framing=framing))
        sent = b"".join(encoder.feed(event) for event in unfold(response))
        checked = check_stream(sent) if framing == "sse" else check_array(sent)
        assert checked.end == "finish"
        texts = [block.text for block in response.blocks if isinstance(block, Text)]
        assert checked.text == "".join(texts)
        whole = [b for b in response.blocks if isinstance(b, ToolUse) and b.arguments != '{"cut']
        assert [call["id"] for call in checked.calls] == [call.id for call in whole]
        if framing == "sse":
            back = fold(decode_stream([sent]))
            assert back.usage == response.usage
            assert_same_state(back, response)


def assert_same_state(back: Response, response: Response) -> None:
    """Every vendor's state comes back to it byte for byte, whatever happened to the blocks."""
    cut_off = '{"cut'
    kept = [block for block in response.blocks if getattr(block, "arguments", "") != cut_off]
    assert payloads(back.blocks) == payloads(kept)


def payloads(blocks: Iterable[Block]) -> list[str]:
    states = [getattr(block, "opaque", None) for block in blocks]
    return [state.payload for state in states if isinstance(state, Opaque)]
