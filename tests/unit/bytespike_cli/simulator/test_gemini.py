"""Gemini: the official SDK takes every answer, refusals are Google's, signatures must come back."""

from __future__ import annotations

import base64
import json
from typing import Any

import aiohttp
import pytest
from google.genai import types
from google.genai.client import AsyncClient

from bytespike_contracts.money import TokenUsage
from tests.support.gemini_grammar import check_array, check_stream
from tests.support.simulator import SimulatorClient

USER = {"role": "user", "parts": [{"text": "Tell me of rivers."}]}
SCHEMA = {
    "type": "OBJECT",
    "properties": {"place": {"type": "STRING"}, "days": {"type": "INTEGER"}},
    "required": ["place", "days"],
}
PLAIN_SCHEMA = {
    "type": "object",
    "properties": {"place": {"type": "string"}, "days": {"type": "integer"}},
    "additionalProperties": False,
}
WEATHER = {"name": "get_weather", "parameters": SCHEMA}
CLOCK = {"name": "get_time", "parametersJsonSchema": {"type": "object", "additionalProperties": {}}}
TOOLS = [{"functionDeclarations": [WEATHER, CLOCK]}]
ANY = {"functionCallingConfig": {"mode": "ANY"}}
CALL = {"role": "model", "parts": [{"functionCall": {"name": "get_time", "args": {}}}]}
RESPONSE = {
    "role": "user",
    "parts": [{"functionResponse": {"name": "get_time", "response": {"output": "noon"}}}],
}
THOUGHT = "The user wants an answer. I shall say how much they sent."
TEXT = "You sent 18 characters of text in 1 message. This is the ByteSpike simulator answering: no model was asked. Voilà."  # noqa: E501
SHOW = {"thinkingConfig": {"includeThoughts": True}}

#: Name -> what is asked, of which model, the finish reason.
ASKED: dict[str, tuple[dict[str, Any], str, str]] = {
    "text": ({"contents": [USER]}, "gemini-2.0-flash", "STOP"),
    "thinking": ({"contents": [USER]}, "gemini-2.5-flash", "STOP"),
    "thinking shown": (
        {"contents": [USER], "generationConfig": SHOW},
        "gemini-3-pro-preview",
        "STOP",
    ),
    "no thinking": (
        {"contents": [USER], "generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}},
        "gemini-2.5-flash",
        "STOP",
    ),
    "system": (
        {"contents": [USER], "systemInstruction": {"parts": [{"text": "Be kind."}]}},
        "gemini-2.0-flash",
        "STOP",
    ),
    "tools unforced": ({"contents": [USER], "tools": TOOLS}, "gemini-2.5-flash", "STOP"),
    "parallel": (
        {"contents": [USER], "tools": TOOLS, "toolConfig": ANY},
        "gemini-2.5-flash",
        "STOP",
    ),
    "parallel of 3": (
        {"contents": [USER], "tools": TOOLS, "toolConfig": ANY, "generationConfig": SHOW},
        "gemini-3-pro-preview",
        "STOP",
    ),
    "one call": (
        {
            "contents": [USER],
            "tools": TOOLS,
            "toolConfig": {
                "functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["get_time"]}
            },
        },
        "gemini-2.5-flash",
        "STOP",
    ),
    "tool loop": (
        {"contents": [USER, CALL, RESPONSE], "tools": TOOLS},
        "gemini-2.5-flash",
        "STOP",
    ),
    "cap": (
        {"contents": [USER], "generationConfig": {"maxOutputTokens": 20}},
        "gemini-2.5-flash",
        "MAX_TOKENS",
    ),
    "cap on thoughts": (
        {"contents": [USER], "generationConfig": {"maxOutputTokens": 3}},
        "gemini-2.5-flash",
        "MAX_TOKENS",
    ),
    "stop": (
        {"contents": [USER], "generationConfig": {"stopSequences": ["ByteSpike"]}},
        "gemini-2.5-flash",
        "STOP",
    ),
    "schema": (
        {
            "contents": [USER],
            "generationConfig": {
                "responseMimeType": "application/json",
                "responseSchema": SCHEMA,
            },
        },
        "gemini-2.5-flash",
        "STOP",
    ),
    "json schema": (
        {
            "contents": [USER],
            "generationConfig": {
                "response_mime_type": "application/json",
                "response_json_schema": PLAIN_SCHEMA,
            },
        },
        "gemini-2.5-flash",
        "STOP",
    ),
    "media": (
        {
            "contents": [
                {
                    "parts": [
                        {"text": "Look:"},
                        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
                        {"inline_data": {"mime_type": "application/pdf", "data": "A" * 1000}},
                        {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}},
                    ]
                }
            ]
        },
        "gemini-2.0-flash",
        "STOP",
    ),
}


