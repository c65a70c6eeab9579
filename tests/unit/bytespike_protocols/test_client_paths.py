"""Canonical names as the client's paths, beyond what the loss policy tries."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from bytespike_protocols.client_paths import client_path
from bytespike_protocols.codec import Loss
from bytespike_protocols.errors import Unrepresentable
from bytespike_protocols.ir import Dialect, Extra, Json, Request, Text, Tool, Turn
from bytespike_protocols.leftovers import placeless
from tests.support.loss_policy.reality import CODECS, translate

HELLO = Turn(role="user", blocks=(Text(text="hi"),))


def asking(dialect: Dialect, **fields: Any) -> Request:
    return Request(dialect=dialect, model="m", turns=(HELLO,), **fields)


@pytest.mark.parametrize(
    ("dialect", "path", "told"),
    [
        (Dialect.ANTHROPIC, "turns[0].blocks[0].opaque", "messages[0].content[].signature"),
        (Dialect.ANTHROPIC, "tools[0].parameters.oneOf", "tools[0].input_schema.oneOf"),
        (Dialect.ANTHROPIC, "system[2].cache", "system[].cache_control"),
        (Dialect.OPENAI_CHAT, "turns", "messages"),
        (Dialect.OPENAI_CHAT, "tools[0].strict", "tools[0].function.strict"),
        (Dialect.OPENAI_RESPONSES, "sampling.top_p", "top_p"),
        (Dialect.OPENAI_RESPONSES, "output.schema.anyOf", "text.format.schema.anyOf"),
        (Dialect.GEMINI, "turns[0]", "contents[0]"),
        (
            Dialect.GEMINI,
            "tools[0].parameters",
            "tools[].functionDeclarations[].parametersJsonSchema",
        ),
        (Dialect.GEMINI, "never_heard_of", "never_heard_of"),
    ],
)
def test_a_path(dialect: Dialect, path: str, told: str) -> None:
    assert client_path(asking(dialect, tools=(Tool(name="f"),)), path) == told


def test_an_extra_is_the_clients_already() -> None:
    request = asking(Dialect.OPENAI_CHAT, extras=(Extra(path="user", value=Json('"u"')),))
    assert client_path(request, "user") == "user"
    assert client_path(asking(Dialect.OPENAI_CHAT), "user") == "safety_identifier"


def test_places_are_left_out() -> None:
    assert placeless('a[0].b[12]["c[1"]') == 'a[].b[]["c[1"]'


def test_a_field_is_told_once_however_often_it_is_used() -> None:
    marked = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}
    body = {
        "model": "m",
        "max_tokens": 5,
        "messages": [{"role": "user", "content": [marked, marked]}] * 3,
    }
    encoded = translate(Dialect.ANTHROPIC, CODECS[Dialect.GEMINI], body)
    assert encoded.losses == (Loss("messages[].content[].cache_control"),)


@pytest.mark.parametrize("upstream", [d for d in Dialect if d is not Dialect.OPENAI_RESPONSES])
def test_a_conversation_kept_elsewhere_is_refused(upstream: Dialect) -> None:
    body = {"model": "m", "max_output_tokens": 5, "input": "hi", "previous_response_id": "resp_1"}
    with pytest.raises(Unrepresentable) as caught:
        translate(Dialect.OPENAI_RESPONSES, CODECS[upstream], body)
    assert caught.value.path == "previous_response_id"


def test_the_same_dialect_keeps_what_others_refuse() -> None:
    body = {"model": "m", "input": "hi", "previous_response_id": "resp_1"}
    kept = translate(Dialect.OPENAI_RESPONSES, CODECS[Dialect.OPENAI_RESPONSES], body)
    assert json.loads(kept.body)["previous_response_id"] == "resp_1"
    assert kept.losses == ()


def test_losses_that_lose_nothing_are_judged_one_by_one() -> None:
    parts = [{"text": "a", "thought": False}, {"text": "b", "thought": False}]
    body = {
        "contents": [{"role": "user", "parts": parts}],
        "systemInstruction": {"role": "system", "parts": [{"text": "c"}]},
        "store": True,
    }
    encoded = translate(Dialect.GEMINI, CODECS[Dialect.OPENAI_CHAT], body)
    assert encoded.losses == (Loss("store"),)


def test_tools_the_model_may_use_reach_responses_and_come_back() -> None:
    body = {
        "model": "m",
        "input": "hi",
        "tools": [{"type": "function", "name": name} for name in "fg"],
        "tool_choice": {
            "type": "allowed_tools",
            "mode": "auto",
            "tools": [{"type": "function", "name": "f"}],
        },
    }
    own = translate(Dialect.OPENAI_RESPONSES, CODECS[Dialect.OPENAI_RESPONSES], body)
    assert json.loads(own.body)["tool_choice"] == body["tool_choice"]
    chat = translate(Dialect.OPENAI_RESPONSES, CODECS[Dialect.OPENAI_CHAT], body)
    assert json.loads(chat.body)["tool_choice"]["allowed_tools"]["mode"] == "auto"
    assert chat.losses == ()


def test_the_work_is_in_proportion_to_the_body() -> None:
    """Twice as many unknown fields and unsayable ones are twice the work, not four times."""

    def comparisons(count: int) -> int:
        marked = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}
        body: dict[str, Any] = {f"field_{index}": 1 for index in range(count)}
        body |= {"model": "m", "max_tokens": 5}
        body["messages"] = [{"role": "user", "content": [marked] * count}]
        calls = 0

        def count_calls(_frame: Any, event: str, _what: Any) -> None:
            nonlocal calls
            calls += event in {"call", "c_call"}

        sys.setprofile(count_calls)
        try:
            translate(Dialect.ANTHROPIC, CODECS[Dialect.GEMINI], body)
        finally:
            sys.setprofile(None)
        return calls

    assert comparisons(400) < 2.5 * comparisons(200)
