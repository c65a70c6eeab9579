"""Chat Completions: the official SDK takes every answer, refusals are OpenAI's, bills add up."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import openai
import pytest

from bytespike_contracts.money import TokenUsage
from tests.support.openai_chat_grammar import check_stream
from tests.support.simulator import SimulatorClient

PATH = "/v1/chat/completions"
USER = {"role": "user", "content": "Tell me of rivers."}
SCHEMA = {
    "type": "object",
    "properties": {"place": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["place", "days"],
    "additionalProperties": False,
}
WEATHER = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": SCHEMA, "strict": True},
}
CLOCK = {"type": "function", "function": {"name": "get_time"}}
CALLED: dict[str, Any] = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "get_time", "arguments": "{}"}}
    ],
}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "noon"}
TEXT = "You sent 18 characters of text in 1 message. This is the ByteSpike simulator answering: no model was asked. Voilà."  # noqa: E501

#: Name -> what is asked, the finish reason.
ASKED: dict[str, tuple[dict[str, Any], str]] = {
    "text": ({"messages": [USER]}, "stop"),
    "system": ({"messages": [{"role": "system", "content": "Be kind."}, USER]}, "stop"),
    "tools unforced": ({"messages": [USER], "tools": [WEATHER, CLOCK]}, "stop"),
    "parallel": (
        {"messages": [USER], "tools": [WEATHER, CLOCK], "tool_choice": "required"},
        "tool_calls",
    ),
    "one call": (
        {
            "messages": [USER],
            "tools": [WEATHER, CLOCK],
            "tool_choice": "required",
            "parallel_tool_calls": False,
        },
        "tool_calls",
    ),
    "named": (
        {
            "messages": [USER],
            "tools": [WEATHER, CLOCK],
            "tool_choice": {"type": "function", "function": {"name": "get_time"}},
        },
        "tool_calls",
    ),
    "tool loop": ({"messages": [USER, CALLED, RESULT], "tools": [CLOCK]}, "stop"),
    "reasoning": ({"messages": [USER], "model": "gpt-5.5", "reasoning_effort": "high"}, "stop"),
    "cap": ({"messages": [USER], "max_completion_tokens": 5}, "length"),
    "stop": ({"messages": [USER], "stop": ["ByteSpike"]}, "stop"),
    "schema": (
        {
            "messages": [USER],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "forecast", "schema": SCHEMA, "strict": True},
            },
        },
        "stop",
    ),
    "media": (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "Look:"},
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                        {
                            "type": "file",
                            "file": {
                                "filename": "a.pdf",
                                "file_data": "data:application/pdf;base64," + "A" * 972,
                            },
                        },
                    ],
                }
            ]
        },
        "stop",
    ),
}


def ask(name: str, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4.1", **ASKED[name][0], **more}


async def post(
    http: aiohttp.ClientSession, body: dict[str, Any], faults: str = ""
) -> tuple[int, bytes]:
    async with http.post(PATH, json=body, headers={"x-simulator-fault": faults}) as response:
        return response.status, await response.read()


@pytest.mark.parametrize("name", ASKED)
async def test_the_sdk_reads_the_same_answer_both_ways(
    openai_sdk: openai.AsyncOpenAI, name: str
) -> None:
    whole = await openai_sdk.chat.completions.create(**ask(name))
    asked = ask(name, stream_options={"include_usage": True})
    async with openai_sdk.chat.completions.stream(**asked) as stream:
        if name == "cap":
            with pytest.raises(openai.LengthFinishReasonError):
                await stream.get_final_completion()
            return
        streamed = await stream.get_final_completion()
    one, other = whole.choices[0], streamed.choices[0]
    assert one.finish_reason == other.finish_reason == ASKED[name][1]
    # A stream opens its text with "", so calls leave the helper with "" or None.
    assert (one.message.content or "") == (other.message.content or "")
    assert _calls(one.message) == _calls(other.message)
    assert whole.usage is not None
    assert streamed.usage is not None
    assert whole.usage.total_tokens == streamed.usage.total_tokens
    assert whole.usage.completion_tokens_details == streamed.usage.completion_tokens_details


def _calls(message: Any) -> list[tuple[str, Any]]:
    calls = message.tool_calls or []
    return [(call.function.name, json.loads(call.function.arguments)) for call in calls]


async def test_what_each_question_gets(openai_sdk: openai.AsyncOpenAI) -> None:
    async def message(name: str) -> Any:
        return (await openai_sdk.chat.completions.create(**ask(name))).choices[0].message

    weather = ("get_weather", {"place": "sample", "days": 1})
    assert (await message("text")).content == TEXT
    assert _calls(await message("parallel")) == [weather, ("get_time", {})]
    assert _calls(await message("one call")) == [weather]
    assert _calls(await message("named")) == [("get_time", {})]
    assert (await message("stop")).content == TEXT[: TEXT.index("ByteSpike")]
    assert json.loads((await message("schema")).content) == {"place": "sample", "days": 1}
    assert len((await message("parallel")).tool_calls[0].id) == 29


@pytest.mark.parametrize("usage", [False, True])
@pytest.mark.parametrize("name", ASKED)
async def test_streams_keep_the_grammar_and_are_billed_as_said(
    openai_http: aiohttp.ClientSession, simulator: SimulatorClient, name: str, usage: bool
) -> None:
    body = ask(name, stream=True, stream_options={"include_usage": usage})
    status, stream = await post(openai_http, body)
    checked = check_stream(stream, strict=True, usage=usage)
    assert (status, checked.end, checked.finish_reason) == (200, "done", ASKED[name][1])
    seen = await simulator.last()
    assert (seen.dialect, seen.path, seen.sent) == ("openai_chat", PATH, stream)
    if checked.usage:
        assert _billed(checked.usage) == seen.billed
    await simulator.reset()
    assert (await post(openai_http, body))[1] == stream


def _billed(usage: dict[str, Any]) -> TokenUsage:
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    return TokenUsage(
        input_tokens=usage["prompt_tokens"] - cached,
        cache_read_tokens=cached,
        output_tokens=usage["completion_tokens"],
        reasoning_tokens=usage["completion_tokens_details"]["reasoning_tokens"],
    )


async def test_counts_follow_the_documented_rule(
    openai_http: aiohttp.ClientSession, simulator: SimulatorClient
) -> None:
    for name, tokens in (("text", 3 + 5), ("media", 3 + 2 + 1600 + 1 + 11)):
        await post(openai_http, ask(name))
        assert (await simulator.last()).billed.input_tokens == tokens
    await post(openai_http, ask("reasoning"))
    billed = (await simulator.last()).billed
    assert (billed.reasoning_tokens, billed.output_tokens) == (15, 15 + 29)


async def test_long_prompts_are_cached_by_themselves(
    openai_http: aiohttp.ClientSession, simulator: SimulatorClient
) -> None:
    long = [{"role": "system", "content": "rules " * 1000}, USER]
    await post(openai_http, ask("text", messages=long))
    await post(openai_http, ask("text", messages=[*long, {"role": "user", "content": "more"}]))
    again, first = await simulator.finished(2)
    assert first.billed.cache_read_tokens == 0
    assert again.billed.cache_read_tokens == (3 + 1500 + 8) // 128 * 128
    whole = 3 + 1500 + 8 + 4
    assert again.billed.cache_read_tokens + again.billed.input_tokens == whole


async def test_reasoning_text_is_for_compatible_hosts_only(
    openai_http: aiohttp.ClientSession,
) -> None:
    for model, shown in (("deepseek-reasoner", True), ("gpt-5", False)):
        body = ask("text", model=model, reasoning_effort="low")
        answer = json.loads((await post(openai_http, body))[1])
        assert ("reasoning_content" in answer["choices"][0]["message"]) is shown
        stream = (await post(openai_http, {**body, "stream": True}))[1]
        assert (b"reasoning_content" in stream) is shown
        assert check_stream(stream, strict=True).content == TEXT


async def test_several_choices(openai_sdk: openai.AsyncOpenAI) -> None:
    answer = await openai_sdk.chat.completions.create(**ask("parallel", n=3))
    ids = {call.id for choice in answer.choices for call in choice.message.tool_calls or ()}
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert len(ids) == 6


TOOL_PART = [{"type": "image_url", "image_url": {"url": "https://x"}}]
LOOSE = {"type": "object", "properties": {"a": {"type": "string"}}}
FORMAT = {"type": "json_schema", "json_schema": {"name": "a", "schema": LOOSE, "strict": True}}
#: Name -> what is changed, code, param, a piece of the message.
REFUSED: dict[str, tuple[dict[str, Any], str | None, str | None, str]] = {
    "no model": ({"model": None}, None, None, "you must provide a model"),
    "no messages": (
        {"messages": None},
        "missing_required_parameter",
        "messages",
        "Missing required parameter: 'messages'.",
    ),
    "empty messages": ({"messages": []}, "empty_array", "messages", "empty array"),
    "unknown argument": ({"top_k": 3}, None, None, "Unrecognized request argument supplied: top_k"),
    "unknown field": (
        {"messages": [{**USER, "cache_control": {}}]},
        "unknown_parameter",
        "messages[0].cache_control",
        "Unknown parameter",
    ),
    "role": (
        {"messages": [{"role": "robot", "content": "x"}]},
        "invalid_value",
        "messages[0].role",
        "Invalid value: 'robot'. Supported values are: 'system', 'assistant', 'user', 'function',"
        " 'tool', and 'developer'.",
    ),
    "content type": (
        {"messages": [{"role": "user", "content": 3}]},
        "invalid_type",
        "messages[0].content",
        "Invalid type for 'messages[0].content': expected one of a string or array of objects,"
        " but got an integer instead.",
    ),
    "hot": (
        {"temperature": 3},
        "decimal_above_max_value",
        "temperature",
        "Expected a value <= 2, but got 3 instead.",
    ),
    "long call id": (
        {"messages": [{**CALLED, "tool_calls": [{**CALLED["tool_calls"][0], "id": "c" * 41}]}]},
        "string_above_max_length",
        "messages[0].tool_calls[0].id",
        "maximum length 40",
    ),
    "tool name": (
        {"tools": [{"type": "function", "function": {"name": "a.b"}}]},
        "invalid_value",
        "tools[0].function.name",
        "does not match pattern",
    ),
    "five stops": (
        {"stop": list("abcde")},
        "array_above_max_length",
        "stop",
        "Expected an array with maximum length 4",
    ),
    "unanswered call": (
        {"messages": [USER, CALLED, USER]},
        None,
        "messages.[1].role",
        "did not have response messages: call_1",
    ),
    "stray result": (
        {"messages": [USER, RESULT]},
        None,
        "messages.[1].role",
        "must be a response to a preceeding message with 'tool_calls'",
    ),
    "image in a result": (
        {"messages": [USER, CALLED, {**RESULT, "content": TOOL_PART}]},
        "invalid_value",
        "messages[2]",
        "Content blocks are expected to be either text or image_url type.",
    ),
    "max_tokens of a reasoning model": (
        {"model": "gpt-5", "max_tokens": 5},
        "unsupported_parameter",
        "max_tokens",
        "Use 'max_completion_tokens' instead.",
    ),
    "temperature of a reasoning model": (
        {"model": "o3", "temperature": 0.2},
        "unsupported_value",
        "temperature",
        "Only the default (1) value is supported.",
    ),
    "effort without reasoning": (
        {"reasoning_effort": "low"},
        None,
        None,
        "Unrecognized request argument supplied: reasoning_effort",
    ),
    "choice without tools": (
        {"tool_choice": "required"},
        None,
        "tool_choice",
        "is only allowed when 'tools' are specified",
    ),
    "schema of a tool": (
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
        "invalid_function_parameters",
        "tools[0].function.parameters",
        "Invalid schema for function 'f': schema must be a JSON Schema of 'type: \"object\"'",
    ),
    "loose strict schema": (
        {"response_format": FORMAT},
        None,
        "response_format",
        "In context=(), 'additionalProperties' is required",
    ),
    "schema without a name": (
        {"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}},
        "missing_required_parameter",
        "response_format.json_schema.name",
        "Missing required parameter",
    ),
    "json unsaid": (
        {"response_format": {"type": "json_object"}},
        None,
        "messages",
        "must contain the word 'json'",
    ),
    "stream options alone": (
        {"stream_options": {"include_usage": True}},
        None,
        "stream_options",
        "only allowed when 'stream' is enabled",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_bad_requests_are_refused_in_openais_words(
    openai_http: aiohttp.ClientSession, name: str
) -> None:
    change, code, param, words = REFUSED[name]
    status, body = await post(openai_http, {"model": "gpt-4.1", "messages": [USER], **change})
    error = json.loads(body)["error"]
    assert (status, error["type"]) == (400, "invalid_request_error")
    assert (error["code"], error["param"]) == (code, param)
    assert words in error["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff"])
async def test_a_body_that_is_no_object(openai_http: aiohttp.ClientSession, body: bytes) -> None:
    async with openai_http.post(PATH, data=body) as response:
        assert response.status == 400
        assert (await response.json())["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("faults", "raised"),
    [
        ("status=400", openai.BadRequestError),
        ("status=401", openai.AuthenticationError),
        ("status=403", openai.PermissionDeniedError),
        ("status=404", openai.NotFoundError),
        ("status=429,retry-after=7", openai.RateLimitError),
        ("status=500", openai.InternalServerError),
        ("status=503", openai.InternalServerError),
    ],
)
async def test_statuses_raise_the_sdks_classes(
    openai_sdk: openai.AsyncOpenAI, faults: str, raised: type[openai.APIStatusError]
) -> None:
    with pytest.raises(raised) as caught:
        await openai_sdk.chat.completions.create(
            **ask("text"), extra_headers={"x-simulator-fault": faults}
        )
    if "retry-after" in faults:
        assert caught.value.response.headers["retry-after"] == "7"
        assert caught.value.response.headers["retry-after-ms"] == "7000"
    assert isinstance(caught.value.body, dict)
    assert caught.value.request_id is not None


async def test_keys_and_models(openai_sdk: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.AuthenticationError, match="Incorrect API key provided"):
        await openai_sdk.with_options(api_key="sk-sim-bad").chat.completions.create(**ask("text"))
    with pytest.raises(openai.NotFoundError) as caught:
        await openai_sdk.chat.completions.create(**ask("text", model="gpt-nonexistent"))
    assert caught.value.code == "model_not_found"


async def test_faults_take_this_dialects_form(
    openai_sdk: openai.AsyncOpenAI, openai_http: aiohttp.ClientSession, simulator: SimulatorClient
) -> None:
    streaming = ask("text", stream=True, stream_options={"include_usage": True})
    broken = check_stream((await post(openai_http, streaming, "error-event-after=3"))[1],
                          strict=True, usage=True)  # fmt: skip
    assert broken.end == "error"
    billed = (await simulator.last()).billed
    assert billed.input_tokens == 8
    assert 0 < billed.output_tokens < 29
    headers = {"x-simulator-fault": "error-event-after=3"}
    with pytest.raises(openai.APIError, match="The server had an error"):
        async for _ in await openai_sdk.chat.completions.create(
            **ask("text"), stream=True, extra_headers=headers
        ):
            pass
    status, body = await post(openai_http, ask("text"), "error-body")
    assert (status, json.loads(body)["error"]["code"]) == (200, "service_unavailable")
    early = check_stream((await post(openai_http, ask("text", stream=True), "refusal"))[1],
                         strict=True)  # fmt: skip
    assert (early.refusal, early.content, early.finish_reason) == (
        "I'm sorry, but I cannot help with that.",
        "",
        "stop",
    )
    late = check_stream((await post(openai_http, ask("text", stream=True), "refusal-late"))[1],
                        strict=True)  # fmt: skip
    assert (late.content, late.finish_reason) == (TEXT, "content_filter")
    _, silent = await post(openai_http, streaming, "no-usage,output-tokens=7")
    assert b'"usage":{' not in silent
    assert (await simulator.last()).billed == TokenUsage(input_tokens=8, output_tokens=7)
    model = "gpt-4.1+split=3,input-tokens=9"
    _, split = await post(openai_http, {**streaming, "model": model})
    usage = check_stream(split, strict=True, usage=True).usage
    assert usage is not None
    assert usage["prompt_tokens"] == 9


async def test_scripted_calls_then_text(
    openai_sdk: openai.AsyncOpenAI, simulator: SimulatorClient
) -> None:
    call = {
        "choices": [{"index": 0, "message": CALLED, "finish_reason": "tool_calls"}],
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4.1",
        "usage": {
            "prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120,
            "prompt_tokens_details": {"cached_tokens": 64},
            "completion_tokens_details": {"reasoning_tokens": 5},
        },
    }  # fmt: skip
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4.1"}
    chunks = [
        {**chunk, "choices": [{"index": 0, "delta": {"role": "assistant", "content": "It is"}}]},
        {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {**chunk, "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2,
                                           "total_tokens": 9}},
    ]  # fmt: skip
    await simulator.script(body=call, model="gpt-4.1")
    sse = "".join(f"data: {json.dumps(one)}\n\n" for one in chunks) + "data: [DONE]\n\n"
    await simulator.script(sse=sse, model="gpt-4.1")
    first = await openai_sdk.chat.completions.create(**ask("text"))
    assert _calls(first.choices[0].message) == [("get_time", {})]
    said = ""
    async for one in await openai_sdk.chat.completions.create(**ask("tool loop"), stream=True):
        said += one.choices[0].delta.content or "" if one.choices else ""
    assert said == "It is"
    text, calls = await simulator.finished(2)
    assert calls.billed == TokenUsage(
        input_tokens=36, cache_read_tokens=64, output_tokens=20, reasoning_tokens=5
    )
    assert text.billed == TokenUsage(input_tokens=7, output_tokens=2)
