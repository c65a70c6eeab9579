"""What was asked, free of any dialect, and what the vendor decides to say to it.

Pure and deterministic. The dialects read their requests into a :class:`Question` and write the
:class:`Decision` in their own form, so the same request in four dialects gets the same answer.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import msgspec

from bytespike_cli.simulator.faults import Faults
from bytespike_cli.simulator.tokens import BYTES_PER_TOKEN, bytes_tokens, text_tokens
from bytespike_contracts.money import TokenUsage

__all__ = [
    "REFUSAL",
    "THOUGHT",
    "Call",
    "Decision",
    "Offer",
    "Question",
    "Stop",
    "compact",
    "decide",
    "pieces",
    "spent",
]

Json = dict[str, Any]
Stop = Literal["end", "stop_sequence", "max_tokens", "calls", "refusal"]

THOUGHT = "The user wants an answer. I shall say how much they sent."
REFUSAL = "I'm sorry, but I cannot help with that."
#: About what one delta of a vendor carries.
_PIECE_CHARS = 24
_SCHEMA_DEPTH = 6
_FILLER = "and so the river went on, past the mill and the bridge, towards the sea, "


class Offer(NamedTuple):
    """A tool the caller would run."""

    name: str
    schema: Json


class Question(NamedTuple):
    """``forced`` are the tools of which one must be called, None where that is left to the model
    (which then writes text). ``said`` counts characters of user and assistant text. ``schema`` is
    what the text must be an instance of. ``thoughts_capped`` is whether ``max_tokens`` covers
    thoughts too.
    """

    said: int
    turns: int
    max_tokens: int | None
    stops: list[str]
    forced: list[Offer] | None = None
    parallel: bool = True
    thinks: bool = False
    schema: Json | None = None
    thoughts_capped: bool = False


class Call(NamedTuple):
    """A tool call."""

    name: str
    arguments: Any


class Decision(NamedTuple):
    """The answer: thoughts, then either calls or text. A refusal has neither."""

    thought: str
    calls: list[Call]
    text: str
    stop: Stop
    stop_sequence: str | None


def decide(question: Question, faults: Faults) -> Decision:
    """The answer to ``question``."""
    if faults.refusal:
        return Decision("", [], "", "refusal", None)
    thought = THOUGHT if question.thinks else ""
    if question.forced:
        offers = question.forced[: 2 if question.parallel else 1]
        calls = [Call(offer.name, _sample(offer.schema, offer.schema)) for offer in offers]
        return Decision(thought, calls, "", "calls", None)
    text, stop, sequence = _stopped(question, _text(question, faults))
    if faults.refusal_late:
        stop, sequence = "refusal", None
    return Decision(thought, [], text, stop, sequence)


def spent(
    decision: Decision,
    prompt_tokens: int,
    cached_tokens: int,
    faults: Faults,
    *,
    refusal: str = REFUSAL,
) -> TokenUsage:
    """Usage for vendors that count thoughts whether they show them or not, and call arguments as
    the JSON text they send; ``refusal`` is what they write when they refuse outright.
    """
    thoughts = text_tokens(decision.thought)
    said = decision.text if decision.stop != "refusal" or decision.text else refusal
    written = len(said.encode()) + sum(len(compact(call.arguments)) for call in decision.calls)
    output = bytes_tokens(written) + thoughts
    if faults.output_tokens is not None:
        output = faults.output_tokens
    fresh = prompt_tokens - cached_tokens
    return TokenUsage(
        input_tokens=fresh if faults.input_tokens is None else faults.input_tokens,
        cache_read_tokens=cached_tokens,
        output_tokens=output,
        reasoning_tokens=min(thoughts, output),
    )


def compact(value: Any) -> bytes:
    """JSON as vendors write call arguments."""
    return msgspec.json.encode(value)


def pieces(text: str, count: int | None = None) -> list[str]:
    """A text as it is streamed: about 24 characters at a time, or in ``count`` pieces."""
    size = _PIECE_CHARS if count is None else max(1, -(-len(text) // max(1, count)))
    return [text[at : at + size] for at in range(0, len(text), size)]


def _text(question: Question, faults: Faults) -> str:
    """What the model says: an instance of the schema, a line about the prompt, or filler."""
    size = faults.text_bytes
    if size is None and faults.output_tokens is not None:
        size = faults.output_tokens * BYTES_PER_TOKEN
    if size is not None:
        return (_FILLER * (size // len(_FILLER) + 1))[:size]
    if question.schema is not None:
        return compact(_sample(question.schema, question.schema)).decode()
    turns = question.turns
    return (
        f"You sent {question.said} characters of text in {turns} message{'s' * (turns != 1)}."
        " This is the ByteSpike simulator answering: no model was asked. Voilà."
    )


def _stopped(question: Question, text: str) -> tuple[str, Stop, str | None]:
    """The text as far as the request's limits let it go, and why it ended there."""
    ends = [(at, stop) for stop in question.stops if (at := text.find(stop)) >= 0]
    if ends:
        at, stop = min(ends)
        return text[:at], "stop_sequence", stop
    cap = question.max_tokens
    if cap is not None and question.thinks and question.thoughts_capped:
        cap = max(0, cap - text_tokens(THOUGHT))
    if cap is not None and text_tokens(text) > cap:
        cut = text.encode()[: cap * BYTES_PER_TOKEN].decode(errors="ignore")
        return cut, "max_tokens", None
    return text, "end", None


def _sample(schema: Any, root: Any, depth: int = 0) -> Any:
    """A value that fits the schema well enough for a client to take it."""
    if not isinstance(schema, dict) or depth > _SCHEMA_DEPTH:
        return {}
    if isinstance(schema.get("$ref"), str):
        return _sample(_referred(root, schema["$ref"]), root, depth + 1)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    if schema.get("anyOf"):
        return _sample(schema["anyOf"][0], root, depth + 1)
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    kind = kind.lower() if isinstance(kind, str) else "object"
    if kind == "object":
        properties = schema.get("properties") or {}
        wanted = schema.get("required") or list(properties)
        return {name: _sample(properties.get(name, {}), root, depth + 1) for name in wanted}
    if kind == "array":
        return [_sample(schema.get("items", {"type": "string"}), root, depth + 1)]
    return {"string": "sample", "integer": 1, "number": 1.5, "boolean": True}.get(kind)


def _referred(root: Any, reference: str) -> Any:
    """The schema behind ``#/$defs/name``."""
    for step in reference.removeprefix("#").strip("/").split("/"):
        if step:
            root = root.get(step) if isinstance(root, dict) else None
    return root
