"""Exchanges of the Responses API: a few of our own making, and recordings, which live beside the
checkout and are no part of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from bytespike_protocols.codec import ReplyContext, StreamDecoder
from bytespike_protocols.events import Event
from bytespike_protocols.ir import Dialect, Request
from bytespike_protocols.openai_responses import CODEC
from bytespike_protocols.sse import FrameSplitter

__all__ = ["CASES", "Case", "context_for", "cut", "decode_pieces", "encode_events"]

_ROOT = Path(__file__).parents[2]
OWN = _ROOT / "tests" / "contract" / "openai_responses"
CORPUS = _ROOT.parent / "shared" / "corpus" / "openai-responses"
REQUEST_ID = "req_01K9Z8Q4W3E5R7T9Y1A2S3D4F5"


class Case(NamedTuple):
    """One exchange; ``sse`` and ``answer`` are None for the other form."""

    id: str
    tags: list[str]
    request: dict[str, Any] | None
    status: int
    sse: bytes | None
    answer: bytes | None


def _read(path: Path) -> Case:
    record = json.loads(path.read_text())
    response = record["response"]
    sse = response.get("sse")
    body = response.get("body")
    return Case(
        id=record["id"],
        tags=record["tags"],
        request=record["request"] and record["request"]["body"],
        status=response["status"],
        sse=None if sse is None else sse.encode(),
        answer=None if body is None else json.dumps(body, ensure_ascii=False).encode(),
    )


CASES = [_read(path) for folder in (OWN, CORPUS) for path in sorted(folder.glob("*.json"))]


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """The bytes in pieces, cut at ``places``."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def decode_pieces(pieces: Iterable[bytes]) -> list[Event]:
    """The events of a whole stream that came in these pieces."""
    splitter, decoder = FrameSplitter(), CODEC.stream_decoder()
    events = [event for piece in pieces for event in _feed(splitter, decoder, piece)]
    last = splitter.close()
    events += [] if last is None else decoder.feed(last)
    return events + decoder.close()


def _feed(splitter: FrameSplitter, decoder: StreamDecoder, piece: bytes) -> list[Event]:
    return [event for frame in splitter.feed(piece) for event in decoder.feed(frame)]


def context_for(request: Request | None = None) -> ReplyContext:
    """What an answer to ``request`` needs to know."""
    asked = request or Request(dialect=Dialect.OPENAI_RESPONSES, model="m", turns=())
    return ReplyContext(
        request=asked, request_id=REQUEST_ID, created_s=1_790_000_000, model="alias"
    )


def encode_events(events: Iterable[Event], context: ReplyContext | None = None) -> bytes:
    """The stream a client gets."""
    encoder = CODEC.stream_encoder(context or context_for())
    return b"".join(encoder.feed(event) for event in events)
