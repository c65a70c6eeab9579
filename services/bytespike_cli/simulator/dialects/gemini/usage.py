"""Reading usage and content out of Gemini answers that a test scripted. Pure."""

from __future__ import annotations

from typing import Any

from bytespike_cli.simulator.question import compact
from bytespike_contracts.money import TokenUsage

__all__ = ["GeminiMeter"]

Json = dict[str, Any]


class GeminiMeter:
    """What scripted Gemini answers say they consumed."""

    def usage(self, events: list[Json]) -> TokenUsage:
        """The last usage counts; thoughts are output too."""
        said = [e["usageMetadata"] for e in events if isinstance(e.get("usageMetadata"), dict)]
        if not said:
            return TokenUsage()
        last = said[-1]
        cached = last.get("cachedContentTokenCount") or 0
        prompt = last.get("promptTokenCount") or 0
        thoughts = last.get("thoughtsTokenCount") or 0
        return TokenUsage(
            input_tokens=max(0, prompt - cached) + (last.get("toolUsePromptTokenCount") or 0),
            cache_read_tokens=cached,
            output_tokens=(last.get("candidatesTokenCount") or 0) + thoughts,
            reasoning_tokens=thoughts,
        )

    def weight(self, event: Json) -> int:
        """Bytes of text, thoughts and call arguments in one chunk."""
        size = 0
        for candidate in _dicts(event.get("candidates")):
            for content in _dicts([candidate.get("content")]):
                for part in _dicts(content.get("parts")):
                    size += len(str(part.get("text", "")).encode())
                    size += sum(
                        len(compact(call.get("args", {})))
                        for call in _dicts([part.get("functionCall")])
                    )
        return size


def _dicts(values: Any) -> list[Json]:
    return [item for item in values if isinstance(item, dict)] if isinstance(values, list) else []
