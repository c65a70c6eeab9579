"""The bound beside what vendors reported for the same requests: recordings and our own goldens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import pytest

from bytespike_contracts.catalogue import Model
from bytespike_contracts.money import Rates
from bytespike_edge.contents import read_contents
from bytespike_edge.worst_case import IMAGE_TOKENS_OF, worst_case
from bytespike_protocols.dialects import CODECS
from bytespike_protocols.errors import BadUpstreamMessage
from bytespike_protocols.heads import Head
from bytespike_protocols.ir import Dialect, Usage
from bytespike_protocols.splice import shallow
from bytespike_protocols.sse import FrameSplitter
from tests.support import anthropic_corpus, chat_corpus, gemini_corpus, responses_corpus

MODEL = Model(id="m", vendor="v", family="f", context_window=10_000_000, max_output_tokens=1)
FLAT = Rates(
    input_uusd=1,
    output_uusd=1,
    cache_read_uusd=1,
    cache_write_5m_uusd=1,
    cache_write_1h_uusd=1,
)
#: What vendors put before a prompt unseen, for citations, for schemas, for nothing in particular.
#: Nobody publishes it and it moves with the model; it is left to the ledger's shortfall.
UNSEEN_TOKENS = 700
BEYOND = {
    "ant-762779d7c4-00": "the numbers were made up",
    "ant-cc42e6a4b5-00": "ten searches, each of which billed all results before it again",
    "gem-d1db3008b0-02": "the video was taken out of the recording",
    "oar-27753995dd-00": "a mode with instructions of its own",
    "oar-27753995dd-01": "a mode with instructions of its own",
}


class Exchange(NamedTuple):
    """A request whose price is known."""

    name: str
    dialect: Dialect
    request: bytes
    usage: Usage


def exchanges() -> Iterator[Exchange]:
    found: list[tuple[str, Dialect, Any, bytes | None, Any]] = [
        (c.name, Dialect.ANTHROPIC, c.request, c.stream, c.body)
        for c in anthropic_corpus.CASES
        if not c.counts_tokens
    ]
    found += [
        (c.id, Dialect.OPENAI_CHAT, c.request, as_bytes(c.sse), c.body)
        for c in chat_corpus.requests()
    ]
    found += [
        (c.id, Dialect.OPENAI_RESPONSES, c.request, c.sse, c.answer and json.loads(c.answer))
        for c in responses_corpus.CASES
    ]
    found += [
        (c.id, Dialect.GEMINI, c.request, as_bytes(c.sse), c.body) for c in gemini_corpus.requests()
    ]
    for name, dialect, request, stream, body in found:
        usage = reported(dialect, stream, body)
        if request is not None and usage is not None and usage.prompt_tokens:
            yield Exchange(name, dialect, json.dumps(request, ensure_ascii=False).encode(), usage)


def as_bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


def reported(dialect: Dialect, stream: bytes | None, body: Any) -> Usage | None:
    tap = CODECS[dialect].tap()
    if stream is not None:
        splitter = FrameSplitter()
        for frame in splitter.feed(stream):
            tap.feed(frame)
        last = splitter.close()
        if last is not None:
            tap.feed(last)
        tap.close()
    else:
        try:
            tap.read_message(json.dumps(body).encode())
        except BadUpstreamMessage:
            return None
    return tap.usage


ALL = list(exchanges())


@pytest.mark.parametrize("dialect", list(Dialect))
def test_every_request_can_be_read(dialect: Dialect) -> None:
    asked = [exchange for exchange in ALL if exchange.dialect is dialect]
    assert asked
    for exchange in asked:
        contents = read_contents(dialect, shallow(exchange.request))
        assert not (contents.unmeasured and contents.cache_1h), exchange.name


@pytest.mark.parametrize("exchange", ALL, ids=lambda exchange: exchange.name)
def test_no_vendor_counted_more(exchange: Exchange) -> None:
    name = json.loads(exchange.request).get("model")
    found = worst_case(
        len(exchange.request),
        shallow(exchange.request),
        dialect=exchange.dialect,
        head=Head("m", 1),
        model=msgspec.structs.replace(MODEL, id=name) if name in IMAGE_TOKENS_OF else MODEL,
        rates=FLAT,
    )
    enough = found.input_tokens + UNSEEN_TOKENS >= exchange.usage.prompt_tokens
    assert enough == (exchange.name not in BEYOND)
    assert found.usage.web_searches >= exchange.usage.web_searches
