"""Reading usage and content out of OpenAI answers that a test scripted. Pure."""

from __future__ import annotations

from typing import Any

from bytespike_contracts.money import TokenUsage

__all__ = ["ChatMeter", "ResponsesMeter"]

Json = dict[str, Any]


class ChatMeter:
    """What scripted Chat Completions answers say they consumed."""

    def usage(self, events: list[Json]) -> TokenUsage:
        """The last usage of the stream, or that of the body."""
        said = [event["usage"] for event in events if isinstance(event.get("usage"), dict)]
        return _read(said[-1], "prompt_tokens", "completion_tokens") if said else TokenUsage()

    def weight(self, event: Json) -> int:
        """Bytes of text, thoughts and call arguments in one chunk."""
        size = 0
        for choice in _dicts(event.get("choices")):
            for delta in _dicts([choice.get("delta")]):
                texts = [delta.get(name) for name in ("content", "refusal", "reasoning_content")]
                for call in _dicts(delta.get("tool_calls")):
                    texts += [
                        function.get("arguments") for function in _dicts([call.get("function")])
                    ]
                size += sum(len(text.encode()) for text in texts if isinstance(text, str))
        return size


class ResponsesMeter:
    """What scripted Responses answers say they consumed."""

    def usage(self, events: list[Json]) -> TokenUsage:
        """The usage of the last response in the stream, or that of the body."""
        holders = _dicts([event.get("response", event) for event in events])
        said = [holder["usage"] for holder in holders if isinstance(holder.get("usage"), dict)]
        return _read(said[-1], "input_tokens", "output_tokens") if said else TokenUsage()

    def weight(self, event: Json) -> int:
        """Bytes of one delta."""
        delta = event.get("delta")
        return len(delta.encode()) if isinstance(delta, str) else 0


def _dicts(values: Any) -> list[Json]:
    return [item for item in values if isinstance(item, dict)] if isinstance(values, list) else []


def _read(said: Json, prompt: str, output: str) -> TokenUsage:
    """Disjoint: what was read from a cache or written to one is no longer among the input."""
    details = said.get(f"{prompt}_details") or {}
    cached = details.get("cached_tokens") or 0
    written = details.get("cache_write_tokens") or 0
    spent = said.get(f"{output}_details") or {}
    return TokenUsage(
        input_tokens=max(0, (said.get(prompt) or 0) - cached - written),
        cache_write_5m_tokens=written,
        cache_read_tokens=cached,
        output_tokens=said.get(output) or 0,
        reasoning_tokens=spent.get("reasoning_tokens") or 0,
    )
