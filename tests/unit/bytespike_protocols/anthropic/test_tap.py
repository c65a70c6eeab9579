"""The tap: usage, endings and delivered content, read off an answer in passing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bytespike_protocols.anthropic.tap import MessagesTap
from bytespike_protocols.errors import BadUpstreamMessage
from bytespike_protocols.failures import VendorFailure
from bytespike_protocols.ir import Usage
from bytespike_protocols.sse import Frame


def frame(kind: str, **fields: Any) -> Frame:
    return Frame(kind.encode(), msgspec.json.encode({"type": kind, **fields}))


def start(**usage: Any) -> Frame:
    return frame("message_start", message={"type": "message", "usage": usage})


def delta(**piece: Any) -> Frame:
    return frame("content_block_delta", index=0, delta=piece)


def block(**content: Any) -> Frame:
    return frame("content_block_start", index=0, content_block=content)


def end(reason: str = "end_turn", **usage: Any) -> Frame:
    return frame("message_delta", delta={"stop_reason": reason}, usage=usage)


STOP = frame("message_stop")


def tapped(*frames: Frame) -> MessagesTap:
    tap = MessagesTap()
    for one in frames:
        tap.feed(one)
    return tap


def test_the_last_word_on_each_count_wins() -> None:
    tap = tapped(
        start(input_tokens=10, output_tokens=1, cache_read_input_tokens=5),
        end(input_tokens=12, output_tokens=40, output_tokens_details={"thinking_tokens": 30}),
        STOP,
    )
    assert tap.finished
    assert tap.usage == Usage(
        input_tokens=12, cache_read_tokens=5, output_tokens=40, reasoning_tokens=30
    )


def test_usage_is_unknown_until_both_sides_are_reported() -> None:
    assert tapped(start(input_tokens=10, output_tokens=1)).usage is None
    assert tapped(start(input_tokens=10, output_tokens=1), end(), STOP).usage is None
    assert tapped(start(output_tokens=1), end(output_tokens=2), STOP).usage is None


@pytest.mark.parametrize(
    ("usage", "five_minutes", "hour"),
    [
        ({"cache_creation_input_tokens": 9}, 9, 0),
        (
            {"cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3}},
            2,
            3,
        ),
        (
            {
                "cache_creation_input_tokens": 9,
                "cache_creation": {"ephemeral_1h_input_tokens": 4},
            },
            5,
            4,
        ),
        (
            {
                "cache_creation_input_tokens": 3,
                "cache_creation": {"ephemeral_1h_input_tokens": 4},
            },
            0,
            3,
        ),
        ({"cache_creation_input_tokens": None, "cache_creation": None}, 0, 0),
    ],
)
def test_cache_writes_are_split_by_lifetime(
    usage: dict[str, Any], five_minutes: int, hour: int
) -> None:
    found = tapped(start(input_tokens=1, **usage), end(output_tokens=1)).usage
    assert found is not None
    assert (found.cache_write_5m_tokens, found.cache_write_1h_tokens) == (five_minutes, hour)


@pytest.mark.parametrize(
    "usage", [{"output_tokens": -1}, {"output_tokens": "7"}, {"output_tokens": 10**12}]
)
def test_numbers_no_vendor_means_are_no_usage(usage: dict[str, Any]) -> None:
    tap = tapped(start(input_tokens=1), frame("message_delta", delta={}, usage=usage), STOP)
    assert tap.finished
    assert tap.usage is None


@pytest.mark.parametrize(
    ("pieces", "tokens"),
    [
        ([], 0),
        ([{"type": "text_delta", "text": ""}], 0),
        ([{"type": "text_delta", "text": "abcd"}], 1),
        ([{"type": "text_delta", "text": "abcde"}], 2),
        ([{"type": "thinking_delta", "thinking": "abcd"}, {"type": "text_delta", "text": "x"}], 2),
        ([{"type": "input_json_delta", "partial_json": '{"a": "text"'}], 3),
        ([{"type": "text_delta", "text": 'say "text": "no"'}], 4),
        ([{"type": "text_delta", "text": "größe"}], 2),
        ([{"type": "signature_delta", "signature": "xxxxxxxxxxxx"}], 0),
    ],
)
def test_delivered_content_is_counted_by_its_bytes(
    pieces: list[dict[str, Any]], tokens: int
) -> None:
    tap = tapped(start(input_tokens=7, output_tokens=0), *(delta(**piece) for piece in pieces))
    assert tap.usage_so_far == Usage(input_tokens=7, output_tokens=tokens)


def test_keys_may_come_in_any_order_and_spacing() -> None:
    data = b'{"delta": {"text" :  "abcdefgh", "type": "text_delta"}, "index": 0}'
    assert tapped(Frame(b"content_block_delta", data)).usage_so_far.output_tokens == 2


@pytest.mark.parametrize(
    ("frames", "seen"),
    [
        ([block(type="text", text="")], False),
        ([block(type="thinking", thinking="", signature="")], False),
        ([block(type="text", text="hi")], True),
        ([block(type="tool_use", id="t", name="f", input={})], True),
        ([block(type="text", text=""), delta(type="text_delta", text="")], False),
        ([block(type="text", text=""), delta(type="text_delta", text="a")], True),
        ([block(type="thinking"), delta(type="signature_delta", signature="s")], True),
    ],
)
def test_the_first_content_is_noticed(frames: list[Frame], seen: bool) -> None:
    assert tapped(start(input_tokens=1), *frames).content_seen is seen


def test_a_refusal_counts_only_without_content() -> None:
    assert tapped(start(), end("refusal"), STOP).refused
    assert not tapped(start(), delta(type="text_delta", text="a"), end("refusal"), STOP).refused


def test_an_error_event_is_remembered() -> None:
    tap = tapped(start(), frame("error", error={"type": "overloaded_error", "message": "Busy"}))
    assert tap.error == VendorFailure(status=529, code="overloaded_error", message="Busy")
    assert not tap.finished
    assert tapped(Frame(b"error", b"not json")).error == VendorFailure(status=500, message="")


def test_events_without_an_event_line_are_known_by_their_type() -> None:
    anonymous = [
        Frame(b"", data) for _, data in (start(input_tokens=1), end(output_tokens=2), STOP)
    ]
    tap = tapped(*anonymous)
    assert tap.finished
    assert tap.usage == Usage(input_tokens=1, output_tokens=2)


def test_a_whole_message_is_read_at_once() -> None:
    tap = MessagesTap()
    body = {
        "type": "message",
        "content": [{"type": "text", "text": "hi"}],
        "stop_reason": "end_turn",
        "usage": {
            "input_tokens": 3,
            "output_tokens": 4,
            "server_tool_use": {"web_search_requests": 2},
        },
    }
    tap.read_message(msgspec.json.encode(body))
    assert tap.finished
    assert tap.usage == Usage(input_tokens=3, output_tokens=4, web_searches=2)


def test_an_error_in_a_200_is_told_from_a_message() -> None:
    tap = MessagesTap()
    tap.read_message(b'{"type":"error","error":{"type":"api_error","message":"no"}}')
    assert tap.error == VendorFailure(status=500, code="api_error", message="no")
    assert not tap.finished


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"type":"message","content":7}', b"[]"])
def test_anything_else_is_a_bad_answer(body: bytes) -> None:
    with pytest.raises(BadUpstreamMessage):
        MessagesTap().read_message(body)
