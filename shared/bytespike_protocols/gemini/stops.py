"""Why the model stopped, in Google's words and ours.

``STOP`` says only that nothing went wrong: whether tools are wanted is told by the calls.
"""

from __future__ import annotations

from bytespike_protocols.ir import Stop, StopReason

__all__ = ["blocked", "finish_reason", "stop_of"]

_REASONS = {
    "STOP": StopReason.END,
    "MAX_TOKENS": StopReason.MAX_TOKENS,
    "SAFETY": StopReason.REFUSED,
    "RECITATION": StopReason.REFUSED,
    "BLOCKLIST": StopReason.REFUSED,
    "PROHIBITED_CONTENT": StopReason.REFUSED,
    "SPII": StopReason.REFUSED,
    "LANGUAGE": StopReason.REFUSED,
    "IMAGE_SAFETY": StopReason.REFUSED,
    "IMAGE_PROHIBITED_CONTENT": StopReason.REFUSED,
    "IMAGE_RECITATION": StopReason.REFUSED,
    "MODEL_ARMOR": StopReason.REFUSED,
    "MALFORMED_FUNCTION_CALL": StopReason.BROKEN_CALL,
    "UNEXPECTED_TOOL_CALL": StopReason.BROKEN_CALL,
    "TOO_MANY_TOOL_CALLS": StopReason.BROKEN_CALL,
    "MISSING_THOUGHT_SIGNATURE": StopReason.BROKEN_CALL,
    "MALFORMED_RESPONSE": StopReason.BROKEN_CALL,
    "OTHER": StopReason.OTHER,
}
#: The numbers on which AI Studio and Vertex agree.
_NUMBERED = {1: "STOP", 2: "MAX_TOKENS", 3: "SAFETY", 4: "RECITATION", 5: "OTHER"}

_WORDS = {
    StopReason.END: "STOP",
    StopReason.STOP_SEQUENCE: "STOP",
    StopReason.TOOL_USE: "STOP",
    StopReason.PAUSED: "STOP",
    StopReason.MAX_TOKENS: "MAX_TOKENS",
    StopReason.CONTEXT_FULL: "MAX_TOKENS",
    StopReason.REFUSED: "SAFETY",
    StopReason.BROKEN_CALL: "MALFORMED_FUNCTION_CALL",
    StopReason.OTHER: "OTHER",
}


def stop_of(reason: str | int, detail: str | None, *, called: bool) -> Stop:
    """A candidate's ``finishReason``; ``called`` says whether the answer holds calls."""
    word = _NUMBERED.get(reason, str(reason)) if isinstance(reason, int) else reason
    meaning = _REASONS.get(word, StopReason.OTHER)
    if meaning is StopReason.END and called:
        meaning = StopReason.TOOL_USE
    return Stop(reason=meaning, word=word, detail=detail)


def blocked(reason: str | int, detail: str | None) -> Stop:
    """A prompt that was refused before there was any candidate."""
    return Stop(reason=StopReason.REFUSED, word=str(reason), detail=detail)


def finish_reason(stop: Stop) -> str:
    """Google's word: the vendor's own where it is one and means the same."""
    if stop.word is not None and _REASONS.get(stop.word) is stop.reason:
        return stop.word
    return _WORDS[stop.reason]
