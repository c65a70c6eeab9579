"""A client's request as it is understood, and what becomes of what has no field."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bytespike_protocols.codec import Loss, RouteHints
from bytespike_protocols.errors import BadClientMessage
from bytespike_protocols.ir import (
    Block,
    Dialect,
    Foreign,
    Json,
    Opaque,
    Request,
    Text,
    Thinking,
    Tool,
    ToolResult,
    ToolUse,
    Turn,
)
from bytespike_protocols.openai_responses import CODEC


def user(*blocks: Block) -> Turn:
    return Turn(role="user", blocks=blocks)


def model(*blocks: Block) -> Turn:
    return Turn(role="assistant", blocks=blocks)


def text(words: str) -> Text:
    return Text(text=words)


def encode(asked: Request) -> tuple[dict[str, Any], list[Loss]]:
    encoded = CODEC.encode_request(asked, model="gpt-5")
    body: dict[str, Any] = json.loads(encoded.body)
    return body, list(encoded.losses)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no model": ({"model": None}, "model"),
    "input of the wrong type": ({"input": 5}, "input"),
    "an item of the wrong type": ({"input": ["x"]}, "input[0]"),
    "an item without a type": ({"input": [{"content": "x"}]}, "input[0].type"),
    "an unknown role": ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role"),
    "text of the wrong type": (
        {
            "input": [
                {"role": "user", "content": "x"},
                {"role": "user", "content": [{"type": "input_text", "text": 1}]},
            ]
        },
        "input[1].content[0].text",
    ),
    "an unknown part": (
        {"input": [{"role": "user", "content": [{"type": "smell"}]}]},
        "input[0].content[0].type",
    ),
    "an image of nothing": (
        {"input": [{"role": "user", "content": [{"type": "input_image"}]}]},
        "input[0].content[0].image_url",
    ),
    "a call without an id": (
        {"input": [{"type": "function_call", "name": "f", "arguments": "{}"}]},
        "input[0].call_id",
    ),
    "a result without an output": (
        {"input": [{"type": "function_call_output", "call_id": "c"}]},
        "input[0].output",
    ),
    "a tool without a name": ({"tools": [{"type": "function"}]}, "tools[0].name"),
    "an unknown effort": ({"reasoning": {"effort": "heroic"}}, "reasoning.effort"),
    "an unknown format": ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
    "an unknown choice": ({"tool_choice": "maybe"}, "tool_choice"),
    "a limit of nothing": ({"max_output_tokens": 0}, "max_output_tokens"),
    "metadata of the wrong type": ({"metadata": {"a": 1}}, "metadata.a"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_names_its_path(name: str) -> None:
    fields, path = BAD[name]
    body = json.dumps({"model": "m", "input": "q"} | fields).encode()
    with pytest.raises(BadClientMessage) as complaint:
        CODEC.decode_request(body, RouteHints())
    assert complaint.value.path == path


def test_what_has_no_field_is_kept_and_written_back() -> None:
    body = {
        "model": "m",
        "instructions": "kind",
        "input": [
            {"role": "developer", "content": "brief"},
            {"role": "user", "content": [{"type": "input_text", "text": "q", "later": [1.0]}]},
            {"role": "assistant", "content": "a", "phase": "commentary"},
            {
                "type": "function_call",
                "call_id": "c",
                "name": "f",
                "arguments": "{}",
                "namespace": "n",
            },
            {"type": "function_call_output", "call_id": "c", "output": "r"},
            {"type": "item_reference", "id": "msg_1"},
        ],
        "tools": [{"type": "function", "name": "f", "parameters": {}, "defer_loading": True}],
        "tool_choice": {"type": "web_search"},
        "text": {"verbosity": "low"},
        "reasoning": {"effort": "low", "summary": "detailed"},
        "include": ["reasoning.encrypted_content", "file_search_call.results"],
        "previous_response_id": "resp_1",
        "store": True,
    }
    asked = CODEC.decode_request(json.dumps(body).encode(), RouteHints())
    assert {extra.path for extra in asked.extras} == {
        "include",
        "input[1].content[0].later",
        "input[2].phase",
        "input[3].namespace",
        "previous_response_id",
        "reasoning.summary",
        "store",
        "text.verbosity",
        "tool_choice",
    }
    again, losses = encode(asked)
    body["input"][0]["role"] = "system"  # type: ignore[index]
    include = ["reasoning.encrypted_content", "file_search_call.results"]
    assert again == body | {"model": "gpt-5", "include": include}
    assert losses == []
    foreign = [block for turn in asked.turns for block in turn.blocks if isinstance(block, Foreign)]
    assert [block.kind for block in foreign] == ["item_reference"]


def test_one_answer_is_one_turn_and_results_lead_the_next() -> None:
    items = [
        {"role": "user", "content": "q"},
        {"type": "reasoning", "summary": [], "encrypted_content": "gAAA"},
        {"role": "assistant", "content": "well"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": ""},
        {"type": "function_call", "call_id": "d", "name": "g", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "1"},
        {"type": "function_call_output", "call_id": "d", "output": "2"},
        {"role": "user", "content": "and?"},
        {"role": "user", "content": "well?"},
    ]
    asked = CODEC.decode_request(json.dumps({"model": "m", "input": items}).encode(), RouteHints())
    assert asked.turns == (
        user(text("q")),
        model(
            Thinking(text="", opaque=Opaque(issuer=Dialect.OPENAI_RESPONSES, payload="gAAA")),
            text("well"),
            ToolUse(id="c", name="f", arguments=Json("{}")),
            ToolUse(id="d", name="g", arguments=Json("{}")),
        ),
        user(
            ToolResult(id="c", name="f", content=(text("1"),)),
            ToolResult(id="d", name="g", content=(text("2"),)),
            text("and?"),
        ),
        user(text("well?")),
    )


def test_a_free_form_tool_is_a_function_of_one_text() -> None:
    body = {
        "model": "m",
        "input": [
            {"type": "custom_tool_call", "call_id": "c", "name": "patch", "input": 'a "b"\n'},
            {"type": "custom_tool_call_output", "call_id": "c", "output": "done"},
        ],
        "tools": [{"type": "custom", "name": "patch", "format": {"type": "text"}}],
        "tool_choice": {"type": "custom", "name": "patch"},
    }
    asked = CODEC.decode_request(json.dumps(body).encode(), RouteHints())
    call = asked.turns[0].blocks[0]
    assert isinstance(call, ToolUse)
    assert json.loads(call.arguments) == {"input": 'a "b"\n'}
    tool = asked.tools[0]
    assert isinstance(tool, Tool)
    assert json.loads(tool.parameters or "")["required"] == ["input"]
    assert [extra.path for extra in tool.extras] == ["tools[0].format", "tools[0].type"]
    again, losses = encode(asked)
    assert {name: again[name] for name in body} == body | {"model": "gpt-5"}
    assert losses == []


def test_what_a_translation_does_anyway_is_no_loss() -> None:
    settled = {"store": False, "background": False, "truncation": "disabled", "include": []}
    plain = CODEC.decode_request(b'{"model":"m","input":"q"}', RouteHints())
    body = json.dumps({"model": "m", "input": "q"} | settled).encode()
    assert CODEC.decode_request(body, RouteHints()) == plain
    wished = json.dumps({"model": "m", "input": "q", "store": True, "truncation": "auto"}).encode()
    extras = CODEC.decode_request(wished, RouteHints()).extras
    assert [(extra.path, extra.value) for extra in extras] == [
        ("store", "true"),
        ("truncation", '"auto"'),
    ]
