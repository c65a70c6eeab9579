"""What a message says its body is. Pure."""

from __future__ import annotations

__all__ = ["JSON", "may_be_json"]

JSON = "application/json"


def may_be_json(content_type: str | None) -> bool:
    """Whether a body may be read as JSON: it is declared as that, or not declared at all."""
    if content_type is None or content_type == JSON:
        return True
    return content_type.partition(";")[0].strip().lower() == JSON
