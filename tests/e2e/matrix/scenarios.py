"""What is asked in each row of the matrix, in no dialect."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Literal, NamedTuple

from tests.e2e.matrix.model import Ask, Media, ToolSpec

__all__ = ["IMAGE", "LONG", "OUTPUTS", "PDF", "SCENARIOS", "STATUSES", "Said", "Scenario"]

#: A marker that no encoder has reason to escape, and enough of it to be cached.
LONG = "Answer as a ferryman would, in one sentence. " * 110
IMAGE = Media(
    "image/png",
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk8M9QDwADhgGAWjR9awAAAABJRU5E"
    "rkJggg==",
)
_PDF_TEXT = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n" + b"% river\n" * 60 + b"%%EOF\n"
)
PDF = Media("application/pdf", base64.b64encode(_PDF_TEXT).decode())

_WEATHER = ToolSpec(
    "get_weather",
    "The weather at a place.",
    {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
)
_CLOCK = ToolSpec(
    "get_time",
    "The time at a place.",
    {
        "type": "object",
        "properties": {"zone": {"type": "string", "enum": ["UTC", "CET"]}},
        "required": ["zone"],
    },
)
#: What the tools say when called.
OUTPUTS = {"get_weather": "12 degrees, drizzle", "get_time": "a quarter past noon"}
_RIVER = {
    "type": "object",
    "properties": {"river": {"type": "string"}, "km": {"type": "integer"}},
    "required": ["river", "km"],
    "additionalProperties": False,
}
#: What a vendor may refuse with, each tried in the scenario ``error``.
STATUSES = (400, 429, 500, 529)


class Said(NamedTuple):
    """One turn of the conversation."""

    role: Literal["user", "assistant"]
    text: str
    media: tuple[Media, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """``model`` is the suffix of the model asked (see the catalogue). ``answers_calls``: what the
    tools said goes back in a second request. ``faults`` damages the vendor's answer, one request
    for each; where a stream breaks otherwise than a whole answer there is ``stream_faults``.
    """

    said: tuple[Said, ...]
    ask: Ask
    model: str = ""
    answers_calls: bool = False
    faults: tuple[str, ...] = ("",)
    stream_faults: tuple[str, ...] = ()

    def faults_for(self, *, stream: bool) -> tuple[str, ...]:
        """One request is made for each."""
        return self.stream_faults if stream and self.stream_faults else self.faults


def _scenario(*said: Said, model: str = "", **options: object) -> Scenario:
    mine = {k: options.pop(k) for k in ("answers_calls", "faults", "stream_faults") if k in options}
    ask = Ask(model="", **options)  # type: ignore[arg-type]
    return Scenario(said=said, ask=ask, model=model, **mine)  # type: ignore[arg-type]


_ASKED = Said("user", "Tell me of rivers.")

SCENARIOS: dict[str, Scenario] = {
    "plain": _scenario(_ASKED),
    "multi-turn": _scenario(
        _ASKED, Said("assistant", "They flow."), Said("user", "Which one is the longest?")
    ),
    "system": _scenario(_ASKED, system=LONG),
    "parallel-tools": _scenario(
        Said("user", "How is it in Linz now?"),
        tools=(_WEATHER, _CLOCK),
        forced=True,
        answers_calls=True,
    ),
    "thinking-tools": _scenario(
        Said("user", "How is it in Linz now?"),
        model=".thinks",
        tools=(_WEATHER, _CLOCK),
        forced=True,
        thinking=True,
        max_tokens=4096,
        answers_calls=True,
    ),
    "image": _scenario(Said("user", "What is in it?", (IMAGE,))),
    "pdf": _scenario(Said("user", "What does it say?", (PDF,))),
    "structured": _scenario(_ASKED, schema=_RIVER),
    "max-tokens": _scenario(_ASKED, max_tokens=20),
    "stop-sequence": _scenario(_ASKED, stops=("simulator",)),
    "refusal": _scenario(_ASKED, faults=("refusal",)),
    "error": _scenario(
        _ASKED, model=".fails", faults=tuple(f"status={status}" for status in STATUSES)
    ),
    "mid-stream-error": _scenario(
        _ASKED,
        model=".fails",
        faults=("cut-after=1",),
        stream_faults=("text-bytes=400,events=12,error-event-after=7",),
    ),
}
