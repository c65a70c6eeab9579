"""The stream decoder: cuts do not matter, and no bytes get past it but as events or as an error."""

from __future__ import annotations

import json
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bytespike_protocols.anthropic import CODEC
from bytespike_protocols.anthropic.fields import join_path, split_path
from bytespike_protocols.codec import RouteHints
from bytespike_protocols.errors import BadClientMessage, BadUpstreamMessage
from bytespike_protocols.events import Ended, Failed, StreamGuard
from bytespike_protocols.ir import StopReason
from bytespike_protocols.sse import Frame
from tests.support.anthropic_corpus import BROKEN_STREAMS, CASES, Case, name_of, read_events

WHOLE = [case for case in CASES if case.stream is not None and case.name not in BROKEN_STREAMS]
EVENTS = [
    b"message_start", b"content_block_start", b"content_block_delta", b"content_block_stop",
    b"message_delta", b"message_stop", b"error", b"ping", b"something_new", b"",
]  # fmt: skip


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@pytest.mark.parametrize("case", WHOLE, ids=name_of)
def test_a_recorded_stream_read_byte_by_byte_is_the_same(case: Case) -> None:
    assert case.stream is not None
    whole = read_events([case.stream])
    assert isinstance(whole[-1], Ended | Failed)
    assert read_events(case.stream[i : i + 1] for i in range(len(case.stream))) == whole


@settings(max_examples=10, deadline=None)
@given(places=st.lists(st.integers(0, 1_000_000), max_size=60))
def test_a_recorded_stream_cut_anywhere_is_the_same(places: list[int]) -> None:
    for case in WHOLE:
        assert case.stream is not None
        assert read_events(cut(case.stream, places)) == read_events([case.stream])


@given(st.binary(max_size=400))
def test_random_bytes_are_never_an_answer(data: bytes) -> None:
    with pytest.raises(BadUpstreamMessage):
        read_events([data])


NAMES = """
    type index delta text thinking partial_json signature citation content_block message usage id
    name input stop_reason output_tokens error data model content citations role source
"""
FIELDS = st.sampled_from(NAMES.split())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(FIELDS, inner, max_size=3),
    max_leaves=8,
)
KINDS = "text tool_use thinking redacted_thinking server_tool_use text_delta input_json_delta "
BLOCKS = st.fixed_dictionaries(
    {"type": st.sampled_from([*KINDS.split(), "signature_delta", "message", "citations_delta"])},
    optional={name: JSON for name in ("text", "thinking", "signature", "input", "citation", "data")}
    | {
        name: st.text(max_size=3) for name in ("id", "name", "model", "partial_json", "stop_reason")
    },
)
DATA = st.fixed_dictionaries(
    {"index": st.integers(0, 2), "content_block": BLOCKS, "delta": BLOCKS, "message": BLOCKS}
)
FRAMES = st.builds(
    Frame,
    st.sampled_from(EVENTS),
    st.binary(max_size=30) | st.one_of(DATA, JSON).map(lambda data: json.dumps(data).encode()),
)


@settings(max_examples=80)
@given(st.lists(FRAMES, max_size=12))
def test_any_frames_are_events_in_order_or_the_vendors_fault(frames: list[Frame]) -> None:
    decoder, guard = CODEC.stream_decoder(), StreamGuard("ours")
    try:
        for frame in frames:
            for event in decoder.feed(frame):
                guard.check(event)
        decoder.close()
    except BadUpstreamMessage:
        return
    assert guard.over


@given(st.one_of(JSON.map(lambda body: json.dumps(body).encode()), st.binary(max_size=60)))
def test_any_body_is_an_answer_or_the_vendors_fault(body: bytes) -> None:
    with suppress(BadUpstreamMessage):
        assert CODEC.decode_response(body).stop.reason in StopReason


REQUESTS = st.fixed_dictionaries(
    {
        "model": st.just("claude-x"),
        "messages": st.lists(
            st.fixed_dictionaries(
                {"role": st.sampled_from(["user", "assistant"]), "content": JSON | st.lists(BLOCKS)}
            ),
            max_size=3,
        ),
    },
    optional={name: JSON for name in ("system", "tools", "thinking", "tool_choice", "metadata")},
)


@settings(max_examples=80)
@given(REQUESTS)
def test_any_request_decodes_or_is_the_clients_fault(body: object) -> None:
    with suppress(BadClientMessage):
        request = CODEC.decode_request(json.dumps(body).encode(), RouteHints())
        assert request.model == "claude-x"


@given(owner=st.sampled_from(["", "messages[2].content[0]", 'metadata["a.b"]']), name=st.text())
def test_paths_come_apart_as_they_were_put_together(owner: str, name: str) -> None:
    assert split_path(join_path(owner, name)) == (owner, name)
