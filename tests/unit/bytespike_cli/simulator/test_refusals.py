"""Bad requests get the vendor's status, type and path."""

from __future__ import annotations

import io
import json
from typing import Any

import aiohttp
import pytest

GOOD: dict[str, Any] = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "Hi"}],
}
TOOL = {"name": "t", "input_schema": {"type": "object"}}
CACHED = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}


def _call(id_: str) -> dict[str, Any]:
    block = {"type": "tool_use", "id": id_, "name": "t", "input": {}}
    return {"role": "assistant", "content": [block]}


def _result(id_: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": id_}]}


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no max_tokens": ({"max_tokens": None}, "max_tokens: "),
    "no messages": ({"messages": []}, "messages: "),
    "max_tokens zero": ({"max_tokens": 0}, "max_tokens: "),
    "max_tokens text": ({"max_tokens": "64"}, "max_tokens: "),
    "stream number": ({"stream": 1}, "stream: "),
    "role": ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role: "),
    "no content": ({"messages": [{"role": "user"}]}, "messages.0.content: Field required"),
    "blank text": (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": " "}]}]},
        "messages.0.content.0: text",
    ),
    "no text": (
        {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
        "messages.0.content.0.text.text: Field required",
    ),
    "unknown field": ({"maxtokens": 3}, "maxtokens: Extra inputs are not permitted"),
    "hot": ({"temperature": 1.5}, "temperature: "),
    "tool schema": ({"tools": [{"name": "t"}]}, "tools.0.custom.input_schema: Field required"),
    "tool schema type": (
        {"tools": [{"name": "t", "input_schema": {"$ref": "x"}}]},
        "tools.0.custom.input_schema.type: Field required",
    ),
    "tool name": ({"tools": [{**TOOL, "name": "a b"}]}, "tools.0.name: "),
    "choice without tools": ({"tool_choice": {"type": "any"}}, "tool_choice: "),
    "choice of no tool": (
        {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "u"}},
        "tool_choice.name: ",
    ),
    "unanswered call": (
        {"messages": [GOOD["messages"][0], _call("a"), {"role": "user", "content": "so?"}]},
        "messages.2: tool_use without",
    ),
    "stray result": ({"messages": [_result("a")]}, "messages.0: tool_result without"),
    "call id": (
        {"messages": [_call("a b"), _result("a b")]},
        "messages.0.content.0.tool_use.id: ",
    ),
    "small budget": (
        {"thinking": {"type": "enabled", "budget_tokens": 12}},
        "thinking.budget_tokens: ",
    ),
    "budget above max_tokens": (
        {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        "max_tokens: ",
    ),
    "five breakpoints": (
        {"messages": [{"role": "user", "content": [CACHED] * 5}]},
        "A maximum of 4 blocks",
    ),
}


async def _post(
    http: aiohttp.ClientSession, body: object, **headers: str
) -> tuple[int, dict[str, Any]]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with http.post("/v1/messages", data=io.BytesIO(data), headers=headers) as response:
        answer = await response.json()
        assert answer["type"] == "error"
        assert answer["request_id"] == response.headers["request-id"]
        return response.status, answer["error"]


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_field_is_a_400_naming_its_path(http: aiohttp.ClientSession, name: str) -> None:
    change, begins = BAD[name]
    body = {key: value for key, value in {**GOOD, **change}.items() if value is not None}
    status, error = await _post(http, body)
    assert (status, error["type"]) == (400, "invalid_request_error")
    assert error["message"].startswith(begins)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff"])
async def test_a_body_that_is_no_object_is_a_400(http: aiohttp.ClientSession, body: bytes) -> None:
    status, error = await _post(http, body)
    assert (status, error["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize(
    ("headers", "status", "type_"),
    [
        ({"x-api-key": ""}, 401, "authentication_error"),
        ({"x-api-key": "sk-sim-bad"}, 401, "authentication_error"),
        ({"anthropic-version": ""}, 400, "invalid_request_error"),
        ({"anthropic-version": "2020-01-01"}, 400, "invalid_request_error"),
    ],
)
async def test_key_and_version_are_checked(
    http: aiohttp.ClientSession, headers: dict[str, str], status: int, type_: str
) -> None:
    got, error = await _post(http, GOOD, **headers)
    assert (got, error["type"]) == (status, type_)


async def test_the_new_version_takes_no_sampling_fields(http: aiohttp.ClientSession) -> None:
    body = {**GOOD, "temperature": 1.0}
    status, error = await _post(http, body, **{"anthropic-version": "2026-10-21"})
    assert status == 400
    assert error["message"] == "temperature: Extra inputs are not permitted"


async def test_an_unknown_model_is_a_404(http: aiohttp.ClientSession) -> None:
    status, error = await _post(http, {**GOOD, "model": "gpt-9"})
    assert (status, error) == (404, {"type": "not_found_error", "message": "model: gpt-9"})


@pytest.mark.parametrize("model", ["deepseek-v4-pro", "MiniMax-M2.7", "kimi-k2.6"])
async def test_models_of_compatible_hosts_are_known(
    http: aiohttp.ClientSession, model: str
) -> None:
    async with http.post("/v1/messages", json={**GOOD, "model": model}) as response:
        assert (response.status, (await response.json())["model"]) == (200, model)


async def test_a_body_beyond_the_vendors_limit_is_a_413(http: aiohttp.ClientSession) -> None:
    status, error = await _post(http, b'{"model":"' + b"x" * (32 * 1024 * 1024) + b'"}')
    assert (status, error["type"]) == (413, "request_too_large")


async def test_a_bearer_key_is_as_good(http: aiohttp.ClientSession) -> None:
    headers = {"x-api-key": "", "authorization": "Bearer sk-sim-x"}
    async with http.post("/v1/messages", json=GOOD, headers=headers) as response:
        assert response.status == 200
