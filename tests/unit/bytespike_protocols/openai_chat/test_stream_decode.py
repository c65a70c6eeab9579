"""Streams and answers in every accent we know."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from bytespike_protocols.errors import BadUpstreamMessage
from bytespike_protocols.events import (
    ArgumentsDelta,
    Closed,
    Ended,
    Event,
    Failed,
    Opened,
    Started,
    TextDelta,
)
from bytespike_protocols.folding import fold
from bytespike_protocols.ir import (
    Json,
    RedactedThinking,
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

DONE = Frame(b"", b"[DONE]")


def chunk(delta: Any = None, finish: str | None = None, **fields: Any) -> Frame:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    head = {"id": "c-1", "model": "m", "created": 5, "choices": [choice]}
    return Frame(b"", msgspec.json.encode(head | fields))


def piece(index: int | None = 0, arguments: Any = None, **fields: Any) -> Frame:
    name = {"name": fields.pop("name")} if "name" in fields else {}
    function = name | ({} if arguments is None else {"arguments": arguments})
    place = {} if index is None else {"index": index}
    return chunk({"tool_calls": [{**place, "function": function, **fields}]})


def events_of(*frames: Frame) -> list[Event]:
    decoder = CODEC.stream_decoder()
    events = [event for frame in frames for event in decoder.feed(frame)]
    return events + decoder.close()


def folded(*frames: Frame) -> Response:
    return fold(events_of(*frames))


def call(call_id: str, name: str, arguments: str, **fields: Any) -> ToolUse:
    return ToolUse(id=call_id, name=name, arguments=Json(arguments), **fields)


def test_events_come_as_soon_as_they_can() -> None:
    decoder = CODEC.stream_decoder()
    assert decoder.feed(chunk({"role": "assistant", "content": ""})) == [
        Started(id="c-1", model="m", created_s=5)
    ]
    assert decoder.feed(chunk({"content": "a"})) == [
        Opened(index=0, block=Text(text="")),
        TextDelta(index=0, text="a"),
    ]
    assert decoder.feed(piece(id="1", name="f", arguments="")) == [
        Closed(index=0),
        Opened(index=1, block=call("1", "f", "")),
    ]
    assert decoder.feed(piece(arguments="{}")) == [ArgumentsDelta(index=1, json=Json("{}"))]
    assert decoder.feed(chunk(finish="tool_calls")) == []
    assert decoder.feed(DONE) == [
        Closed(index=1),
        Ended(stop=Stop(reason=StopReason.TOOL_USE, word="tool_calls")),
    ]
    assert decoder.feed(chunk({"content": "late"})) == []
    assert decoder.close() == []


@pytest.mark.parametrize(
    ("frames", "calls"),
    [
        ([piece(0, id="1", name="f"), piece(0, "{"), piece(0, "}")], [("1", "f", "{}")]),
        # Interleaved.
        (
            [
                piece(0, "{", id="1", name="f"),
                piece(1, "[", id="2", name="g"),
                piece(0, "}"),
                piece(1, "]"),
            ],
            [("1", "f", "{}"), ("2", "g", "[]")],
        ),
        # No index.
        (
            [piece(None, "{}", id="1", name="f"), piece(None, "[]", id="2", name="g")],
            [("1", "f", "{}"), ("2", "g", "[]")],
        ),
        # The same index for all.
        (
            [piece(0, "{}", id="1", name="f"), piece(0, "[]", id="2", name="g")],
            [("1", "f", "{}"), ("2", "g", "[]")],
        ),
        # Identity repeated with every piece.
        (
            [piece(0, "{", id="1", name="f"), piece(0, "}", id="1", name="f")],
            [("1", "f", "{}")],
        ),
        # Nothing for arguments, or an object.
        ([piece(0, id="1", name="f")], [("1", "f", "{}")]),
        ([piece(0, {"a": 1}, id="1", name="f")], [("1", "f", '{"a":1}')]),
    ],
)
def test_calls_are_told_apart(frames: list[Frame], calls: list[tuple[str, str, str]]) -> None:
    response = folded(*frames, chunk(finish="stop"), DONE)
    assert response.blocks == tuple(call(*one) for one in calls)
    assert response.stop.reason is StopReason.TOOL_USE


def test_calls_without_ids_get_some() -> None:
    blocks = folded(piece(0, name="f"), piece(1, name="f"), chunk(finish="stop"), DONE).blocks
    ids = {block.id for block in blocks if isinstance(block, ToolUse)}
    assert len(ids) == 2
    assert all(one.startswith("call_") and len(one) == 29 for one in ids)


def test_words_after_a_call_wait_for_its_end() -> None:
    response = folded(
        piece(0, "{", id="1", name="f"),
        chunk({"content": "and"}),
        piece(0, "}"),
        chunk(finish="stop"),
        DONE,
    )
    assert response.blocks == (call("1", "f", "{}"), Text(text="and"))


DETAIL = {"type": "reasoning.text", "signature": "s", "format": "x", "index": 0}


@pytest.mark.parametrize(
    ("deltas", "blocks"),
    [
        ([{"reasoning_content": "a"}, {"reasoning_content": "b"}], [("ab", None)]),
        ([{"reasoning": "a"}, {"content": "x"}, {"reasoning": "b"}], [("a", None), ("b", None)]),
        # The same words in two places.
        (
            [
                {"reasoning": "a", "reasoning_details": [{"text": "a", "index": 0}]},
                {"reasoning": "b", "reasoning_details": [{"text": "b", "index": 0}]},
                {"reasoning_details": [DETAIL]},
            ],
            [("ab", {"text": "ab", "index": 0, **DETAIL})],
        ),
        # Piece by piece, and once more as a whole.
        (
            [
                {"reasoning_content": "a"},
                {"reasoning_content": "b"},
                {"reasoning_details": [{**DETAIL, "text": "ab"}]},
                {"reasoning_content": "c"},
            ],
            [("ab", {**DETAIL, "text": "ab"}), ("c", None)],
        ),
        (
            [{"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "a"}]}]}],
            [("a", None)],
        ),
    ],
)
def test_thoughts(deltas: list[Any], blocks: list[tuple[str, Any]]) -> None:
    response = folded(*map(chunk, deltas), chunk(finish="stop"), DONE)
    thoughts = [block for block in response.blocks if isinstance(block, Thinking)]
    assert [
        (thought.text, thought.opaque and json.loads(thought.opaque.payload))
        for thought in thoughts
    ] == blocks


def test_hidden_thoughts_come_whole() -> None:
    detail = {"type": "reasoning.encrypted", "data": "ZW5j"}
    (block,) = folded(chunk({"reasoning_details": [detail]}), chunk(finish="stop"), DONE).blocks
    assert isinstance(block, RedactedThinking)
    assert json.loads(block.opaque.payload) == detail


@pytest.mark.parametrize(
    ("word", "delta", "reason"),
    [
        ("stop", {"content": "x"}, StopReason.END),
        ("length", {"content": "x"}, StopReason.MAX_TOKENS),
        ("content_filter", {}, StopReason.REFUSED),
        ("stop", {"refusal": "no"}, StopReason.REFUSED),
        ("tool_calls", {"content": "x"}, StopReason.END),
        ("function_call", {"function_call": {"name": "f", "arguments": "{}"}}, StopReason.TOOL_USE),
        ("length", {"tool_calls": [{"id": "1", "function": {"name": "f"}}]}, StopReason.MAX_TOKENS),
        ("insufficient_system_resource", {"content": "x"}, StopReason.OTHER),
    ],
)
def test_calls_and_refusals_decide_why_it_stopped(
    word: str, delta: Any, reason: StopReason
) -> None:
    streamed = folded(chunk(delta), chunk(finish=word), DONE)
    assert streamed.stop == Stop(reason=reason, word=word)
    choice = {"index": 0, "message": delta, "finish_reason": word}
    body = {"id": "c-1", "model": "m", "created": 5, "choices": [choice]}
    assert CODEC.decode_response(msgspec.json.encode(body)) == streamed


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, None),
        ({"prompt_tokens": None, "completion_tokens": None}, None),
        ({"prompt_tokens": 9}, Usage(input_tokens=9)),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            Usage(
                input_tokens=3,
                cache_read_tokens=4,
                cache_write_5m_tokens=2,
                output_tokens=5,
                reasoning_tokens=3,
            ),
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 5, "prompt_cache_hit_tokens": 4},
            Usage(input_tokens=5, cache_read_tokens=4, output_tokens=5),
        ),
        # Reasoning beside the completion, not inside.
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 5,
                "total_tokens": 17,
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            Usage(input_tokens=9, output_tokens=8, reasoning_tokens=3),
        ),
    ],
)
def test_usage(usage: Any, expected: Usage | None) -> None:
    frames = [chunk({"content": "x"}, "stop"), chunk(choices=[], usage=usage), DONE]
    assert folded(*frames).usage == expected


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (Frame(b"", b'{"error":{"message":"m","code":429}}'), "rate_limited"),
        (Frame(b"", b'{"error":{"message":"m","type":"overloaded_error"}}'), "overloaded"),
        (Frame(b"", b'{"error":{"message":"m","code":"504"}}'), "timeout"),
        (Frame(b"error", b'{"message":"m"}'), "internal"),
        (Frame(b"", b'{"error":"m"}'), "internal"),
    ],
)
def test_failures_in_mid_stream(frame: Frame, kind: str) -> None:
    assert events_of(chunk({"content": "x"}), frame)[-1] == Failed(kind=kind, message="m")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [DONE],
        [chunk({"content": "x"})],
        [Frame(b"", b"{")],
        [Frame(b"", b'"x"')],
        [chunk({"content": 3})],
        [chunk(usage={"prompt_tokens": -1})],
        [chunk({"tool_calls": [{"index": 0, "id": "1"}]}), DONE],
    ],
)
def test_broken_streams(frames: list[Frame]) -> None:
    with pytest.raises(BadUpstreamMessage):
        events_of(*frames)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"choices":[]}', b'{"error":{"message":"m"}}', b"<html>"]
)
def test_broken_answers(body: bytes) -> None:
    with pytest.raises(BadUpstreamMessage):
        CODEC.decode_response(body)