async def post(
    http: aiohttp.ClientSession,
    model: str,
    body: dict[str, Any],
    *,
    verb: str = "generateContent",
    faults: str = "",
) -> tuple[int, bytes]:
    path = f"/v1beta/models/{model}:{verb}"
    async with http.post(path, json=body, headers={"x-simulator-fault": faults}) as response:
        return response.status, await response.read()


async def answer(
    http: aiohttp.ClientSession, model: str, body: dict[str, Any], faults: str = ""
) -> dict[str, Any]:
    status, got = await post(http, model, body, faults=faults)
    assert status == 200, got
    parsed: dict[str, Any] = json.loads(got)
    return parsed


async def refusal(
    http: aiohttp.ClientSession, model: str, body: dict[str, Any]
) -> tuple[int, dict[str, Any]]:
    status, got = await post(http, model, body)
    return status, json.loads(got).get("error") or {}


SSE = "streamGenerateContent?alt=sse"
ARRAY = "streamGenerateContent"


@pytest.mark.parametrize("name", ASKED)
async def test_all_three_framings_say_the_same_and_are_billed_as_said(
    gemini_http: aiohttp.ClientSession, simulator: SimulatorClient, name: str
) -> None:
    body, model, reason = ASKED[name]
    whole = await answer(gemini_http, model, body)
    billed = (await simulator.last()).billed
    assert _billed(whole["usageMetadata"]) == billed
    assert whole["candidates"][0]["finishReason"] == reason
    for verb, check in ((SSE, check_stream), (ARRAY, check_array)):
        await simulator.reset()
        _, stream = await post(gemini_http, model, body, verb=verb)
        checked = check(stream)
        assert (checked.end, checked.finish_reason) == ("finish", reason)
        assert _said(checked.parts) == _said(whole["candidates"][0]["content"].get("parts", []))
        seen = await simulator.last()
        assert (seen.dialect, seen.model, seen.sent) == ("gemini", model, stream)
        assert _billed(checked.usage) == seen.billed == billed
        await simulator.reset()
        assert (await post(gemini_http, model, body, verb=verb))[1] == stream


def _said(parts: list[dict[str, Any]]) -> tuple[str, str, list[Any], list[bool]]:
    shown = [part for part in parts if "text" in part]
    return (
        "".join(part["text"] for part in shown if not part.get("thought")),
        "".join(part["text"] for part in shown if part.get("thought")),
        [part["functionCall"] for part in parts if "functionCall" in part],
        ["thoughtSignature" in part for part in parts if "functionCall" in part],
    )


def _billed(usage: dict[str, Any]) -> TokenUsage:
    thoughts, cached = usage.get("thoughtsTokenCount", 0), usage.get("cachedContentTokenCount", 0)
    return TokenUsage(
        input_tokens=usage["promptTokenCount"] - cached,
        cache_read_tokens=cached,
        output_tokens=usage.get("candidatesTokenCount", 0) + thoughts,
        reasoning_tokens=thoughts,
    )


async def test_what_each_question_gets(gemini_http: aiohttp.ClientSession) -> None:
    async def said(name: str) -> tuple[str, str, list[Any], list[bool]]:
        body, model, _ = ASKED[name]
        candidate = (await answer(gemini_http, model, body))["candidates"][0]
        return _said(candidate["content"].get("parts", []))

    weather = {"name": "get_weather", "args": {"place": "sample", "days": 1}}
    clock: dict[str, Any] = {"name": "get_time", "args": {}}
    assert await said("text") == (TEXT, "", [], [])
    assert await said("thinking shown") == (TEXT, THOUGHT, [], [])
    assert await said("parallel") == ("", "", [weather, clock], [True, False])
    assert await said("one call") == ("", "", [clock], [True])
    newest = await said("parallel of 3")
    assert newest[3] == [True, False]
    assert {len(call["id"]) for call in newest[2]} == {8}
    assert await said("cap on thoughts") == ("", "", [], [])
    for name in ("schema", "json schema"):
        assert json.loads((await said(name))[0]) == {"place": "sample", "days": 1}
    assert (await said("stop"))[0] == TEXT[: TEXT.index("ByteSpike")]


