"""Responses: the official SDK takes every answer, refusals are OpenAI's, state is its own."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import openai
import pytest

from bytespike_contracts.money import TokenUsage
from tests.support.responses_grammar import check_stream
from tests.support.simulator import SimulatorClient

PATH = "/v1/responses"
USER = {"role": "user", "content": "Tell me of rivers."}
SCHEMA = {
    "type": "object",
    "properties": {"place": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["place", "days"],
    "additionalProperties": False,
}
LOOSE = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": True}
WEATHER = {"type": "function", "name": "get_weather", "parameters": SCHEMA, "strict": True}
CLOCK = {"type": "function", "name": "get_time", "parameters": None, "strict": False}
CALL = {"type": "function_call", "call_id": "call_1", "name": "get_time", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "noon"}
ENCRYPTED = ["reasoning.encrypted_content"]
THOUGHT = "The user wants an answer. I shall say how much they sent."
TEXT = "You sent 18 characters of text in 1 message. This is the ByteSpike simulator answering: no model was asked. Voilà."  # noqa: E501

#: Name -> what is asked, the types of the items, the status.
ASKED: dict[str, tuple[dict[str, Any], list[str], str]] = {
    "text": ({"input": "Tell me of rivers."}, ["message"], "completed"),
    "items": ({"input": [USER], "instructions": "Be kind."}, ["message"], "completed"),
    "tools unforced": ({"input": [USER], "tools": [WEATHER, CLOCK]}, ["message"], "completed"),
    "parallel": (
        {"input": [USER], "tools": [WEATHER, CLOCK], "tool_choice": "required"},
        ["function_call", "function_call"],
        "completed",
    ),
    "one call": (
        {
            "input": [USER],
            "tools": [WEATHER, CLOCK],
            "tool_choice": "required",
            "parallel_tool_calls": False,
        },
        ["function_call"],
        "completed",
    ),
    "named": (
        {
            "input": [USER],
            "tools": [WEATHER, CLOCK],
            "tool_choice": {"type": "function", "name": "get_time"},
        },
        ["function_call"],
        "completed",
    ),
    "tool loop": ({"input": [USER, CALL, OUTPUT], "tools": [CLOCK]}, ["message"], "completed"),
    "reasoning": (
        {"input": [USER], "model": "gpt-5.5", "reasoning": {"effort": "high", "summary": "auto"}},
        ["reasoning", "message"],
        "completed",
    ),
    "reasoning hidden": (
        {"input": [USER], "model": "gpt-5.5", "include": ENCRYPTED, "store": False},
        ["reasoning", "message"],
        "completed",
    ),
    "reasoning and calls": (
        {"input": [USER], "model": "gpt-5.5", "tools": [WEATHER], "tool_choice": "required"},
        ["reasoning", "function_call"],
        "completed",
    ),
    "cap": ({"input": [USER], "max_output_tokens": 16}, ["message"], "incomplete"),
    "schema": (
        {
            "input": [USER],
            "text": {"format": {"type": "json_schema", "name": "forecast", "schema": SCHEMA}},
        },
        ["message"],
        "completed",
    ),
    "media": (
        {
            "input": [
                {
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "Look:"},
                        {"type": "input_image", "image_url": "https://x/y.png", "detail": "auto"},
                        {
                            "type": "input_file",
                            "filename": "a.pdf",
                            "file_data": "data:application/pdf;base64," + "A" * 972,
                        },
                    ],
                }
            ]
        },
        ["message"],
        "completed",
    ),
}


def ask(name: str, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4.1", **ASKED[name][0], **more}


async def post(
    http: aiohttp.ClientSession, body: dict[str, Any], faults: str = ""
) -> tuple[int, bytes]:
    async with http.post(PATH, json=body, headers={"x-simulator-fault": faults}) as response:
        return response.status, await response.read()


async def answer(http: aiohttp.ClientSession, body: dict[str, Any]) -> dict[str, Any]:
    status, got = await post(http, body)
    assert status == 200, got
    parsed: dict[str, Any] = json.loads(got)
    return parsed


@pytest.mark.parametrize("name", ASKED)
async def test_the_sdk_reads_the_same_answer_both_ways(
    openai_sdk: openai.AsyncOpenAI, name: str
) -> None:
    _, types, status = ASKED[name]
    whole = await openai_sdk.responses.create(**ask(name))
    assert ([item.type for item in whole.output], whole.status) == (types, status)
    events = [e async for e in await openai_sdk.responses.create(**ask(name), stream=True)]
    last = events[-1]
    assert last.type == f"response.{status}"
    assert last.response.output_text == whole.output_text
    assert whole.usage is not None
    assert last.response.usage.total_tokens == whole.usage.total_tokens
    if status == "completed":
        async with openai_sdk.responses.stream(**ask(name)) as stream:
            final = await stream.get_final_response()
        assert final.output_text == whole.output_text


async def test_what_each_question_gets(openai_sdk: openai.AsyncOpenAI) -> None:
    async def output(name: str) -> list[Any]:
        return list((await openai_sdk.responses.create(**ask(name))).output)

    def calls(items: list[Any]) -> list[tuple[str, Any]]:
        return [(i.name, json.loads(i.arguments)) for i in items if i.type == "function_call"]

    weather = ("get_weather", {"place": "sample", "days": 1})
    assert (await output("text"))[0].content[0].text == TEXT
    assert calls(await output("parallel")) == [weather, ("get_time", {})]
    assert calls(await output("one call")) == [weather]
    assert calls(await output("named")) == [("get_time", {})]
    schema = (await output("schema"))[0].content[0].text
    assert json.loads(schema) == {"place": "sample", "days": 1}
    assert (await output("reasoning"))[0].summary[0].text == THOUGHT
    hidden = (await output("reasoning hidden"))[0]
    assert (hidden.summary, hidden.encrypted_content[:7]) == ([], "gAAAAAB")


@pytest.mark.parametrize("name", ASKED)
async def test_streams_keep_the_grammar_and_are_billed_as_said(
    openai_http: aiohttp.ClientSession, simulator: SimulatorClient, name: str
) -> None:
    body = ask(name, stream=True)
    _, stream = await post(openai_http, body)
    checked = check_stream(stream, strict=True)
    _, types, status = ASKED[name]
    assert ([item["type"] for item in checked.items], checked.end) == (types, status)
    seen = await simulator.last()
    assert (seen.dialect, seen.path, seen.sent) == ("openai_responses", PATH, stream)
    assert _billed(checked.response["usage"]) == seen.billed
    await simulator.reset()
    assert (await post(openai_http, body))[1] == stream


def _billed(usage: dict[str, Any]) -> TokenUsage:
    cached = usage["input_tokens_details"]["cached_tokens"]
    return TokenUsage(
        input_tokens=usage["input_tokens"] - cached,
        cache_read_tokens=cached,
        output_tokens=usage["output_tokens"],
        reasoning_tokens=usage["output_tokens_details"]["reasoning_tokens"],
    )


async def test_counts_follow_the_documented_rule(
    openai_http: aiohttp.ClientSession, simulator: SimulatorClient
) -> None:
    for name, tokens in (("text", 3 + 5), ("media", 3 + 2 + 1600 + 11)):
        await post(openai_http, ask(name))
        assert (await simulator.last()).billed.input_tokens == tokens
    await post(openai_http, ask("reasoning"))
    billed = (await simulator.last()).billed
    assert (billed.reasoning_tokens, billed.output_tokens) == (15, 15 + 29)


async def test_a_function_silent_on_strictness_is_made_strict(
    openai_http: aiohttp.ClientSession,
) -> None:
    loose = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
             "required": ["a"]}  # fmt: skip
    tool = {"type": "function", "name": "f", "parameters": loose}
    body = ask("text", tools=[tool], tool_choice="required")
    got = await answer(openai_http, body)
    assert got["tools"][0]["strict"] is True
    closed = {**loose, "required": ["a", "b"], "additionalProperties": False}
    assert got["tools"][0]["parameters"] == closed
    assert json.loads(got["output"][0]["arguments"]) == {"a": "sample", "b": 1}
    got = await answer(openai_http, {**body, "tools": [{**tool, "strict": False}]})
    assert got["tools"][0]["parameters"] == loose
    assert json.loads(got["output"][0]["arguments"]) == {"a": "sample"}


async def test_reasoning_comes_back_as_it_was_given(openai_http: aiohttp.ClientSession) -> None:
    first = ask("reasoning and calls", include=ENCRYPTED, store=False)
    got = await answer(openai_http, first)
    reasoning, call = got["output"]
    result = {**OUTPUT, "call_id": call["call_id"]}

    async def again(*items: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        body = {**first, "input": [USER, *items], "tool_choice": "auto"}
        status, raw = await post(openai_http, body)
        return status, json.loads(raw).get("error") or {}

    assert await again(reasoning, call, result) == (200, {})
    bare = {"type": "reasoning", "summary": [], "encrypted_content": reasoning["encrypted_content"]}
    assert await again(bare, {**CALL, "call_id": call["call_id"]}, result) == (200, {})
    state = reasoning["encrypted_content"]
    altered = state[:-1] + ("A" if state[-1] != "A" else "B")
    status, error = await again({**reasoning, "encrypted_content": altered}, call, result)
    assert (status, error["code"]) == (400, "invalid_encrypted_content")
    status, error = await again(call, result)
    assert status == 400
    assert error["message"] == (
        f"Item '{call['id']}' of type 'function_call' was provided without its required"
        f" 'reasoning' item: '{reasoning['id']}'."
    )
    status, error = await again(reasoning)
    assert (status, error["message"]) == (
        400,
        f"Item '{reasoning['id']}' of type 'reasoning' was provided without its required following"
        " item.",
    )
    del reasoning["encrypted_content"]
    status, error = await again(reasoning, call, result)
    assert status == 404
    assert error["message"].startswith(f"Item with id '{reasoning['id']}' not found.")


async def test_stored_reasoning_comes_back_by_its_id(openai_http: aiohttp.ClientSession) -> None:
    got = await answer(openai_http, ask("reasoning and calls"))
    reasoning, call = got["output"]
    result = {**OUTPUT, "call_id": call["call_id"]}
    body = ask("reasoning and calls", input=[USER, reasoning, call, result], tool_choice="auto")
    assert (await answer(openai_http, body))["status"] == "completed"


PART = {"type": "input_text", "text": "x"}
#: Name -> what is changed, status, code, param, a piece of the message.
REFUSED: dict[str, tuple[dict[str, Any], int, str | None, str | None, str]] = {
    "no model": ({"model": None}, 400, "missing_required_parameter", "model", "'model'"),
    "no input": ({"input": None}, 400, "missing_required_parameter", "input", "One of"),
    "unknown argument": (
        {"max_tokens": 30},
        400,
        "unknown_parameter",
        "max_tokens",
        "Unknown parameter: 'max_tokens'.",
    ),
    "nested tool": (
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        400,
        "unknown_parameter",
        "tools[0].function",
        "Unknown parameter",
    ),
    "unknown model": (
        {"model": "gpt-nonexistent"},
        400,
        "model_not_found",
        "model",
        "The requested model 'gpt-nonexistent' does not exist.",
    ),
    "few tokens": (
        {"max_output_tokens": 15},
        400,
        "integer_below_min_value",
        "max_output_tokens",
        "Expected a value >= 16, but got 15 instead.",
    ),
    "input part of the assistant": (
        {"input": [USER, {"role": "assistant", "content": [PART]}]},
        400,
        "invalid_value",
        "input[1].content[0].type",
        "Invalid value: 'input_text'. Supported values are: 'output_text' and 'refusal'.",
    ),
    "role": ({"input": [{"role": "tool", "content": "x"}]}, 400, "invalid_value",
             "input[0].role", "Invalid value: 'tool'."),
    "item id": (
        {"input": [USER, {**CALL, "id": "call_1"}, OUTPUT]},
        400,
        "invalid_value",
        "input[1].id",
        "Invalid 'input[1].id': 'call_1'. Expected an ID that begins with 'fc'.",
    ),
    "long call id": (
        {"input": [USER, {**CALL, "call_id": "c" * 65}]},
        400,
        "string_above_max_length",
        "input[1].call_id",
        "maximum length 64",
    ),
    "unanswered call": (
        {"input": [USER, CALL]},
        400,
        None,
        "input",
        "No tool output found for function call call_1.",
    ),
    "stray output": (
        {"input": [USER, OUTPUT]},
        400,
        None,
        "input",
        "No tool call found for function call output with call_id call_1.",
    ),
    "temperature of a reasoning model": (
        {"model": "gpt-5.5", "temperature": 0.5},
        400,
        None,
        "temperature",
        "Unsupported parameter: 'temperature' is not supported with this model.",
    ),
    "effort without reasoning": (
        {"reasoning": {"effort": "low"}},
        400,
        "unsupported_parameter",
        "reasoning.effort",
        "'reasoning.effort' is not supported with this model.",
    ),
    "encryption without reasoning": (
        {"include": ENCRYPTED},
        400,
        None,
        "include",
        "Encrypted content is not supported with this model.",
    ),
    "open schema": (
        {"tools": [{"type": "function", "name": "f", "parameters": LOOSE}]},
        400,
        "invalid_function_parameters",
        "tools[0].parameters",
        "'additionalProperties' is required to be supplied and to be false.",
    ),
    "choice of no tool": (
        {"tools": [WEATHER], "tool_choice": {"type": "function", "name": "g"}},
        400,
        None,
        "tool_choice",
        "Tool choice 'function' not found in 'tools' parameter.",
    ),
    "previous": (
        {"previous_response_id": "resp_1"},
        400,
        "previous_response_not_found",
        "previous_response_id",
        "Previous response with id 'resp_1' not found.",
    ),
    "reference": (
        {"input": [USER, {"type": "item_reference", "id": "rs_1"}]},
        404,
        None,
        "input",
        "Item with id 'rs_1' not found.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
async def test_bad_requests_are_refused_in_openais_words(
    openai_http: aiohttp.ClientSession, name: str
) -> None:
    change, status, code, param, words = REFUSED[name]
    got, body = await post(openai_http, {"model": "gpt-4.1", "input": [USER], **change})
    error = json.loads(body)["error"]
    assert (got, error["type"]) == (status, "invalid_request_error")
    assert (error["code"], error["param"]) == (code, param)
    assert words in error["message"]


@pytest.mark.parametrize(
    ("faults", "raised"),
    [
        ("status=400", openai.BadRequestError),
        ("status=401", openai.AuthenticationError),
        ("status=429,retry-after=7", openai.RateLimitError),
        ("status=500", openai.InternalServerError),
        ("status=529", openai.InternalServerError),
    ],
)
async def test_statuses_raise_the_sdks_classes(
    openai_sdk: openai.AsyncOpenAI, faults: str, raised: type[openai.APIStatusError]
) -> None:
    with pytest.raises(raised):
        await openai_sdk.responses.create(
            **ask("text"), extra_headers={"x-simulator-fault": faults}
        )


async def test_faults_take_this_dialects_form(
    openai_sdk: openai.AsyncOpenAI, openai_http: aiohttp.ClientSession, simulator: SimulatorClient
) -> None:
    streaming = ask("text", stream=True)
    _, stream = await post(openai_http, streaming, "error-event-after=7")
    broken = check_stream(stream, strict=True)
    assert (broken.end, broken.response["status"]) == ("failed", "failed")
    assert b"event: error\n" in stream
    billed = (await simulator.last()).billed
    assert billed.input_tokens == 8
    assert 0 < billed.output_tokens < 29
    headers = {"x-simulator-fault": "error-event-after=7"}
    with pytest.raises(openai.APIError, match="The server had an error"):
        async for _ in await openai_sdk.responses.create(**streaming, extra_headers=headers):
            pass
    early = check_stream((await post(openai_http, streaming, "refusal"))[1], strict=True)
    part = early.items[0]["content"][0]
    assert part == {"type": "refusal", "refusal": "I'm sorry, but I cannot help with that."}
    late = check_stream((await post(openai_http, streaming, "refusal-late"))[1], strict=True)
    assert (late.end, late.response["incomplete_details"]) == (
        "incomplete",
        {"reason": "content_filter"},
    )
    status, body = await post(openai_http, ask("text"), "error-body")
    assert (status, json.loads(body)["error"]["type"]) == (200, "server_error")
    silent = check_stream((await post(openai_http, streaming, "no-usage,output-tokens=7"))[1])
    assert silent.response["usage"] is None
    assert (await simulator.last()).billed == TokenUsage(input_tokens=8, output_tokens=7)
    hidden = ask("reasoning hidden", stream=True)
    with pytest.raises(aiohttp.ClientPayloadError):
        await post(openai_http, hidden, "cut-after=4")
    assert (await simulator.last()).billed.reasoning_tokens == 15


async def test_scripted_calls_then_text(
    openai_sdk: openai.AsyncOpenAI, simulator: SimulatorClient
) -> None:
    reasoning = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "mine"}
    call = {**CALL, "id": "fc_1", "status": "completed"}
    usage = {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 10},
        "output_tokens": 20,
        "output_tokens_details": {"reasoning_tokens": 5},
        "total_tokens": 120,
    }
    body = {
        "id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-5.5",
        "status": "completed", "output": [reasoning, call], "usage": usage,
        "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
    }  # fmt: skip
    done = {"type": "response.completed", "sequence_number": 0, "response": body}
    sse = f"event: response.completed\ndata: {json.dumps(done)}\n\n"
    await simulator.script(sse=sse, model="gpt-5.5")
    events = [e async for e in await openai_sdk.responses.create(
        **ask("text", model="gpt-5.5"), stream=True)]  # fmt: skip
    assert events[-1].response.output[1].name == "get_time"
    seen = await simulator.last()
    assert seen.billed == TokenUsage(
        input_tokens=26,
        cache_write_5m_tokens=10,
        cache_read_tokens=64,
        output_tokens=20,
        reasoning_tokens=5,
    )
    # What a script gave out is the vendor's own: it may come back.
    final = await openai_sdk.responses.create(
        model="gpt-5.5",
        input=[USER, reasoning, CALL, OUTPUT],  # type: ignore[list-item]
    )
    assert final.output_text.startswith("You sent 18 characters")
