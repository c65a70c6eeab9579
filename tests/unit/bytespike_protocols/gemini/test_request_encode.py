"""Requests of other dialects as Gemini wants them, and what is reported lost."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bytespike_protocols.errors import Unrepresentable
from bytespike_protocols.gemini import CODEC
from bytespike_protocols.ir import (
    Audio,
    Base64,
    CacheControl,
    Content,
    Dialect,
    Document,
    Effort,
    Extra,
    FileId,
    Foreign,
    Image,
    Inline,
    Json,
    JsonFormat,
    Opaque,
    Reasoning,
    RedactedThinking,
    Refusal,
    Request,
    Sampling,
    ServerTool,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
    Url,
)

HELLO = Turn(role="user", blocks=(Text(text="hello"),))
SCHEMA = Json('{"type":"object","properties":{"n":{"type":["integer","null"]}}}')
CLAUDE = Opaque(issuer=Dialect.ANTHROPIC, payload="claude")
GOOGLE = Opaque(issuer=Dialect.GEMINI, payload="Z29vZ2xl")
PNG = Base64(media_type="image/png", data="iVBO")
PDF = Base64(media_type="application/pdf", data="JVBE")


def encode(
    *turns: Turn, model: str = "gemini-2.5-flash", **fields: Any
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    request = Request(
        dialect=fields.pop("dialect", Dialect.ANTHROPIC),
        model="client-model",
        turns=turns,
        **fields,
    )
    encoded = CODEC.encode_request(request, model=model)
    return msgspec.json.decode(encoded.body), [(x.path, x.verdict) for x in encoded.losses]


def calls(*names: str, opaque: Opaque | None = None) -> tuple[ToolUse, ...]:
    return tuple(
        ToolUse(id=f"toolu_{name}", name=name, arguments=Json('{"b":1,"a":2}'), opaque=opaque)
        for name in names
    )


def result(name: str, *content: Content, is_error: bool = False) -> ToolResult:
    return ToolResult(id=f"toolu_{name}", content=content, is_error=is_error)


def contents(*turns: Turn, model: str = "gemini-2.5-flash", **fields: Any) -> Any:
    return encode(*turns, model=model, **fields)[0]["contents"]


def test_parallel_results_stand_alone_behind_their_calls() -> None:
    found = contents(
        HELLO,
        Turn(role="assistant", blocks=(Text(text="Looking."), *calls("x", "y"))),
        Turn(role="user", blocks=(result("x", Text(text="1")),)),
        Turn(
            role="user",
            blocks=(result("y", Text(text='{"deg": 2}')), Text(text="And now?")),
        ),
    )
    assert [content["role"] for content in found] == ["user", "model", "user", "user"]
    assert found[1]["parts"][1] == {
        "functionCall": {"name": "x", "args": {"b": 1, "a": 2}, "id": "toolu_x"}
    }
    assert [part["functionResponse"] for part in found[2]["parts"]] == [
        {"name": "x", "response": {"output": "1"}, "id": "toolu_x"},
        {"name": "y", "response": {"deg": 2}, "id": "toolu_y"},
    ]
    assert found[3]["parts"] == [{"text": "And now?"}]


def test_calls_of_one_step_are_one_content() -> None:
    found = contents(
        HELLO,
        Turn(role="assistant", blocks=(Text(text="I will"),)),
        Turn(role="assistant", blocks=calls("x")),
        Turn(role="assistant", blocks=calls("y")),
        Turn(role="user", blocks=(result("x"), result("y"))),
    )
    assert [len(content["parts"]) for content in found] == [1, 3, 2]


@pytest.mark.parametrize(
    ("blocks", "is_error", "response"),
    [
        ((), False, {}),
        ((Text(text="21 degrees"),), False, {"output": "21 degrees"}),
        ((Text(text="a"), Text(text="b")), False, {"output": "a\nb"}),
        ((Text(text="[1, 2]"),), False, {"output": "[1, 2]"}),
        ((Text(text='{"t": 21}'),), False, {"t": 21}),
        ((Text(text="no such city"),), True, {"error": "no such city"}),
        ((Text(text='{"t": 21}'),), True, {"error": '{"t": 21}'}),
        ((Text(text='{"error": {"code": 5}}'),), True, {"error": {"code": 5}}),
        ((), True, {"error": ""}),
    ],
)
def test_results_are_objects(
    blocks: tuple[Content, ...], is_error: bool, response: dict[str, Any]
) -> None:
    found = contents(
        HELLO,
        Turn(role="assistant", blocks=calls("x")),
        Turn(role="user", blocks=(result("x", *blocks, is_error=is_error),)),
    )
    assert found[2]["parts"][0]["functionResponse"]["response"] == response


def test_pictures_in_results_go_where_the_model_takes_them() -> None:
    turns = (
        HELLO,
        Turn(role="assistant", blocks=calls("x")),
        Turn(role="user", blocks=(result("x", Text(text="see"), Image(source=PNG)),)),
    )
    picture = {"inlineData": {"mimeType": "image/png", "data": "iVBO"}}
    body, losses = encode(*turns, model="gemini-3-flash-preview")
    assert body["contents"][2]["parts"][0]["functionResponse"]["parts"] == [picture]
    assert losses == []
    body, losses = encode(*turns, model="gemini-2.5-flash")
    assert "parts" not in body["contents"][2]["parts"][0]["functionResponse"]
    assert body["contents"][3] == {"role": "user", "parts": [picture]}
    assert losses == [("messages[].content[].content", "emulated")]


def test_words_about_a_document_in_a_result_are_part_of_the_result() -> None:
    found = contents(
        HELLO,
        Turn(role="assistant", blocks=calls("x")),
        Turn(role="user", blocks=(result("x", Document(source=PDF, title="T"), Text(text="a")),)),
        model="gemini-3-flash-preview",
    )
    answer = found[2]["parts"][0]["functionResponse"]
    assert answer["response"] == {"output": "T\na"}
    assert [list(part) for part in answer["parts"]] == [["inlineData"]]


def test_signatures_go_to_their_issuer_only() -> None:
    own = Turn(role="assistant", blocks=calls("x", opaque=GOOGLE))
    foreign = Turn(role="assistant", blocks=calls("x", opaque=CLAUDE))
    done = Turn(role="user", blocks=(result("x"),))
    body, losses = encode(HELLO, own, done, model="gemini-3-pro-preview")
    assert body["contents"][1]["parts"][0]["thoughtSignature"] == GOOGLE.payload
    assert losses == []
    body, losses = encode(HELLO, foreign, done, model="gemini-3-pro-preview")
    stand_in = "skip_thought_signature_validator"
    assert body["contents"][1]["parts"][0]["thoughtSignature"] == stand_in
    assert losses == [("messages[].content[].signature", "dropped")]
    body, _ = encode(HELLO, foreign, done, model="gemini-2.5-pro")
    assert "thoughtSignature" not in body["contents"][1]["parts"][0]


def test_only_the_first_call_of_a_step_gets_the_stand_in() -> None:
    found = contents(
        HELLO,
        Turn(role="assistant", blocks=calls("x", "y")),
        Turn(role="user", blocks=(result("x"), result("y"))),
        model="gemini-3-flash-preview",
    )
    assert ["thoughtSignature" in part for part in found[1]["parts"]] == [True, False]


def test_thinking_of_others_is_dropped_and_said_so() -> None:
    thoughts = (
        Thinking(text="hm", opaque=CLAUDE),
        RedactedThinking(opaque=CLAUDE),
        Thinking(text="unsigned"),
        Text(text="42"),
    )
    body, losses = encode(HELLO, Turn(role="assistant", blocks=thoughts), HELLO)
    assert body["contents"][1]["parts"] == [{"text": "42"}]
    assert losses == [(f"messages[].content[].{name}", "dropped") for name in ("thinking", "data")]


def test_a_signature_in_a_thinking_block_returns_to_the_part_behind_it() -> None:
    carried = Thinking(text="summary", opaque=GOOGLE)
    found = contents(HELLO, Turn(role="assistant", blocks=(carried, Text(text="42"))), HELLO)
    assert found[1]["parts"] == [{"text": "42", "thoughtSignature": GOOGLE.payload}]
    found = contents(HELLO, Turn(role="assistant", blocks=(Text(text="42"), carried)), HELLO)
    assert found[1]["parts"][1] == {"text": "", "thoughtSignature": GOOGLE.payload}


@pytest.mark.parametrize(
    ("block", "parts", "losses"),
    [
        (Text(text=""), [{"text": "hello"}], []),
        (
            Text(text="a", cache=CacheControl()),
            [{"text": "a"}],
            [("messages[].content[].cache_control", "dropped")],
        ),
        (
            Text(text="a", citations=(Json("{}"),)),
            [{"text": "a"}],
            [("messages[].content[].citations", "dropped")],
        ),
        (
            Image(source=Url(url="https://x.test/a.png?b=c"), detail="high"),
            [{"fileData": {"mimeType": "image/png", "fileUri": "https://x.test/a.png?b=c"}}],
            [("messages[].content[].detail", "dropped")],
        ),
        (
            Audio(source=Base64(media_type="audio/wav", data="UklG")),
            [{"inlineData": {"mimeType": "audio/wav", "data": "UklG"}}],
            [],
        ),
        (
            Document(source=PDF, title="Report", context="of May", citations=True),
            [
                {"text": "Report\nof May"},
                {"inlineData": {"mimeType": "application/pdf", "data": "JVBE"}},
            ],
            [
                ("messages[].content[].citations", "dropped"),
                ("messages[].content[].title", "emulated"),
                ("messages[].content[].context", "emulated"),
            ],
        ),
        (
            Document(source=Inline(text="words")),
            [{"inlineData": {"mimeType": "text/plain", "data": "d29yZHM="}}],
            [],
        ),
        (
            Document(source=Inline(blocks=(Text(text="a"), Image(source=PNG)))),
            [{"text": "a"}, {"inlineData": {"mimeType": "image/png", "data": "iVBO"}}],
            [],
        ),
        (Refusal(text="I won't"), [{"text": "I won't"}], []),
    ],
)
def test_blocks(block: Any, parts: list[Any], losses: list[Any]) -> None:
    body, found = encode(Turn(role="user", blocks=(block,)), HELLO)
    assert body["contents"][0]["parts"] == parts
    assert found == losses


@pytest.mark.parametrize(
    ("block", "path"),
    [
        (Image(source=FileId(id="file_1")), "messages[0].content[].source"),
        (
            Foreign(dialect=Dialect.ANTHROPIC, kind="server_tool_use", value=Json("{}")),
            "messages[0].content[]",
        ),
        (ToolResult(id="nobody_called"), "messages[0].content[].tool_use_id"),
        (
            ToolUse(id="t", name="f", arguments=Json('{"cut')),
            "messages[0].content[].input",
        ),
    ],
)
def test_content_that_cannot_be_said_is_refused(block: Any, path: str) -> None:
    with pytest.raises(Unrepresentable) as caught:
        encode(Turn(role="user", blocks=(block,)))
    assert caught.value.path == path


def test_instructions_lead_or_are_the_users_words() -> None:
    late = Turn(role="system", blocks=(Text(text="Be brief."),))
    body, losses = encode(HELLO, late, system=(Text(text="You are kind."),))
    assert body["systemInstruction"] == {"parts": [{"text": "You are kind."}]}
    assert body["contents"][1] == {"role": "user", "parts": [{"text": "Be brief."}]}
    assert losses == [("messages[].role", "emulated")]
    body, losses = encode(system=(Text(text="Say hello."),))
    assert body == {"contents": [{"role": "user", "parts": [{"text": "Say hello."}]}]}
    assert losses == [("system", "emulated")]


def test_a_request_without_anything_in_it_is_refused() -> None:
    with pytest.raises(Unrepresentable) as caught:
        encode(Turn(role="user", blocks=(Text(text=""),)))
    assert caught.value.path == "messages"


def test_tools_and_choice() -> None:
    tools = (
        Tool(name="x", description="does x", parameters=SCHEMA, strict=True),
        ServerTool(dialect=Dialect.ANTHROPIC, kind="web_search", value=Json("{}")),
        Tool(name="1st", cache=CacheControl(ttl="1h")),
    )
    choice = ToolChoice(mode="named", names=("1st",))
    body, losses = encode(HELLO, tools=tools, tool_choice=choice, parallel_tools=False)
    assert body["tools"] == [
        {
            "functionDeclarations": [
                {
                    "name": "x",
                    "description": "does x",
                    "parametersJsonSchema": msgspec.json.decode(SCHEMA),
                },
                {"name": "_1st_e01ddf6594"},
            ]
        },
        {"googleSearch": {}},
    ]
    calling = {"mode": "ANY", "allowedFunctionNames": ["_1st_e01ddf6594"]}
    assert body["toolConfig"] == {"functionCallingConfig": calling}
    assert losses == [
        ("tools[].strict", "dropped"),
        ("tools[]", "emulated"),
        ("tools[].cache_control", "dropped"),
        ("tool_choice.disable_parallel_tool_use", "dropped"),
    ]
    with pytest.raises(Unrepresentable, match=r"tools\[0\]: Gemini has no computer tool"):
        encode(HELLO, tools=(ServerTool(dialect=Dialect.ANTHROPIC, kind="computer", value=SCHEMA),))


@pytest.mark.parametrize(
    ("choice", "calling"),
    [
        (ToolChoice(mode="auto"), {"mode": "AUTO"}),
        (ToolChoice(mode="none"), {"mode": "NONE"}),
        (ToolChoice(mode="any"), {"mode": "ANY"}),
        (
            ToolChoice(mode="any", names=("a", "b")),
            {"mode": "ANY", "allowedFunctionNames": ["a", "b"]},
        ),
        (
            ToolChoice(mode="auto", names=("a",)),
            {"mode": "VALIDATED", "allowedFunctionNames": ["a"]},
        ),
    ],
)
def test_choice_modes(choice: ToolChoice, calling: dict[str, Any]) -> None:
    body, _ = encode(HELLO, tool_choice=choice)
    assert body["toolConfig"]["functionCallingConfig"] == calling


def test_older_models_get_the_older_schema() -> None:
    tools = (Tool(name="x", parameters=SCHEMA), Tool(name="y", parameters=Json("{}")))
    body, _ = encode(HELLO, model="gemini-2.0-flash", tools=tools)
    number = {"type": "INTEGER", "nullable": True}
    assert body["tools"][0]["functionDeclarations"] == [
        {"name": "x", "parameters": {"type": "OBJECT", "properties": {"n": number}}},
        {"name": "y"},
    ]
    output = JsonFormat(schema=Json('{"type":"object","additionalProperties":false}'))
    body, losses = encode(HELLO, model="gemini-2.0-flash", output=output)
    assert body["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseSchema": {"type": "OBJECT"},
    }
    assert losses == [("output_config.format.schema.additionalProperties", "dropped")]


def test_knobs() -> None:
    body, losses = encode(
        HELLO,
        max_output_tokens=9,
        stop_sequences=("a", "b", "c", "d", "e", "f"),
        sampling=Sampling(
            temperature=0.5,
            top_p=0.9,
            top_k=40,
            seed=7,
            presence_penalty=0.1,
            frequency_penalty=0.2,
            logprobs=True,
            top_logprobs=3,
            logit_bias=Json('{"7":1}'),
        ),
        output=JsonFormat(schema=SCHEMA, name="answer"),
        candidates=1,
        cache=CacheControl(),
        user="u",
        metadata=(("k", "v"),),
        service_tier="fast",
        extras=(Extra(path="container", value=Json('"c"')),),
    )
    assert body["generationConfig"] == {
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 40,
        "seed": 7,
        "presencePenalty": 0.1,
        "frequencyPenalty": 0.2,
        "maxOutputTokens": 9,
        "stopSequences": ["a", "b", "c", "d", "e"],
        "responseMimeType": "application/json",
        "responseJsonSchema": msgspec.json.decode(SCHEMA),
    }
    assert losses == [
        (path, "dropped")
        for path in (
            "container",
            "logit_bias",
            "logprobs",
            "top_logprobs",
            "stop_sequences",
            "metadata",
            "metadata.user_id",
            "cache_control",
            "service_tier",
        )
    ]
    assert encode(HELLO, service_tier="default")[0]["serviceTier"] == "standard"
    with pytest.raises(Unrepresentable, match="candidates"):
        encode(HELLO, candidates=2)


BUDGET, EFFORT, OFF = "thinkingBudget", "thinkingLevel", Reasoning(mode="off")


TOLD = {"off": "thinking.type", "adaptive": "thinking", "budget": "thinking.budget_tokens"}
TOLD["effort"] = "output_config.effort"


@pytest.mark.parametrize(
    ("model", "reasoning", "config", "verdict"),
    [
        ("gemini-2.5-flash", OFF, {BUDGET: 0}, None),
        ("gemini-2.5-pro", OFF, {BUDGET: 128}, "emulated"),
        ("gemini-3-flash-preview", OFF, {EFFORT: "MINIMAL"}, "emulated"),
        ("gemini-3-pro-preview", OFF, {EFFORT: "LOW"}, "emulated"),
        ("gemini-2.0-flash", OFF, None, None),
        ("gemini-2.0-flash", Reasoning(mode="adaptive"), None, "dropped"),
        ("gemini-2.5-flash", Reasoning(mode="adaptive"), {BUDGET: -1}, None),
        ("gemini-3-flash-preview", Reasoning(mode="adaptive"), {}, None),
        ("gemini-2.5-flash", Reasoning(mode="budget", budget_tokens=5000), {BUDGET: 5000}, None),
        (
            "gemini-2.5-flash",
            Reasoning(mode="budget", budget_tokens=60000),
            {BUDGET: 24576},
            "emulated",
        ),
        ("gemini-2.5-pro", Reasoning(mode="effort", effort=Effort.MEDIUM), {BUDGET: 8192}, None),
        (
            "gemini-3.1-pro-preview",
            Reasoning(mode="effort", effort=Effort.MEDIUM),
            {EFFORT: "MEDIUM"},
            None,
        ),
        (
            "gemini-3-pro-preview",
            Reasoning(mode="effort", effort=Effort.MEDIUM),
            {EFFORT: "HIGH"},
            "emulated",
        ),
        (
            "gemini-flash-latest",
            Reasoning(mode="effort", effort=Effort.MAX),
            {EFFORT: "HIGH"},
            "emulated",
        ),
        (
            "gemini-3-flash-preview",
            Reasoning(mode="budget", budget_tokens=2048),
            {EFFORT: "LOW"},
            "emulated",
        ),
    ],
)
def test_effort_and_budgets(
    model: str, reasoning: Reasoning, config: dict[str, Any] | None, verdict: str | None
) -> None:
    body, losses = encode(HELLO, model=model, reasoning=reasoning)
    if config is not None and reasoning.mode != "off":
        config = {**config, "includeThoughts": True}
    assert body.get("generationConfig", {}).get("thinkingConfig") == config
    assert losses == ([(TOLD[reasoning.mode], verdict)] if verdict else [])


def test_thoughts_are_not_asked_for_against_the_clients_wish() -> None:
    silent = Reasoning(mode="effort", effort=Effort.LOW, show=False)
    body, _ = encode(HELLO, reasoning=silent)
    assert body["generationConfig"]["thinkingConfig"] == {"thinkingBudget": 1024}
