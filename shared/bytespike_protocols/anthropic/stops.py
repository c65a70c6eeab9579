"""Why the model stopped, in Anthropic's words and in ours."""

from __future__ import annotations

from bytespike_protocols.anthropic.draft import Wire
from bytespike_protocols.anthropic.wire import StopDetails
from bytespike_protocols.ir import Stop, StopReason

__all__ = ["decode_stop", "encode_stop"]

_REASONS = {
    "end_turn": StopReason.END,
    "stop_sequence": StopReason.STOP_SEQUENCE,
    "tool_use": StopReason.TOOL_USE,
    "max_tokens": StopReason.MAX_TOKENS,
    "model_context_window_exceeded": StopReason.CONTEXT_FULL,
    "refusal": StopReason.REFUSED,
    "pause_turn": StopReason.PAUSED,
}
_WORDS = {reason: word for word, reason in _REASONS.items()}
#: Stops for which a caller would otherwise take half an answer for a whole one.
_HALTS = {StopReason.REFUSED, StopReason.OTHER}


def decode_stop(
    word: str | None, *, sequence: str | None, details: StopDetails | None, called: bool
) -> Stop:
    """``called``: the answer has a call for the client. The call decides, not the word."""
    reason = _REASONS.get(word or "", StopReason.OTHER)
    return Stop(
        reason=_by_calls(reason, called),
        sequence=sequence,
        word=word,
        detail=None if details is None else details.explanation,
    )


def encode_stop(stop: Stop, *, called: bool) -> Wire:
    """``stop_reason`` and its companions. A reason nobody knows is a halt, never a clean end.

    A broken call is not an answer: whoever sends one must send an error instead.
    """
    reason = _by_calls(stop.reason, called)
    if reason is StopReason.STOP_SEQUENCE and stop.sequence is None:
        reason = StopReason.END
    details = None
    if reason in _HALTS:
        explanation = stop.detail
        if explanation is None and reason is StopReason.OTHER:
            explanation = f"the model stopped for another reason: {stop.word or 'unknown'}"
        details = {"type": "refusal", "category": None, "explanation": explanation}
        reason = StopReason.REFUSED
    return {
        "stop_reason": _WORDS[reason],
        "stop_sequence": stop.sequence if reason is StopReason.STOP_SEQUENCE else None,
        "stop_details": details,
    }


def _by_calls(reason: StopReason, called: bool) -> StopReason:
    if called and reason is StopReason.END:
        return StopReason.TOOL_USE
    if not called and reason is StopReason.TOOL_USE:
        return StopReason.END
    return reason
