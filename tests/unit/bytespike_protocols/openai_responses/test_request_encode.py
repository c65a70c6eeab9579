"""Requests of other dialects as this vendor must see them, and what is reported as lost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bytespike_protocols.codec import Loss
from bytespike_protocols.errors import Unrepresentable
from bytespike_protocols.ir import (
    Audio,
    Base64,
    Block,
    CacheControl,
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
    Video,
)
from bytespike_protocols.openai_responses import CODEC

OWN = Dialect.OPENAI_RESPONSES
SCHEMA = Json('{"type":"object","properties":{"z":{"type":"number"},"a":{}}}')


def request(*turns: Turn, dialect: Dialect = Dialect.ANTHROPIC, **fields: Any) -> Request:
    return Request(dialect=dialect, model="alias", turns=turns, **fields)


def user(*blocks: Block) -> Turn:
    return Turn(role="user", blocks=blocks)


def model(*blocks: Block) -> Turn:
    return Turn(role="assistant", blocks=blocks)


def text(words: str) -> Text:
    return Text(text=words)


def encode(asked: Request) -> tuple[dict[str, Any], list[Loss]]:
    encoded = CODEC.encode_request(asked, model="gpt-5")
    body: dict[str, Any] = json.loads(encoded.body)
    return body, list(encoded.losses)


def own_state(payload: str) -> Opaque:
    return Opaque(issuer=OWN, payload=payload)


def claude_state(payload: str) -> Opaque:
    return Opaque(issuer=Dialect.ANTHROPIC, payload=payload)


def test_nothing_is_stored_and_state_travels_along() -> None:
    body, losses = encode(request(user(text("hi")), system=(text("be kind"),)))
    assert body == {
        "model": "gpt-5",
        "instructions": "be kind",
        "input": [{"role": "user", "content": "hi"}],
        "store": False,
        "include": ["reasoning.encrypted_content"],
    }
    assert losses == []


CALL = ToolUse(id="toolu_1", name="add", arguments=Json('{"b":1,"a":2}'))
CALL_ITEM = {
    "type": "function_call",
    "call_id": "toolu_1",
    "name": "add",
    "arguments": '{"b":1,"a":2}',
}

#: name -> turns, items, losses
HISTORIES: dict[str, tuple[list[Turn], list[Any], list[Loss]]] = {
    "parallel calls, results before words": (
        [
            user(text("add")),
            model(text("well"), CALL, ToolUse(id="b", name="f", arguments=Json("{}"))),
            user(
                ToolResult(id="toolu_1", content=(text("3"),)),
                ToolResult(id="b"),
                text("and now?"),
            ),
        ],
        [
            {"role": "user", "content": "add"},
            {"role": "assistant", "content": "well"},
            CALL_ITEM,
            {"type": "function_call", "call_id": "b", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "toolu_1", "output": "3"},
            {"type": "function_call_output", "call_id": "b", "output": ""},
            {"role": "user", "content": "and now?"},
        ],
        [],
    ),
    "a failed tool says so": (
        [model(CALL), user(ToolResult(id="toolu_1", content=(text("no"),), is_error=True))],
        [
            CALL_ITEM,
            {
                "type": "function_call_output",
                "call_id": "toolu_1",
                "output": [
                    {"type": "input_text", "text": "The tool failed:"},
                    {"type": "input_text", "text": "no"},
                ],
            },
        ],
        [Loss("messages[].content[].is_error", "emulated")],
    ),
    "media in a result": (
        [
            model(CALL),
            user(
                ToolResult(
                    id="toolu_1",
                    content=(Image(source=Base64(media_type="image/png", data="AAAA")),),
                )
            ),
        ],
        [
            CALL_ITEM,
            {
                "type": "function_call_output",
                "call_id": "toolu_1",
                "output": [{"type": "input_image", "image_url": "data:image/png;base64,AAAA"}],
            },
        ],
        [],
    ),
    "a result without its call": (
        [user(ToolResult(id="gone", content=(text("3"),)))],
        [{"role": "user", "content": "3"}],
        [Loss("messages[].content[].tool_use_id", "emulated")],
    ),
    "state goes to its issuer": (
        [
            user(text("q")),
            model(Thinking(text="hm", opaque=own_state("gAAA")), CALL),
            user(ToolResult(id="toolu_1")),
        ],
        [
            {"role": "user", "content": "q"},
            {
                "type": "reasoning",
                "summary": [{"type": "summary_text", "text": "hm"}],
                "encrypted_content": "gAAA",
            },
            CALL_ITEM,
            {"type": "function_call_output", "call_id": "toolu_1", "output": ""},
        ],
        [],
    ),
    "state of others stays here": (
        [
            model(
                Thinking(text="hm", opaque=claude_state("sig")),
                RedactedThinking(opaque=claude_state("data")),
                Thinking(text="unsigned"),
                text("so"),
            )
        ],
        [{"role": "assistant", "content": "so"}],
        [Loss("messages[].content[].thinking"), Loss("messages[].content[].data")],
    ),
    "reasoning that led to nothing": (
        [model(Thinking(text="hm", opaque=own_state("gAAA"))), user(text("q"))],
        [{"role": "user", "content": "q"}],
        [Loss("messages[].content[].thinking")],
    ),
    "empty words": (
        [model(text(""), CALL), user(text(""), text("q"), text("r"))],
        [
            CALL_ITEM,
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "q"},
                    {"type": "input_text", "text": "r"},
                ],
            },
        ],
        [],
    ),
    "an instruction on the way": (
        [user(text("q")), Turn(role="system", blocks=(text("now in French"),), name="boss")],
        [{"role": "user", "content": "q"}, {"role": "system", "content": "now in French"}],
        [Loss("messages[].name")],
    ),
    "ids and names the vendor refuses": (
        [
            model(ToolUse(id="a:b", name="files.read", arguments=Json("{}"))),
            user(ToolResult(id="a:b")),
        ],
        [
            {
                "type": "function_call",
                "call_id": "call_6783a31eabf68ccc0660f935c0826282",
                "name": "files_read_601e4eb608",
                "arguments": "{}",
            },
            {
                "type": "function_call_output",
                "call_id": "call_6783a31eabf68ccc0660f935c0826282",
                "output": "",
            },
        ],
        [],
    ),
    "images and documents": (
        [
            user(
                Image(source=Url(url="https://a/b.png"), detail="low"),
                Document(
                    source=Base64(media_type="application/pdf", data="JVBE"),
                    context="old",
                    citations=True,
                    cache=CacheControl(),
                ),
                Document(source=Url(url="https://a/b.pdf"), title="b"),
                Document(source=Inline(text="plain"), title="t"),
                Audio(source=Base64(media_type="audio/mpeg", data="SUQz")),
            )
        ],
        [
            {
                "role": "user",
                "content": [
                    {"type": "input_image", "image_url": "https://a/b.png", "detail": "low"},
                    {"type": "input_text", "text": "old"},
                    {
                        "type": "input_file",
                        "filename": "document.pdf",
                        "file_data": "data:application/pdf;base64,JVBE",
                    },
                    {"type": "input_file", "file_url": "https://a/b.pdf", "filename": "b"},
                    {"type": "input_text", "text": "t"},
                    {"type": "input_text", "text": "plain"},
                    {"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3"}},
                ],
            }
        ],
        [
            Loss("messages[].content[].cache_control", "emulated"),
            Loss("messages[].content[].citations"),
            Loss("messages[].content[].context", "emulated"),
            Loss("messages[].content[].source", "emulated"),
        ],
    ),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_a_history(name: str) -> None:
    turns, items, losses = HISTORIES[name]
    body, lost = encode(request(*turns))
    assert body["input"] == items
    assert lost == losses


#: name -> IR fields, body fields, losses
KNOBS: dict[str, tuple[dict[str, Any], dict[str, Any], list[Loss]]] = {
    "tools": (
        {
            "tools": (
                Tool(name="f", parameters=SCHEMA, cache=CacheControl(ttl="1h")),
                Tool(name="g", description="d", strict=True),
            ),
            "tool_choice": ToolChoice(mode="named", names=("f",)),
            "parallel_tools": False,
        },
        {
            "tools": [
                {
                    "type": "function",
                    "name": "f",
                    "parameters": json.loads(SCHEMA),
                    "strict": False,
                },
                {
                    "type": "function",
                    "name": "g",
                    "description": "d",
                    "parameters": None,
                    "strict": True,
                },
            ],
            "tool_choice": {"type": "function", "name": "f"},
            "parallel_tool_calls": False,
        },
        [Loss("tools[].cache_control", "emulated")],
    ),
    "any of some": (
        {"tool_choice": ToolChoice(mode="any", names=("f", "g"))},
        {
            "tool_choice": {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "f"}, {"type": "function", "name": "g"}],
            }
        },
        [],
    ),
    "any of all": ({"tool_choice": ToolChoice(mode="any")}, {"tool_choice": "required"}, []),
    "web search": (
        {
            "tools": (
                ServerTool(dialect=Dialect.ANTHROPIC, kind="web_search", value=Json('{"x":1}')),
            )
        },
        {"tools": [{"type": "web_search"}]},
        [Loss("tools[]", "emulated")],
    ),
    "a schema without a name": (
        {"output": JsonFormat(schema=SCHEMA)},
        {
            "text": {
                "format": {"type": "json_schema", "name": "answer", "schema": json.loads(SCHEMA)}
            }
        },
        [],
    ),
    "any JSON": (
        {"output": JsonFormat()},
        {
            "text": {"format": {"type": "json_object"}},
            "input": [
                {"role": "system", "content": "Answer with one valid JSON object."},
                {"role": "user", "content": "q"},
            ],
        },
        [],
    ),
    "a budget": (
        {"reasoning": Reasoning(mode="budget", budget_tokens=8_000)},
        {"reasoning": {"effort": "medium", "summary": "auto"}},
        [Loss("thinking.budget_tokens", "emulated")],
    ),
    "a large budget": (
        {"reasoning": Reasoning(mode="budget", budget_tokens=60_000, show=False)},
        {"reasoning": {"effort": "high"}},
        [Loss("thinking.budget_tokens", "emulated")],
    ),
    "an effort": (
        {"reasoning": Reasoning(mode="effort", effort=Effort.XHIGH)},
        {"reasoning": {"effort": "xhigh"}},
        [],
    ),
    "no thinking": ({"reasoning": Reasoning(mode="off")}, {"reasoning": {"effort": "none"}}, []),
    "as it likes": (
        {"reasoning": Reasoning(mode="adaptive")},
        {},
        [Loss("thinking.type", "emulated")],
    ),
    "too small a limit": (
        {"max_output_tokens": 1},
        {"max_output_tokens": 16},
        [Loss("max_tokens", "emulated")],
    ),
    "sampling": (
        {
            "sampling": Sampling(
                temperature=0.5,
                top_p=0.9,
                top_k=3,
                seed=7,
                presence_penalty=0.1,
                frequency_penalty=0.2,
                logprobs=True,
                top_logprobs=2,
                logit_bias=Json('{"7":1}'),
            )
        },
        {},
        [
            Loss(name)
            for name in (
                "temperature",
                "top_p",
                "top_k",
                "seed",
                "presence_penalty",
                "frequency_penalty",
                "logit_bias",
                "logprobs",
                "top_logprobs",
            )
        ],
    ),
    "who and what for": (
        {
            "user": "u1",
            "metadata": (("k", "v"),),
            "service_tier": "standard_only",
            "stop_sequences": ("END",),
            "stream": True,
            "candidates": 1,
        },
        {
            "safety_identifier": "u1",
            "metadata": {"k": "v"},
            "service_tier": "default",
            "stream": True,
        },
        [Loss("stop_sequences")],
    ),
    "what only the client's dialect can say": (
        {"extras": (Extra(path="container", value=Json('"c"')),)},
        {},
        [Loss("container")],
    ),
}


@pytest.mark.parametrize("name", KNOBS)
def test_a_knob(name: str) -> None:
    fields, said, losses = KNOBS[name]
    plain, _ = encode(request(user(text("q"))))
    body, lost = encode(request(user(text("q")), **fields))
    assert body == plain | said
    assert lost == losses


def test_instructions_alone_are_the_input() -> None:
    body, _ = encode(request(system=(text("say hi"), text("loudly"))))
    assert body["input"] == [
        {"role": "system", "content": "say hi"},
        {"role": "system", "content": "loudly"},
    ]
    assert "instructions" not in body


REFUSED: dict[str, tuple[Request, str]] = {
    "several answers": (request(user(text("q")), candidates=2), "candidates"),
    "video": (
        request(user(Video(source=Url(url="https://a/b.mp4")))),
        "messages[0].content[]",
    ),
    "audio by URL": (
        request(user(Audio(source=Url(url="https://a/b.mp3")))),
        "messages[0].content[]",
    ),
    "another vendor's file": (
        request(user(text("q"), Image(source=FileId(id="file_1")))),
        "messages[0].content[].source",
    ),
    "another vendor's block": (
        request(
            model(Foreign(dialect=Dialect.ANTHROPIC, kind="server_tool_use", value=Json("{}")))
        ),
        "messages[0].content[]",
    ),
    "an image the model made": (
        request(model(Image(source=Url(url="https://a/b.png")))),
        "messages[0].content[]",
    ),
    "another vendor's tool": (
        request(
            user(text("q")),
            tools=(ServerTool(dialect=Dialect.ANTHROPIC, kind="computer", value=Json("{}")),),
        ),
        "tools[0]",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_content_that_cannot_be_said_is_refused(name: str) -> None:
    asked, path = REFUSED[name]
    with pytest.raises(Unrepresentable) as refusal:
        CODEC.encode_request(asked, model="gpt-5")
    assert refusal.value.path == path
