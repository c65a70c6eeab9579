"""The knobs of other dialects in this one, and which of them are lost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bytespike_protocols.ir import (
    CacheControl,
    Dialect,
    Effort,
    Extra,
    Json,
    JsonFormat,
    Reasoning,
    Request,
    Sampling,
    ServerTool,
    Text,
    Tool,
    ToolChoice,
)
from bytespike_protocols.openai_chat import CODEC, COMPATIBLE_CODEC
from tests.support.chat_requests import encode, messages, user


@pytest.mark.parametrize(
    ("fields", "body", "losses"),
    [
        ({"max_output_tokens": 5}, {"max_completion_tokens": 5}, []),
        (
            {"stop_sequences": ("a", "b", "c", "d", "e")},
            {"stop": ["a", "b", "c", "d"]},
            [("stop_sequences", "dropped")],
        ),
        (
            {"sampling": Sampling(temperature=0.5, top_k=3, logprobs=True, seed=1)},
            {"temperature": 0.5, "seed": 1},
            [("top_k", "dropped"), ("logprobs", "dropped")],
        ),
        (
            {"output": JsonFormat(schema=Json('{"type":"object"}'))},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "schema": {"type": "object"}},
                }
            },
            [],
        ),
        ({"reasoning": Reasoning(mode="off")}, {"reasoning_effort": "none"}, []),
        (
            {"reasoning": Reasoning(mode="effort", effort=Effort.XHIGH, show=True)},
            {"reasoning_effort": "xhigh"},
            [("thinking.display", "dropped")],
        ),
        (
            {"reasoning": Reasoning(mode="budget", budget_tokens=8000)},
            {"reasoning_effort": "medium"},
            [("thinking.budget_tokens", "emulated")],
        ),
        (
            {"reasoning": Reasoning(mode="adaptive")},
            {},
            [("thinking.type", "emulated")],
        ),
        (
            {"reasoning": Reasoning(mode="adaptive", effort=Effort.LOW)},
            {"reasoning_effort": "low"},
            [],
        ),
        ({"user": "u"}, {"safety_identifier": "u"}, []),
        ({"metadata": (("a", "b"),)}, {}, [("metadata", "dropped")]),
        ({"service_tier": "standard_only"}, {"service_tier": "default"}, []),
        ({"service_tier": "batch"}, {}, [("service_tier", "dropped")]),
        ({"cache": CacheControl()}, {}, [("cache_control", "emulated")]),
        ({"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}, []),
        (
            {"extras": (Extra(path="context_management", value=Json("{}")),)},
            {},
            [("context_management", "dropped")],
        ),
        ({"tool_choice": ToolChoice(mode="any"), "parallel_tools": False}, {}, []),
        (
            {
                "tools": (
                    ServerTool(dialect=Dialect.ANTHROPIC, kind="web_search", value=Json("{}")),
                )
            },
            {"web_search_options": {}},
            [("tools[]", "emulated")],
        ),
    ],
)
def test_settings(
    fields: dict[str, Any], body: dict[str, Any], losses: list[tuple[str, str]]
) -> None:
    written, lost = encode(user("x"), **fields)
    assert written.pop("messages") == [{"role": "user", "content": "x"}]
    assert written == body
    assert lost == losses


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        (ToolChoice(mode="auto"), "auto"),
        (ToolChoice(mode="any"), "required"),
        (ToolChoice(mode="none"), "none"),
        (
            ToolChoice(mode="named", names=("f",)),
            {"type": "function", "function": {"name": "f"}},
        ),
        (
            ToolChoice(mode="any", names=("f",)),
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [{"type": "function", "function": {"name": "f"}}],
                },
            },
        ),
    ],
)
def test_tool_choices(choice: ToolChoice, written: object) -> None:
    body, _ = encode(user("x"), tools=(Tool(name="f"),), tool_choice=choice, parallel_tools=False)
    assert body["tool_choice"] == written
    assert body["parallel_tool_calls"] is False
    assert body["tools"] == [{"type": "function", "function": {"name": "f"}}]


def test_cache_marks_are_reported_once() -> None:
    marked = Text(text="x", cache=CacheControl(ttl="1h"))
    body, losses = encode(user(marked, marked), system=(marked,))
    assert "cache_control" not in json.dumps(body)
    assert losses == [
        ("system[].cache_control", "emulated"),
        ("messages[].content[].cache_control", "emulated"),
    ]
    _, losses = encode(user("x"), tools=(Tool(name="f", cache=CacheControl()),))
    assert losses == [("tools[].cache_control", "emulated")]


def test_extras_of_a_tool_are_reported() -> None:
    eager = Extra(path="tools[0].eager_input_streaming", value=Json("true"))
    _, losses = encode(user("x"), tools=(Tool(name="f", extras=(eager,)),))
    assert losses == [("tools[].eager_input_streaming", "dropped")]


def test_asking_for_json_says_the_word() -> None:
    output = JsonFormat()
    assert messages(user("x"), output=output)[0] == {"role": "system", "content": "Answer in JSON."}
    assert messages(user("as Json"), output=output)[0]["role"] == "user"


def test_long_user_names_become_digests() -> None:
    body, losses = encode(user("x"), user="u" * 65)
    assert len(body["safety_identifier"]) == 64
    assert losses == [("metadata.user_id", "emulated")]


def test_compatible_vendors_get_the_older_names() -> None:
    body, _ = encode(user("x"), codec=COMPATIBLE_CODEC, max_output_tokens=5, user="u")
    assert (body["max_tokens"], body["user"]) == (5, "u")


def test_schemas_and_arguments_are_not_touched() -> None:
    schema = Json(
        '{"type":"object","properties":{"z":{"maximum":1.50e1},"a":{"enum":["\\u00fc"]}}}'
    )
    encoded = CODEC.encode_request(
        Request(
            dialect=Dialect.ANTHROPIC,
            model="m",
            turns=(user("x"),),
            tools=(Tool(name="f", parameters=schema),),
        ),
        model="m",
    )
    assert schema.encode() in encoded.body
    assert encoded.losses == ()
