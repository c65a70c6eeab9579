"""``usageMetadata`` and our disjoint buckets.

Google counts cached tokens inside the prompt, and thoughts outside of the candidates' tokens.
"""

from __future__ import annotations

from bytespike_protocols.gemini.wire import WireUsage
from bytespike_protocols.ir import Usage

__all__ = ["decode_usage", "encode_usage"]


def decode_usage(wire: WireUsage, *, web_searches: int = 0) -> Usage | None:
    """The buckets; None if the vendor has not counted anything (yet)."""
    counts = (wire.prompt_token_count, wire.candidates_token_count, wire.thoughts_token_count)
    if all(count is None for count in counts):
        return None
    prompt = (wire.prompt_token_count or 0) + (wire.tool_use_prompt_token_count or 0)
    cached = min(wire.cached_content_token_count or 0, prompt)
    thoughts = wire.thoughts_token_count or 0
    return Usage(
        input_tokens=prompt - cached,
        cache_read_tokens=cached,
        output_tokens=(wire.candidates_token_count or 0) + thoughts,
        reasoning_tokens=thoughts,
        web_searches=web_searches,
    )


def encode_usage(usage: Usage) -> dict[str, int]:
    """``usageMetadata``. Counts of things that did not happen are left out, as Google does."""
    counts = {
        "promptTokenCount": usage.prompt_tokens,
        "candidatesTokenCount": usage.output_tokens - usage.reasoning_tokens,
        "totalTokenCount": usage.prompt_tokens + usage.output_tokens,
    }
    if usage.cache_read_tokens:
        counts["cachedContentTokenCount"] = usage.cache_read_tokens
    if usage.reasoning_tokens:
        counts["thoughtsTokenCount"] = usage.reasoning_tokens
    return counts
