"""The taps of Chat, Responses and Gemini where vendors differ: ends, refusals, errors, counts."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bytespike_protocols.dialects import CODECS, codec_of
from bytespike_protocols.failures import VendorFailure
from bytespike_protocols.ir import Dialect, Usage
from bytespike_protocols.sse import Frame
from bytespike_protocols.tap import Tap

CHAT, RESPONSES, GEMINI = Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES, Dialect.GEMINI
DONE = Frame(b"", b"[DONE]")


def tapped(dialect: Dialect, *said: dict[str, Any] | Frame, close: bool = False) -> Tap:
    tap = CODECS[dialect].tap()
    for one in said:
        if isinstance(one, Frame):
            tap.feed(one)
        else:
            kind = one.get("type", "") if dialect is RESPONSES else ""
            tap.feed(Frame(kind.encode(), msgspec.json.encode(one)))
    if close:
        tap.close()
    return tap


def chunk(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def candidate(*parts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": list(parts), "role": "model"}, **fields}]}


def event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, **fields}


PROMPT = {"prompt_tokens": 9, "completion_tokens": 0}
USAGE = {"prompt_tokens": 9, "completion_tokens": 4}


def test_chat_ends_with_done_or_with_the_connection_after_a_finish_reason() -> None:
    assert tapped(CHAT, chunk(content="hi"), chunk("stop"), DONE).finished
    assert not tapped(CHAT, chunk(content="hi"), chunk("stop")).finished
    assert tapped(CHAT, chunk(content="hi"), chunk("stop"), close=True).finished
    assert not tapped(CHAT, chunk(content="hi"), close=True).finished


@pytest.mark.parametrize(
    "said",
    [
        [chunk("stop"), {"choices": [], "usage": USAGE}],
        [{**chunk("stop"), "usage": USAGE}],
        [{**chunk("stop"), "usage": USAGE}, {"choices": [], "usage": None}],
        [{**chunk(content=""), "usage": PROMPT}, {**chunk("stop"), "usage": USAGE}],
    ],
)
def test_chat_usage_is_found_in_any_chunk(said: list[dict[str, Any]]) -> None:
    expected = Usage(input_tokens=9, output_tokens=4)
    assert tapped(CHAT, *said, DONE).usage == expected
    assert tapped(CHAT, *said, DONE).usage_so_far == expected


@pytest.mark.parametrize(
    ("delta", "seen", "tokens"),
    [
        ({"role": "assistant", "content": ""}, False, 0),
        ({"role": "assistant", "content": None}, False, 0),
        ({"content": "abcde"}, True, 2),
        ({"content": 'say "content": "no"'}, True, 5),
        ({"reasoning_content": "abcd"}, True, 1),
        ({"reasoning": "abcd", "reasoning_content": "abcd"}, True, 1),
        ({"reasoning": "abcd", "reasoning_details": [{"type": "x", "text": "abcd"}]}, True, 1),
        ({"content": [{"type": "text", "text": "abcd"}]}, True, 1),
        ({"tool_calls": [{"index": 0, "id": "t", "function": {"name": "f"}}]}, True, 0),
        ({"tool_calls": [{"index": 0, "function": {"arguments": '{"a":1}'}}]}, True, 2),
        ({"tool_calls": []}, False, 0),
        ({"refusal": "abcd"}, False, 1),
        ({"refusal": None, "content": None}, False, 0),
        ({"content": "", "annotations": [{"url_citation": {"content": "a page"}}]}, True, 0),
    ],
)
def test_chat_content_is_noticed_and_counted(
    delta: dict[str, Any], seen: bool, tokens: int
) -> None:
    tap = tapped(CHAT, chunk(**delta))
    assert tap.started
    assert (tap.content_seen, tap.usage_so_far.output_tokens) == (seen, tokens)


def test_an_escaped_character_is_never_counted_too_high() -> None:
    escaped = b'{"choices":[{"delta":{"content":"%b"},"finish_reason":null}]}' % (b"\\u00e9" * 8)
    assert tapped(CHAT, Frame(b"", escaped)).usage_so_far.output_tokens == 4


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        ([chunk("content_filter")], True),
        ([chunk(content="a"), chunk("content_filter")], False),
        ([chunk(refusal="no"), chunk("stop")], True),
        ([chunk(content="a"), chunk(refusal="no"), chunk("stop")], False),
        ([chunk("stop")], False),
        ([chunk("length")], False),
    ],
)
def test_chat_refusals(said: list[dict[str, Any]], refused: bool) -> None:
    assert tapped(CHAT, *said, DONE).refused is refused


def test_chat_errors_end_it() -> None:
    error = {"message": "busy", "type": "server_error", "code": 503}
    tap = tapped(CHAT, chunk(content="a"), {"error": error}, DONE, close=True)
    assert tap.error == VendorFailure(status=529, message="busy", code="503")
    assert not tap.finished
    first = tapped(CHAT, {"error": {"message": "m", "code": "insufficient_quota"}})
    assert not first.started
    assert first.error is not None
    assert first.error.status == 402
    named = tapped(CHAT, Frame(b"error", b"not json"))
    assert named.error is not None


def test_responses_end_with_a_terminal_event() -> None:
    usage = {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 2},
        "output_tokens": 6,
        "output_tokens_details": {"reasoning_tokens": 4},
    }
    expected = Usage(input_tokens=7, cache_read_tokens=2, output_tokens=6, reasoning_tokens=4)
    begun = [event("response.created", response={}), event("response.output_text.delta", delta="a")]
    for kind in ("completed", "incomplete"):
        tap = tapped(RESPONSES, *begun, event(f"response.{kind}", response={"usage": usage}))
        assert (tap.finished, tap.usage) == (True, expected)
    assert tapped(RESPONSES, begun[0]).started
    assert not tapped(RESPONSES, *begun, close=True).finished


@pytest.mark.parametrize(
    ("said", "seen", "tokens"),
    [
        (event("response.output_text.delta", delta="abcde"), True, 2),
        (event("response.output_text.delta", delta=""), False, 0),
        (event("response.reasoning_summary_text.delta", delta="abcd"), True, 1),
        (event("response.function_call_arguments.delta", delta='{"delta":"x"}'), True, 4),
        (event("response.refusal.delta", delta="abcd"), False, 1),
        (event("response.audio.delta", delta="base64base64"), True, 0),
        (event("response.output_item.added", item={"type": "message"}), False, 0),
        (event("response.output_item.added", item={"type": "reasoning"}), False, 0),
        (event("response.output_item.added", item={"type": "function_call"}), True, 0),
    ],
)
def test_responses_content_is_noticed_and_counted(
    said: dict[str, Any], seen: bool, tokens: int
) -> None:
    named = tapped(RESPONSES, said)
    unnamed = tapped(RESPONSES, Frame(b"", msgspec.json.encode(said)))
    for tap in (named, unnamed):
        assert (tap.content_seen, tap.usage_so_far.output_tokens) == (seen, tokens)


def test_responses_failures_are_said_twice_and_noted_once() -> None:
    error = {"type": "server_error", "code": "server_is_overloaded", "message": "busy"}
    expected = VendorFailure(status=529, message="busy", code="server_is_overloaded")
    nested = event("error", error=error, sequence_number=3)
    failed = event("response.failed", response={"error": {"code": "x", "message": "later"}})
    assert tapped(RESPONSES, nested, failed).error == expected
    flat = event("error", code="server_is_overloaded", message="busy")
    assert tapped(RESPONSES, flat).error == expected
    inside = event("response.failed", response={"error": error})
    tap = tapped(RESPONSES, inside)
    assert (tap.error, tap.finished) == (expected, False)


def test_responses_refusals() -> None:
    filtered = {"incomplete_details": {"reason": "content_filter"}}
    assert tapped(RESPONSES, event("response.incomplete", response=filtered)).refused
    part = {"type": "refusal", "refusal": "no"}
    refusal = {"output": [{"type": "reasoning"}, {"type": "message", "content": [part]}]}
    assert tapped(RESPONSES, event("response.completed", response=refusal)).refused
    words = {"output": [{"type": "message", "content": [{"type": "output_text", "text": "a"}]}]}
    tap = tapped(RESPONSES, event("response.completed", response=words))
    assert (tap.refused, tap.content_seen) == (False, True)


def test_events_of_ours_are_numbered_where_the_vendors_are() -> None:
    tap = tapped(RESPONSES, event("response.output_text.delta", delta="a", sequence_number=12))
    assert tap.next_number == 13
    sent = CODECS[RESPONSES].failures.encode_stream_error(
        code="upstream_timeout", message="m", request_id="r", number=tap.next_number
    )
    assert msgspec.json.decode(sent.split(b"data: ")[1])["sequence_number"] == 13
    assert tapped(RESPONSES, event("response.output_text.delta", delta="a")).next_number is None
    assert tapped(CHAT, chunk(content="a")).next_number is None


def test_gemini_ends_only_with_the_connection() -> None:
    early = {"promptTokenCount": 5, "candidatesTokenCount": 1}
    late = {"promptTokenCount": 6, "candidatesTokenCount": 3, "thoughtsTokenCount": 2}
    said = [
        candidate({"text": "hi"}) | {"usageMetadata": early},
        candidate({"text": ""}, finishReason="STOP") | {"usageMetadata": early},
        {"usageMetadata": late},
    ]
    assert not tapped(GEMINI, *said).finished
    tap = tapped(GEMINI, *said, close=True)
    assert (tap.started, tap.finished) == (True, True)
    assert tap.usage == Usage(input_tokens=6, output_tokens=5, reasoning_tokens=2)
    assert not tapped(GEMINI, said[0], close=True).finished


@pytest.mark.parametrize(
    ("part", "seen", "tokens"),
    [
        ({"text": ""}, False, 0),
        ({"text": "abcde"}, True, 2),
        ({"text": "abcd", "thought": True}, True, 1),
        ({"text": "", "thoughtSignature": "c2ln"}, False, 0),
        ({"functionCall": {"name": "f", "args": {"a": 1}}}, True, 2),
        ({"inlineData": {"mimeType": "image/png", "data": "aaaaaaaa"}}, True, 0),
    ],
)
def test_gemini_content_is_noticed_and_counted(
    part: dict[str, Any], seen: bool, tokens: int
) -> None:
    for said in (candidate(part), candidate(part) | {"usageMetadata": {}}):
        tap = tapped(GEMINI, said)
        assert (tap.content_seen, tap.usage_so_far.output_tokens) == (seen, tokens)


def test_sources_are_not_the_models_words() -> None:
    grounding = {
        "groundingSupports": [{"segment": {"text": "a long passage of text"}}],
        "webSearchQueries": ["q1", "q2"],
    }
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 1}
    said = candidate({"text": "hi"}, groundingMetadata=grounding) | {"usageMetadata": usage}
    tap = tapped(GEMINI, said, said)
    assert tap.usage_so_far == Usage(input_tokens=1, output_tokens=1, web_searches=2)


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        ([{"promptFeedback": {"blockReason": "SAFETY"}}], True),
        ([candidate(finishReason="SAFETY")], True),
        ([candidate(finishReason=3)], True),
        ([candidate({"text": "a"}), candidate(finishReason="SAFETY")], False),
        ([candidate(finishReason="STOP")], False),
        ([candidate(finishReason="MAX_TOKENS")], False),
    ],
)
def test_gemini_refusals(said: list[dict[str, Any]], refused: bool) -> None:
    tap = tapped(GEMINI, *said, close=True)
    assert (tap.finished, tap.refused) == (True, refused)


def test_gemini_errors_end_it() -> None:
    error = {"code": 503, "message": "busy", "status": "UNAVAILABLE"}
    tap = tapped(
        GEMINI, candidate({"text": "a"}, finishReason="STOP"), {"error": error}, close=True
    )
    assert tap.error == VendorFailure(status=529, message="busy", code="UNAVAILABLE")
    assert not tap.finished


@pytest.mark.parametrize("dialect", Dialect)
def test_an_error_in_a_200_is_told_from_an_answer(dialect: Dialect) -> None:
    codec = CODECS[dialect]
    body = codec.failures.encode_error(
        status=429, code="rate_limit_exceeded", message="slow", param=None, request_id="r"
    )
    tap = codec.tap()
    tap.read_message(body)
    assert tap.error is not None
    assert (tap.error.status, tap.error.message, tap.finished) == (429, "slow", False)


@pytest.mark.parametrize("dialect", Dialect)
def test_the_registry_has_every_dialect(dialect: Dialect) -> None:
    assert codec_of(dialect) is CODECS[dialect]
    assert CODECS[dialect].dialect is dialect
    assert codec_of(dialect, compatible=True).dialect is dialect
    assert (codec_of(dialect, compatible=True) is CODECS[dialect]) is (dialect is not CHAT)
    known = 529 if dialect is Dialect.ANTHROPIC else 503
    assert CODECS[dialect].failures.client_status(529) == known
    assert CODECS[dialect].failures.client_status(429) == 429
