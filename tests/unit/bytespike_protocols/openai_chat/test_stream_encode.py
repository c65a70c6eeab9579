"""Answers and streams as our clients get them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from bytespike_protocols.errors import BadUpstreamMessage
from bytespike_protocols.events import (
    CitationDelta,
    Event,
    Failed,
    Opened,
    SignatureDelta,
    Started,
    TextDelta,
)
from bytespike_protocols.folding import fold, unfold
from bytespike_protocols.ir import (
    Dialect,
    Foreign,
    Json,
    Opaque,
    Reasoning,
    RedactedThinking,
    Refusal,
    Response,
    Stop,
    StopReason,
    Text,
    Thinking,
    ToolUse,
    Usage,
)
from bytespike_protocols.openai_chat import CODEC
from bytespike_protocols.sse import Frame
from tests.support.chat_corpus import context_for
from tests.support.openai_chat_grammar import check_stream


def called(call_id: str, name: str, arguments: str, **fields: Any) -> ToolUse:
    return ToolUse(id=call_id, name=name, arguments=Json(arguments), **fields)


STATE = Opaque(issuer=Dialect.ANTHROPIC, payload="EvAB", model="claude")
ANSWER = Response(
    id="msg_1",
    model="claude",
    blocks=(
        Thinking(text="hm", opaque=STATE),
        RedactedThinking(opaque=STATE),
        Text(text="See "),
        Foreign(dialect=Dialect.ANTHROPIC, kind="server_tool_use", value=Json("{}")),
        Text(
            text="the page.",
            citations=(
                Json(
                    '{"type":"web_search_result_location","url":"https://x.test/","cited_text":"page"}'
                ),
                Json('{"type":"char_location","cited_text":"x"}'),
            ),
        ),
        called("toolu_1", "f", "", opaque=STATE),
        called("toolu_2", "g", '{"a":1}'),
    ),
    stop=Stop(reason=StopReason.TOOL_USE),
    usage=Usage(input_tokens=1, cache_read_tokens=2, cache_write_1h_tokens=4, output_tokens=8),
)
WRAPPED = "bsp1.anthropic.claude.EvAB"


def test_an_answer_of_another_dialect() -> None:
    written = json.loads(CODEC.encode_response(ANSWER, context_for()))
    message = written["choices"][0].pop("message")
    assert written == {
        "id": "chatcmpl-01JCZK3V5Q8M2N4P6R7S9T0V1W",
        "object": "chat.completion",
        "created": 1_795_000_000,
        "model": "some-model",
        "choices": [{"index": 0, "logprobs": None, "finish_reason": "tool_calls"}],
        "system_fingerprint": None,
        "usage": written["usage"],
    }
    assert (written["usage"]["prompt_tokens"], written["usage"]["total_tokens"]) == (7, 15)
    span = {"url": "https://x.test/", "title": "", "start_index": 8, "end_index": 12}
    assert message == {
        "role": "assistant",
        "content": "See the page.",
        "refusal": None,
        "annotations": [{"type": "url_citation", "url_citation": span}],
        "reasoning_content": "hm",
        "reasoning_details": [
            {"type": "reasoning.text", "text": "hm", "signature": WRAPPED, "index": 0},
            {"type": "reasoning.encrypted", "data": WRAPPED, "index": 1},
        ],
        "tool_calls": [
            {
                "id": "toolu_1",
                "type": "function",
                "function": {"name": "f", "arguments": "{}"},
                "extra_content": {"google": {"thought_signature": WRAPPED}},
            },
            {
                "id": "toolu_2",
                "type": "function",
                "function": {"name": "g", "arguments": '{"a":1}'},
            },
        ],
    }


def written_stream(response: Response, **fields: Any) -> bytes:
    encoder = CODEC.stream_encoder(context_for(stream=True, **fields))
    return b"".join(encoder.feed(event) for event in unfold(response))


def test_the_same_answer_streamed() -> None:
    stream = written_stream(ANSWER, stream_usage=True)
    checked = check_stream(stream, strict=True, usage=True)
    whole = json.loads(CODEC.encode_response(ANSWER, context_for()))
    assert checked.content == "See the page."
    assert [one["arguments"] for one in checked.calls] == ["{}", '{"a":1}']
    assert checked.usage == whole["usage"]
    decoder = CODEC.stream_decoder()
    frames = [Frame(b"", line[6:]) for line in stream.split(b"\n\n") if line]
    again = fold([event for frame in frames for event in decoder.feed(frame)])
    cited = again.blocks[2]
    assert isinstance(cited, Text)
    assert [json.loads(citation)["cited_text"] for citation in cited.citations] == ["page"]
    assert again.blocks == (
        Thinking(text="hm", opaque=STATE),
        RedactedThinking(opaque=STATE),
        Text(text="See the page.", citations=cited.citations),
        called("toolu_1", "f", "{}", opaque=STATE),
        called("toolu_2", "g", '{"a":1}'),
    )


def test_every_piece_of_a_call_has_its_function() -> None:
    """The official client's helper for streams fails on pieces without."""
    lines = written_stream(ANSWER).split(b"\n\n")
    chunks = [json.loads(line[6:]) for line in lines if line.startswith(b"data: {")]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    pieces = [piece for delta in deltas for piece in delta.get("tool_calls", ())]
    signed = [piece for piece in pieces if "extra_content" in piece]
    assert len(signed) == 1
    assert all("arguments" in piece["function"] for piece in pieces)


