"""Token counts to disjoint buckets and back."""

from __future__ import annotations

from typing import Any

from bytespike_protocols.ir import Usage
from bytespike_protocols.openai_responses.wire import InputDetails, OutputDetails, WireUsage

__all__ = ["decode_usage", "encode_usage"]


def decode_usage(said: WireUsage | None, *, web_searches: int) -> Usage | None:
    """None if the vendor did not say both sides. Shares larger than their whole are cut to it."""
    if said is None or said.input_tokens is None or said.output_tokens is None:
        return None
    shares = said.input_tokens_details or InputDetails()
    read = min(shares.cached_tokens or 0, said.input_tokens)
    # The vendor does not split writes by lifetime; the cheaper bucket is in the customer's favour.
    written = min(shares.cache_write_tokens or 0, said.input_tokens - read)
    thought = said.output_tokens_details or OutputDetails()
    return Usage(
        input_tokens=said.input_tokens - read - written,
        cache_read_tokens=read,
        cache_write_5m_tokens=written,
        output_tokens=said.output_tokens,
        reasoning_tokens=min(thought.reasoning_tokens or 0, said.output_tokens),
        web_searches=web_searches,
    )


def encode_usage(usage: Usage | None) -> dict[str, Any] | None:
    """The ``usage`` object; details are always there, since typed clients demand them."""
    if usage is None:
        return None
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_5m_tokens + usage.cache_write_1h_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.prompt_tokens + usage.output_tokens,
    }
