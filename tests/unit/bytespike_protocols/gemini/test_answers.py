"""Answers read from Gemini, and answers of any vendor written for its clients."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bytespike_protocols.errors import BadUpstreamMessage
from bytespike_protocols.events import Ended, Event, Opened, Started, TextDelta
from bytespike_protocols.folding import unfold
from bytespike_protocols.gemini import CODEC
from bytespike_protocols.ir import (
    Block,
    Dialect,
    Foreign,
    Json,
    Opaque,
    Refusal,
    Response,
    Stop,
    StopReason,
    Text,
    Thinking,
    ToolUse,
    Usage,
)
from tests.support.gemini_corpus import REQUEST_ID, context_for
from tests.support.gemini_grammar import check_array, check_stream

CALL = ToolUse(id="toolu_1", name="look", arguments=Json('{"at": [1.50]}'))
CUT_CALL = ToolUse(id="toolu_1", name="look", arguments=Json('{"at": [1.'))
SIGNED = Opaque(issuer=Dialect.ANTHROPIC, payload="sig")


def answer(*blocks: Block, stop: Stop | StopReason = StopReason.END, **fields: Any) -> Response:
    stop = Stop(reason=stop) if isinstance(stop, StopReason) else stop
    return Response(id="msg_1", model="claude-x", blocks=blocks, stop=stop, **fields)


def whole(response: Response, **fields: Any) -> Any:
    return msgspec.json.decode(CODEC.encode_response(response, context_for(**fields)))


def streamed(response: Response, **fields: Any) -> bytes:
    encoder = CODEC.stream_encoder(context_for(**fields))
    return b"".join(encoder.feed(event) for event in unfold(response))


def read(*parts: Any, finish: Any = "STOP", **fields: Any) -> Response:
    candidate = {"content": {"parts": list(parts)}, "finishReason": finish, "index": 0}
    return CODEC.decode_response(
        msgspec.json.encode({"candidates": [{**candidate, **fields}], "responseId": "r1"})
    )


def test_a_whole_answer() -> None:
    usage = Usage(
        input_tokens=5,
        cache_write_1h_tokens=3,
        cache_read_tokens=2,
        output_tokens=9,
        reasoning_tokens=4,
    )
    blocks = (Thinking(text="hm", opaque=SIGNED), Text(text="Hi"), CALL)
    body = whole(answer(*blocks, stop=StopReason.TOOL_USE, usage=usage), model="alias")
    [candidate] = body["candidates"]
    thought, text, call = candidate["content"]["parts"]
    assert (thought["text"], thought["thought"]) == ("hm", True)
    assert (text, call) == (
        {"text": "Hi"},
        {"functionCall": {"name": "look", "args": {"at": [1.5]}, "id": "toolu_1"}},
    )
    assert (candidate["finishReason"], candidate["index"]) == ("STOP", 0)
    assert body["usageMetadata"] == {
        "promptTokenCount": 10,
        "candidatesTokenCount": 5,
        "totalTokenCount": 19,
        "cachedContentTokenCount": 2,
        "thoughtsTokenCount": 4,
    }
    assert body["modelVersion"] == "alias"
    assert body["responseId"] == REQUEST_ID.removeprefix("req_")


def test_numbers_in_arguments_keep_their_spelling() -> None:
    assert b'"args":{"at": [1.50]}' in CODEC.encode_response(answer(CALL), context_for())
    lines = ToolUse(id="c", name="f", arguments=Json('{\n "a": "\\n"\r\n}'))
    assert b'"args":{"a":"\\n"}' in streamed(answer(lines))


def test_thoughts_stay_hidden_unless_asked_for_but_keep_their_state() -> None:
    thoughts = answer(Thinking(text="hm", opaque=SIGNED), Thinking(text="unsigned"), Text(text="a"))
    first, second = whole(thoughts, show=False)["candidates"][0]["content"]["parts"]
    assert (first["text"], "thoughtSignature" in first, second) == ("", True, {"text": "a"})
    assert check_stream(streamed(thoughts, show=False)).thoughts == ""
    assert check_stream(streamed(thoughts)).thoughts == "hmunsigned"


@pytest.mark.parametrize(
    ("stop", "word"),
    [
        (Stop(reason=StopReason.END, word="end_turn"), "STOP"),
        (Stop(reason=StopReason.STOP_SEQUENCE, sequence="x"), "STOP"),
        (Stop(reason=StopReason.TOOL_USE), "STOP"),
        (Stop(reason=StopReason.PAUSED), "STOP"),
        (Stop(reason=StopReason.MAX_TOKENS), "MAX_TOKENS"),
        (Stop(reason=StopReason.CONTEXT_FULL), "MAX_TOKENS"),
        (Stop(reason=StopReason.REFUSED, word="refusal"), "SAFETY"),
        (Stop(reason=StopReason.REFUSED, word="SPII"), "SPII"),
        (Stop(reason=StopReason.BROKEN_CALL), "MALFORMED_FUNCTION_CALL"),
        (Stop(reason=StopReason.OTHER, word="new"), "OTHER"),
    ],
)
def test_stop_reasons_written(stop: Stop, word: str) -> None:
    assert whole(answer(Text(text="a"), stop=stop))["candidates"][0]["finishReason"] == word
    assert check_stream(streamed(answer(Text(text="a"), stop=stop))).finish_reason == word


@pytest.mark.parametrize(
    ("finish", "called", "reason"),
    [
        ("STOP", False, StopReason.END),
        ("STOP", True, StopReason.TOOL_USE),
        (1, True, StopReason.TOOL_USE),
        ("MAX_TOKENS", True, StopReason.MAX_TOKENS),
        ("SAFETY", True, StopReason.REFUSED),
        ("MALFORMED_FUNCTION_CALL", False, StopReason.BROKEN_CALL),
        ("BRAND_NEW", False, StopReason.OTHER),
        (77, False, StopReason.OTHER),
    ],
)
def test_stop_reasons_read(finish: Any, called: bool, reason: StopReason) -> None:
    parts = [{"functionCall": {"name": "f"}}] if called else [{"text": "a"}]
    response = read(*parts, finish=finish, finishMessage="why")
    assert (response.stop.reason, response.stop.detail) == (reason, "why")


def test_a_blocked_prompt_is_a_refusal() -> None:
    feedback = {"blockReason": "PROHIBITED_CONTENT", "blockReasonMessage": "no"}
    body = msgspec.json.encode({"promptFeedback": feedback})
    response = CODEC.decode_response(body)
    assert response.stop == Stop(reason=StopReason.REFUSED, word="PROHIBITED_CONTENT", detail="no")
    assert response.blocks == ()
    [candidate] = whole(response)["candidates"]
    assert "content" not in candidate
    assert candidate["finishReason"] == "PROHIBITED_CONTENT"


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        (StopReason.MAX_TOKENS, "MAX_TOKENS"),
        (StopReason.TOOL_USE, "MALFORMED_FUNCTION_CALL"),
    ],
)
def test_a_call_that_was_cut_off_is_not_passed_over_in_silence(
    reason: StopReason, word: str
) -> None:
    response = answer(Text(text="a"), CUT_CALL, stop=reason)
    [candidate] = whole(response)["candidates"]
    assert candidate["finishReason"] == word
    assert "not whole" in candidate["finishMessage"]
    checked = check_stream(streamed(response))
    assert (checked.calls, checked.finish_reason) == ([], word)


def test_refusals_are_words_and_other_vendors_blocks_are_not_calls() -> None:
    hosted = Foreign(dialect=Dialect.ANTHROPIC, kind="server_tool_use", value=Json("{}"))
    own = Foreign(
        dialect=Dialect.GEMINI,
        kind="executableCode",
        value=Json('{"executableCode":\n{"language": "PYTHON", "code": "1"}}'),
    )
    response = answer(hosted, own, Refusal(text="I won't"))
    code = {"executableCode": {"language": "PYTHON", "code": "1"}}
    assert whole(response)["candidates"][0]["content"]["parts"] == [code, {"text": "I won't"}]
    checked = check_stream(streamed(response))
    assert checked.parts[:2] == [code, {"text": "I won't"}]


def test_sources_are_told_with_the_stretch_they_support() -> None:
    def source(text: str, url: str) -> Json:
        return Json(
            msgspec.json.encode(
                {"type": "x", "url": url, "title": "T", "cited_text": text}
            ).decode()
        )

    blocks = (
        Text(text="Größe: "),
        Text(text="80 m tall", citations=(source("80 m", "u:1"), source("elsewhere", "u:2"))),
    )
    expected = {
        "groundingChunks": [{"web": {"uri": u, "title": "T"}} for u in ("u:1", "u:2")],
        "groundingSupports": [
            {
                "segment": {"startIndex": 9, "endIndex": 13, "text": "80 m"},
                "groundingChunkIndices": [0],
            },
            {
                "segment": {"startIndex": 9, "endIndex": 18, "text": "80 m tall"},
                "groundingChunkIndices": [1],
            },
        ],
    }
    assert whole(answer(*blocks))["candidates"][0]["groundingMetadata"] == expected
    last = streamed(answer(*blocks)).split(b"\r\n\r\n")[-2].removeprefix(b"data: ")
    assert msgspec.json.decode(last)["candidates"][0]["groundingMetadata"] == expected


def test_sources_are_read_as_citations() -> None:
    grounding = {
        "groundingChunks": [{"web": {"uri": "u:1", "title": "T"}}, {"retrievedContext": {}}],
        "groundingSupports": [
            {"segment": {"text": "abc"}, "groundingChunkIndices": [0, 1, 9]},
        ],
        "webSearchQueries": ["q", "r"],
    }
    body = {
        "candidates": [
            {
                "content": {"parts": [{"text": "abc"}]},
                "finishReason": "STOP",
                "groundingMetadata": grounding,
            }
        ],
        "usageMetadata": {"promptTokenCount": 2, "toolUsePromptTokenCount": 3},
    }
    response = CODEC.decode_response(msgspec.json.encode(body))
    [block] = response.blocks
    assert isinstance(block, Text)
    kinds = [msgspec.json.decode(citation)["type"] for citation in block.citations]
    assert kinds == ["web_search_result_location", "search_result_location"]
    assert response.usage == Usage(input_tokens=5, web_searches=2)


def test_calls_without_ids_get_one_that_no_other_answer_has() -> None:
    call = {"functionCall": {"name": "f", "args": None}}
    ids = set()
    for response_id in ("r1", "r2"):
        candidate = {"content": {"parts": [call, call]}, "finishReason": "STOP"}
        body = msgspec.json.encode({"candidates": [candidate], "responseId": response_id})
        for block in CODEC.decode_response(body).blocks:
            assert isinstance(block, ToolUse)
            assert (block.name, block.arguments, len(block.id)) == ("f", "{}", 29)
            ids.add(block.id)
    assert len(ids) == 4


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}',
        b'{"candidates":[{"content":{"parts":[{"functionCall":{}}]},"finishReason":"STOP"}]}',
        b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":[]}}]}}]}',
        b'{"candidates":[{"content":{"parts":[7]},"finishReason":"STOP"}]}',
        b'{"usageMetadata":{"promptTokenCount":-1}}',
        b'{"error":{"code":500,"message":"m","status":"INTERNAL"}}',
    ],
)
def test_broken_answers(body: bytes) -> None:
    with pytest.raises(BadUpstreamMessage):
        CODEC.decode_response(body)


def test_arrays_are_json_at_every_length() -> None:
    for blocks in ((), (Text(text="a"),), (Text(text="a"), CALL)):
        body = streamed(answer(*blocks), framing="array")
        assert (body[:1], body[-1:]) == (b"[", b"]")
        assert check_array(body).end == "finish"


def test_our_own_disorder_is_an_assertion() -> None:
    disorders: list[list[Event]] = [
        [TextDelta(index=0, text="a")],
        [
            Started(id="", model=""),
            Ended(stop=Stop(reason=StopReason.END)),
            Started(id="", model=""),
        ],
        [Started(id="", model=""), Opened(index=1, block=Text(text=""))],
    ]
    for *before, wrong in disorders:
        encoder = CODEC.stream_encoder(context_for())
        for event in before:
            encoder.feed(event)
        with pytest.raises(AssertionError):
            encoder.feed(wrong)
