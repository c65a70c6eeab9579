"""Gemini refuses in Google's words, with what its clients look for in an error."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from google.genai import errors
from google.genai.client import AsyncClient

from tests.unit.bytespike_cli.simulator.test_gemini import (
    ANY,
    ARRAY,
    ASKED,
    CALL,
    RESPONSE,
    SCHEMA,
    USER,
    post,
    refusal,
)

DECLARED: dict[str, Any] = {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}


def declared(**parameters: Any) -> dict[str, Any]:
    function = {"name": "f", "parameters": {**DECLARED, **parameters}}
    return {"tools": [{"functionDeclarations": [function]}]}


def answering(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"contents": [USER, CALL, {"role": "user", "parts": list(parts)}]}


GIVEN: Any = RESPONSE["parts"][0]
PARAMETERS = "tools[0].function_declarations[0].parameters"
#: Name -> what is changed, a piece of the message.
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no contents": (
        {"contents": []},
        "* GenerateContentRequest.contents: contents is not specified",
    ),
    "unknown field": (
        {"max_tokens": 3},
        'Invalid JSON payload received. Unknown name "max_tokens": Cannot find field.',
    ),
    "unknown nested field": (
        {"generationConfig": {"maxTokens": 3}},
        "Unknown name \"maxTokens\" at 'generation_config': Cannot find field.",
    ),
    "type": (
        {"generationConfig": {"temperature": "hot"}},
        "Invalid value at 'generation_config.temperature' (TYPE_FLOAT), \"hot\"",
    ),
    "hot": ({"generationConfig": {"temperature": 2.5}}, "in the range [0.0, 2.0]"),
    "role": (
        {"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]},
        "Please use a valid role: user, model.",
    ),
    "no parts": (
        {"contents": [{"role": "user", "parts": []}]},
        "* GenerateContentRequest.contents[0].parts: contents.parts must not be empty.",
    ),
    "empty part": (
        {"contents": [{"parts": [{}]}]},
        "contents[0].parts[0].data: required oneof field 'data' must have one",
    ),
    "two kinds in a part": (
        {"contents": [{"parts": [{"text": "x", "inlineData": {}}]}]},
        "oneof field 'data' is already set. Cannot set 'inlineData'",
    ),
    "six stops": (
        {"generationConfig": {"stopSequences": list("abcdef")}},
        "at most 5 stop sequences",
    ),
    "function name": (
        {"tools": [{"functionDeclarations": [{"name": "9a"}]}]},
        "Invalid function name. Must start with a letter or an underscore.",
    ),
    **{
        f"schema {name}": (
            declared(**{name: False}),
            f"Unknown name \"{name}\" at '{PARAMETERS}': Cannot find field.",
        )
        for name in ("additionalProperties", "$schema", "const", "oneOf", "exclusiveMinimum")
    },
    "two types": (
        declared(type=["OBJECT", "NULL"]),
        f"Invalid value at '{PARAMETERS}.type' (type.googleapis.com/",
    ),
    "properties as a list": (declared(properties=[]), f"Invalid value at '{PARAMETERS}.properties"),
    "required of nothing": (
        declared(required=["b"]),
        f"{PARAMETERS}.required[0]: property is not defined",
    ),
    "mode": (
        {"toolConfig": {"functionCallingConfig": {"mode": "SOME"}}},
        "Invalid value at 'tool_config.function_calling_config.mode'",
    ),
    "forced without tools": ({"toolConfig": ANY}, "without function_declarations"),
    "schema without mime": (
        {"generationConfig": {"responseSchema": SCHEMA}},
        "only allowed when response_mime_type is application/json",
    ),
    "level on 2.5": (
        {"generationConfig": {"thinkingConfig": {"thinkingLevel": "LOW"}}},
        "Thinking level is not supported for this model.",
    ),
    "call without response": (
        {"contents": [USER, CALL]},
        "Please ensure that the number of function response parts is equal to the number of",
    ),
    "too many responses": (
        answering(GIVEN, GIVEN),
        "Please ensure that the number of function response parts is equal to the number of",
    ),
    "image beside a response": (
        answering(GIVEN, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}),
        "Please ensure that the number of function response parts is equal to the number of",
    ),
    "another name": (
        answering({"functionResponse": {"name": "other", "response": {}}}),
        "Please ensure that the name of each function response matches",
    ),
    "response first": (
        {"contents": [RESPONSE]},
        "Please ensure that function response turn comes immediately after a function call turn.",
    ),
    "call first": (
        {"contents": [CALL, RESPONSE]},
        "Please ensure that function call turn comes immediately after a user turn",
    ),
    "response no object": (
        answering({"functionResponse": {"name": "get_time", "response": "noon"}}),
        "Invalid value at 'contents[2].parts[0].function_response.response'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_bad_requests_are_refused_in_googles_words(
    gemini_http: aiohttp.ClientSession, name: str
) -> None:
    change, words = REFUSED[name]
    status, error = await refusal(gemini_http, "gemini-2.5-flash", {"contents": [USER], **change})
    assert (status, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")
    assert words in error["message"]


async def test_keys(gemini_http: aiohttp.ClientSession, simulator_url: str) -> None:
    path = "/v1/models/gemini-2.0-flash%3AgenerateContent"
    body = ASKED["text"][0]
    async with aiohttp.ClientSession(base_url=simulator_url) as bare:
        for query, headers, status in (
            ("?key=abc", {}, 200),
            ("", {}, 403),
            ("", {"authorization": "Bearer abc"}, 401),
            ("", {"x-goog-api-key": "sk-sim-bad"}, 400),
        ):
            async with bare.post(path + query, json=body, headers=headers) as response:
                assert response.status == status
                got = await response.json()
    assert got["error"]["details"][0]["reason"] == "API_KEY_INVALID"


@pytest.mark.parametrize(
    ("faults", "raised", "word"),
    [
        ("status=400", errors.ClientError, "INVALID_ARGUMENT"),
        ("status=403", errors.ClientError, "PERMISSION_DENIED"),
        ("status=429,retry-after=7", errors.ClientError, "RESOURCE_EXHAUSTED"),
        ("status=500", errors.ServerError, "INTERNAL"),
        ("status=503", errors.ServerError, "UNAVAILABLE"),
        ("error-event-after=2", errors.APIError, "UNAVAILABLE"),
    ],
)
async def test_errors_raise_the_sdks_classes(
    gemini_sdk: AsyncClient, faults: str, raised: type[errors.APIError], word: str
) -> None:
    model = f"gemini-2.5-flash+{faults}"

    async def stream() -> None:
        async for _ in await gemini_sdk.models.generate_content_stream(model=model, contents="x"):
            pass

    with pytest.raises(raised) as caught:
        await stream()
    assert caught.value.status == word
    if "event" not in faults:
        with pytest.raises(raised):
            await gemini_sdk.models.generate_content(model=model, contents="x")


async def test_the_wait_of_a_429_is_in_the_body(gemini_http: aiohttp.ClientSession) -> None:
    headers = {"x-simulator-fault": "status=429,retry-after=7"}
    path = f"/v1beta/models/gemini-2.5-flash:{ARRAY}"
    async with gemini_http.post(path, json=ASKED["text"][0], headers=headers) as response:
        assert "retry-after" not in response.headers
        (element,) = await response.json()
    assert {
        "@type": "type.googleapis.com/google.rpc.RetryInfo",
        "retryDelay": "7s",
    } in element["error"]["details"]


async def test_an_unknown_model_or_verb_is_a_404(gemini_http: aiohttp.ClientSession) -> None:
    body = ASKED["text"][0]
    status, error = await refusal(gemini_http, "gemini-nonexistent", body)
    assert (status, error["status"]) == (404, "NOT_FOUND")
    assert error["message"].startswith(
        "models/gemini-nonexistent is not found for API version v1beta, or is not supported for"
        " generateContent."
    )
    status, _ = await post(gemini_http, "gemini-2.5-flash", body, verb="embedContent")
    assert status == 404
