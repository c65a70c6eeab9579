"""Conversations of other dialects as Anthropic takes them, with what is lost on the way."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from msgspec.structs import replace

from bytespike_protocols.anthropic import CODEC
from bytespike_protocols.codec import Loss
from bytespike_protocols.errors import BadClientMessage, Unrepresentable
from bytespike_protocols.ir import (
    Audio,
    Base64,
    Block,
    Dialect,
    Document,
    FileId,
    Foreign,
    Image,
    Inline,
    Json,
    RedactedThinking,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    Turn,
    Url,
)
from tests.support.anthropic_requests import (
    ANTHROPIC,
    ASK,
    GOOGLE,
    NEW,
    OLD,
    call,
    encode,
    result,
    said,
    text,
)


def test_parallel_calls_and_their_results_become_two_messages() -> None:
    body, losses = encode(
        said("user", "weather in two cities"),
        said("assistant", "", call("call_1", arguments='{"city":"Oslo"}')),
        said("assistant", call("call_2", arguments="")),
        said("user", result("call_1", Text(text="rain"))),
        said("user", result("call_2", is_error=True)),
        said("user", "and now?"),
    )
    assert losses == []
    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "call_1", "name": "f", "input": {"city": "Oslo"}},
                {"type": "tool_use", "id": "call_2", "name": "f", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "call_1", "content": [text("rain")]},
                {"type": "tool_result", "tool_use_id": "call_2", "is_error": True},
                text("and now?"),
            ],
        },
    ]


def test_ids_the_vendor_refuses_or_has_seen_are_rewritten_with_their_results() -> None:
    body, _ = encode(
        said("user", "go"),
        said("assistant", call("call 0"), call("call_0")),
        said("user", result("call_0", Text(text="b")), result("call 0", Text(text="a"))),
        said("assistant", call("call_0")),
        said("user", result("call_0", Text(text="c"))),
    )
    _, first, answers, second, answer = body["messages"]
    odd, plain = (block["id"] for block in first["content"])
    assert (odd[:7], plain) == ("call_0-", "call_0")
    assert [block["tool_use_id"] for block in answers["content"]] == [plain, odd]
    assert second["content"][0]["id"] == answer["content"][0]["tool_use_id"] == "call_0-2"


def test_names_the_vendor_refuses_come_back_as_they_were() -> None:
    request = replace(
        ASK,
        tools=(Tool(name="a.b"), Tool(name="a_b")),
        tool_choice=ToolChoice(mode="named", names=("a.b",)),
    )
    encoded = CODEC.encode_request(request, model=OLD)
    body = json.loads(encoded.body)
    safe, plain = (tool["name"] for tool in body["tools"])
    assert plain == "a_b"
    assert body["tool_choice"] == {"type": "tool", "name": safe}
    assert encoded.renamed == ((safe, "a.b"),)


def test_a_result_without_its_call_is_told() -> None:
    body, losses = encode(said("user", result("gone", Text(text="42")), "why?"))
    content = body["messages"][0]["content"]
    assert [block["type"] for block in content] == ["text", "text", "text"]
    assert content[1:] == [text("42"), text("why?")]
    assert losses == [Loss("messages[].tool_call_id", "emulated")]


@pytest.mark.parametrize("after", [(), (said("user", "never mind"),)])
def test_a_call_without_its_result_is_refused(after: tuple[Turn, ...]) -> None:
    with pytest.raises(BadClientMessage) as caught:
        encode(said("user", "go"), said("assistant", call("c")), *after)
    assert caught.value.path == "messages[].tool_calls[]"


def test_only_the_issuer_sees_its_state() -> None:
    body, losses = encode(
        said("user", "go"),
        said(
            "assistant",
            Thinking(text="mine", opaque=ANTHROPIC),
            RedactedThinking(opaque=ANTHROPIC),
            Thinking(text="theirs", opaque=GOOGLE),
            Thinking(text="nobody's"),
            RedactedThinking(opaque=GOOGLE),
            call("c", opaque=GOOGLE),
        ),
        said("user", result("c")),
    )
    kinds = [block["type"] for block in body["messages"][1]["content"]]
    assert kinds == ["thinking", "redacted_thinking", "tool_use"]
    assert body["messages"][1]["content"][0]["signature"] == "sig=="
    assert [loss.path for loss in losses] == [
        "messages[].reasoning_details[]",
        "messages[].reasoning_content",
        "messages[].tool_calls[].extra_content.google.thought_signature",
    ]


PNG = "iVBORw0KGgoAAAANSUhEUg=="


@pytest.mark.parametrize(
    ("block", "wire"),
    [
        (
            Image(source=Base64(media_type="image/jpeg", data=PNG)),
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": PNG},
            },
        ),
        (
            Image(source=Url(url="https://x/y.png")),
            {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
        ),
        (
            Document(source=Base64(media_type="application/pdf", data="JVBERi0="), title="a.pdf"),
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
                "title": "a.pdf",
            },
        ),
        (
            Document(
                source=Base64(media_type="text/csv", data=base64.b64encode(b"a,b").decode()),
            ),
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "a,b"},
            },
        ),
        (
            Document(source=Inline(blocks=(Text(text="w"),))),
            {"type": "document", "source": {"type": "content", "content": [text("w")]}},
        ),
        (Refusal(text="I will not."), text("I will not.")),
    ],
)
def test_content(block: Block, wire: dict[str, Any]) -> None:
    body, losses = encode(said("user", block))
    assert body["messages"][0]["content"] == [wire]
    assert losses == []


@pytest.mark.parametrize(
    ("block", "field"),
    [
        (Audio(source=Base64(media_type="audio/wav", data="")), ".input_audio"),
        (Image(source=FileId(id="file-1")), ".image_url.url"),
        (Image(source=Base64(media_type="image/tiff", data="SUkq")), ".image_url.url"),
        (Document(source=FileId(id="file-1")), ".file.file_id"),
        (Document(source=Base64(media_type="application/zip", data="UEsD")), ".file.file_data"),
        (Foreign(dialect=Dialect.OPENAI_RESPONSES, kind="search_call", value=Json("{}")), ""),
    ],
)
def test_content_that_cannot_be_said_is_refused(block: Block, field: str) -> None:
    with pytest.raises(Unrepresentable) as caught:
        encode(said("user", "look", block))
    assert caught.value.path == f"messages[].content[]{field}"


def test_media_of_the_assistants_is_refused() -> None:
    with pytest.raises(Unrepresentable) as caught:
        encode(said("user", "draw"), said("assistant", Image(source=Url(url="https://x/y.png"))))
    assert caught.value.path == "messages[].content[]"


def test_an_instruction_in_mid_conversation() -> None:
    turns = (said("user", "hi"), said("system", "be brief"), said("user", "go"))
    body, losses = encode(*turns, model=NEW)
    assert [m["role"] for m in body["messages"]] == ["user", "system", "user"]
    assert losses == []
    body, losses = encode(*turns, model=OLD)
    assert body["messages"] == [
        {"role": "user", "content": [text("hi"), text("be brief"), text("go")]}
    ]
    assert losses == [Loss("messages[].role", "emulated")]


def test_instructions_alone_are_asked_by_the_user() -> None:
    request = replace(ASK, turns=(), system=(Text(text="a"), Text(text="say b")))
    encoded = CODEC.encode_request(request, model=OLD)
    body = json.loads(encoded.body)
    assert body["system"] == [text("a")]
    assert body["messages"] == [{"role": "user", "content": [text("say b")]}]
    assert encoded.losses == (Loss("messages", "emulated"),)


def test_an_ending_of_the_assistants() -> None:
    turns = (said("user", "code"), said("assistant", "```python \n"))
    body, _ = encode(*turns, model=OLD)
    assert body["messages"][1]["content"] == [text("```python")]
    with pytest.raises(Unrepresentable):
        encode(*turns, model=NEW)
