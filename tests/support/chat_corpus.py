"""Chat Completions exchanges to test with: our own goldens, and recordings where they are at hand.

Recorded exchanges live beside the checkout and are not part of it.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from bytespike_protocols.codec import ReplyContext
from bytespike_protocols.events import Event
from bytespike_protocols.ir import Dialect, Request
from bytespike_protocols.openai_chat import CODEC
from bytespike_protocols.sse import FrameSplitter

__all__ = ["RECORDINGS", "Case", "answers", "context_for", "decode_stream", "requests", "streams"]

ROOT = Path(__file__).parents[2]
RECORDINGS = ROOT.parent / "shared" / "corpus" / "openai-chat"
OWN = ROOT / "tests" / "contract" / "openai_chat"

REQUEST_ID = "req_01JCZK3V5Q8M2N4P6R7S9T0V1W"
CREATED_S = 1_795_000_000


class Case(NamedTuple):
    """One exchange. ``body`` and ``sse`` are the answer in one of its two forms."""

    id: str
    tags: frozenset[str]
    request: dict[str, Any]
    status: int
    body: Any
    sse: str | None


@cache
def _cases() -> tuple[Case, ...]:
    return tuple(
        _case(json.loads(path.read_text(encoding="utf-8")))
        for folder in (OWN, RECORDINGS)
        for path in sorted(folder.glob("*.json"))
    )


def _case(exchange: dict[str, Any]) -> Case:
    response = exchange["response"]
    return Case(
        id=exchange["id"],
        tags=frozenset(exchange["tags"]),
        request=exchange["request"]["body"],
        status=response["status"],
        body=response.get("body"),
        sse=response.get("sse"),
    )


def requests() -> list[Case]:
    """Every exchange: all have requests."""
    return list(_cases())


def answers() -> list[Case]:
    """Exchanges with a whole good answer."""
    return [case for case in _cases() if case.status == 200 and case.sse is None]


def streams() -> list[Case]:
    """Exchanges with a streamed answer."""
    return [case for case in _cases() if case.sse is not None]


def decode_stream(pieces: list[bytes]) -> list[Event]:
    """The events of a stream that came in these pieces."""
    splitter, decoder = FrameSplitter(), CODEC.stream_decoder()
    events: list[Event] = []
    for piece in pieces:
        for frame in splitter.feed(piece):
            events += decoder.feed(frame)
    last = splitter.close()
    if last is not None:
        events += decoder.feed(last)
    return events + decoder.close()


def context_for(**fields: Any) -> ReplyContext:
    """What an answer to a Chat client needs to know; ``fields`` are of the request."""
    return ReplyContext(
        request=Request(dialect=Dialect.OPENAI_CHAT, model="some-model", turns=(), **fields),
        request_id=REQUEST_ID,
        created_s=CREATED_S,
        model="some-model",
    )
