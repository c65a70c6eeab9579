"""Every recorded exchange is understood, and what was understood can be said again."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from bytespike_protocols.codec import RouteHints
from bytespike_protocols.errors import BadClientMessage, BadUpstreamMessage
from bytespike_protocols.events import Ended, Failed
from bytespike_protocols.folding import fold
from bytespike_protocols.ir import Block, Foreign, Response, Text, Thinking
from bytespike_protocols.openai_responses import CODEC
from bytespike_protocols.openai_responses.failure import read_failure
from tests.support.responses_corpus import (
    CASES,
    Case,
    context_for,
    decode_pieces,
    encode_events,
)
from tests.support.responses_grammar import GrammarError, check_stream

#: The model is in a stored prompt, which only its vendor can read.
WITHOUT_MODEL = {"oar-ad435fdfb6-00"}
#: Background answers that were fetched before they were ready.
UNFINISHED = {"oar-cc46ea97c3-00", "oar-cc46ea97c3-02"}
#: Fixtures whose authors shortened them: the end does not repeat what came before.
SHORTENED = {"oar-67b32df49f-00", "oar-c5730f3c1d-00"}


def ids(case: Case) -> str:
    return case.id


REQUESTS = [case for case in CASES if case.request and case.id not in WITHOUT_MODEL]
ANSWERS = [
    case for case in CASES if case.answer and case.status == 200 and case.id not in UNFINISHED
]
STREAMS = [case for case in CASES if case.sse and case.status == 200]
ERRORS = [case for case in CASES if case.status >= 400]


@pytest.mark.parametrize("case", REQUESTS, ids=ids)
def test_a_request_survives_the_round_trip(case: Case) -> None:
    body = json.dumps(case.request, ensure_ascii=False).encode()
    request = CODEC.decode_request(body, RouteHints())
    encoded = CODEC.encode_request(request, model=request.model)
    assert encoded.losses == ()
    assert CODEC.decode_request(encoded.body, RouteHints()) == request
    assert normal_form(json.loads(encoded.body)) == normal_form(case.request or {})


@pytest.mark.parametrize("case", [case for case in CASES if case.id in WITHOUT_MODEL], ids=ids)
def test_a_request_needs_a_model(case: Case) -> None:
    with pytest.raises(BadClientMessage, match=r"model: field required"):
        CODEC.decode_request(json.dumps(case.request).encode(), RouteHints())


@pytest.mark.parametrize("case", ANSWERS, ids=ids)
def test_an_answer_survives_the_round_trip(case: Case) -> None:
    response = CODEC.decode_response(case.answer or b"")
    assert response.id
    written = CODEC.decode_response(CODEC.encode_response(response, context_for()))
    assert said(written) == said(response)


@pytest.mark.parametrize("case", [case for case in CASES if case.id in UNFINISHED], ids=ids)
def test_an_unfinished_answer_is_none(case: Case) -> None:
    with pytest.raises(BadUpstreamMessage, match="not a finished answer"):
        CODEC.decode_response(case.answer or b"")


@pytest.mark.parametrize("case", STREAMS, ids=ids)
def test_a_stream_survives_the_round_trip(case: Case) -> None:
    events = decode_pieces([case.sse or b""])
    written = encode_events(events)
    checked = check_stream(written, strict=True)
    again = decode_pieces([written])
    if isinstance(events[-1], Failed):
        assert checked.end in ("failed", "error")
        assert isinstance(again[-1], Failed)
        assert again[-1] == events[-1]
        return
    assert isinstance(events[-1], Ended)
    assert said(fold(again)) == said(fold(events))


@pytest.mark.parametrize("case", STREAMS, ids=ids)
def test_a_recorded_stream_keeps_the_grammar(case: Case) -> None:
    if case.id in SHORTENED:
        with pytest.raises(GrammarError):
            check_stream(case.sse or b"")
        return
    checked = check_stream(case.sse or b"")
    assert checked.end != "truncated"


@pytest.mark.parametrize(
    "case",
    [
        case
        for case in STREAMS
        if case.id not in SHORTENED and "terminal:response.failed" not in case.tags
    ],
    ids=ids,
)
def test_a_stream_and_its_last_event_are_the_same_answer(case: Case) -> None:
    checked = check_stream(case.sse or b"")
    if checked.end == "error":
        assert isinstance(decode_pieces([case.sse or b""])[-1], Failed)
        return
    whole = CODEC.decode_response(json.dumps(checked.response).encode())
    folded = fold(decode_pieces([case.sse or b""]))
    assert said(folded, encrypted=False) == said(whole, encrypted=False)
    assert (folded.id, folded.model, folded.created_s) == (whole.id, whole.model, whole.created_s)


@pytest.mark.parametrize("case", ERRORS, ids=ids)
def test_an_error_is_read(case: Case) -> None:
    failure = read_failure(case.status, case.answer or case.sse or b"")
    assert failure is not None
    assert failure.message


def said(response: Response, *, encrypted: bool = True) -> tuple[Any, ...]:
    """What two spellings of one answer must agree on. The vendor encrypts reasoning anew each time
    it writes it, so payloads only compare where one was made from the other.
    """
    blocks = tuple(_spelled(block, encrypted=encrypted) for block in response.blocks)
    return blocks, response.stop, response.usage


def _spelled(block: Block, *, encrypted: bool) -> Any:
    match block:
        case Foreign():
            return block.kind, msgspec.json.decode(block.value)
        case Text():
            return block.text, [msgspec.json.decode(citation) for citation in block.citations]
        case Thinking() if block.opaque is not None and not encrypted:
            return replace(block, opaque=replace(block.opaque, payload=""))
    return block


def normal_form(body: dict[str, Any]) -> dict[str, Any]:
    """One spelling for what the dialect can say in several ways, and nothing else."""
    body = _without_null(body)
    body.pop("store", None)
    body["include"] = sorted({*body.get("include", []), "reasoning.encrypted_content"})
    if body.get("stream") is False:
        del body["stream"]
    if body.get("tools") == []:
        del body["tools"]
    if body.get("text") == {"format": {"type": "text"}}:
        del body["text"]
    if "user" in body and "safety_identifier" not in body:
        body["safety_identifier"] = body.pop("user")
    items = body.get("input", [])
    if isinstance(items, str):
        items = [{"role": "user", "content": items}]
    items = [_normal_item(item) for item in items]
    if "instructions" not in body and len(items) > 1 and items[0].get("role") == "system":
        body["instructions"] = items.pop(0)["content"]
    return body | {"input": items}


def _normal_item(item: dict[str, Any]) -> dict[str, Any]:
    kind = item.get("type", "message")
    item = dict(item)
    if kind in ("message", "function_call", "function_call_output", "reasoning"):
        item.pop("status", None)
        item.pop("id", None)
    if kind == "reasoning" and item.get("content") == []:
        del item["content"]
    if kind != "message":
        return item
    item.pop("type", None)
    if item["role"] == "developer":
        item["role"] = "system"
    if isinstance(item["content"], list):
        item["content"] = [
            {name: value for name, value in part.items() if value != []} for part in item["content"]
        ]
        only = item["content"][0]
        if len(item["content"]) == 1 and only.keys() == {"type", "text"}:
            item["content"] = only["text"]
    return item


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_null(inner) for name, inner in value.items() if inner is not None}
    return [_without_null(inner) for inner in value] if isinstance(value, list) else value
