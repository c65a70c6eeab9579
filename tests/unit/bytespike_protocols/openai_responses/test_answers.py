"""Answers of other vendors as a client of this dialect gets them, and on their way back."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from msgspec.structs import replace

from bytespike_protocols.codec import RouteHints
from bytespike_protocols.errors import BadUpstreamMessage
from bytespike_protocols.events import (
    ArgumentsDelta,
    Closed,
    Ended,
    Event,
    Failed,
    Opened,
    Started,
    TextDelta,
)
from bytespike_protocols.folding import fold, unfold
from bytespike_protocols.ir import (
    Block,
    Dialect,
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
from bytespike_protocols.openai_responses import CODEC
from tests.support.responses_corpus import (
    context_for,
    decode_pieces,
    encode_events,
)
from tests.support.responses_grammar import check_stream

END = Stop(reason=StopReason.END)
CALL = ToolUse(id="toolu_1", name="add", arguments=Json('{"a":1}'))


def answer(*blocks: Block, stop: Stop = END, usage: Usage | None = None) -> Response:
    return Response(id="msg_1", model="claude", blocks=blocks, stop=stop, usage=usage)


def encode(response: Response) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(CODEC.encode_response(response, context_for()))
    return body


def state(payload: str, issuer: Dialect = Dialect.ANTHROPIC) -> Opaque:
    return Opaque(issuer=issuer, payload=payload, model="m-1")


#: A request's settings -> the same in its answer.
ECHOED: dict[str, Any] = {
    "instructions": "be kind",
    "metadata": {"k": "v"},
    "temperature": 0.25,
    "tool_choice": "required",
    "tools": [{"type": "function", "name": "f", "parameters": {}, "strict": True}],
}
#: What an answer says where the request said nothing.
DEFAULTS: dict[str, Any] = {
    "object": "response",
    "background": False,
    "error": None,
    "incomplete_details": None,
    "max_output_tokens": None,
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "safety_identifier": None,
    "service_tier": "default",
    "store": False,
    "text": {"format": {"type": "text"}},
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
}


def test_the_envelope_has_what_typed_clients_demand() -> None:
    sent = {"model": "alias", "input": "q", "reasoning": {"effort": "low"}} | ECHOED
    asked = CODEC.decode_request(json.dumps(sent).encode(), RouteHints())
    usage = Usage(input_tokens=5, cache_read_tokens=3, output_tokens=7, reasoning_tokens=2)
    body = json.loads(
        CODEC.encode_response(answer(Text(text="hi"), usage=usage), context_for(asked))
    )
    message = body.pop("output")[0]
    assert re.fullmatch("resp_[0-9a-f]{48}", body.pop("id"))
    assert body.pop("usage") == {
        "input_tokens": 8,
        "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 0},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 15,
    }
    assert body == ECHOED | DEFAULTS | {
        "created_at": 1_790_000_000,
        "model": "alias",
        "reasoning": {"effort": "low", "summary": None},
        "status": "completed",
    }
    assert re.fullmatch("msg_[0-9a-f]{48}", message.pop("id"))
    assert message == {
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [{"type": "output_text", "annotations": [], "logprobs": [], "text": "hi"}],
    }


def test_a_run_of_text_is_one_message_and_calls_are_items() -> None:
    body = encode(answer(Text(text="a"), Text(text="b"), CALL, Text(text="c")))
    assert [item["type"] for item in body["output"]] == ["message", "function_call", "message"]
    assert [part["text"] for part in body["output"][0]["content"]] == ["a", "b"]
    assert len({item["id"] for item in body["output"]}) == 3
    call = body["output"][1]
    assert (call["call_id"], call["name"], call["arguments"]) == ("toolu_1", "add", '{"a":1}')


#: reason -> status, what explains it, the reason as read again
ENDINGS: dict[StopReason, tuple[str, str | None]] = {
    StopReason.END: ("completed", None),
    StopReason.STOP_SEQUENCE: ("completed", None),
    StopReason.TOOL_USE: ("completed", None),
    StopReason.PAUSED: ("completed", None),
    StopReason.MAX_TOKENS: ("incomplete", "max_output_tokens"),
    StopReason.CONTEXT_FULL: ("incomplete", "max_output_tokens"),
    StopReason.REFUSED: ("incomplete", "content_filter"),
    StopReason.BROKEN_CALL: ("failed", None),
    StopReason.OTHER: ("failed", None),
}


@pytest.mark.parametrize("reason", StopReason)
def test_every_stop_reason_has_an_ending(reason: StopReason) -> None:
    status, why = ENDINGS[reason]
    response = answer(Text(text="a"), stop=Stop(reason=reason, detail="too odd"))
    body = encode(response)
    assert body["status"] == status
    assert body["incomplete_details"] == (why and {"reason": why})
    assert (body["error"] is None) == (status != "failed")
    assert check_stream(encode_events(unfold(response)), strict=True).end == status
    if status == "failed":
        with pytest.raises(BadUpstreamMessage, match="too odd"):
            CODEC.decode_response(json.dumps(body).encode())


def test_a_refusal_in_words_is_an_answer() -> None:
    response = answer(Refusal(text="No."), stop=Stop(reason=StopReason.REFUSED))
    body = encode(response)
    assert body["status"] == "completed"
    assert body["output"][0]["content"] == [{"type": "refusal", "refusal": "No."}]
    assert CODEC.decode_response(json.dumps(body).encode()).stop == response.stop


#: Blocks as the vendor made them -> as they come back in the history of the next request.
CUSTODY: dict[str, tuple[Block, ...]] = {
    "thinking": (Thinking(text="hm\n\nso", opaque=state("sig+/=")), CALL),
    "thinking without words": (Thinking(text="", opaque=state("sig")), CALL),
    "redacted thinking": (RedactedThinking(opaque=state("data")), CALL),
    "both": (
        Thinking(text="hm", opaque=state("sig")),
        RedactedThinking(opaque=state("data")),
        Text(text="well"),
        CALL,
    ),
    "a signed call": (replace(CALL, opaque=state("AbC=", Dialect.GEMINI)),),
    "a signed first call": (
        Thinking(text="hm"),
        replace(CALL, opaque=state("AbC=", Dialect.GEMINI)),
        replace(CALL, id="toolu_2"),
    ),
    "signed words": (Text(text="well", opaque=state("AbC=", Dialect.GEMINI)),),
    "our own": (Thinking(text="hm", opaque=Opaque(issuer=CODEC.dialect, payload="gAAA")), CALL),
}


@pytest.mark.parametrize("name", CUSTODY)
def test_state_comes_back_to_the_block_it_belongs_to(name: str) -> None:
    blocks = CUSTODY[name]
    output = encode(answer(*blocks))["output"]
    body = json.dumps({"model": "m", "input": output}).encode()
    asked = CODEC.decode_request(body, RouteHints())
    assert asked.turns[0].blocks == blocks
    assert asked.extras == ()


def test_state_of_others_is_marked_as_theirs() -> None:
    reasoning = encode(answer(Thinking(text="hm", opaque=state("sig"))))["output"][0]
    assert reasoning["encrypted_content"] == "bsp1.anthropic.m-1.sig"
    assert reasoning["summary"] == [{"type": "summary_text", "text": "hm"}]


def test_a_free_form_call_is_written_as_one() -> None:
    asked = CODEC.decode_request(
        json.dumps(
            {"model": "m", "input": "q", "tools": [{"type": "custom", "name": "patch"}]}
        ).encode(),
        RouteHints(),
    )
    call = ToolUse(id="c", name="patch", arguments=Json('{"input": "a\\nb"}'))
    stream = encode_events(unfold(answer(call)), context_for(asked))
    checked = check_stream(stream, strict=True)
    item = checked.items[0]
    assert (item["type"], item["name"], item["input"]) == ("custom_tool_call", "patch", "a\nb")
    again = fold(decode_pieces([stream])).blocks[0]
    assert isinstance(again, ToolUse)
    assert json.loads(again.arguments) == {"input": "a\nb"}


CITED = "R is at 4.5 today"
CITATIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "words of the answer": (
        {"type": "web_search_result_location", "url": "u", "title": "t", "cited_text": "4.5"},
        {"type": "url_citation", "url": "u", "title": "t", "start_index": 8, "end_index": 11},
    ),
    "words of the source": (
        {"type": "web_search_result_location", "url": "u", "title": None, "cited_text": "x y"},
        {"type": "url_citation", "url": "u", "title": "", "start_index": 0, "end_index": 17},
    ),
    "a document": (
        {"type": "char_location", "document_title": "a.pdf", "cited_text": "x"},
        {"type": "file_citation", "file_id": "", "filename": "a.pdf", "index": 17},
    ),
    "our own": (
        {"type": "file_path", "file_id": "f", "index": 3},
        {"type": "file_path", "file_id": "f", "index": 3},
    ),
}


@pytest.mark.parametrize("name", CITATIONS)
def test_a_citation_is_an_annotation(name: str) -> None:
    citation, annotation = CITATIONS[name]
    response = answer(Text(text=CITED, citations=(Json(json.dumps(citation)),)))
    assert encode(response)["output"][0]["content"][0]["annotations"] == [annotation]
    stream = encode_events(unfold(response)).decode()
    assert stream.count("event: response.output_text.annotation.added") == 1


def test_an_annotation_is_a_citation_of_the_words_it_spans() -> None:
    response = answer(Text(text=CITED, citations=(Json(json.dumps(CITATIONS["a document"][0])),)))
    body = encode(response)
    body["output"][0]["content"][0]["annotations"] = [CITATIONS["words of the answer"][1]]
    text = CODEC.decode_response(json.dumps(body).encode()).blocks[0]
    assert isinstance(text, Text)
    assert json.loads(text.citations[0]) == {
        "type": "web_search_result_location",
        "url": "u",
        "title": "t",
        "cited_text": "4.5",
        "encrypted_index": "",
    }


def test_a_call_without_arguments_is_an_empty_object() -> None:
    events: list[Event] = [
        Started(id="m", model="c"),
        Opened(index=0, block=ToolUse(id="c", name="f", arguments=Json(""))),
        ArgumentsDelta(index=0, json=Json("")),
        Closed(index=0),
        Ended(stop=Stop(reason=StopReason.TOOL_USE)),
    ]
    checked = check_stream(encode_events(events), strict=True)
    assert checked.items[0]["arguments"] == "{}"


@pytest.mark.parametrize("cut_at", [0, 1, 2, 3])
def test_a_failure_ends_the_stream_wherever_it_comes(cut_at: int) -> None:
    events: list[Event] = [
        Started(id="m", model="c"),
        Opened(index=0, block=Text(text="")),
        TextDelta(index=0, text="a"),
    ]
    failed = Failed(kind="overloaded", message="busy")
    stream = encode_events([*events[:cut_at], failed])
    decoded = decode_pieces([stream])
    assert decoded[-1] == failed
    if cut_at:
        last = json.loads(stream.decode().split("\ndata: ")[-1])
        assert last["type"] == "response.failed"
        assert last["response"]["error"] == {"code": "service_unavailable", "message": "busy"}


def test_events_out_of_order_are_our_bug() -> None:
    encoder = CODEC.stream_encoder(context_for())
    with pytest.raises(AssertionError, match="stream grammar"):
        encoder.feed(TextDelta(index=0, text="a"))
