"""Whole answers: read as a stream of one chunk, written in one piece."""

from __future__ import annotations

from typing import Any

import msgspec

from bytespike_protocols.codec import ReplyContext
from bytespike_protocols.folding import fold
from bytespike_protocols.gemini.grounding import GroundingWriter
from bytespike_protocols.gemini.parts_encode import Part, call_part, redacted_part, text_part
from bytespike_protocols.gemini.stops import finish_reason
from bytespike_protocols.gemini.stream_decode import GeminiStreamDecoder
from bytespike_protocols.gemini.usage import encode_usage
from bytespike_protocols.ir import (
    Block,
    Dialect,
    Foreign,
    RedactedThinking,
    Refusal,
    Response,
    Stop,
    StopReason,
    Text,
    Thinking,
    ToolUse,
)
from bytespike_protocols.sse import Frame

__all__ = ["decode_response", "encode_response", "final_candidate", "identity", "shows_thoughts"]


def decode_response(body: bytes) -> Response:
    """Raises ``BadUpstreamMessage`` also if the body is an error in disguise."""
    decoder = GeminiStreamDecoder()
    events = decoder.feed(Frame(b"", body))
    return fold([*events, *decoder.close()])


def encode_response(response: Response, context: ReplyContext) -> bytes:
    """The whole answer, as one candidate."""
    show, sources = shows_thoughts(context), GroundingWriter()
    parts: list[Part | msgspec.Raw] = []
    broken = False
    for block in response.blocks:
        made = _part(block, show=show)
        if made is None:
            broken = broken or isinstance(block, ToolUse)
            continue
        parts.append(made)
        if isinstance(block, Text):
            sources.add(block.text, block.citations)
    candidate = final_candidate(response.stop, sources, broken_call=broken)
    if parts or response.stop.reason is not StopReason.REFUSED:
        candidate = {"content": {"parts": parts, "role": "model"}, **candidate}
    body: dict[str, Any] = {"candidates": [candidate]}
    if response.usage is not None:
        body["usageMetadata"] = encode_usage(response.usage)
    return msgspec.json.encode({**body, **identity(context)})


def shows_thoughts(context: ReplyContext) -> bool:
    """Whether the client asked for the words of thoughts; their state it gets in any case."""
    reasoning = context.request.reasoning
    return reasoning is not None and reasoning.show is True


def identity(context: ReplyContext) -> dict[str, str]:
    """What every chunk repeats. Our request id gives its ULID."""
    return {
        "modelVersion": context.model,
        "responseId": context.request_id.rpartition("_")[2],
    }


def final_candidate(stop: Stop, sources: GroundingWriter, *, broken_call: bool) -> dict[str, Any]:
    """How a candidate ends. A call that could not be given is never passed over in silence."""
    reason, message = finish_reason(stop), stop.detail
    if broken_call:
        reason = "MAX_TOKENS" if stop.reason is StopReason.MAX_TOKENS else "MALFORMED_FUNCTION_CALL"
        message = message or "the arguments of a function call are not whole"
    candidate: dict[str, Any] = {"finishReason": reason, "index": 0}
    if message:
        candidate["finishMessage"] = message
    grounding = sources.metadata()
    if grounding is not None:
        candidate["groundingMetadata"] = grounding
    return candidate


def _part(block: Block, *, show: bool) -> Part | msgspec.Raw | None:
    match block:
        case Text():
            empty = not block.text and block.opaque is None
            return None if empty else text_part(block.text, opaque=block.opaque)
        case Refusal():
            return text_part(block.text) if block.text else None
        case Thinking():
            text = block.text if show else ""
            empty = not text and block.opaque is None
            return None if empty else text_part(text, thought=True, opaque=block.opaque)
        case RedactedThinking():
            return redacted_part(block)
        case ToolUse():
            return call_part(block)
        case Foreign():
            # Other vendors' server tools: their clients see what came of them as text.
            return msgspec.Raw(block.value.encode()) if block.dialect is Dialect.GEMINI else None
    raise AssertionError(f"a {type(block).__name__} block cannot be in an answer")
