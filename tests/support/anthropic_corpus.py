"""Recorded Anthropic exchanges, and an answer's bytes as events.

The recordings lie beside the checkout and are not part of it; the goldens of our own always are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from bytespike_protocols.anthropic import CODEC
from bytespike_protocols.codec import ReplyContext, RouteHints
from bytespike_protocols.events import Event
from bytespike_protocols.ir import Dialect, Reasoning, Request
from bytespike_protocols.sse import FrameSplitter

__all__ = [
    "BROKEN_STREAMS",
    "CASES",
    "CORPUS",
    "Case",
    "context_of",
    "name_of",
    "read_events",
    "request_of",
]

_ROOT = Path(__file__).parents[2]
CORPUS = _ROOT.parent / "shared" / "corpus" / "anthropic"
GOLDENS = _ROOT / "tests" / "contract" / "anthropic"

REQUEST_ID = "req_01ARZ3NDEKTSV4RRFFQ69G5FAV"


class Case(NamedTuple):
    """One exchange; ``request`` is None where only the answer was published."""

    name: str
    tags: frozenset[str]
    request: dict[str, Any] | None
    counts_tokens: bool
    status: int
    body: dict[str, Any] | None
    stream: bytes | None


def _load(path: Path) -> Case:
    case = json.loads(path.read_text(encoding="utf-8"))
    request, response = case["request"], case["response"]
    stream, body = response.get("sse"), response.get("body")
    return Case(
        name=path.stem,
        tags=frozenset(case.get("tags", ())),
        request=None if request is None else request["body"],
        counts_tokens=request is not None and "count_tokens" in request["path"],
        status=response["status"],
        body=body if isinstance(body, dict) else None,
        stream=None if stream is None else stream.encode(),
    )


CASES = [_load(path) for path in sorted([*CORPUS.glob("*.json"), *GOLDENS.glob("*.json")])]

#: Made wrong on purpose: the connection was cut, or two streams were spliced into one.
BROKEN_STREAMS = {"own-stream-cut", "ant-5a7138e0a0-00", "ant-db086e236e-00"}

_THINKING = Request(
    dialect=Dialect.ANTHROPIC, model="m", turns=(), reasoning=Reasoning(mode="adaptive")
)


def name_of(case: Case) -> str:
    """The case's name in a test's id."""
    return case.name


def request_of(case: Case) -> Request:
    """The canonical request; for answers without one, a request that wants to see everything."""
    if case.request is None:
        return _THINKING
    return CODEC.decode_request(json.dumps(case.request).encode(), RouteHints())


def context_of(request: Request = _THINKING) -> ReplyContext:
    """What an answer to ``request`` is written with."""
    return ReplyContext(
        request=request, request_id=REQUEST_ID, created_s=1_767_225_600, model="claude-x"
    )


def read_events(pieces: Iterable[bytes]) -> list[Event]:
    """The events of a stream that came in these pieces."""
    splitter, decoder = FrameSplitter(), CODEC.stream_decoder()
    events = [
        event for piece in pieces for frame in splitter.feed(piece) for event in decoder.feed(frame)
    ]
    last = splitter.close()
    if last is not None:
        events += decoder.feed(last)
    return events + decoder.close()
