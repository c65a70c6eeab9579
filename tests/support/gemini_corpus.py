"""Gemini exchanges to test with: our own goldens, and recordings where they are at hand.

Recorded exchanges live beside the checkout and are not part of it.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from bytespike_protocols.codec import ReplyContext, RouteHints
from bytespike_protocols.events import Event
from bytespike_protocols.gemini import CODEC
from bytespike_protocols.ir import Dialect, Reasoning, Request
from bytespike_protocols.sse import Frame, FrameSplitter

__all__ = [
    "RECORDINGS",
    "REQUEST_ID",
    "Case",
    "answers",
    "context_for",
    "decode_frames",
    "decode_stream",
    "errors",
    "requests",
    "streams",
]

ROOT = Path(__file__).parents[2]
RECORDINGS = ROOT.parent / "shared" / "corpus" / "gemini"
OWN = ROOT / "tests" / "contract" / "gemini"

REQUEST_ID = "req_01JCZK3V5Q8M2N4P6R7S9T0V1W"
CREATED_S = 1_795_000_000

_ROUTE = re.compile(r"models/(?P<model>[^:]+):(?P<verb>\w+)")


class Case(NamedTuple):
    """One exchange. ``body`` and ``sse`` are the answer in one of its two forms."""

    id: str
    tags: frozenset[str]
    request: dict[str, Any] | None
    hints: RouteHints
    verb: str
    status: int
    body: Any
    sse: str | None

    def frames(self) -> list[Frame]:
        """The answer as the frames of a stream, whatever its form."""
        if self.sse is not None:
            return _frames([self.sse.encode()])
        elements = self.body if isinstance(self.body, list) else [self.body]
        return [Frame(b"", json.dumps(element).encode()) for element in elements]


@cache
def _cases() -> tuple[Case, ...]:
    return tuple(
        _case(json.loads(path.read_text(encoding="utf-8")))
        for folder in (OWN, RECORDINGS)
        for path in sorted(folder.glob("*.json"))
    )


def _case(exchange: dict[str, Any]) -> Case:
    request, response = exchange["request"], exchange["response"]
    route = _ROUTE.search(request["path"]) if request is not None else None
    verb = "generateContent" if route is None else route["verb"]
    model = "gemini-2.5-flash" if route is None else route["model"]
    return Case(
        id=exchange["id"],
        tags=frozenset(exchange["tags"]),
        request=request["body"] if request is not None else None,
        hints=RouteHints(model=model, stream=verb == "streamGenerateContent"),
        verb=verb,
        status=response["status"],
        body=response.get("body"),
        sse=response.get("sse"),
    )


def requests() -> list[Case]:
    """Exchanges whose request is known and asks for content."""
    return [c for c in _cases() if c.request is not None and c.verb != "countTokens"]


def answers() -> list[Case]:
    """Exchanges with a good answer in one piece, or in the pieces of a JSON array."""
    good = [c for c in _cases() if c.status == 200 and c.sse is None]
    return [c for c in good if c.verb != "countTokens"]


def streams() -> list[Case]:
    """Exchanges with an event stream for an answer."""
    return [c for c in _cases() if c.sse is not None]


def errors() -> list[Case]:
    """Exchanges that were refused."""
    return [c for c in _cases() if c.status >= 400]


def decode_frames(frames: list[Frame]) -> list[Event]:
    """The events of a whole stream."""
    decoder = CODEC.stream_decoder()
    return [event for frame in frames for event in decoder.feed(frame)] + decoder.close()


def decode_stream(pieces: list[bytes]) -> list[Event]:
    """The events of a stream that came in these pieces."""
    return decode_frames(_frames(pieces))


def _frames(pieces: list[bytes]) -> list[Frame]:
    splitter = FrameSplitter()
    frames = [frame for piece in pieces for frame in splitter.feed(piece)]
    last = splitter.close()
    return frames if last is None else [*frames, last]


def context_for(*, model: str = "some-model", show: bool = True, **fields: Any) -> ReplyContext:
    """What an answer to a Gemini client needs to know; ``show`` is ``includeThoughts``."""
    return ReplyContext(
        request=Request(
            dialect=Dialect.GEMINI,
            model=model,
            turns=(),
            reasoning=Reasoning(mode="adaptive", show=show),
        ),
        request_id=REQUEST_ID,
        created_s=CREATED_S,
        model=model,
        **fields,
    )
