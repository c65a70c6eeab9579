"""Knobs and tools of other dialects as Anthropic takes them, with what is lost on the way."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from bytespike_protocols.codec import Loss
from bytespike_protocols.errors import BadClientMessage, Unrepresentable
from bytespike_protocols.ir import (
    CacheControl,
    Dialect,
    Effort,
    Extra,
    Json,
    JsonFormat,
    Reasoning,
    Sampling,
    ServerTool,
    Text,
    Thinking,
    Tool,
    ToolChoice,
)
from tests.support.anthropic_requests import (
    ANTHROPIC,
    MIDDLE,
    NEW,
    OLD,
    call,
    encode,
    result,
    said,
    text,
)

OBJECT = Json('{"type":"object"}')


def test_the_least_there_can_be() -> None:
    body, losses = encode()
    assert body == {
        "model": OLD,
        "max_tokens": 9000,
        "messages": [{"role": "user", "content": [text("hi")]}],
    }
    assert losses == []


@pytest.mark.parametrize(
    ("model", "asked", "sent", "lost"),
    [
        (OLD, Reasoning(mode="off"), {"thinking": {"type": "disabled"}}, []),
        ("claude-3-5-haiku-20241022", Reasoning(mode="off"), {}, []),
        (
            "claude-3-5-haiku-20241022",
            Reasoning(mode="effort", effort=Effort.HIGH),
            {},
            [Loss("reasoning_effort")],
        ),
        (
            OLD,
            Reasoning(mode="effort", effort=Effort.MEDIUM),
            {"thinking": {"type": "enabled", "budget_tokens": 8192}},
            [Loss("reasoning_effort", "emulated")],
        ),
        (
            OLD,
            Reasoning(mode="budget", budget_tokens=20000, show=True),
            {"thinking": {"type": "enabled", "budget_tokens": 8999, "display": "summarized"}},
            [Loss("reasoning_effort", "emulated")],
        ),
        (
            NEW,
            Reasoning(mode="effort", effort=Effort.XHIGH),
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}},
            [],
        ),
        (
            MIDDLE,
            Reasoning(mode="effort", effort=Effort.XHIGH),
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
            [Loss("reasoning_effort", "emulated")],
        ),
        (
            NEW,
            Reasoning(mode="effort", effort=Effort.MINIMAL),
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
            [Loss("reasoning_effort", "emulated")],
        ),
        (
            NEW,
            Reasoning(mode="budget", budget_tokens=10000),
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
            [Loss("reasoning_effort", "emulated")],
        ),
        (NEW, Reasoning(mode="effort", effort=Effort.NONE), {"thinking": {"type": "disabled"}}, []),
    ],
)
def test_how_hard_to_think(
    model: str, asked: Reasoning, sent: dict[str, Any], lost: list[Loss]
) -> None:
    body, losses = encode(model=model, reasoning=asked)
    assert {key: body[key] for key in ("thinking", "output_config") if key in body} == sent
    assert losses == lost


def test_manual_thinking_is_off_where_the_vendor_would_refuse_it() -> None:
    asked = Reasoning(mode="budget", budget_tokens=2000)
    loop = (said("user", "go"), said("assistant", call("c")), said("user", result("c")))
    for fields in (
        {"turns": loop},
        {"tools": (Tool(name="f"),), "tool_choice": ToolChoice(mode="any")},
        {"max_output_tokens": 1024},
    ):
        body, losses = encode(reasoning=asked, **fields)
        assert "thinking" not in body
        assert losses == [Loss("reasoning_effort")]
    kept = said("assistant", Thinking(text="", opaque=ANTHROPIC), call("c"))
    body, losses = encode(loop[0], kept, loop[2], reasoning=asked)
    assert body["thinking"]["budget_tokens"] == 2000
    assert losses == []


THINK = Reasoning(mode="budget", budget_tokens=2000)


@pytest.mark.parametrize(
    ("model", "sampling", "reasoning", "sent", "lost"),
    [
        (OLD, {"temperature": 0.5, "top_k": 3}, None, {"temperature": 0.5, "top_k": 3}, []),
        (
            OLD,
            {"temperature": 1.7},
            None,
            {"temperature": 1.0},
            [Loss("temperature", "emulated")],
        ),
        (
            OLD,
            {"temperature": 0.5, "top_p": 0.9},
            None,
            {"temperature": 0.5},
            [Loss("top_p")],
        ),
        (
            NEW,
            {"temperature": 1.0, "top_p": 1.0},
            None,
            {},
            [Loss("temperature"), Loss("top_p")],
        ),
        (
            OLD,
            {"temperature": 0.2, "top_p": 0.96, "top_k": 5},
            THINK,
            {"top_p": 0.96},
            [Loss("top_k"), Loss("temperature")],
        ),
        (
            OLD,
            {"seed": 1, "presence_penalty": 0.0, "frequency_penalty": 1.0, "logprobs": True},
            None,
            {},
            [
                Loss("seed"),
                Loss("frequency_penalty"),
                Loss("logprobs"),
            ],
        ),
    ],
)
def test_sampling(
    model: str,
    sampling: dict[str, Any],
    reasoning: Reasoning | None,
    sent: dict[str, Any],
    lost: list[Loss],
) -> None:
    body, losses = encode(model=model, sampling=Sampling(**sampling), reasoning=reasoning)
    assert {key: body[key] for key in ("temperature", "top_p", "top_k") if key in body} == sent
    assert losses == lost


@pytest.mark.parametrize(
    ("fields", "sent", "lost"),
    [
        ({"stop_sequences": ("END", " ")}, {"stop_sequences": ["END"]}, [Loss("stop")]),
        ({"user": "u-1"}, {"metadata": {"user_id": "u-1"}}, []),
        ({"metadata": (("team", "x"),)}, {}, [Loss("metadata")]),
        ({"service_tier": "default"}, {"service_tier": "standard_only"}, []),
        ({"service_tier": "flex"}, {}, [Loss("service_tier")]),
        ({"stream": True}, {"stream": True}, []),
        (
            {"extras": (Extra(path="prediction", value=Json("{}")),)},
            {},
            [Loss("prediction")],
        ),
        ({"cache": CacheControl()}, {"cache_control": {"type": "ephemeral"}}, []),
    ],
)
def test_plain_fields(fields: dict[str, Any], sent: dict[str, Any], lost: list[Loss]) -> None:
    body, losses = encode(**fields)
    for known in ("model", "max_tokens", "messages"):
        del body[known]
    assert body == sent
    assert losses == lost


@pytest.mark.parametrize(
    ("choice", "parallel", "sent"),
    [
        (ToolChoice(mode="auto"), None, {"type": "auto"}),
        (ToolChoice(mode="any"), None, {"type": "any"}),
        (ToolChoice(mode="none"), False, {"type": "none"}),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (None, True, None),
    ],
)
def test_tool_choice(
    choice: ToolChoice | None, parallel: bool | None, sent: dict[str, Any] | None
) -> None:
    body, losses = encode(tools=(Tool(name="f"),), tool_choice=choice, parallel_tools=parallel)
    assert body.get("tool_choice") == sent
    assert losses == []


def test_a_choice_among_some_tools_leaves_the_others_out() -> None:
    body, losses = encode(
        tools=(Tool(name="f"), Tool(name="g")), tool_choice=ToolChoice(mode="any", names=("g",))
    )
    assert [tool["name"] for tool in body["tools"]] == ["g"]
    assert losses == [Loss("tool_choice.allowed_tools.tools", "emulated")]


@pytest.mark.parametrize(
    ("schema", "sent", "changed"),
    [
        (None, {"type": "object", "properties": {}}, False),
        ('{"type":"object","x":1}', {"type": "object", "x": 1}, False),
        ('{"properties":{}}', {"type": "object", "properties": {}}, False),
        (
            '{"$ref":"#/$defs/A","$defs":{"A":{"type":"object","title":"A"}}}',
            {"type": "object", "title": "A", "$defs": {"A": {"type": "object", "title": "A"}}},
            False,
        ),
        (
            '{"type":"object","anyOf":[{"required":["a"]}]}',
            {"type": "object"},
            True,
        ),
    ],
)
def test_parameters(schema: str | None, sent: dict[str, Any], changed: bool) -> None:
    parameters = None if schema is None else Json(schema)
    body, losses = encode(tools=(Tool(name="f", parameters=parameters),))
    assert body["tools"][0]["input_schema"] == sent
    assert losses == ([Loss("tools[].function.parameters", "emulated")] if changed else [])


@pytest.mark.parametrize("schema", ["true", '{"anyOf":[]}', '{"type":"string"}', '{"$ref":"#/x"}'])
def test_parameters_that_are_no_object(schema: str) -> None:
    with pytest.raises(Unrepresentable):
        encode(tools=(Tool(name="f", parameters=Json(schema)),))


def test_strict_tools_up_to_the_limit() -> None:
    tools = tuple(Tool(name=f"f{i}", parameters=OBJECT, strict=True) for i in range(22))
    body, losses = encode(tools=tools)
    assert sum(tool.get("strict", False) for tool in body["tools"]) == 20
    assert losses == [Loss("tools[].function.strict")]


def test_web_search_is_mapped_and_other_server_tools_are_not() -> None:
    search = ServerTool(dialect=Dialect.GEMINI, kind="web_search", value=Json("{}"))
    body, losses = encode(tools=(search,))
    assert body["tools"] == [{"type": "web_search_20250305", "name": "web_search"}]
    assert losses == [Loss("web_search_options", "emulated")]
    with pytest.raises(Unrepresentable):
        encode(tools=(replace(search, kind="codeExecution"),))


CLOSED = '{"type":"object","properties":{"a":{"type":"integer"}},"additionalProperties":false}'


def test_structured_output() -> None:
    body, losses = encode(output=JsonFormat(schema=Json(CLOSED), name="label", strict=True))
    assert body["output_config"] == {
        "format": {"type": "json_schema", "schema": json.loads(CLOSED)}
    }
    assert losses == []
    loose = '{"type":"object","properties":{"a":{"type":"integer","minimum":1}}}'
    body, losses = encode(output=JsonFormat(schema=Json(loose)))
    assert body["output_config"]["format"]["schema"] == {
        "type": "object",
        "properties": {"a": {"type": "integer", "description": '{"minimum":1}'}},
        "additionalProperties": False,
    }
    assert losses == [Loss("response_format.json_schema.schema", "emulated")]
    body, losses = encode(output=JsonFormat())
    assert "JSON" in body["system"][0]["text"]
    assert losses == [Loss("response_format", "emulated")]


def test_no_more_than_four_cache_breakpoints() -> None:
    cache = CacheControl(ttl="5m")
    body, losses = encode(
        said("user", *(Text(text=str(i), cache=cache) for i in range(3))),
        system=(Text(text="s", cache=cache),),
        tools=(Tool(name="f", cache=cache),),
    )
    assert "cache_control" not in body["tools"][0]
    assert body["system"][0]["cache_control"] == {"type": "ephemeral", "ttl": "5m"}
    assert all("cache_control" in block for block in body["messages"][0]["content"])
    assert losses == [Loss("tools[].cache_control")]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"candidates": 2}, "n"),
        ({"max_output_tokens": None}, "max_completion_tokens"),
        ({"turns": ()}, "messages"),
        ({"tool_choice": ToolChoice(mode="any")}, "tool_choice"),
        (
            {"tools": (Tool(name="f"),), "tool_choice": ToolChoice(mode="any", names=("g",))},
            "tool_choice",
        ),
        (
            {"turns": (said("assistant", call("c", arguments="{")), said("user", result("c")))},
            "messages[].tool_calls[].function.arguments",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused(fields: dict[str, Any], path: str) -> None:
    with pytest.raises(BadClientMessage) as caught:
        encode(**fields)
    assert caught.value.path == path
