"""What a client reads when a stream breaks off, in each dialect and framing."""

from __future__ import annotations

import json

import pytest

from bytespike_protocols.codec import ReplyContext as Context
from bytespike_protocols.codec import RouteHints
from bytespike_protocols.dialects import CODECS
from bytespike_protocols.errors import BadUpstreamMessage
from bytespike_protocols.ir import Dialect
from bytespike_protocols.json_array import ArraySplitter
from bytespike_protocols.sse import FrameSplitter
from bytespike_text.errors import Words
from bytespike_text.wording import KEEP_ALIVE, Translated, Verbatim

WORDS = Words(504, "upstream_timeout", "too slow", "req_1")
START = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message",'
    b'"role":"assistant","model":"c","content":[],"usage":{"input_tokens":1,"output_tokens":1}}}\n\n'
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":'
    b'{"type":"text","text":""}}\n\n'
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":'
    b'{"type":"text_delta","text":"Hel"}}\n\n'
)
ASKED = b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}'


def translated() -> Translated:
    """From Anthropic to a Chat client."""
    chat = CODECS[Dialect.OPENAI_CHAT]
    context = Context(
        request=chat.decode_request(ASKED, RouteHints()),
        request_id="req_01ARZ3NDEKTSV4RRFFQ69G5FAV",
        created_s=1,
        model="m",
    )
    return Translated(CODECS[Dialect.ANTHROPIC], (), chat, context)


@pytest.mark.parametrize("dialect", Dialect)
def test_a_relayed_stream_ends_in_the_dialects_own_error(dialect: Dialect) -> None:
    codec, splitter = CODECS[dialect], FrameSplitter()
    event = Verbatim(codec, "sse").failure(WORDS, codec.tap(), splitter)
    (frame,) = FrameSplitter().feed(event)
    assert b"too slow" in frame.data
    assert (frame.event == b"error") == (dialect in (Dialect.ANTHROPIC, Dialect.OPENAI_RESPONSES))


def test_nothing_is_put_into_the_middle_of_a_frame() -> None:
    codec, splitter = CODECS[Dialect.ANTHROPIC], FrameSplitter()
    splitter.feed(b'event: ping\ndata: {"ty')
    assert Verbatim(codec, "sse").failure(WORDS, codec.tap(), splitter) == b""


def test_a_client_that_has_been_told_is_not_told_again() -> None:
    codec, splitter = CODECS[Dialect.ANTHROPIC], FrameSplitter()
    tap = codec.tap()
    error = b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"x"}}\n\n'
    for frame in splitter.feed(error):
        tap.feed(frame)
    assert Verbatim(codec, "sse").failure(WORDS, tap, splitter) == b""


def test_the_error_is_the_last_element_of_an_array() -> None:
    codec, splitter = CODECS[Dialect.GEMINI], ArraySplitter()
    sent = b'[{"candidates":[]}'
    splitter.feed(sent)
    *_, last = json.loads(sent + Verbatim(codec, "array").failure(WORDS, codec.tap(), splitter))
    assert last["error"]["message"] == "too slow"


def test_a_translated_stream_breaks_off_in_whole_events() -> None:
    wording, splitter = translated(), FrameSplitter()
    said = wording.pass_on(b"", splitter.feed(START))
    assert b'"content":"Hel"' in said
    splitter.feed(b"event: half a")
    assert wording.at_boundary(splitter)
    event = wording.failure(WORDS, CODECS[Dialect.ANTHROPIC].tap(), splitter)
    (frame,) = FrameSplitter().feed(event)
    assert json.loads(frame.data)["error"]["message"] == "too slow"
    assert wording.failure(WORDS, CODECS[Dialect.ANTHROPIC].tap(), splitter) == b""


def test_a_vendor_that_breaks_its_grammar_is_found_out() -> None:
    wording, splitter = translated(), FrameSplitter()
    with pytest.raises(BadUpstreamMessage):
        wording.pass_on(b"", splitter.feed(START + START))


def test_a_translated_stream_without_its_end_is_none() -> None:
    wording, splitter = translated(), FrameSplitter()
    wording.pass_on(b"", splitter.feed(START))
    with pytest.raises(BadUpstreamMessage):
        wording.close(None)


def test_googles_clients_get_no_keep_alive() -> None:
    assert KEEP_ALIVE[Dialect.GEMINI] == b""
    for dialect in (Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES):
        assert FrameSplitter().feed(KEEP_ALIVE[dialect]) == []
