"""Answers of other vendors as an Anthropic client gets them, whole and streamed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from msgspec.structs import replace

from bytespike_protocols.anthropic import CODEC
from bytespike_protocols.codec import RouteHints
from bytespike_protocols.errors import BadUpstreamMessage
from bytespike_protocols.events import (
    ArgumentsDelta,
    Closed,
    Ended,
    Event,
    Failed,
    Opened,
    SignatureDelta,
    Started,
    TextDelta,
)
from bytespike_protocols.folding import fold, unfold
from bytespike_protocols.ir import (
    Block,
    Dialect,
    Foreign,
    Json,
    Opaque,
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
from tests.support.anthropic_corpus import (
    BROKEN_STREAMS,
    CASES,
    Case,
    context_of,
    name_of,
    read_events,
)
from tests.support.anthropic_grammar import CheckedStream, check_stream

SHOWN = context_of()
HIDDEN = context_of(replace(SHOWN.request, reasoning=None))
GOOGLE = Opaque(issuer=Dialect.GEMINI, payload="c2ln==", model="gemini-3-pro")
OPENAI = Opaque(issuer=Dialect.OPENAI_RESPONSES, payload="blob", model="o9")
CALL = ToolUse(id="call_1", name="f", arguments=Json('{"a":1}'))
CALL_WIRE = {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}}
CITATION = Json('{"type":"char_location","cited_text":"x"}')
END = Stop(reason=StopReason.END)


def answer(*blocks: Block, stop: Stop = END, usage: Usage | None = None) -> Response:
    return Response(id="vendor", model="vendor-model", blocks=blocks, stop=stop, usage=usage)


def stream(events: Iterable[Event], context: Any = SHOWN) -> CheckedStream:
    encoder = CODEC.stream_encoder(context)
    return check_stream(b"".join(encoder.feed(event) for event in events))


def thought(signature: str, words: str = "") -> dict[str, Any]:
    return {"type": "thinking", "thinking": words, "signature": signature}


def text(words: str, **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **fields}


@pytest.mark.parametrize(
    ("blocks", "content"),
    [
        ((), []),
        ((Text(text=""), Text(text="a"), Text(text="b")), [text("a"), text("b")]),
        ((Text(text="a", citations=(CITATION,)),), [text("a", citations=[json.loads(CITATION)])]),
        ((Refusal(text="no"),), [text("no")]),
        ((Thinking(text="hm"), CALL), [thought("", "hm"), CALL_WIRE]),
        ((Thinking(text="", opaque=OPENAI),), [thought("bsp1.openai_responses.o9.blob")]),
        ((Thinking(text=""), Text(text="a")), [text("a")]),
        (
            (RedactedThinking(opaque=replace(GOOGLE, issuer=Dialect.ANTHROPIC)),),
            [{"type": "redacted_thinking", "data": "c2ln=="}],
        ),
        (
            (replace(CALL, opaque=GOOGLE), replace(CALL, id="call_2")),
            [
                thought("bsp1.gemini.gemini-3-pro.for-call.call_1.c2ln=="),
                CALL_WIRE,
                {**CALL_WIRE, "id": "call_2"},
            ],
        ),
        (
            (Text(text="a", opaque=GOOGLE), CALL),
            [text("a"), thought("bsp1.gemini.gemini-3-pro.for-text..c2ln=="), CALL_WIRE],
        ),
        (
            (Text(text="a", opaque=GOOGLE), replace(CALL, opaque=GOOGLE)),
            [
                text("a"),
                thought("bsp1.gemini.gemini-3-pro.for-text..c2ln=="),
                thought("bsp1.gemini.gemini-3-pro.for-call.call_1.c2ln=="),
                CALL_WIRE,
            ],
        ),
        (
            (Text(text="", opaque=GOOGLE), Text(text="a")),
            [thought("bsp1.gemini.gemini-3-pro.for-text..c2ln=="), text("a")],
        ),
        # The last block is what a client shows as the answer.
        ((Text(text="a", opaque=GOOGLE),), [text("a")]),
        ((Text(text="a", opaque=GOOGLE), Thinking(text="")), [text("a")]),
        (
            (Text(text="a", opaque=GOOGLE), Text(text="", opaque=GOOGLE)),
            [text("a")],
        ),
        ((Text(text="", opaque=GOOGLE),), []),
        ((replace(CALL, arguments=Json("")),), [{**CALL_WIRE, "input": {}}]),
        (
            (Foreign(dialect=Dialect.OPENAI_RESPONSES, kind="x", value=Json("{}")), CALL),
            [CALL_WIRE],
        ),
        (
            (Foreign(dialect=Dialect.ANTHROPIC, kind="x", value=Json('{"type":"x"}')),),
            [{"type": "x"}],
        ),
    ],
)
def test_content_is_the_same_whole_and_streamed(
    blocks: tuple[Block, ...], content: list[dict[str, Any]]
) -> None:
    response = answer(*blocks)
    assert json.loads(CODEC.encode_response(response, SHOWN))["content"] == content
    assert stream(unfold(response)).blocks == content


def test_thoughts_nobody_asked_for_are_not_shown_but_their_state_is_kept() -> None:
    response = answer(Thinking(text="hm", opaque=OPENAI), Thinking(text="hm"), Text(text="a"))
    content = [thought("bsp1.openai_responses.o9.blob"), text("a")]
    assert json.loads(CODEC.encode_response(response, HIDDEN))["content"] == content
    assert stream(unfold(response), HIDDEN).blocks == content


def test_state_survives_the_client() -> None:
    response = answer(
        Thinking(text="hm", opaque=OPENAI),
        Text(text="a", opaque=GOOGLE),
        replace(CALL, opaque=GOOGLE),
        replace(CALL, id="call_2"),
    )
    content = json.loads(CODEC.encode_response(response, SHOWN))["content"]
    body = {"model": "m", "messages": [{"role": "assistant", "content": content}]}
    compact = json.dumps(body, separators=(",", ":")).encode()
    (turn,) = CODEC.decode_request(compact, RouteHints()).turns
    assert turn.blocks == response.blocks


def test_a_signature_that_comes_late_is_carried_behind_its_call() -> None:
    events: list[Event] = [
        Started(id="x", model="y"),
        Opened(index=0, block=replace(CALL, arguments=Json(""))),
        ArgumentsDelta(index=0, json=Json('{"a"')),
        ArgumentsDelta(index=0, json=Json(":1}")),
        SignatureDelta(index=0, opaque=GOOGLE),
        Closed(index=0),
        Ended(stop=END),
    ]
    carried = thought("bsp1.gemini.gemini-3-pro.for-call.call_1.c2ln==")
    assert stream(events).blocks == [CALL_WIRE, carried]


def test_arguments_flow_once_there_are_two_pieces() -> None:
    encoder = CODEC.stream_encoder(SHOWN)
    encoder.feed(Started(id="x", model="y"))
    assert encoder.feed(Opened(index=0, block=replace(CALL, arguments=Json("")))) == b""
    assert encoder.feed(ArgumentsDelta(index=0, json=Json('{"a"'))) == b""
    assert encoder.feed(ArgumentsDelta(index=0, json=Json(":"))).count(b"input_json_delta") == 2
    assert encoder.feed(ArgumentsDelta(index=0, json=Json("1}"))).count(b"input_json_delta") == 1


@pytest.mark.parametrize(
    ("stop", "blocks", "reason", "sequence"),
    [
        (END, (), "end_turn", None),
        (END, (CALL,), "tool_use", None),
        (Stop(reason=StopReason.TOOL_USE), (CALL,), "tool_use", None),
        (Stop(reason=StopReason.TOOL_USE), (), "end_turn", None),
        (Stop(reason=StopReason.MAX_TOKENS), (CALL,), "max_tokens", None),
        (Stop(reason=StopReason.CONTEXT_FULL), (), "model_context_window_exceeded", None),
        (Stop(reason=StopReason.STOP_SEQUENCE, sequence="X"), (), "stop_sequence", "X"),
        (Stop(reason=StopReason.STOP_SEQUENCE), (), "end_turn", None),
        (Stop(reason=StopReason.REFUSED), (), "refusal", None),
        (Stop(reason=StopReason.PAUSED), (), "pause_turn", None),
        (Stop(reason=StopReason.OTHER, word="NEW"), (), "refusal", None),
    ],
)
def test_stop_reasons(
    stop: Stop, blocks: tuple[Block, ...], reason: str, sequence: str | None
) -> None:
    response = answer(*blocks, stop=stop)
    message = json.loads(CODEC.encode_response(response, SHOWN))
    assert (message["stop_reason"], message["stop_sequence"]) == (reason, sequence)
    assert stream(unfold(response)).stop_reason == reason


@pytest.mark.parametrize(
    ("stop", "explanation"),
    [
        (Stop(reason=StopReason.REFUSED, detail="why"), "why"),
        (Stop(reason=StopReason.OTHER, word="NEW"), "the model stopped for another reason: NEW"),
    ],
)
def test_a_halt_is_explained(stop: Stop, explanation: str) -> None:
    message = json.loads(CODEC.encode_response(answer(stop=stop), SHOWN))
    assert message["stop_details"]["explanation"] == explanation


def test_a_broken_call_is_an_error() -> None:
    broken = answer(stop=Stop(reason=StopReason.BROKEN_CALL, detail="malformed"))
    with pytest.raises(BadUpstreamMessage, match="malformed"):
        CODEC.encode_response(broken, SHOWN)
    assert stream(unfold(broken)).end == "error"


def test_a_call_that_was_cut() -> None:
    cut = replace(CALL, arguments=Json('{"a":'))
    whole = answer(cut, stop=Stop(reason=StopReason.MAX_TOKENS))
    message = json.loads(CODEC.encode_response(whole, SHOWN))
    assert message["content"] == [text('f({"a":')]
    with pytest.raises(BadUpstreamMessage):
        CODEC.encode_response(replace(whole, stop=END), SHOWN)


def test_a_call_that_was_cut_in_a_stream_is_passed_on() -> None:
    cut = replace(CALL, arguments=Json('{"a":'))
    checked = stream(unfold(answer(cut, stop=Stop(reason=StopReason.MAX_TOKENS))))
    assert checked.stop_reason == "max_tokens"
    assert checked.blocks == [{**CALL_WIRE, "input": '{"a":'}]


def test_usage() -> None:
    usage = Usage(
        input_tokens=5,
        cache_write_5m_tokens=2,
        cache_write_1h_tokens=3,
        cache_read_tokens=7,
        output_tokens=11,
        reasoning_tokens=4,
        web_searches=1,
    )
    wire = {
        "input_tokens": 5,
        "cache_creation_input_tokens": 5,
        "cache_read_input_tokens": 7,
        "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3},
        "output_tokens": 11,
        "output_tokens_details": {"thinking_tokens": 4},
        "server_tool_use": {"web_search_requests": 1},
    }
    response = answer(Text(text="a"), usage=usage)
    encoded = CODEC.encode_response(response, SHOWN)
    assert json.loads(encoded)["usage"] == wire
    assert CODEC.decode_response(encoded).usage == usage
    late = [replace(e, usage=None) if isinstance(e, Started) else e for e in unfold(response)]
    assert stream(late).usage == wire


@pytest.mark.parametrize(
    ("kind", "wire"),
    [
        ("overloaded", "overloaded_error"),
        ("rate_limited", "overloaded_error"),
        ("timeout", "timeout_error"),
        ("invalid_request", "invalid_request_error"),
        ("internal", "api_error"),
    ],
)
@pytest.mark.parametrize("before", [0, 1, 3])
def test_failures(kind: Any, wire: str, before: int) -> None:
    events = list(unfold(answer(Text(text="abc"))))[:before]
    encoder = CODEC.stream_encoder(SHOWN)
    for event in events:
        encoder.feed(event)
    last = encoder.feed(Failed(kind=kind, message="words"))
    assert last.startswith(b"event: error\ndata: ")
    assert json.loads(last.split(b"data: ")[1])["error"] == {
        "type": wire,
        "message": "words",
        "code": json.loads(last.split(b"data: ")[1])["error"]["code"],
    }


def test_events_in_the_wrong_order_are_our_fault() -> None:
    encoder = CODEC.stream_encoder(SHOWN)
    with pytest.raises(AssertionError):
        encoder.feed(TextDelta(index=0, text="a"))


RAW_STREAMS = [
    case
    for case in CASES
    if case.stream is not None
    and b"message_stop" in case.stream
    and not {"unknown-event", "sse-crlf"} & case.tags
    and case.name not in {"own-stream-unknown-event", "own-stream-crlf", *BROKEN_STREAMS}
]


@pytest.mark.parametrize("case", RAW_STREAMS, ids=name_of)
def test_a_streamed_answer_decodes_as_the_whole_one_would(case: Case) -> None:
    """The whole one put together by the grammar checker, which knows none of our code."""
    assert case.stream is not None
    checked = check_stream(case.stream)
    message = {
        **checked.message,
        "content": checked.blocks,
        "stop_reason": checked.stop_reason,
        "usage": checked.usage,
    }
    whole = CODEC.decode_response(json.dumps(message).encode())
    streamed = fold(read_events([case.stream]))
    assert [comparable(b) for b in streamed.blocks] == [comparable(b) for b in whole.blocks]
    assert streamed.usage == whole.usage
    assert streamed.stop.reason is whole.stop.reason


def comparable(block: Block) -> object:
    match block:
        case ToolUse(arguments=arguments):
            return replace(block, arguments=Json("")), json.loads(arguments)
        case Text(citations=citations):
            return replace(block, citations=()), [json.loads(c) for c in citations]
        case Foreign(value=value):
            return block.kind, json.loads(value)
        case _:
            return block


def test_a_citation_of_a_file_another_vendor_keeps_is_left_out() -> None:
    kept = Json('{"type":"container_file_citation","file_id":"cfile_1","filename":"plot.png"}')
    cited = answer(Text(text="See the plot.", citations=(kept, CITATION)))
    wanted = [{"type": "text", "text": "See the plot.", "citations": [json.loads(CITATION)]}]
    assert json.loads(CODEC.encode_response(cited, SHOWN))["content"] == wanted
    assert stream(unfold(cited)).blocks == wanted
    only = answer(Text(text="See the plot.", citations=(kept,)))
    assert json.loads(CODEC.encode_response(only, SHOWN))["content"] == [
        {"type": "text", "text": "See the plot."}
    ]