def test_clients_that_want_no_thoughts_get_their_state_alone() -> None:
    hidden = Reasoning(mode="adaptive", show=False)
    thinking = msgspec.structs.replace(ANSWER, blocks=ANSWER.blocks[:1])
    stream = written_stream(thinking, reasoning=hidden)
    assert b"hm" not in stream
    assert WRAPPED.encode() in stream
    body = CODEC.encode_response(thinking, context_for(reasoning=hidden))
    assert b'"hm"' not in body
    assert WRAPPED.encode() in body


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        (StopReason.END, "stop"),
        (StopReason.STOP_SEQUENCE, "stop"),
        (StopReason.PAUSED, "stop"),
        (StopReason.MAX_TOKENS, "length"),
        (StopReason.CONTEXT_FULL, "length"),
        (StopReason.REFUSED, "content_filter"),
        (StopReason.OTHER, "content_filter"),
    ],
)
def test_finish_reasons(reason: StopReason, word: str) -> None:
    answer = Response(id="1", model="m", blocks=(), stop=Stop(reason=reason))
    written = json.loads(CODEC.encode_response(answer, context_for()))
    assert written["choices"][0]["finish_reason"] == word
    assert written["choices"][0]["message"]["content"] == ""
    assert "usage" not in written
    assert check_stream(written_stream(answer), strict=True).finish_reason == word


def test_a_refusal_in_words_is_an_ordinary_end() -> None:
    stop = Stop(reason=StopReason.REFUSED)
    answer = Response(id="1", model="m", blocks=(Refusal(text="no"),), stop=stop)
    choice = json.loads(CODEC.encode_response(answer, context_for()))["choices"][0]
    assert choice["finish_reason"] == "stop"
    assert (choice["message"]["content"], choice["message"]["refusal"]) == (None, "no")
    checked = check_stream(written_stream(answer), strict=True)
    assert (checked.finish_reason, checked.refusal) == ("stop", "no")


def test_a_broken_call_is_a_failure() -> None:
    stop = Stop(reason=StopReason.BROKEN_CALL, detail="bad call")
    answer = Response(id="1", model="m", blocks=(), stop=stop)
    with pytest.raises(BadUpstreamMessage, match="bad call"):
        CODEC.encode_response(answer, context_for())
    stream = written_stream(answer)
    assert check_stream(stream, strict=True).end == "error"
    assert b"bad call" in stream
    assert b"[DONE]" not in stream


def test_failures_are_written_as_error_chunks() -> None:
    encoder = CODEC.stream_encoder(context_for(stream=True))
    encoder.feed(Started(id="1", model="m"))
    failed = encoder.feed(Failed(kind="timeout", message="late"))
    error = json.loads(failed.removeprefix(b"data: "))["error"]
    assert (error["code"], error["message"]) == ("upstream_timeout", "late")


@pytest.mark.parametrize(
    "events",
    [
        [TextDelta(index=0, text="x")],
        [Started(id="1", model="m"), Opened(index=1, block=Text(text=""))],
        [Started(id="1", model="m"), Started(id="1", model="m")],
        [Started(id="1", model="m"), SignatureDelta(index=0, opaque=STATE)],
        [Started(id="1", model="m"), CitationDelta(index=0, citation=Json("{}"))],
    ],
)
def test_events_out_of_order_are_our_bug(events: list[Event]) -> None:
    encoder = CODEC.stream_encoder(context_for(stream=True))
    for event in events[:-1]:
        encoder.feed(event)
    with pytest.raises(AssertionError, match="stream grammar"):
        encoder.feed(events[-1])
