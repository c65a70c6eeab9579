"""Finish reasons, both ways."""

from __future__ import annotations

from bytespike_protocols.ir import Stop, StopReason

__all__ = ["decode_stop", "encode_stop"]

_REASONS = {
    "": StopReason.END,
    "stop": StopReason.END,
    "eos": StopReason.END,
    "tool_calls": StopReason.TOOL_USE,
    "function_call": StopReason.TOOL_USE,
    "length": StopReason.MAX_TOKENS,
    "max_tokens": StopReason.MAX_TOKENS,
    "model_length": StopReason.CONTEXT_FULL,
    "content_filter": StopReason.REFUSED,
}

_WORDS = {
    StopReason.END: "stop",
    StopReason.STOP_SEQUENCE: "stop",
    StopReason.PAUSED: "stop",
    StopReason.TOOL_USE: "tool_calls",
    StopReason.MAX_TOKENS: "length",
    StopReason.CONTEXT_FULL: "length",
    StopReason.REFUSED: "content_filter",
    # Nobody knows what happened: clients must not take the answer for finished.
    StopReason.OTHER: "content_filter",
}


def decode_stop(word: str, *, called: bool, refused: bool) -> Stop:
    """Hosts disagree on the word for calls, so calls and refusals decide over a plain end."""
    reason = _REASONS.get(word, StopReason.OTHER)
    if reason in {StopReason.END, StopReason.TOOL_USE}:
        if called:
            reason = StopReason.TOOL_USE
        else:
            reason = StopReason.REFUSED if refused else StopReason.END
    return Stop(reason=reason, word=word or None)


def encode_stop(stop: Stop, *, refused: bool) -> str:
    """The finish reason. With a refusal in words the turn ends like any other. ``BROKEN_CALL`` has
    none: it is a failure, not an answer.
    """
    if stop.reason is StopReason.REFUSED and refused:
        return "stop"
    return _WORDS[stop.reason]
