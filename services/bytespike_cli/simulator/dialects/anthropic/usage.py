"""Reading usage and content out of Messages answers that a test scripted. Pure."""

from __future__ import annotations

from typing import Any

from bytespike_contracts.money import TokenUsage

__all__ = ["AnthropicMeter"]

Json = dict[str, Any]


class AnthropicMeter:
    """What scripted Messages answers say they consumed."""

    def usage(self, events: list[Json]) -> TokenUsage:
        """Usage adds up over the events of a stream: a later count replaces an earlier one."""
        reported: Json = {}
        for event in events:
            for holder in (event, event.get("message")):
                if isinstance(holder, dict) and isinstance(holder.get("usage"), dict):
                    reported |= {k: v for k, v in holder["usage"].items() if v is not None}
        return _read(reported)

    def weight(self, event: Json) -> int:
        """Bytes of text, thoughts and call arguments in one delta."""
        delta = event.get("delta")
        if not isinstance(delta, dict):
            return 0
        parts = (delta.get(name) for name in ("text", "thinking", "partial_json"))
        return sum(len(part.encode()) for part in parts if isinstance(part, str))


def _read(reported: Json) -> TokenUsage:
    split = reported.get("cache_creation") or {}
    written = reported.get("cache_creation_input_tokens") or 0
    hour = min(split.get("ephemeral_1h_input_tokens") or 0, written)
    details = reported.get("output_tokens_details") or {}
    tools = reported.get("server_tool_use") or {}
    return TokenUsage(
        input_tokens=reported.get("input_tokens") or 0,
        cache_write_5m_tokens=written - hour,
        cache_write_1h_tokens=hour,
        cache_read_tokens=reported.get("cache_read_input_tokens") or 0,
        output_tokens=reported.get("output_tokens") or 0,
        reasoning_tokens=details.get("thinking_tokens") or 0,
        web_searches=tools.get("web_search_requests") or 0,
    )
