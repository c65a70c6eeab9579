"""Token counts between the dialect's nested totals and our disjoint buckets."""

from __future__ import annotations

from bytespike_protocols.ir import Usage
from bytespike_protocols.openai_chat.wire import CompletionDetails, PromptDetails, WireUsage

__all__ = ["decode_usage", "encode_usage"]


def decode_usage(wire: WireUsage | None) -> Usage | None:
    """The buckets; None if the vendor said nothing."""
    if wire is None or (wire.prompt_tokens is None and wire.completion_tokens is None):
        return None
    prompt_details = wire.prompt_tokens_details or PromptDetails()
    details = wire.completion_tokens_details or CompletionDetails()
    cached = (
        prompt_details.cached_tokens
        or wire.prompt_cache_hit_tokens
        or wire.cache_read_input_tokens
        or 0
    )
    written = prompt_details.cache_write_tokens or wire.cache_creation_input_tokens or 0
    reasoning = details.reasoning_tokens or 0
    prompt, completion = wire.prompt_tokens or 0, wire.completion_tokens or 0
    # Some hosts (xAI) count reasoning beside the completion; their total gives it away.
    beside = (wire.total_tokens or 0) - prompt - completion
    if reasoning and beside == reasoning:
        completion += reasoning
    return Usage(
        input_tokens=max(0, prompt - cached - written),
        cache_write_5m_tokens=written,
        cache_read_tokens=cached,
        output_tokens=completion,
        reasoning_tokens=reasoning,
    )


def encode_usage(usage: Usage) -> dict[str, object]:
    """The dialect's form, with every detail typed clients know; zero where we cannot tell."""
    prompt, completion = usage.prompt_tokens, usage.output_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_5m_tokens + usage.cache_write_1h_tokens,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
