"""A Gemini answer as Google's bytes. Pure.

Whole answers are written over many lines, chunks of an event stream in one, as Google does.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from bytespike_cli.simulator.dialects.gemini.requests import Model
from bytespike_cli.simulator.identity import Identity
from bytespike_cli.simulator.question import Decision, Stop, compact, pieces
from bytespike_cli.simulator.reply import Frame, VendorError
from bytespike_cli.simulator.tokens import bytes_tokens
from bytespike_contracts.money import TokenUsage

__all__ = [
    "GeminiAnswer",
    "chunks",
    "error_object",
    "in_lines",
    "on_one_line",
    "sse_frame",
    "whole",
]

Json = dict[str, Any]

_REASONS: dict[Stop, str] = {
    "end": "STOP",
    "stop_sequence": "STOP",
    "max_tokens": "MAX_TOKENS",
    "calls": "STOP",
    "refusal": "SAFETY",
}


class GeminiAnswer(NamedTuple):
    """A decision with what the wire needs beside it. ``details`` are the prompt's tokens by
    modality, ``shown`` whether thoughts are sent, ``signature`` the state that goes with them.
    """

    decision: Decision
    usage: TokenUsage
    details: list[Json]
    identity: Identity
    model: Model
    candidates: int
    pieces: int | None
    shown: bool
    signature: str | None
    reported: bool


class _Chunk(NamedTuple):
    """New parts, and how many bytes of output and of thoughts they carry."""

    parts: list[Json]
    weight: int = 0
    thought: int = 0


def whole(answer: GeminiAnswer) -> Json:
    """The answer in one piece."""
    if _blocked(answer):
        return _blocked_answer(answer)
    parts: list[Json] = []
    if answer.shown and answer.decision.thought:
        parts.append({"text": answer.decision.thought, "thought": True})
    parts += _calls(answer)
    if answer.decision.text:
        parts.append({"text": answer.decision.text, **_signed(answer)})
    candidate = _candidate(answer, parts, last=True)
    written = answer.usage.output_tokens - answer.usage.reasoning_tokens
    return _answer(answer, candidate, written, answer.usage.reasoning_tokens)


def chunks(answer: GeminiAnswer) -> list[tuple[Json, int]]:
    """The answer in chunks, each with the bytes of output it carries."""
    if _blocked(answer):
        return [(_blocked_answer(answer), 1)]
    planned = _planned(answer)
    said = answer.usage.output_tokens - answer.usage.reasoning_tokens
    written = thought = 0
    made = []
    for at, chunk in enumerate(planned):
        last = at == len(planned) - 1
        written += chunk.weight
        thought += chunk.thought
        counted = said if last else min(said, bytes_tokens(written))
        thoughts = min(answer.usage.reasoning_tokens, bytes_tokens(thought))
        candidate = _candidate(answer, chunk.parts, last=last)
        made.append((_answer(answer, candidate, counted, thoughts), chunk.weight + chunk.thought))
    return made


def in_lines(value: Any) -> bytes:
    """JSON over many lines."""
    return json.dumps(value, indent=2, ensure_ascii=False).encode()


def on_one_line(value: Any) -> bytes:
    """JSON on one line."""
    return json.dumps(value, separators=(",", ": "), ensure_ascii=False).encode()


def error_object(error: VendorError) -> Json:
    """The envelope of every error."""
    said: Json = {"code": error.status, "message": error.message, "status": error.type}
    if error.details:
        said["details"] = error.details
    return {"error": said}


def _blocked(answer: GeminiAnswer) -> bool:
    return answer.decision.stop == "refusal" and not answer.decision.text


def _blocked_answer(answer: GeminiAnswer) -> Json:
    """The prompt was refused: no candidates at all."""
    body = _answer(answer, None, answer.usage.output_tokens, 0)
    return {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, **body}


def _planned(answer: GeminiAnswer) -> list[_Chunk]:
    decision = answer.decision
    hidden = 0 if answer.shown else len(decision.thought.encode())
    planned = [
        _Chunk([{"text": piece, "thought": True}], 0, len(piece.encode()))
        for piece in pieces(decision.thought if answer.shown else "")
    ]
    planned += [
        _Chunk([{"text": piece}], len(piece.encode()))
        for piece in pieces(decision.text, answer.pieces)
    ]
    calls = [
        _Chunk([part], len(compact(call.arguments)))
        for part, call in zip(_calls(answer), decision.calls, strict=True)
    ]
    if answer.model.generation == 2 and calls:
        parts = [part for chunk in calls for part in chunk.parts]
        calls = [_Chunk(parts, sum(chunk.weight for chunk in calls))]
    elif calls:  # newer models end in a chunk that has no call in it any more
        calls.append(_Chunk([{"text": ""}]))
    planned += calls
    if not decision.calls:
        empty = [{"text": "", **_signed(answer)}] if answer.signature and decision.text else []
        planned.append(_Chunk(empty))
    first = planned[0]
    return [first._replace(thought=first.thought + hidden), *planned[1:]]


def _calls(answer: GeminiAnswer) -> list[Json]:
    """One part a call. The first is signed; newer models give ids."""
    parts = []
    for at, call in enumerate(answer.decision.calls):
        function: Json = {"name": call.name, "args": call.arguments}
        if answer.model.generation >= 3:
            function["id"] = answer.identity.letters(f"call{at}", 8).lower()
        parts.append({"functionCall": function, **({} if at else _signed(answer))})
    return parts


def _signed(answer: GeminiAnswer) -> Json:
    return {"thoughtSignature": answer.signature} if answer.signature else {}


def _candidate(answer: GeminiAnswer, parts: list[Json], *, last: bool) -> Json:
    content: Json = {"parts": parts, "role": "model"} if parts else {"role": "model"}
    candidate: Json = {"content": content}
    if last:
        candidate["finishReason"] = _REASONS[answer.decision.stop]
    candidate["index"] = 0
    if last and answer.decision.calls:
        candidate["finishMessage"] = "Model generated function call(s)."
    return candidate


def _answer(answer: GeminiAnswer, candidate: Json | None, written: int, thoughts: int) -> Json:
    body: Json = {}
    if candidate is not None:
        indexes = range(answer.candidates)
        body["candidates"] = [{**candidate, "index": index} for index in indexes]
    if answer.reported:
        body["usageMetadata"] = _usage(answer, written, thoughts)
    body["modelVersion"] = answer.model.name
    body["responseId"] = answer.identity.opaque("response", 22).replace("/", "_").replace("+", "-")
    return body


def _usage(answer: GeminiAnswer, written: int, thoughts: int) -> Json:
    prompt = answer.usage.input_tokens + answer.usage.cache_read_tokens
    usage: Json = {"promptTokenCount": prompt}
    if written:
        usage["candidatesTokenCount"] = written
    usage["totalTokenCount"] = prompt + written + thoughts
    if answer.usage.cache_read_tokens:
        usage["cachedContentTokenCount"] = answer.usage.cache_read_tokens
    usage["promptTokensDetails"] = answer.details
    if thoughts:
        usage["thoughtsTokenCount"] = thoughts
    return usage | {"serviceTier": "standard"}


def sse_frame(value: Json, weight: int = 0) -> Frame:
    """One event: data alone, with Google's line ends."""
    return Frame(b"data: %b\r\n\r\n" % on_one_line(value), weight)
