"""Every recorded exchange, and our own goldens, through the codec."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from bytespike_protocols.errors import BadUpstreamMessage
from bytespike_protocols.events import Event, Failed
from bytespike_protocols.folding import fold
from bytespike_protocols.gemini import CODEC
from bytespike_protocols.gemini.failure import read_failure
from bytespike_protocols.ir import Block, Response, Text, Thinking
from bytespike_protocols.sse import Frame
from tests.support.gemini_corpus import (
    RECORDINGS,
    Case,
    answers,
    context_for,
    decode_frames,
    errors,
    requests,
    streams,
)
from tests.support.gemini_grammar import check_array, check_stream

#: Streams that end in an error, in nothing, or with calls in pieces (which nobody gets unasked).
UNFINISHED = {"stream-cut-short", "mid-stream-error", "partial-args"}
#: Fields of requests that are written in another way than they were read.
NORMALISED = {
    "parameters",
    "parameters_json_schema",
    "responseSchema",
    "response_schema",
    "inline_data",
    "function_call",
    "function_response",
}
#: Answers whose words for stopping are not finish reasons; their meaning is kept.
OTHER_WORDS = {"FAKE_NEW_FINISH_REASON", "FAKE_NEW_BLOCK_REASON", "OTHER"}

#: Recorded, then edited by hand: content goes on after a finish reason.
EDITED = {"gem-ed58ee72b3-00"}


def name_of(case: Case) -> str:
    return case.id


def good(cases: list[Case]) -> list[Case]:
    return [case for case in cases if not case.tags & UNFINISHED]


@pytest.mark.parametrize("case", requests(), ids=name_of)
def test_requests_survive_the_way_through(case: Case) -> None:
    assert case.hints.model is not None
    body = json.dumps(case.request).encode()
    request = CODEC.decode_request(body, case.hints)
    encoded = CODEC.encode_request(request, model=case.hints.model)
    assert encoded.losses == ()
    assert CODEC.decode_request(encoded.body, case.hints) == request
    if not any(f'"{name}"' in json.dumps(case.request) for name in NORMALISED):
        assert plain(msgspec.json.decode(encoded.body)) == plain(case.request)


def plain(value: Any) -> Any:
    """Without what means nothing: empty objects, nulls, the default role, spelling of names."""
    if isinstance(value, dict):
        items = {camel(key): plain(item) for key, item in value.items()}
        if items.get("role") in ("USER", "FUNCTION"):
            del items["role"]
        return {k: v for k, v in items.items() if v not in ({}, "", None) or k == "args"}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.upper() if isinstance(value, str) and len(value) < 10 else value


def camel(key: str) -> str:
    first, *others = key.split("_")
    return first + "".join(part.capitalize() for part in others)


def test_most_requests_come_out_exactly_as_they_went_in() -> None:
    exact = total = 0
    for case in requests():
        body = json.dumps(case.request).encode()
        encoded = CODEC.encode_request(
            CODEC.decode_request(body, case.hints), model=case.hints.model or ""
        )
        total += 1
        exact += msgspec.json.decode(encoded.body) == case.request
    if RECORDINGS.is_dir():
        assert total >= 150
        assert exact >= 53


@pytest.mark.parametrize("case", good(answers() + streams()), ids=name_of)
def test_answers_survive_the_way_through(case: Case) -> None:
    response = fold(decode_frames(case.frames()))
    context = context_for(model=response.model)
    assert meaning(CODEC.decode_response(CODEC.encode_response(response, context))) == meaning(
        response
    )


@pytest.mark.parametrize("case", answers(), ids=name_of)
def test_whole_and_streamed_reading_agree(case: Case) -> None:
    if not isinstance(case.body, list):
        body = json.dumps(case.body).encode()
        assert CODEC.decode_response(body) == fold(decode_frames([Frame(b"", body)]))
    else:
        assert fold(decode_frames(case.frames())).blocks


@pytest.mark.parametrize("case", good(answers() + streams()), ids=name_of)
def test_our_streams_keep_the_grammar_and_the_meaning(case: Case) -> None:
    events = decode_frames(case.frames())
    response = fold(events)
    sent = encode(events, "sse")
    checked = check_stream(sent)
    assert checked.end == "finish"
    assert checked.text == "".join(b.text for b in response.blocks if isinstance(b, Text))
    assert checked.thoughts == "".join(b.text for b in response.blocks if isinstance(b, Thinking))
    assert check_array(encode(events, "array")) == checked
    again = fold(decode_frames([Frame(b"", f[6:]) for f in sent.split(b"\r\n\r\n") if f]))
    assert uncited(meaning(again)) == uncited(meaning(apart(response)))
    assert citations(again) == citations(response)


def encode(events: list[Event], framing: str) -> bytes:
    model = getattr(events[0], "model", "")
    encoder = CODEC.stream_encoder(context_for(model=model, framing=framing))
    return b"".join(encoder.feed(event) for event in events)


def meaning(response: Response) -> Response:
    """Without what another answer to the same question must differ in."""
    stop = response.stop
    if stop.word in OTHER_WORDS or stop.word == "SAFETY":
        stop = replace(stop, word=None)
    usage = response.usage
    return replace(response, id="", stop=stop, usage=usage and replace(usage, web_searches=0))


def apart(response: Response) -> Response:
    """As a stream tells it: words first, their signature on an empty part."""
    blocks: list[Block] = []
    for block in response.blocks:
        if isinstance(block, Text | Thinking) and block.opaque is not None and block.text:
            before = blocks.pop() if blocks and grows(blocks[-1], block) else type(block)(text="")
            assert isinstance(before, Text | Thinking)
            blocks.append(replace(block, text=before.text + block.text, opaque=None))
            blocks.append(type(block)(text="", opaque=block.opaque))
        else:
            blocks.append(block)
    return replace(response, blocks=tuple(blocks))


def citations(response: Response) -> list[str]:
    return [c for block in response.blocks if isinstance(block, Text) for c in block.citations]


def uncited(response: Response) -> Response:
    """Streams tell sources at the end, when the text they belong to may be closed."""
    blocks = [replace(b, citations=()) if isinstance(b, Text) else b for b in response.blocks]
    bare = Text(text="")
    return replace(response, blocks=tuple(block for block in blocks if block != bare))


def grows(before: Block, block: Block) -> bool:
    return type(before) is type(block) and getattr(before, "opaque", None) is None


@pytest.mark.parametrize(
    "case",
    [c for c in streams() if c.id not in EDITED and not c.tags & {"partial-args"}],
    ids=name_of,
)
def test_recorded_streams_keep_the_grammar(case: Case) -> None:
    assert case.sse is not None
    checked = check_stream(case.sse.encode(), recorded=True)
    if "mid-stream-error" in case.tags:
        assert checked.end == "error"
    elif "stream-cut-short" in case.tags:
        assert checked.end == "truncated"
    else:
        assert checked.end in ("finish", "blocked")


@pytest.mark.parametrize(
    "case", [case for case in streams() if case.tags & UNFINISHED], ids=name_of
)
def test_unfinished_streams_never_end_well(case: Case) -> None:
    decoder = CODEC.stream_decoder()
    events: list[Event] = []
    try:
        for frame in case.frames():
            events += decoder.feed(frame)
        events += decoder.close()
    except BadUpstreamMessage:
        return
    assert isinstance(events[-1], Failed)
    sent = encode(events, "sse")
    assert check_stream(sent).end == "error"
    assert check_array(encode(events, "array")).end == "error"


@pytest.mark.parametrize("case", errors(), ids=name_of)
def test_recorded_errors_are_understood(case: Case) -> None:
    body = case.sse.encode() if case.sse is not None else json.dumps(case.body).encode()
    failure = read_failure(case.status, body)
    assert failure is not None
    assert failure.status in {case.status, 401, 529}
    assert failure.message
    with pytest.raises(BadUpstreamMessage):
        CODEC.decode_response(body)
