"""What one generation of Gemini refuses and the other takes, whoever's the request was."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bytespike_protocols.codec import RouteHints
from bytespike_protocols.gemini import CODEC
from bytespike_protocols.gemini.signature import STAND_IN
from bytespike_protocols.ir import (
    Dialect,
    Json,
    JsonFormat,
    Request,
    Text,
    Tool,
    ToolResult,
    ToolUse,
    Turn,
)

TWO, THREE = "gemini-2.5-flash", "gemini-3-flash"
HELLO = Turn(role="user", blocks=(Text(text="hello"),))
CALL = Turn(role="assistant", blocks=(ToolUse(id="call_1", name="f", arguments=Json("{}")),))
RESULT = Turn(role="user", blocks=(ToolResult(id="call_1", content=(Text(text="done"),)),))


def encode(*turns: Turn, model: str, **fields: Any) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    request = Request(dialect=Dialect.OPENAI_CHAT, model="m", turns=turns, **fields)
    encoded = CODEC.encode_request(request, model=model)
    return json.loads(encoded.body), [(loss.path, loss.verdict) for loss in encoded.losses]


def again(asked: dict[str, Any], model: str) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """A Gemini client's request, written for ``model``."""
    request = CODEC.decode_request(json.dumps(asked).encode(), RouteHints(model="m"))
    encoded = CODEC.encode_request(request, model=model)
    return json.loads(encoded.body), [(loss.path, loss.verdict) for loss in encoded.losses]


def thinking(config: dict[str, Any]) -> dict[str, Any]:
    contents = [{"role": "user", "parts": [{"text": "hi"}]}]
    return {"contents": contents, "generationConfig": {"thinkingConfig": config}}


PREFIX = "generationConfig.thinkingConfig"


@pytest.mark.parametrize(
    ("asked", "model", "said", "losses"),
    [
        (
            {"thinkingBudget": 1024, "includeThoughts": True},
            THREE,
            {"thinkingLevel": "LOW", "includeThoughts": True},
            [(f"{PREFIX}.thinkingBudget", "emulated")],
        ),
        (
            {"thinkingBudget": 0},
            THREE,
            {"thinkingLevel": "MINIMAL"},
            [(f"{PREFIX}.thinkingBudget", "emulated")],
        ),
        ({"thinkingBudget": -1, "includeThoughts": True}, THREE, {"includeThoughts": True}, []),
        ({"thinkingLevel": "HIGH"}, THREE, {"thinkingLevel": "HIGH"}, []),
        ({"thinkingLevel": "LOW"}, TWO, {"thinkingBudget": 1024}, []),
        ({"thinkingBudget": -1}, TWO, {"thinkingBudget": -1}, []),
        ({"thinkingBudget": 2000}, TWO, {"thinkingBudget": 2000}, []),
        ({"thinkingBudget": 0}, TWO, {"thinkingBudget": 0}, []),
    ],
)
def test_a_gemini_clients_measure_is_the_models(
    asked: dict[str, Any], model: str, said: dict[str, Any], losses: list[tuple[str, str]]
) -> None:
    body, lost = again(thinking(asked), model)
    assert body["generationConfig"]["thinkingConfig"] == said
    assert lost == losses


def history(*calls: dict[str, Any]) -> dict[str, Any]:
    answers = [{"functionResponse": {"name": "f", "response": {}}}] * len(calls)
    return {
        "contents": [
            {"role": "user", "parts": [{"text": "hi"}]},
            {"role": "model", "parts": list(calls)},
            {"role": "user", "parts": answers},
        ]
    }


UNSIGNED = {"functionCall": {"name": "f", "args": {}}}


def test_calls_nobody_signed_get_a_stand_in_for_gemini_3() -> None:
    body, _ = again(history(UNSIGNED, UNSIGNED), THREE)
    assert body["contents"][1]["parts"] == [{**UNSIGNED, "thoughtSignature": STAND_IN}, UNSIGNED]


def test_a_signature_stays_what_it_is() -> None:
    signed = {**UNSIGNED, "thoughtSignature": "c2lnbmVk"}
    body, _ = again(history(signed, UNSIGNED), THREE)
    assert body["contents"][1]["parts"] == [signed, UNSIGNED]


def test_gemini_2_needs_no_stand_in() -> None:
    body, _ = again(history(UNSIGNED), TWO)
    assert body["contents"][1]["parts"] == [UNSIGNED]


@pytest.mark.parametrize("model", [TWO, THREE])
def test_somebody_speaks_before_the_models_first_call(model: str) -> None:
    body, losses = encode(CALL, RESULT, model=model)
    roles = [(content["role"], *content["parts"][0]) for content in body["contents"]]
    assert roles[0] == ("user", "text")
    assert [role for role, *_ in roles] == ["user", "model", "user"]
    assert losses == []


def test_nobody_is_put_before_the_user() -> None:
    body, _ = encode(HELLO, CALL, RESULT, model=TWO)
    assert body["contents"][0]["parts"] == [{"text": "hello"}]
    assert len(body["contents"]) == 3


FORMAT = JsonFormat(schema=Json('{"type":"object"}'))
TOOLS = (Tool(name="f", parameters=Json('{"type":"object","properties":{}}')),)


def test_beside_functions_gemini_2_is_told_the_format_in_words() -> None:
    system = (Text(text="be kind"),)
    body, losses = encode(HELLO, model=TWO, output=FORMAT, tools=TOOLS, system=system)
    assert "generationConfig" not in body
    kind, words = (part["text"] for part in body["systemInstruction"]["parts"])
    assert kind == "be kind"
    assert words.endswith('JSON Schema: {"type":"object"}')
    assert losses == [("response_format", "emulated")]


def test_any_json_beside_functions_is_asked_for_in_words() -> None:
    body, losses = encode(HELLO, model=TWO, output=JsonFormat(), tools=TOOLS)
    (part,) = body["systemInstruction"]["parts"]
    assert "JSON object" in part["text"]
    assert "Schema" not in part["text"]
    assert losses == [("response_format", "emulated")]


@pytest.mark.parametrize(("model", "tools"), [(THREE, TOOLS), (TWO, ())])
def test_else_the_format_is_a_setting(model: str, tools: tuple[Tool, ...]) -> None:
    body, losses = encode(HELLO, model=model, output=FORMAT, tools=tools)
    assert body["generationConfig"]["responseMimeType"] == "application/json"
    assert "systemInstruction" not in body
    assert losses == []
