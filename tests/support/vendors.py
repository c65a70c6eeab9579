"""The simulator's vendors in this process, and every request we know of in each dialect.

The simulator shares no code with the codecs, so what they write and it refuses is a mistake of one
of them.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from bytespike_cli.simulator.dialect import Ask, Memory
from bytespike_cli.simulator.dialect import Dialect as Vendor
from bytespike_cli.simulator.dialects.anthropic.dialect import ANTHROPIC
from bytespike_cli.simulator.dialects.gemini.dialect import gemini_for
from bytespike_cli.simulator.dialects.openai.chat import OPENAI_CHAT
from bytespike_cli.simulator.dialects.openai.responses import OPENAI_RESPONSES
from bytespike_cli.simulator.faults import NO_FAULTS
from bytespike_cli.simulator.identity import Identity
from bytespike_cli.simulator.issued import Issued
from bytespike_cli.simulator.prefixes import PrefixCache
from bytespike_protocols.codec import RouteHints
from bytespike_protocols.ir import Dialect

__all__ = ["CORPUS", "Recorded", "answer_of", "requests_of"]

_ROOT = Path(__file__).parents[2]
CORPUS = _ROOT.parent / "shared" / "corpus"
_GOLDENS = _ROOT / "tests" / "contract"
_ROUTE = re.compile(r"models/(?P<model>[^:]+):(?P<verb>\w+)")
_PATHS = {
    Dialect.ANTHROPIC: "/v1/messages",
    Dialect.OPENAI_CHAT: "/v1/chat/completions",
    Dialect.OPENAI_RESPONSES: "/v1/responses",
}
_NOW_MS = 1_795_000_000_000


class Recorded(NamedTuple):
    """One request; ``status`` is what its own vendor answered."""

    id: str
    body: bytes
    hints: RouteHints
    status: int


@cache
def requests_of(dialect: Dialect) -> tuple[Recorded, ...]:
    """Every request for an answer, our own and recorded ones; the latter may not be here."""
    folders = (_GOLDENS / dialect, CORPUS / dialect.replace("_", "-"))
    cases = (
        json.loads(path.read_text(encoding="utf-8"))
        for folder in folders
        for path in sorted(folder.glob("*.json"))
    )
    asked = (case for case in cases if case["request"] is not None)
    return tuple(_recorded(case) for case in asked if not _counts(case["request"]["path"]))


def _counts(path: str) -> bool:
    return "count_tokens" in path or "countTokens" in path


def _recorded(case: dict[str, Any]) -> Recorded:
    route = _ROUTE.search(case["request"]["path"])
    hints = RouteHints()
    if route is not None:
        hints = RouteHints(model=route["model"], stream=route["verb"].startswith("stream"))
    body = json.dumps(case["request"]["body"]).encode()
    return Recorded(case["id"], body, hints, case["response"]["status"])


def answer_of(dialect: Dialect, model: str, body: bytes, *, stream: bool) -> list[bytes]:
    """The vendor's default answer, by the frame. Raises the simulator's ``VendorError`` for what
    the vendor refuses, state that it has not given out included.
    """
    path = _PATHS.get(dialect, "")
    query: dict[str, str] = {}
    if dialect is Dialect.GEMINI:
        query = {"alt": "sse"} if stream else {}
        verb = "streamGenerateContent" if stream else "generateContent"
        path = f"/v1beta/models/{model}:{verb}"
    ask = Ask(
        path=path,
        query=query,
        headers={"anthropic-version": "2023-06-01"},
        body=body,
        model=model,
        faults=NO_FAULTS,
        identity=Identity(body),
        now_ms=_NOW_MS,
    )
    reply = _vendor(dialect, path, query).compose(ask, Memory(PrefixCache(), Issued()))
    return [frame.data for frame in reply.frames]


def _vendor(dialect: Dialect, path: str, query: dict[str, str]) -> Vendor:
    match dialect:
        case Dialect.ANTHROPIC:
            return ANTHROPIC
        case Dialect.OPENAI_CHAT:
            return OPENAI_CHAT
        case Dialect.OPENAI_RESPONSES:
            return OPENAI_RESPONSES
        case Dialect.GEMINI:
            return gemini_for(path, query)
