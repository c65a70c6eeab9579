"""Token counts between the vendor's overlapping numbers and our disjoint buckets."""

from __future__ import annotations

import msgspec

from bytespike_protocols.anthropic import wire
from bytespike_protocols.ir import Usage
from bytespike_protocols.tap import lenient

__all__ = ["NOTHING_SAID", "buckets", "merge", "read_usage"]

#: What is known before the vendor has said anything.
NOTHING_SAID = wire.WireUsage()
_NO_CREATION, _NO_DETAILS = wire.CacheCreation(), wire.OutputDetails()
_NO_TOOLS = wire.ServerToolUse()

_usage_decoder = msgspec.json.Decoder(wire.WireUsage | None)


def read_usage(raw: msgspec.Raw) -> wire.WireUsage | None:
    """The counts of an answer or event; None if it has none that can be believed."""
    return lenient(_usage_decoder, raw)


def merge(earlier: wire.WireUsage, later: wire.WireUsage) -> wire.WireUsage:
    """What is known after ``later`` was said too: its counts are cumulative and may be partial."""
    if earlier is NOTHING_SAID:
        return later
    names = later.__struct_fields__
    known = {name: value for name in names if (value := getattr(later, name)) is not None}
    return msgspec.structs.replace(earlier, **known)


def buckets(said: wire.WireUsage, output_tokens: int) -> Usage:
    """The vendor's overlapping counts as disjoint ones; ``output_tokens`` may be counted by us."""
    by_lifetime = said.cache_creation or _NO_CREATION
    hour = by_lifetime.ephemeral_1h_input_tokens or 0
    written = said.cache_creation_input_tokens
    if written is None:
        written = hour + (by_lifetime.ephemeral_5m_input_tokens or 0)
    # The total wins over a split that does not add up; what is not said to be 1 h is 5 min.
    hour = min(hour, written)
    details = said.output_tokens_details or _NO_DETAILS
    tools = said.server_tool_use or _NO_TOOLS
    return Usage(
        input_tokens=said.input_tokens or 0,
        cache_write_5m_tokens=written - hour,
        cache_write_1h_tokens=hour,
        cache_read_tokens=said.cache_read_input_tokens or 0,
        output_tokens=output_tokens,
        reasoning_tokens=min(details.thinking_tokens or 0, output_tokens),
        web_searches=tools.web_search_requests or 0,
    )
