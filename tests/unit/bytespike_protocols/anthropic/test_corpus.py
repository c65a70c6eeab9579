"""Every recorded exchange decodes, and comes out of its own dialect's encoder as it went in."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from bytespike_protocols.anthropic import CODEC
from bytespike_protocols.codec import RouteHints
from bytespike_protocols.errors import BadUpstreamMessage
from bytespike_protocols.events import Ended, Event, Failed
from bytespike_protocols.folding import fold, unfold
from tests.support.anthropic_corpus import (
    BROKEN_STREAMS,
    CASES,
    CORPUS,
    Case,
    context_of,
    name_of,
    read_events,
    request_of,
)
from tests.support.anthropic_grammar import check_stream

HINTS = RouteHints()
REQUESTS = [case for case in CASES if case.request is not None and not case.counts_tokens]
ANSWERS = [case for case in CASES if case.status < 400 and case.body and not case.counts_tokens]
STREAMS = [case for case in CASES if case.stream is not None and case.name not in BROKEN_STREAMS]


def longhand(body: dict[str, Any]) -> dict[str, Any]:
    """Shorthands written out and defaults left out; nothing else may differ."""
    body = copy.deepcopy(body)
    if isinstance(body.get("system"), str):
        body["system"] = _blocks(body["system"])
    for message in body["messages"]:
        message["content"] = _blocks(message["content"])
        for block in message["content"]:
            _write_out_result(block)
    for field, default in (("stream", False), ("stop_sequences", []), ("tools", [])):
        if body.get(field) == default:
            del body[field]
    return body


def _blocks(content: Any) -> Any:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _write_out_result(block: dict[str, Any]) -> None:
    if block["type"] != "tool_result":
        return
    content = _blocks(block.pop("content", []))
    if content not in ([], [{"type": "text", "text": ""}]):
        block["content"] = content
    if block.get("is_error") is False:
        del block["is_error"]


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the recorded exchanges are not here")
def test_the_corpus_is_all_here() -> None:
    assert (len(REQUESTS), len(ANSWERS), len(STREAMS)) >= (191, 96, 83)


@pytest.mark.parametrize("case", REQUESTS, ids=name_of)
def test_a_request_comes_out_as_it_went_in(case: Case) -> None:
    assert case.request is not None
    request = request_of(case)
    encoded = CODEC.encode_request(request, model=request.model)
    assert json.loads(encoded.body) == longhand(case.request)
    assert encoded.losses == ()
    assert encoded.renamed == ()
    assert CODEC.decode_request(encoded.body, HINTS) == request


@pytest.mark.parametrize("case", ANSWERS, ids=name_of)
def test_an_answer_comes_out_as_it_went_in(case: Case) -> None:
    answer = CODEC.decode_response(json.dumps(case.body).encode())
    encoded = CODEC.encode_response(answer, context_of(request_of(case)))
    again = CODEC.decode_response(encoded)
    assert (again.blocks, again.stop, again.usage) == (answer.blocks, answer.stop, answer.usage)
    assert fold(unfold(answer)) == answer


@pytest.mark.parametrize("case", STREAMS, ids=name_of)
def test_a_stream_comes_out_well_formed_and_says_the_same(case: Case) -> None:
    assert case.stream is not None
    events = read_events([case.stream])
    encoder = CODEC.stream_encoder(context_of(request_of(case)))
    written = b"".join(encoder.feed(event) for event in events)
    checked = check_stream(written)
    if isinstance(events[-1], Failed):
        assert checked.end == "error"
        return
    assert checked.end == "stop"
    assert said(read_events([written])) == said(events)


def said(events: list[Event]) -> tuple[Any, ...]:
    answer = fold(events)
    assert isinstance(events[-1], Ended)
    return answer.blocks, answer.stop, answer.usage


@pytest.mark.parametrize("case", [c for c in CASES if c.name in BROKEN_STREAMS], ids=name_of)
def test_a_broken_stream_is_the_vendors_fault(case: Case) -> None:
    assert case.stream is not None
    with pytest.raises(BadUpstreamMessage):
        read_events([case.stream])
