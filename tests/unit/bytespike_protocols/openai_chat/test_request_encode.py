"""Requests of other dialects become what OpenAI accepts, and every loss is named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bytespike_protocols.codec import Codec
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
    Opaque,
    RedactedThinking,
    Refusal,
    Request,
    ServerTool,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    Turn,
    Url,
    Video,
)
from bytespike_protocols.openai_chat import CODEC, COMPATIBLE_CODEC
from tests.support.chat_requests import call, encode, messages, result, turn, user

PNG = Base64(media_type="image/png", data="iVBORw0KGgo=")
PDF = Base64(media_type="application/pdf", data="JVBERi0=")
CLAUDE_STATE = Opaque(issuer=Dialect.ANTHROPIC, payload="sig")
WEATHER = Tool(name="get_weather", parameters=Json('{"type":"object","properties":{}}'))


def tool_message(call_id: str, content: object) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def written_call(call_id: str, name: str = "get_weather") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": "{}"}}


def test_parallel_results_come_first_and_words_after_them() -> None:
    body, losses = encode(
        user("Weather?"),
        turn("assistant", "Let me see.", call("toolu_1"), call("toolu_2")),
        user(result("toolu_1", "sun"), result("toolu_2", "no", "thing", is_error=True), "and now?"),
        system=(Text(text="Be brief."), Text(text="Be kind.")),
        tools=(WEATHER,),
    )
    assert body["messages"] == [
        {
            "role": "system",
            "content": [
                {"type": "text", "text": "Be brief."},
                {"type": "text", "text": "Be kind."},
            ],
        },
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [written_call("toolu_1"), written_call("toolu_2")],
        },
        tool_message("toolu_1", "sun"),
        tool_message(
            "toolu_2",
            [
                {"type": "text", "text": "Error: "},
                {"type": "text", "text": "no"},
                {"type": "text", "text": "thing"},
            ],
        ),
        {"role": "user", "content": "and now?"},
    ]
    assert losses == [("messages[].content[].is_error", "emulated")]


def test_media_of_a_result_moves_behind_the_results() -> None:
    body, losses = encode(
        turn("assistant", call("a"), call("b")),
        user(result("a", Image(source=PNG)), result("b", "text", Document(source=PDF)), "so?"),
    )
    assert body["messages"][1:] == [
        tool_message("a", "(the content of this result follows in the next user message)"),
        tool_message("b", "text"),
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
                {
                    "type": "file",
                    "file": {
                        "filename": "document.pdf",
                        "file_data": "data:application/pdf;base64,JVBERi0=",
                    },
                },
                {"type": "text", "text": "so?"},
            ],
        },
    ]
    assert losses == [
        ("messages[].content[].content[]", "emulated"),
    ]


def test_calls_and_results_are_brought_together() -> None:
    """Calls in a row share a message, late results move up, missing and orphan ones are said."""
    body, losses = encode(
        turn("assistant", "One."),
        turn("assistant", call("a")),
        turn("assistant", call("b")),
        user("wait"),
        user(result("a", "1"), result("zzz", "lost", name="f")),
        dialect=Dialect.OPENAI_RESPONSES,
    )
    assert body["messages"] == [
        {
            "role": "assistant",
            "content": "One.",
            "tool_calls": [written_call("a"), written_call("b")],
        },
        tool_message("a", "1"),
        tool_message("b", "(no result)"),
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "wait"},
                {"type": "text", "text": "Result of f (zzz):"},
                {"type": "text", "text": "lost"},
            ],
        },
    ]
    assert losses == [("input[].call_id", "emulated")]


def test_calls_nobody_answers_are_answered() -> None:
    assert messages(turn("assistant", call("a")), turn("system", "new rule"))[1:] == [
        tool_message("a", "(no result)"),
        {"role": "system", "content": "new rule"},
    ]
    assert messages(user("x"), turn("assistant", call("a")))[2:] == [
        tool_message("a", "(no result)")
    ]


def test_ids_and_names_the_vendor_refuses_are_changed_alike_everywhere() -> None:
    long_id, dotted = "call_" + "x" * 60, "files.read"
    request = Request(
        dialect=Dialect.GEMINI,
        model="m",
        turns=(turn("assistant", call(long_id, dotted)), user(result(long_id, "ok"))),
        tools=(Tool(name=dotted), Tool(name="files_read")),
        tool_choice=ToolChoice(mode="named", names=(dotted,)),
    )
    encoded = CODEC.encode_request(request, model="m")
    body = json.loads(encoded.body)
    names = [tool["function"]["name"] for tool in body["tools"]]
    assert len(set(names)) == 2
    assert names[1] == "files_read"
    assert encoded.renamed == ((names[0], dotted),)
    made = body["messages"][0]["tool_calls"][0]
    assert made["function"]["name"] == names[0] == body["tool_choice"]["function"]["name"]
    assert made["id"] == body["messages"][1]["tool_call_id"]
    assert len(made["id"]) <= 40


def test_empty_words_are_left_out() -> None:
    assert messages(user("", "  ", "x"), turn("assistant", "", call()), user(result())) == [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": None, "tool_calls": [written_call("toolu_1")]},
        tool_message("toolu_1", ""),
    ]
    for turns in ([], [user(" ")]):
        assert messages(*turns, system=(Text(text="x"),)) == [
            {"role": "system", "content": "x"},
            {"role": "user", "content": ""},
        ]


@pytest.mark.parametrize(
    ("thought", "codec", "message", "lost"),
    [
        (Thinking(text="hm", opaque=CLAUDE_STATE), CODEC, {}, True),
        (Thinking(text="hm", opaque=CLAUDE_STATE), COMPATIBLE_CODEC, {}, True),
        (RedactedThinking(opaque=CLAUDE_STATE), COMPATIBLE_CODEC, {}, True),
        (Thinking(text="hm"), CODEC, {}, True),
        (Thinking(text="hm"), COMPATIBLE_CODEC, {"reasoning_content": "hm"}, False),
        (
            Thinking(
                text="hm",
                opaque=Opaque(issuer=Dialect.OPENAI_CHAT, payload='{"signature":"s","x":1.0}'),
            ),
            COMPATIBLE_CODEC,
            {"reasoning_details": [{"signature": "s", "x": 1.0}]},
            False,
        ),
        (
            Thinking(text="hm", opaque=Opaque(issuer=Dialect.OPENAI_CHAT, payload="{}")),
            CODEC,
            {},
            True,
        ),
        (
            Thinking(text="hm", opaque=Opaque(issuer=Dialect.OPENAI_CHAT, payload='"},{"')),
            COMPATIBLE_CODEC,
            {},
            True,
        ),
    ],
)
def test_thoughts_go_back_to_their_issuer_alone(
    thought: Block, codec: Codec, message: dict[str, Any], lost: bool
) -> None:
    body, losses = encode(turn("assistant", thought, "so"), codec=codec)
    assert body["messages"][0] == {"role": "assistant", "content": "so", **message}
    field = "data" if isinstance(thought, RedactedThinking) else "thinking"
    assert losses == ([(f"messages[].content[].{field}", "dropped")] if lost else [])


def test_a_signature_on_a_call_goes_to_its_issuer_alone() -> None:
    own = call(opaque=Opaque(issuer=Dialect.OPENAI_CHAT, payload="c2ln"))
    body, losses = encode(turn("assistant", own), user(result()))
    extra = body["messages"][0]["tool_calls"][0]["extra_content"]
    assert extra == {"google": {"thought_signature": "c2ln"}}
    assert losses == []
    body, losses = encode(turn("assistant", call(opaque=CLAUDE_STATE)), user(result()))
    assert body["messages"][0]["tool_calls"] == [written_call("toolu_1")]
    assert losses == [("messages[].content[].signature", "dropped")]


@pytest.mark.parametrize(
    ("block", "parts", "lost"),
    [
        (
            Image(source=Url(url="https://x.test/a.png"), detail="high"),
            [
                {
                    "type": "image_url",
                    "image_url": {"url": "https://x.test/a.png", "detail": "high"},
                }
            ],
            [],
        ),
        (
            Document(source=PDF, title="a.pdf", context="from Ann"),
            [
                {"type": "text", "text": "from Ann"},
                {
                    "type": "file",
                    "file": {
                        "filename": "a.pdf",
                        "file_data": "data:application/pdf;base64,JVBERi0=",
                    },
                },
            ],
            ["messages[].content[].context"],
        ),
        (
            Document(source=Inline(text="words"), title="T"),
            "T\n\nwords",
            ["messages[].content[].source"],
        ),
        (
            Document(source=Base64(media_type="text/plain", data="d8O2cnRlcg==")),
            "wörter",
            ["messages[].content[].source"],
        ),
        (
            Document(source=Inline(blocks=(Text(text="a"), Text(text="b")))),
            [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            ["messages[].content[].source"],
        ),
        (
            Audio(source=Base64(media_type="audio/x-wav", data="UklGRg==")),
            [{"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}],
            [],
        ),
        (Refusal(text="no"), "no", []),
    ],
)
def test_media_of_users(block: Block, parts: Any, lost: list[str]) -> None:
    body, losses = encode(user(block))
    assert body["messages"] == [{"role": "user", "content": parts}]
    assert losses == [(path, "emulated") for path in lost]


FOREIGN = Foreign(dialect=Dialect.ANTHROPIC, kind="server_tool_use", value=Json("{}"))


@pytest.mark.parametrize(
    ("turns", "path"),
    [
        ([user(Video(source=PDF))], "messages[0].content[]"),
        ([user(FOREIGN)], "messages[0].content[]"),
        ([turn("assistant", FOREIGN)], "messages[0].content[]"),
        ([turn("assistant", Image(source=PNG))], "messages[0].content[]"),
        ([user(Image(source=FileId(id="f")))], "messages[0].content[].source"),
        ([user(Document(source=FileId(id="f")))], "messages[0].content[].source"),
        ([user(Document(source=Url(url="https://x.test/")))], "messages[0].content[].source"),
        ([user(Audio(source=Url(url="https://x.test/")))], "messages[0].content[].source"),
        (
            [turn("assistant", call()), user(result("toolu_1", FOREIGN))],
            "messages[1].content[].content[]",
        ),
    ],
)
def test_content_that_would_be_lost_is_refused(turns: list[Turn], path: str) -> None:
    with pytest.raises(Unrepresentable) as caught:
        encode(*turns)
    assert caught.value.path == path


def test_more_refusals() -> None:
    with pytest.raises(Unrepresentable, match="candidates"):
        encode(user("x"), candidates=2)
    tool = ServerTool(dialect=Dialect.ANTHROPIC, kind="computer", value=Json("{}"))
    with pytest.raises(Unrepresentable, match=r"tools\[0\]"):
        encode(user("x"), tools=(tool,))
    bad = Document(source=Base64(media_type="text/plain", data="//"))
    with pytest.raises(BadClientMessage, match="base64"):
        encode(user(bad))


def test_remarks_on_a_block_are_reported() -> None:
    said = Text(text="x", citations=(Json("{}"),), opaque=CLAUDE_STATE)
    body, losses = encode(
        turn("assistant", said), user(Document(source=PDF, title="a.pdf", citations=True))
    )
    assert body["messages"][0] == {"role": "assistant", "content": "x"}
    assert losses == [
        ("messages[].content[].citations", "dropped"),
        ("messages[].content[].signature", "dropped"),
    ]
