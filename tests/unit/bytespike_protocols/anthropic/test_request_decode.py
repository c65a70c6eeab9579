"""What a client says and how it is told what is wrong with it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bytespike_protocols.anthropic import CODEC
from bytespike_protocols.codec import RouteHints
from bytespike_protocols.errors import BadClientMessage
from bytespike_protocols.ir import (
    Base64,
    CacheControl,
    Dialect,
    Document,
    Effort,
    Extra,
    Foreign,
    Image,
    Inline,
    Json,
    JsonFormat,
    Opaque,
    Reasoning,
    RedactedThinking,
    Request,
    ServerTool,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    Url,
)


def decode(**fields: Any) -> Request:
    body = {"model": "m", "max_tokens": 9, "messages": [], **fields}
    return CODEC.decode_request(json.dumps(body).encode(), RouteHints())


def decode_content(*blocks: Any, role: str = "user") -> Any:
    return decode(messages=[{"role": role, "content": list(blocks)}]).turns[0].blocks


@pytest.mark.parametrize(
    ("block", "meant"),
    [
        (
            {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            Text(text="a", cache=CacheControl(ttl="1h")),
        ),
        (
            {"type": "image", "source": {"type": "url", "url": "https://x/y"}},
            Image(source=Url(url="https://x/y")),
        ),
        (
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "words"},
                "title": "t",
                "citations": {"enabled": True},
            },
            Document(source=Inline(text="words"), title="t", citations=True),
        ),
        (
            {
                "type": "document",
                "source": {"type": "content", "content": [{"type": "text", "text": "w"}]},
            },
            Document(source=Inline(blocks=(Text(text="w"),))),
        ),
        (
            {"type": "tool_result", "tool_use_id": "t1", "content": "ok", "is_error": True},
            ToolResult(id="t1", content=(Text(text="ok"),), is_error=True),
        ),
        (
            {"type": "container_upload", "file_id": "f"},
            Foreign(
                dialect=Dialect.ANTHROPIC,
                kind="container_upload",
                value=Json('{"type": "container_upload", "file_id": "f"}'),
            ),
        ),
    ],
)
def test_blocks(block: Any, meant: object) -> None:
    assert decode_content(block) == (meant,)


def test_arguments_stay_the_text_they_were() -> None:
    body = (
        b'{"model":"m","max_tokens":1,"messages":[{"role":"assistant","content":['
        b'{"type":"tool_use","id":"t","name":"n","input":{"b": 1.0,  "a":"\\u00e9"}}]}]}'
    )
    (block,) = CODEC.decode_request(body, RouteHints()).turns[0].blocks
    assert block == ToolUse(id="t", name="n", arguments=Json('{"b": 1.0,  "a":"\\u00e9"}'))


@pytest.mark.parametrize(
    ("fields", "meant"),
    [
        (
            {"thinking": {"type": "enabled", "budget_tokens": 2000}},
            Reasoning(mode="budget", budget_tokens=2000),
        ),
        (
            {
                "thinking": {"type": "adaptive", "display": "omitted"},
                "output_config": {"effort": "xhigh"},
            },
            Reasoning(mode="adaptive", effort=Effort.XHIGH, show=False),
        ),
        ({"thinking": {"type": "disabled"}}, Reasoning(mode="off")),
        ({"output_config": {"effort": "low"}}, Reasoning(mode="effort", effort=Effort.LOW)),
        ({}, None),
    ],
)
def test_reasoning(fields: dict[str, Any], meant: Reasoning | None) -> None:
    assert decode(**fields).reasoning == meant


def test_knobs() -> None:
    request = decode(
        tools=[
            {"name": "f", "input_schema": {"type": "object"}, "strict": True},
            {"type": "web_search_20250305", "name": "web_search"},
            {"type": "computer_20251124", "name": "computer"},
        ],
        tool_choice={"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}},
        metadata={"user_id": "u"},
        stop_sequences=["x"],
        stream=True,
    )
    assert request.tools[0] == Tool(name="f", parameters=Json('{"type": "object"}'), strict=True)
    assert [tool.kind for tool in request.tools if isinstance(tool, ServerTool)] == [
        "web_search",
        "computer_20251124",
    ]
    assert request.tool_choice == ToolChoice(mode="named", names=("f",))
    assert request.parallel_tools is False
    assert request.output == JsonFormat(schema=Json('{"type": "object"}'))
    assert (request.user, request.stop_sequences, request.stream) == ("u", ("x",), True)


def test_what_has_no_field_is_an_extra_and_comes_out_in_its_place() -> None:
    request = decode(
        messages=[
            {
                "role": "user",
                "content": [{"type": "text", "text": "hi", "new": 1}],
                "odd.name": True,
            }
        ],
        thinking={"type": "between_tools"},
        metadata={"user_id": "u", "team": "t"},
        tools=[{"name": "f", "input_schema": {"type": "object"}, "defer_loading": True}],
        container="c",
    )
    assert {extra.path for extra in request.extras} == {
        "messages[0].content[0].new",
        'messages[0]["odd.name"]',
        "thinking",
        "metadata.team",
        "container",
    }
    tool = request.tools[0]
    assert isinstance(tool, Tool)
    assert tool.extras == (Extra(path="tools[0].defer_loading", value=Json("true")),)
    body = json.loads(CODEC.encode_request(request, model="m").body)
    assert body["messages"][0]["odd.name"] is True
    assert body["messages"][0]["content"][0]["new"] == 1
    assert body["metadata"] == {"user_id": "u", "team": "t"}
    assert body["thinking"] == {"type": "between_tools"}
    assert body["tools"][0]["defer_loading"] is True
    assert body["container"] == "c"


def test_state_in_custody_returns_to_where_it_belongs() -> None:
    google = "bsp1.gemini.gemini-3.for-call.t1.c2ln"
    text = "bsp1.gemini.gemini-3.for-text..dHh0"
    blocks = decode_content(
        {"type": "thinking", "thinking": "own", "signature": "ours=="},
        {"type": "redacted_thinking", "data": "bsp1.openai_responses.o9.blob"},
        {"type": "text", "text": "hi"},
        {"type": "thinking", "thinking": "", "signature": text},
        {"type": "thinking", "thinking": "", "signature": google},
        {"type": "tool_use", "id": "t1", "name": "f", "input": {}},
        {"type": "tool_use", "id": "t2", "name": "f", "input": {}},
        role="assistant",
    )

    def of_google(payload: str) -> Opaque:
        return Opaque(issuer=Dialect.GEMINI, payload=payload, model="gemini-3")

    assert blocks == (
        Thinking(text="own", opaque=Opaque(issuer=Dialect.ANTHROPIC, payload="ours==")),
        RedactedThinking(
            opaque=Opaque(issuer=Dialect.OPENAI_RESPONSES, payload="blob", model="o9")
        ),
        Text(text="hi", opaque=of_google("dHh0")),
        ToolUse(id="t1", name="f", arguments=Json("{}"), opaque=of_google("c2ln")),
        ToolUse(id="t2", name="f", arguments=Json("{}")),
    )


IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png"}}


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"messages": None}, "messages"),
        ({"messages": {}}, "messages"),
        ({"messages": [3]}, "messages[0]"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]},
            "messages[0].content[0].text",
        ),
        ({"messages": [{"role": "user", "content": [{}]}]}, "messages[0].content[0].type"),
        (
            {"messages": [{"role": "user", "content": [IMAGE]}]},
            "messages[0].content[0].source.data",
        ),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"stop_sequences": "x"}, "stop_sequences"),
        ({"tools": [{"input_schema": {}}]}, "tools[0].name"),
        ({"tool_choice": {"type": "maybe"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"system": [{"type": "image"}]}, "system[0].source"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type"),
        ({"model": 3}, "model"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], path: str) -> None:
    with pytest.raises(BadClientMessage) as caught:
        decode(**fields)
    assert caught.value.path == path


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"a":1,"a":2}', b'{"model":"\xff"}'])
def test_what_is_no_object_at_all_is_wrong_as_a_whole(body: bytes) -> None:
    with pytest.raises(BadClientMessage) as caught:
        CODEC.decode_request(body, RouteHints())
    assert caught.value.path == ""


def test_base64_is_carried_as_it_came() -> None:
    image = {**IMAGE, "source": {**IMAGE["source"], "data": "AA=="}}  # type: ignore[dict-item]
    assert decode_content(image) == (Image(source=Base64(media_type="image/png", data="AA==")),)