@pytest.mark.parametrize("name", ["text", "thinking shown", "parallel of 3", "schema", "media"])
async def test_the_sdk_reads_the_same_answer_both_ways(gemini_sdk: AsyncClient, name: str) -> None:
    body, model, reason = ASKED[name]
    config = {
        **body.get("generationConfig", {}),
        "tools": body.get("tools"),
        "toolConfig": body.get("toolConfig"),
        "automaticFunctionCalling": {"disable": True},
    }
    whole = await gemini_sdk.models.generate_content(
        model=model,
        contents=body["contents"],
        config=config,  # type: ignore[arg-type]
    )
    pieces = [
        piece
        async for piece in await gemini_sdk.models.generate_content_stream(
            model=model,
            contents=body["contents"],
            config=config,  # type: ignore[arg-type]
        )
    ]
    assert whole.candidates is not None
    assert whole.candidates[0].finish_reason == reason
    last = pieces[-1]
    assert last.candidates is not None
    assert last.candidates[0].finish_reason == reason
    assert whole.usage_metadata is not None
    assert last.usage_metadata is not None
    assert whole.usage_metadata.total_token_count == last.usage_metadata.total_token_count
    texts = [
        part.text or ""
        for piece in pieces
        for part in piece.parts or ()
        if not part.thought and not part.function_call
    ]
    assert "".join(texts) == (whole.text or "")
    calls = [call for piece in pieces for call in piece.function_calls or ()]
    assert calls == (whole.function_calls or [])


async def test_an_sdk_chat_runs_the_tool_loop_with_signatures(gemini_sdk: AsyncClient) -> None:
    config: Any = {
        "tools": TOOLS,
        "toolConfig": ANY,
        "automaticFunctionCalling": {"disable": True},
    }
    chat = gemini_sdk.chats.create(model="gemini-3-pro-preview", config=config)
    first = await chat.send_message("Tell me of rivers.")
    calls = first.function_calls or []
    assert len(calls) == 2
    answers = [
        types.Part(
            function_response=types.FunctionResponse(
                name=call.name, id=call.id, response={"output": "x"}
            )
        )
        for call in calls
    ]
    again = await chat.send_message([*answers])
    assert len(again.function_calls or []) == 2


async def test_counts(gemini_sdk: AsyncClient, gemini_http: aiohttp.ClientSession) -> None:
    counted = await gemini_sdk.models.count_tokens(
        model="gemini-2.5-flash", contents="Tell me of rivers."
    )
    assert counted.total_tokens == 3 + 5
    body, model, _ = ASKED["media"]
    _, got = await post(gemini_http, model, body, verb="countTokens")
    assert json.loads(got) == {
        "totalTokens": 3 + 2 + 1600 + 11 + 1,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 5},
            {"modality": "AUDIO", "tokenCount": 1},
            {"modality": "DOCUMENT", "tokenCount": 11},
            {"modality": "IMAGE", "tokenCount": 1600},
        ],
    }
    wrapped = {"generateContentRequest": {"model": "models/x", **ASKED["system"][0]}}
    _, got = await post(gemini_http, "gemini-2.5-flash", wrapped, verb="countTokens")
    assert json.loads(got)["totalTokens"] == 3 + 5 + 2


async def test_long_prompts_are_cached_by_themselves(
    gemini_http: aiohttp.ClientSession, simulator: SimulatorClient
) -> None:
    long = {"contents": [USER], "systemInstruction": {"parts": [{"text": "rules " * 1000}]}}
    for _ in range(2):
        await answer(gemini_http, "gemini-2.5-flash", long)
    again, first = await simulator.finished(2)
    assert (first.billed.cache_read_tokens, first.billed.input_tokens) == (0, 1508)
    assert (again.billed.cache_read_tokens, again.billed.input_tokens) == (1508, 0)


