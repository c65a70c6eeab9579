"""What an answer must say to a client of each dialect: the tables of the four protocols, written
down without a look at our encoders.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, NamedTuple

import jiter
from msgspec.structs import replace

from bytespike_protocols.ir import (
    Block,
    Dialect,
    Json,
    Refusal,
    Response,
    Stop,
    StopReason,
    Text,
    Thinking,
    ToolUse,
    Usage,
)

__all__ = [
    "Call",
    "Counts",
    "Said",
    "arguments_of",
    "is_cut",
    "is_failure",
    "meant",
    "own_ids",
    "runs",
]

_ANTHROPIC_ID = re.compile(r"[A-Za-z0-9_-]+")

_STOPS: dict[Dialect, dict[StopReason, str]] = {
    Dialect.ANTHROPIC: {
        StopReason.END: "end_turn",
        StopReason.STOP_SEQUENCE: "stop_sequence",
        StopReason.TOOL_USE: "tool_use",
        StopReason.MAX_TOKENS: "max_tokens",
        StopReason.CONTEXT_FULL: "model_context_window_exceeded",
        StopReason.REFUSED: "refusal",
        StopReason.PAUSED: "pause_turn",
        StopReason.OTHER: "refusal",
    },
    Dialect.OPENAI_CHAT: {
        StopReason.END: "stop",
        StopReason.STOP_SEQUENCE: "stop",
        StopReason.TOOL_USE: "tool_calls",
        StopReason.MAX_TOKENS: "length",
        StopReason.CONTEXT_FULL: "length",
        StopReason.REFUSED: "content_filter",
        StopReason.PAUSED: "stop",
        StopReason.OTHER: "content_filter",
    },
    Dialect.OPENAI_RESPONSES: {
        StopReason.END: "completed",
        StopReason.STOP_SEQUENCE: "completed",
        StopReason.TOOL_USE: "completed",
        StopReason.MAX_TOKENS: "incomplete: max_output_tokens",
        StopReason.CONTEXT_FULL: "incomplete: max_output_tokens",
        StopReason.REFUSED: "incomplete: content_filter",
        StopReason.PAUSED: "completed",
        StopReason.BROKEN_CALL: "failed",
        StopReason.OTHER: "failed",
    },
    Dialect.GEMINI: {
        StopReason.END: "STOP",
        StopReason.STOP_SEQUENCE: "STOP",
        StopReason.TOOL_USE: "STOP",
        StopReason.MAX_TOKENS: "MAX_TOKENS",
        StopReason.CONTEXT_FULL: "MAX_TOKENS",
        StopReason.REFUSED: "SAFETY",
        StopReason.PAUSED: "STOP",
        StopReason.BROKEN_CALL: "MALFORMED_FUNCTION_CALL",
        StopReason.OTHER: "OTHER",
    },
}
#: How an answer with a refusal in words ends, where the dialect sets such words apart.
_REFUSED_IN_WORDS = {Dialect.OPENAI_CHAT: "stop", Dialect.OPENAI_RESPONSES: "completed"}


class Call(NamedTuple):
    """``arguments`` are parsed, or the text itself if it cannot be."""

    id: str
    name: str
    arguments: Any


class Counts(NamedTuple):
    """Tokens; the prompt has those read from and written to the cache in it."""

    prompt: int
    cached: int
    written: int
    output: int
    reasoning: int
    total: int


class Said(NamedTuple):
    """What a client's user reads. ``order`` is what came after what; Chat has none to tell."""

    text: str
    refusal: str
    thoughts: str
    calls: tuple[Call, ...]
    order: tuple[str, ...]
    stop: str
    stop_sequence: str | None
    usage: Counts | None


def is_failure(stop: Stop, target: Dialect) -> bool:
    """Whether the dialect has no answer that ends so, only an error."""
    return stop.reason not in _STOPS[target]


def is_cut(response: Response) -> bool:
    """Whether the answer ends inside a call, which Anthropic tells in another way in a stream."""
    return any(isinstance(block, ToolUse) and _is_cut(block) for block in response.blocks)


def _is_cut(call: ToolUse) -> bool:
    return not isinstance(arguments_of(call.arguments), dict)


