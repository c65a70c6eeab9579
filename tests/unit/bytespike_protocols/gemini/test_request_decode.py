"""What Gemini's clients may write, and how they are told what they may not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bytespike_protocols.codec import RouteHints
from bytespike_protocols.errors import BadClientMessage
from bytespike_protocols.gemini import CODEC
from bytespike_protocols.ir import (
    Audio,
    Base64,
    Document,
    Effort,
    FileId,
    Image,
    Json,
    JsonFormat,
    Reasoning,
    Request,
    ServerTool,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    Url,
    Video,
)

HINTS = RouteHints(model="gemini-2.5-flash", stream=True)
ASK = [{"role": "user", "parts": [{"text": "hi"}]}]


def decode(body: Any) -> Request:
    return CODEC.decode_request(msgspec.json.encode(body), HINTS)


def ask(*parts: dict[str, Any], role: str = "user") -> dict[str, Any]:
    return {"contents": [{"role": role, "parts": list(parts)}]}


@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        ({}, "contents", "at least one content is required"),
        ({"contents": []}, "contents", "at least one content is required"),
        ({"contents": "hi"}, "contents", "must be an array"),
        ({"contents": ["hi"]}, "contents[0]", "must be an object"),
        ({"contents": [{"role": "system"}]}, "contents[0].role", "must be user or model"),
        (ask({"text": 1}), "contents[0].parts[0].text", "must be a string"),
        (ask({}), "contents[0].parts[0]", "a part needs text, data, a call or a response"),
        (ask({"inlineData": {}}), "contents[0].parts[0].inlineData.data", "field required"),
        (
            ask({"inlineData": {"data": "AA=="}}),
            "contents[0].parts[0].inlineData.mimeType",
            "field required",
        ),
        (ask({"fileData": {}}), "contents[0].parts[0].fileData.fileUri", "field required"),
        (
            ask({"functionCall": {"args": {}}}),
            "contents[0].parts[0].functionCall.name",
            "field required",
        ),
        (
            ask({"functionCall": {"name": "f", "args": []}}),
            "contents[0].parts[0].functionCall.args",
            "must be an object",
        ),
        (
            ask({"functionResponse": {"response": {}}}),
            "contents[0].parts[0].functionResponse.name",
            "field required",
        ),
        (
            ask({"functionResponse": {"name": "f", "response": "text"}}),
            "contents[0].parts[0].functionResponse.response",
            "must be an object",
        ),
        (
            ask({"functionResponse": {"name": "f", "parts": [{"text": "t"}]}}),
            "contents[0].parts[0].functionResponse.parts[0]",
            "a part of a function response needs inlineData or fileData",
        ),
        (
            {"contents": ASK, "systemInstruction": {"parts": [{"inlineData": {}}]}},
            "systemInstruction.parts[0].text",
            "a system instruction is text",
        ),
        (
            {"contents": ASK, "tools": [{"functionDeclarations": [{}]}]},
            "tools[0].functionDeclarations[0].name",
            "field required",
        ),
        (
            {"contents": ASK, "toolConfig": {"functionCallingConfig": {"mode": "SOME"}}},
            "toolConfig.functionCallingConfig.mode",
            "must be AUTO, ANY, NONE or VALIDATED",
        ),
        (
            {"contents": ASK, "generationConfig": {"maxOutputTokens": "many"}},
            "generationConfig.maxOutputTokens",
            "must be an integer",
        ),
        (
            {"contents": ASK, "generationConfig": {"temperature": [1]}},
            "generationConfig.temperature",
            "must be a number",
        ),
        (
            {"contents": ASK, "generationConfig": {"stopSequences": "x"}},
            "generationConfig.stopSequences",
            "must be an array of strings",
        ),
        (
            {"contents": ASK, "generationConfig": {"thinkingConfig": {"thinkingLevel": "SOME"}}},
            "generationConfig.thinkingConfig.thinkingLevel",
            "unknown level",
        ),
        ({"contents": ASK, "labels": {"k": 1}}, "labels.k", "must be a string"),
    ],
)
def test_faults_are_named(body: Any, path: str, message: str) -> None:
    with pytest.raises(BadClientMessage) as caught:
        decode(body)
    assert (caught.value.path, caught.value.message) == (path, message)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b'{"contents":[],"contents":[]}', "repeats a top-level key"),
        (b'{"contents":[{"parts":[{"text":"\xff"}]}]}', "not UTF-8"),
        (b'{"contents":' + b"[" * 100_000, "nested too deeply"),
        (
            b'{"contents":[{"parts":[{"functionResponse":{"name":"f","response":{"a":'
            + b"[" * 900
            + b"]" * 900
            + b"}}}]}]}",
            "",
        ),
    ],
)
def test_bodies_that_are_none(body: bytes, message: str) -> None:
    if message:
        with pytest.raises(BadClientMessage, match=message):
            CODEC.decode_request(body, HINTS)
    else:
        assert CODEC.decode_request(body, HINTS).turns


def test_the_model_comes_from_the_path() -> None:
    request = decode({"contents": ASK})
    assert (request.model, request.stream) == ("gemini-2.5-flash", True)
    with pytest.raises(BadClientMessage, match="model: field required"):
        CODEC.decode_request(msgspec.json.encode({"contents": ASK}), RouteHints())


@pytest.mark.parametrize(
    ("part", "block"),
    [
        ({"text": "a"}, Text(text="a")),
        ({"text": "a", "thought": True}, Thinking(text="a")),
        ({"text": "a", "thought": False}, Text(text="a")),
        (
            {"inline_data": {"mime_type": "image/png", "data": "iVBO"}},
            Image(source=Base64(media_type="image/png", data="iVBO")),
        ),
        (
            {"inlineData": {"mimeType": "audio/wav", "data": "UklG"}},
            Audio(source=Base64(media_type="audio/wav", data="UklG")),
        ),
        (
            {"inlineData": {"mimeType": "application/pdf", "data": "JVBE"}},
            Document(source=Base64(media_type="application/pdf", data="JVBE")),
        ),
        (
            {"fileData": {"fileUri": "https://youtu.be/x"}},
            Video(source=Url(url="https://youtu.be/x")),
        ),
        (
            {"fileData": {"fileUri": "gs://bucket/x", "mimeType": "text/csv"}},
            Document(source=FileId(id="gs://bucket/x", media_type="text/csv")),
        ),
        (
            {"functionCall": {"name": "f", "id": "c1"}},
            ToolUse(id="c1", name="f", arguments=Json("{}")),
        ),
    ],
)
def test_parts(part: dict[str, Any], block: Any) -> None:
    assert decode(ask(part)).turns[0].blocks == (block,)


@pytest.mark.parametrize(
    ("response", "is_error", "text"),
    [
        ({"output": "21"}, False, "21"),
        ({"output": '{"t":21}'}, False, '{"output":"{\\"t\\":21}"}'),
        ({"output": [1]}, False, '{"output":[1]}'),
        ({"result": "21"}, False, '{"result":"21"}'),
        ({"error": "no"}, True, "no"),
        ({"error": {"code": 1}}, True, '{"error":{"code":1}}'),
        ({}, False, "{}"),
    ],
)
def test_results(response: dict[str, Any], is_error: bool, text: str) -> None:
    [block] = decode(ask({"functionResponse": {"name": "f", "response": response}})).turns[0].blocks
    assert isinstance(block, ToolResult)
    assert (block.is_error, block.content) == (is_error, (Text(text=text),))


def test_calls_without_ids_are_bound_by_name_and_order() -> None:
    def call(name: str) -> dict[str, Any]:
        return {"functionCall": {"name": name, "args": {}}}

    def answer(name: str, text: str) -> dict[str, Any]:
        return {"functionResponse": {"name": name, "response": {"output": text}}}

    body = {
        "contents": [
            *ASK,
            {"role": "model", "parts": [call("f"), call("g"), call("f")]},
            {"role": "user", "parts": [{"text": "so:"}, answer("f", "1"), answer("f", "2")]},
            {"role": "function", "parts": [answer("g", "3")]},
            {"role": "model", "parts": [call("f")]},
            {"role": "user", "parts": [answer("f", "4")]},
        ]
    }
    turns = decode(body).turns
    ids = [block.id for block in turns[1].blocks + turns[4].blocks if isinstance(block, ToolUse)]
    assert len(set(ids)) == 4
    found = [(b.id, b.content) for t in turns for b in t.blocks if isinstance(b, ToolResult)]
    texts = [(Text(text=text),) for text in "1234"]
    assert found == list(zip([ids[0], ids[2], ids[1], ids[3]], texts, strict=True))
    assert [type(block) for block in turns[2].blocks] == [ToolResult, ToolResult, Text]


def test_configuration() -> None:
    request = decode(
        {
            "contents": ASK,
            "system_instruction": {"parts": [{"text": "Be kind."}]},
            "generation_config": {
                "max_output_tokens": "9",
                "stop_sequences": ["x"],
                "topK": 40.0,
                "candidateCount": 2,
                "responseMimeType": "application/json",
                "responseSchema": {"type": "STRING", "nullable": True, "maxLength": "4"},
            },
            "labels": {"team": "a"},
            "serviceTier": "flex",
        }
    )
    assert request.system == (Text(text="Be kind."),)
    assert (request.max_output_tokens, request.stop_sequences) == (9, ("x",))
    assert (request.sampling.top_k, request.candidates) == (40, 2)
    schema = Json('{"type":["string","null"],"maxLength":4}')
    assert request.output == JsonFormat(schema=schema)
    assert (request.metadata, request.service_tier) == ((("team", "a"),), "flex")
    assert request.extras == ()


@pytest.mark.parametrize(
    ("config", "reasoning"),
    [
        ({}, Reasoning(mode="adaptive")),
        ({"includeThoughts": True}, Reasoning(mode="adaptive", show=True)),
        ({"thinkingBudget": -1}, Reasoning(mode="adaptive")),
        ({"thinkingBudget": 0}, Reasoning(mode="off")),
        ({"thinkingBudget": 512}, Reasoning(mode="budget", budget_tokens=512)),
        ({"thinkingLevel": "high"}, Reasoning(mode="effort", effort=Effort.HIGH)),
    ],
)
def test_thinking(config: dict[str, Any], reasoning: Reasoning) -> None:
    request = decode({"contents": ASK, "generationConfig": {"thinkingConfig": config}})
    assert request.reasoning == reasoning


def test_tools() -> None:
    request = decode(
        {
            "contents": ASK,
            "tools": [
                {"functionDeclarations": [{"name": "f", "behavior": "BLOCKING"}]},
                {"google_search": {}},
                {"codeExecution": {}},
            ],
            "toolConfig": {
                "functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]},
                "retrievalConfig": {"languageCode": "de"},
            },
        }
    )
    first, *hosted = request.tools
    assert isinstance(first, Tool)
    assert [(extra.path, extra.value) for extra in first.extras] == [
        ("tools[0].functionDeclarations[0].behavior", '"BLOCKING"')
    ]
    assert [tool.kind for tool in hosted if isinstance(tool, ServerTool)] == [
        "web_search",
        "codeExecution",
    ]
    assert request.tool_choice == ToolChoice(mode="named", names=("f",))
    assert [extra.path for extra in request.extras] == ["toolConfig.retrievalConfig"]


def test_what_only_gemini_says_finds_its_place_again() -> None:
    body = {
        "contents": [
            {
                "role": "user",
                "parts": [
                    {
                        "inlineData": {"mimeType": "video/mp4", "data": "AA==", "displayName": "v"},
                        "videoMetadata": {"fps": 2},
                    }
                ],
                "a.b": 1,
            }
        ],
        "safetySettings": [{"category": "C", "threshold": "T"}],
        "generationConfig": {
            "responseModalities": ["TEXT"],
            "thinkingConfig": {"thinkingBudget": -1, "x": 1},
        },
        "toolConfig": {"functionCallingConfig": {"mode": "VALIDATED"}},
        "cachedContent": "cachedContents/1",
    }
    request = decode(body)
    assert {extra.path for extra in request.extras} == {
        "contents[0].parts[0].inlineData.displayName",
        "contents[0].parts[0].videoMetadata",
        'contents[0]["a.b"]',
        "safetySettings",
        "generationConfig.responseModalities",
        "generationConfig.thinkingConfig.thinkingBudget",
        "generationConfig.thinkingConfig.x",
        "toolConfig.functionCallingConfig.mode",
        "cachedContent",
    }
    encoded = CODEC.encode_request(request, model="gemini-2.5-flash")
    assert (msgspec.json.decode(encoded.body), encoded.losses) == (body, ())