async def test_newer_models_demand_the_signature_of_each_steps_first_call(
    gemini_http: aiohttp.ClientSession,
) -> None:
    model = "gemini-3-pro-preview"
    body = {"contents": [USER], "tools": TOOLS, "toolConfig": ANY}
    got = (await answer(gemini_http, model, body))["candidates"][0]["content"]
    responses = {
        "role": "user",
        "parts": [
            {
                "functionResponse": {
                    "name": part["functionCall"]["name"],
                    "id": part["functionCall"]["id"],
                    "response": {"output": 1},
                }
            }
            for part in got["parts"]
        ],
    }

    async def back(signature: str | None, *more: Any) -> tuple[int, str]:
        first = {"functionCall": got["parts"][0]["functionCall"]}
        if signature is not None:
            first["thoughtSignature"] = signature
        step = {"role": "model", "parts": [first, *got["parts"][1:]]}
        contents = [USER, step, responses, *more]
        status, error = await refusal(gemini_http, model, {"contents": contents, "tools": TOOLS})
        return status, error.get("message", "")

    issued = got["parts"][0]["thoughtSignature"]
    assert await back(issued) == (200, "")
    recoded = base64.urlsafe_b64encode(base64.b64decode(issued)).decode()
    assert await back(recoded) == (200, "")
    stand_in = "skip_thought_signature_validator"
    assert await back(stand_in) == (200, "")
    assert await back(base64.b64encode(stand_in.encode()).decode()) == (200, "")
    status, message = await back(None)
    assert status == 400
    assert message.startswith("Function call is missing a thought_signature in functionCall parts.")
    assert "`default_api:get_weather` , position 2." in message
    altered = ("B" if issued[0] != "B" else "C") + issued[1:]
    assert await back(altered) == (400, "Corrupted thought signature.")
    assert (await back("not base64!"))[1].startswith(
        "Invalid value at 'contents[1].parts[0].thought_signature' (TYPE_BYTES)"
    )
    # An earlier turn is not looked at any more.
    done = [{"role": "model", "parts": [{"text": "done"}]}, USER]
    assert await back(None, *done) == (200, "")


@pytest.mark.parametrize(("verb", "check"), [(SSE, check_stream), (ARRAY, check_array)])
async def test_faults_take_this_dialects_form(
    gemini_http: aiohttp.ClientSession, simulator: SimulatorClient, verb: str, check: Any
) -> None:
    body, model, _ = ASKED["text"]

    async def stream(faults: str) -> Any:
        return check((await post(gemini_http, model, body, verb=verb, faults=faults))[1])

    assert (await stream("error-event-after=0")).end == "error"
    broken = await stream("error-event-after=2,split=3")
    assert (broken.end, broken.text) == ("error", TEXT[:48])
    billed = (await simulator.last()).billed
    assert (billed.input_tokens, billed.output_tokens) == (8, 13)
    early = await stream("refusal")
    assert (early.end, early.parts) == ("blocked", [])
    assert (await simulator.last()).billed == TokenUsage(input_tokens=8)
    late = await stream("refusal-late")
    assert (late.text, late.finish_reason) == (TEXT, "SAFETY")
    assert (await stream("no-usage,output-tokens=7")).usage == {}
    assert (await simulator.last()).billed == TokenUsage(input_tokens=8, output_tokens=7)
    sized = await stream("text-bytes=600,events=10,input-tokens=9")
    assert (len(sized.text), sized.usage["promptTokenCount"]) == (600, 9)
    status, error = await post(gemini_http, model, body, faults="error-body")
    assert (status, json.loads(error)["error"]["status"]) == (200, "UNAVAILABLE")


async def test_scripted_calls_then_text(
    gemini_sdk: AsyncClient, simulator: SimulatorClient
) -> None:
    model = "gemini-3-pro-preview"
    signed = {"functionCall": {"name": "get_time", "args": {}}, "thoughtSignature": "bWluZQ=="}
    usage = {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 64,
        "candidatesTokenCount": 15,
        "thoughtsTokenCount": 5,
        "toolUsePromptTokenCount": 3,
        "totalTokenCount": 123,
    }

    def chunk(part: dict[str, Any]) -> dict[str, Any]:
        content = {"role": "model", "parts": [part]}
        candidate = {"content": content, "finishReason": "STOP", "index": 0}
        return {"candidates": [candidate], "usageMetadata": usage}

    sse = f"data: {json.dumps(chunk(signed))}\r\n\r\n"
    await simulator.script(sse=sse, model=model)
    await simulator.script(body=[chunk({"text": "It is noon."})], model=model)
    got = [
        piece
        async for piece in await gemini_sdk.models.generate_content_stream(
            model=model, contents="x"
        )
    ]
    assert (got[0].function_calls or [])[0].name == "get_time"
    seen = await simulator.last()
    assert seen.billed == TokenUsage(
        input_tokens=39, cache_read_tokens=64, output_tokens=20, reasoning_tokens=5
    )
    async with aiohttp.ClientSession(base_url=simulator.url) as session:
        async with session.post(f"/v1beta/models/{model}:{ARRAY}") as response:
            assert (await response.json())[0]["candidates"]
        assert (await simulator.last()).billed == seen.billed
        # What a script gave out is the vendor's own: it may come back.
        contents = [USER, {"role": "model", "parts": [signed]}, RESPONSE]
        url = f"/v1beta/models/{model}:generateContent?key=abc"
        async with session.post(url, json={"contents": contents}) as response:
            assert response.status == 200
