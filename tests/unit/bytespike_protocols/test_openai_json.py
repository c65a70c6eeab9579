"""OpenAI's demands on JSON are met in both of its dialects, whoever asks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bytespike_protocols import openai_chat, openai_responses
from bytespike_protocols.codec import Codec, Loss, RouteHints
from bytespike_protocols.ir import (
    Dialect,
    Json,
    JsonFormat,
    Request,
    Role,
    Text,
    Tool,
    Turn,
)
from bytespike_protocols.openai_json import JSON_ONLY, fits_strict

CHAT, RESPONSES = openai_chat.CODEC, openai_responses.CODEC
ANY_JSON = JsonFormat()

both = pytest.mark.parametrize("codec", [CHAT, RESPONSES], ids=["chat", "responses"])


def said(words: str, role: Role = "user") -> Turn:
    return Turn(role=role, blocks=(Text(text=words),))


def encode(
    codec: Codec, *turns: Turn, dialect: Dialect = Dialect.GEMINI, system: str = "", **fields: Any
) -> tuple[dict[str, Any], list[Loss]]:
    leading = (Text(text=system),) if system else ()
    request = Request(dialect=dialect, model="m", turns=turns, system=leading, **fields)
    encoded = codec.encode_request(request, model="gpt-5")
    return json.loads(encoded.body), list(encoded.losses)


def test_the_word_in_the_instructions_is_told_in_the_input() -> None:
    body, losses = encode(
        RESPONSES, said("three colours"), system="Answer in JSON.", output=ANY_JSON
    )
    assert "instructions" not in body
    assert body["input"] == [
        {"role": "system", "content": "Answer in JSON."},
        {"role": "user", "content": "three colours"},
    ]
    assert losses == []


@pytest.mark.parametrize(
    ("words", "output"),
    [("as json please", ANY_JSON), ("colours", JsonFormat(schema=Json('{"type":"object"}')))],
    ids=["the user says it", "there is a schema"],
)
def test_else_the_instructions_stay_where_they_are(words: str, output: JsonFormat) -> None:
    body, _ = encode(RESPONSES, said(words), system="Answer in JSON.", output=output)
    assert body["instructions"] == "Answer in JSON."
    assert body["input"] == [{"role": "user", "content": words}]


def test_an_item_of_instructions_of_a_responses_client_stays_an_item() -> None:
    asked = {
        "model": "m",
        "text": {"format": {"type": "json_object"}},
        "input": [
            {"role": "system", "content": "Answer in JSON."},
            {"role": "user", "content": [{"type": "input_text", "text": "red", "new": 1}]},
            {"role": "assistant", "content": "{}", "phase": "commentary"},
            {"role": "user", "content": "blue", "mark": 2},
        ],
    }
    request = RESPONSES.decode_request(json.dumps(asked).encode(), RouteHints())
    written = json.loads(RESPONSES.encode_request(request, model="gpt-5").body)
    assert "instructions" not in written
    assert written["input"] == asked["input"]


@both
def test_where_nobody_says_the_word_it_is_added(codec: Codec) -> None:
    body, losses = encode(codec, said("three colours"), system="Be terse.", output=ANY_JSON)
    items = body["messages" if codec is CHAT else "input"]
    assert {"role": "system", "content": JSON_ONLY} in items
    assert losses == []


@both
def test_it_is_not_added_for_a_client_of_the_same_dialect(codec: Codec) -> None:
    body, _ = encode(codec, said("colours"), dialect=codec.dialect, output=ANY_JSON)
    assert JSON_ONLY not in json.dumps(body)


CLOSED = '{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],%s}'
SHUT = '"additionalProperties":false'


@pytest.mark.parametrize(
    ("schema", "fits"),
    [
        (CLOSED % SHUT, True),
        ('{"type":"object","properties":{},"additionalProperties":false}', True),
        (CLOSED % '"additionalProperties":true', False),
        (CLOSED.replace('["a"]', "[]") % SHUT, False),
        ('{"type":"array","items":{"type":"string"}}', False),
        ("true", False),
        (CLOSED % f'{SHUT},"allOf":[]', False),
        (CLOSED.replace('{"type":"string"}', "{}") % SHUT, False),
        (CLOSED.replace('"string"', '"array"') % SHUT, False),
        (CLOSED.replace('"string"', '["object","null"]') % SHUT, False),
        (CLOSED.replace('{"type":"string"}', '{"anyOf":[{"type":"object"}]}') % SHUT, False),
        (CLOSED % f'{SHUT},"$defs":{{"d":{{"type":"object"}}}}', False),
        (CLOSED.replace('{"type":"string"}', '{"$ref":"#/$defs/d"}') % SHUT, True),
    ],
)
def test_what_strict_mode_takes(schema: str, fits: bool) -> None:
    assert fits_strict(Json(schema)) is fits


@both
@pytest.mark.parametrize(
    ("parameters", "strict"),
    [(CLOSED % SHUT, True), ('{"type":"object","properties":{"a":{"type":"string"}}}', False)],
    ids=["closed", "open"],
)
def test_a_strict_function_with_an_open_schema_is_sent_as_a_loose_one(
    codec: Codec, parameters: str, strict: bool
) -> None:
    tools = (Tool(name="f", parameters=Json(parameters), strict=True),)
    body, losses = encode(codec, said("hi"), dialect=Dialect.ANTHROPIC, tools=tools)
    written = body["tools"][0]
    written = written.get("function", written)
    assert written["strict"] is strict
    assert written["parameters"] == json.loads(parameters)
    assert losses == ([] if strict else [Loss("tools[].strict")])
