"""What clients say, and the paths of what they say wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bytespike_protocols.codec import RouteHints
from bytespike_protocols.custody import wrap
from bytespike_protocols.errors import BadClientMessage
from bytespike_protocols.ir import (
    Audio,
    Base64,
    CacheControl,
    Dialect,
    Document,
    Effort,
    Extra,
    Foreign,
    Image,
    Json,
    JsonFormat,
    Opaque,
    Reasoning,
    RedactedThinking,
    Request,
    ServerTool,
    Text,
    Thinking,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
    Url,
)
from bytespike_protocols.openai_chat import CODEC

HI = {"role": "user", "content": "hi"}
SIGNED = Opaque(issuer=Dialect.ANTHROPIC, payload="EvAB/+==", model="claude-x")


def decode(*messages: dict[str, Any], **fields: Any) -> Request:
    body = {"model": "m", "messages": list(messages), **fields}
    return CODEC.decode_request(json.dumps(body, ensure_ascii=False).encode(), RouteHints())


def part(**fields: Any) -> dict[str, Any]:
    return {"role": "user", "content": [fields]}


def test_messages_become_turns() -> None:
    request = decode(
        {"role": "system", "content": "a"},
        {"role": "developer", "content": [{"type": "text", "text": "b"}]},
        HI,
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": ""}},
                {
                    "id": "2",
                    "type": "function",
                    "function": {"name": "g", "arguments": '{ "é":1e0}'},
                },
            ],
        },
        {"role": "tool", "tool_call_id": "2", "content": "two"},
        {"role": "tool", "tool_call_id": "1", "content": ""},
        {"role": "user", "content": "so?", "name": "ann"},
        {"role": "system", "content": "c"},
    )
    assert request.system == (Text(text="a"), Text(text="b"))
    assert request.turns == (
        Turn(role="user", blocks=(Text(text="hi"),)),
        Turn(
            role="assistant",
            blocks=(
                ToolUse(id="1", name="f", arguments=Json("{}")),
                ToolUse(id="2", name="g", arguments=Json('{ "é":1e0}')),
            ),
        ),
        Turn(
            role="user",
            name="ann",
            blocks=(
                ToolResult(id="2", name="g", content=(Text(text="two"),)),
                ToolResult(id="1", name="f"),
                Text(text="so?"),
            ),
        ),
        Turn(role="system", blocks=(Text(text="c"),)),
    )
    assert request.extras == ()


@pytest.mark.parametrize(
    ("fields", "block"),
    [
        (
            {
                "type": "image_url",
                "image_url": {"url": "data:image/PNG;base64,iVBO", "detail": "low"},
            },
            Image(source=Base64(media_type="image/png", data="iVBO"), detail="low"),
        ),
        (
            {"type": "image_url", "image_url": "https://x.test/a"},
            Image(source=Url(url="https://x.test/a")),
        ),
        (
            {
                "type": "file",
                "file": {"filename": "a", "file_data": "data:application/pdf;base64,J"},
            },
            Document(source=Base64(media_type="application/pdf", data="J"), title="a"),
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "U", "format": "mp3"}},
            Audio(source=Base64(media_type="audio/mpeg", data="U")),
        ),
        (
            {"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            Text(text="x", cache=CacheControl(ttl="1h")),
        ),
        (
            {"type": "video_url", "video_url": {}},
            Foreign(
                dialect=Dialect.OPENAI_CHAT,
                kind="video_url",
                value=Json('{"type": "video_url", "video_url": {}}'),
            ),
        ),
    ],
)
def test_parts(fields: dict[str, Any], block: object) -> None:
    assert decode(part(**fields)).turns[0].blocks == (block,)


@pytest.mark.parametrize(
    ("fields", "name", "value"),
    [
        ({"tool_choice": "required"}, "tool_choice", ToolChoice(mode="any")),
        ({"tool_choice": "any"}, "tool_choice", ToolChoice(mode="any")),
        (
            {"tool_choice": {"function": {"name": "f"}}},
            "tool_choice",
            ToolChoice(mode="named", names=("f",)),
        ),
        (
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {
                        "mode": "auto",
                        "tools": [{"type": "function", "function": {"name": "f"}}],
                    },
                }
            },
            "tool_choice",
            ToolChoice(mode="auto", names=("f",)),
        ),
        ({"max_tokens": 5}, "max_output_tokens", 5),
        ({"max_tokens": 5, "max_completion_tokens": 6}, "max_output_tokens", 6),
        ({"stop": "x"}, "stop_sequences", ("x",)),
        ({"reasoning_effort": "none"}, "reasoning", Reasoning(mode="off")),
        (
            {"reasoning_effort": "max"},
            "reasoning",
            Reasoning(mode="effort", effort=Effort.MAX),
        ),
        ({"response_format": {"type": "text"}}, "output", None),
        ({"response_format": {"type": "json_object"}}, "output", JsonFormat()),
        (
            {"web_search_options": {}},
            "tools",
            (ServerTool(dialect=Dialect.OPENAI_CHAT, kind="web_search", value=Json("{}")),),
        ),
        ({"stream": True}, "stream_usage", False),
        ({"stream_options": {"include_usage": True}}, "stream_usage", True),
        ({"metadata": {"a": "b"}}, "metadata", (("a", "b"),)),
        ({"temperature": None, "stop": None, "tools": None}, "stop_sequences", ()),
    ],
)
def test_settings(fields: dict[str, Any], name: str, value: object) -> None:
    assert getattr(decode(HI, **fields), name) == value


def test_what_has_no_field_is_kept_with_its_path() -> None:
    request = decode(
        {"role": "system", "content": [{"type": "text", "text": "a", "new": 1}]},
        {"role": "user", "content": [{"type": "text", "text": "x", "odd key": [1e2]}]},
        {"role": "assistant", "audio": {"id": "a"}},
        store=False,
        tool_choice={"type": "custom", "custom": {"name": "c"}},
    )
    assert request.extras == (
        Extra(path="messages[0].content[0].new", value=Json("1")),
        Extra(path='messages[1].content[0]["odd key"]', value=Json("[100.0]")),
        Extra(path="messages[2].audio", value=Json('{"id": "a"}')),
        Extra(path="tool_choice", value=Json('{"type": "custom", "custom": {"name": "c"}}')),
        Extra(path="store", value=Json("false")),
    )
    again = CODEC.encode_request(request, model="m")
    assert again.losses == ()
    assert CODEC.decode_request(again.body, RouteHints()) == request


def test_a_system_prompt_of_parts_moves_the_places_of_extras() -> None:
    system = [{"type": "text", "text": t, "x": t} for t in ("a", "b")]
    request = decode({"role": "system", "content": system}, {**HI, "y": 1})
    assert [extra.path for extra in request.extras] == [
        "messages[0].content[0].x",
        "messages[1].content[0].x",
        "messages[2].y",
    ]
    again = CODEC.encode_request(request, model="m")
    assert CODEC.decode_request(again.body, RouteHints()) == request


def test_states_in_custody_come_back_unharmed() -> None:
    wrapped = wrap(SIGNED, carrier=Dialect.OPENAI_CHAT)
    message = {
        "role": "assistant",
        "content": "so",
        "reasoning_content": "hm",
        "reasoning_details": [
            {"type": "reasoning.text", "text": "hm", "signature": wrapped, "index": 0},
            {"type": "reasoning.encrypted", "data": wrapped, "index": 1},
            {"type": "reasoning.text", "text": "", "index": 2},
        ],
        "tool_calls": [
            {
                "id": "1",
                "type": "function",
                "function": {"name": "f", "arguments": "{}"},
                "extra_content": {"google": {"thought_signature": wrapped}},
            }
        ],
    }
    assert decode(message).turns[0].blocks == (
        Thinking(text="hm", opaque=SIGNED),
        RedactedThinking(opaque=SIGNED),
        Text(text="so"),
        ToolUse(id="1", name="f", arguments=Json("{}"), opaque=SIGNED),
    )


def test_deprecated_functions_are_tools() -> None:
    request = decode(
        HI,
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "1"},
        functions=[{"name": "f", "parameters": {}}],
        function_call={"name": "f"},
    )
    call, result = request.turns[1].blocks[0], request.turns[2].blocks[0]
    assert isinstance(call, ToolUse)
    assert isinstance(result, ToolResult)
    assert call.id == result.id
    assert request.tool_choice == ToolChoice(mode="named", names=("f",))
    assert [tool.name for tool in request.tools if not isinstance(tool, ServerTool)] == ["f"]


def test_custom_tool_calls_are_kept_for_this_dialect() -> None:
    call = {"id": "1", "type": "custom", "custom": {"name": "c", "input": "x"}}
    request = decode({"role": "assistant", "content": None, "tool_calls": [call]})
    encoded = CODEC.encode_request(request, model="m")
    assert json.loads(encoded.body)["messages"][0]["tool_calls"] == [call]


@pytest.mark.parametrize(
    ("messages", "fields", "path"),
    [
        ([], {}, "messages"),
        ([HI], {"model": ""}, "model"),
        ([HI], {"model": 3}, "model"),
        ([3], {}, "messages[0]"),
        ([{"content": "x"}], {}, "messages[0].role"),
        ([{"role": "robot"}], {}, "messages[0].role"),
        ([{"role": "user", "content": 3}], {}, "messages[0].content"),
        ([HI, {"role": "user", "content": ["x"]}], {}, "messages[1].content[0]"),
        ([part(type="text", text=3)], {}, "messages[0].content[0].text"),
        ([part(type="image_url")], {}, "messages[0].content[0].image_url"),
        (
            [part(type="image_url", image_url={"url": "data:,x"})],
            {},
            "messages[0].content[0].image_url.url",
        ),
        ([part(type="file", file={})], {}, "messages[0].content[0].file"),
        ([{"role": "tool", "content": "x"}], {}, "messages[0].tool_call_id"),
        (
            [{"role": "system", "content": [{"type": "file", "file": {"file_id": "f"}}]}],
            {},
            "messages[0].content",
        ),
        (
            [{"role": "assistant", "tool_calls": [{"id": "1", "function": {"arguments": "{}"}}]}],
            {},
            "messages[0].tool_calls[0].function.name",
        ),
        (
            [{"role": "assistant", "reasoning_details": ["x"]}],
            {},
            "messages[0].reasoning_details[0]",
        ),
        ([HI], {"tools": [{"type": "function"}]}, "tools[0].function"),
        ([HI], {"tools": {}}, "tools"),
        ([HI], {"tool_choice": "maybe"}, "tool_choice"),
        ([HI], {"tool_choice": {"type": "allowed_tools"}}, "tool_choice.allowed_tools"),
        ([HI], {"stop": ["x", 3]}, "stop[1]"),
        ([HI], {"temperature": "hot"}, "temperature"),
        ([HI], {"n": 1.5}, "n"),
        ([HI], {"reasoning_effort": "huge"}, "reasoning_effort"),
        ([HI], {"response_format": {"type": "xml"}}, "response_format.type"),
        ([HI], {"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ([HI], {"metadata": {"a": 1}}, "metadata.a"),
        ([HI], {"stream": "yes"}, "stream"),
    ],
)
def test_mistakes_are_named_by_path(messages: list[Any], fields: dict[str, Any], path: str) -> None:
    with pytest.raises(BadClientMessage) as caught:
        decode(*messages, **fields)
    assert caught.value.path == path


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"model":"m","model":"n"}', b'{"model":"m"}'])
def test_bodies_that_are_no_requests(body: bytes) -> None:
    with pytest.raises(BadClientMessage):
        CODEC.decode_request(body, RouteHints())
