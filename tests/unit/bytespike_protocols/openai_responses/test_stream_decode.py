"""Streams as hosts really send them: side by side, in part, or cut."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bytespike_protocols.errors import BadUpstreamMessage
from bytespike_protocols.events import Event
from bytespike_protocols.folding import fold
from bytespike_protocols.ir import Json, Stop, StopReason, Text, ToolUse
from bytespike_protocols.openai_responses import CODEC
from bytespike_protocols.sse import Frame


def frames(*events: dict[str, Any]) -> list[Event]:
    decoder = CODEC.stream_decoder()
    opening = {"type": "response.created", "response": {"id": "r", "model": "m"}}
    sent = [json.dumps(event).encode() for event in (opening, *events)]
    decoded = [event for data in sent for event in decoder.feed(Frame(b"", data))]
    return decoded + decoder.close()


def item(index: int, verb: str, **fields: Any) -> dict[str, Any]:
    return {"type": f"response.output_item.{verb}", "output_index": index, "item": fields}


def call_item(index: int, verb: str, arguments: str = "") -> dict[str, Any]:
    name = f"f{index}"
    return item(
        index, verb, type="function_call", call_id=f"c{index}", name=name, arguments=arguments
    )


def arguments_delta(index: int, delta: str) -> dict[str, Any]:
    kind = "response.function_call_arguments.delta"
    return {"type": kind, "output_index": index, "delta": delta}


COMPLETED = {"type": "response.completed", "response": {"status": "completed"}}


def test_calls_that_grow_side_by_side_come_one_after_another() -> None:
    response = fold(
        frames(
            call_item(0, "added"),
            call_item(1, "added"),
            arguments_delta(0, '{"a":'),
            arguments_delta(1, '{"b":'),
            arguments_delta(1, "2}"),
            call_item(1, "done", '{"b":2}'),
            arguments_delta(0, "1}"),
            call_item(0, "done", '{"a":1}'),
            COMPLETED,
        )
    )
    assert response.blocks == (
        ToolUse(id="c0", name="f0", arguments=Json('{"a":1}')),
        ToolUse(id="c1", name="f1", arguments=Json('{"b":2}')),
    )
    assert response.stop == Stop(reason=StopReason.TOOL_USE)


def test_a_host_that_sends_only_ends_is_understood() -> None:
    part = {"type": "output_text", "text": "hi"}
    message = {"type": "message", "content": [part]}
    whole = {"type": "response.completed", "response": {"output": [message]}}
    expected = (Text(text="hi"),)
    assert fold(frames(whole)).blocks == expected
    assert (
        fold(frames(item(0, "added", type="message"), item(0, "done", **message), COMPLETED)).blocks
        == expected
    )
    delta = {"type": "response.output_text.delta", "delta": "hi"}
    assert fold(frames(item(0, "added", type="message"), delta, COMPLETED)).blocks == expected


def test_a_stream_without_its_last_event_is_incomplete() -> None:
    with pytest.raises(BadUpstreamMessage, match="before its last event"):
        frames(call_item(0, "added"))