def meant(response: Response, target: Dialect, *, streamed: bool) -> Said:
    """What a client of ``target`` must understand, of a stream or of a whole answer."""
    blocks = [told for block in response.blocks for told in _told(block, target, streamed=streamed)]
    words = (Text, Refusal) if target in (Dialect.ANTHROPIC, Dialect.GEMINI) else (Text,)
    refusal = "" if Refusal in words else _joined(blocks, (Refusal,))
    sequence = response.stop.sequence if target is Dialect.ANTHROPIC else None
    return Said(
        text=_joined(blocks, words),
        refusal=refusal,
        thoughts=_joined(blocks, (Thinking,)),
        calls=tuple(_call(block, target) for block in blocks if isinstance(block, ToolUse)),
        order=() if target is Dialect.OPENAI_CHAT else runs(_kinds(blocks, Refusal in words)),
        stop=_stop(response.stop, target, refused=bool(refusal)),
        stop_sequence=sequence,
        usage=_counts(response.usage, target),
    )


def _joined(blocks: Iterable[Block], kinds: tuple[type, ...]) -> str:
    return "".join(getattr(block, "text", "") for block in blocks if isinstance(block, kinds))


def _call(block: ToolUse, target: Dialect) -> Call:
    call_id = block.id
    if target is Dialect.ANTHROPIC and not _ANTHROPIC_ID.fullmatch(call_id):
        call_id = ""
    return Call(call_id, block.name, arguments_of(block.arguments))


def arguments_of(text: str) -> Any:
    """The arguments, or their text if they were cut off."""
    try:
        return json.loads(text.strip() or "{}")
    except json.JSONDecodeError:
        return text


def _told(block: Block, target: Dialect, *, streamed: bool) -> Iterator[Block]:
    """A call that the token limit cut off has no form where arguments are objects. Google's clients
    learn it from the finish reason alone; Anthropic's get the words of it, or in a stream as much
    of the object as their SDK makes of its beginning.
    """
    if not isinstance(block, ToolUse) or not _is_cut(block):
        yield block
    elif target is Dialect.ANTHROPIC:
        begun = jiter.from_json(block.arguments.encode(), partial_mode=True)
        words = Text(text=f"{block.name}({block.arguments}")
        yield replace(block, arguments=Json(json.dumps(begun))) if streamed else words
    elif target is not Dialect.GEMINI:
        yield block


def _kinds(blocks: Iterable[Block], plain: bool) -> Iterator[str]:
    for block in blocks:
        match block:
            case Text(text=text) if text:
                yield "text"
            case Refusal(text=text) if text:
                yield "text" if plain else "refusal"
            case Thinking(text=text) if text:
                yield "thoughts"
            case ToolUse():
                yield "call"


def runs(kinds: Iterable[str]) -> tuple[str, ...]:
    """Words that follow words are one run of words; calls are counted elsewhere."""
    return tuple(kind for kind, _ in groupby(kinds))


def _stop(stop: Stop, target: Dialect, *, refused: bool) -> str:
    if stop.reason is StopReason.REFUSED and refused:
        return _REFUSED_IN_WORDS[target]
    if stop.reason is StopReason.STOP_SEQUENCE and stop.sequence is None:
        return _STOPS[target][StopReason.END]
    return _STOPS[target][stop.reason]


def _counts(usage: Usage | None, target: Dialect) -> Counts | None:
    if usage is None:
        # Anthropic's clients demand counts.
        return Counts(0, 0, 0, 0, 0, 0) if target is Dialect.ANTHROPIC else None
    written = usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
    prompt = usage.input_tokens + usage.cache_read_tokens + written
    return Counts(
        prompt=prompt,
        cached=usage.cache_read_tokens,
        # Google does not count it apart.
        written=0 if target is Dialect.GEMINI else written,
        output=usage.output_tokens,
        reasoning=usage.reasoning_tokens,
        total=prompt + usage.output_tokens,
    )


def own_ids(wanted: Said, read: Said) -> Said:
    """``wanted`` with the ids of ``read`` where the dialect would refuse the vendor's: they must be
    others then, of the right form, each its own.
    """
    if len(read.calls) != len(wanted.calls):
        return wanted
    made = [theirs.id for ours, theirs in zip(wanted.calls, read.calls, strict=True) if not ours.id]
    kept = [call.id for call in wanted.calls if call.id]
    if len({*made, *kept}) < len(made) + len(set(kept)):
        return wanted
    if not all(_ANTHROPIC_ID.fullmatch(call_id) for call_id in made):
        return wanted
    left = iter(made)
    calls = tuple(call if call.id else call._replace(id=next(left)) for call in wanted.calls)
    return wanted._replace(calls=calls)
