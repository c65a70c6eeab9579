"""The four grammar checkers under one signature."""

from __future__ import annotations

from typing import Literal

from bytespike_protocols.ir import Dialect
from tests.support import (
    anthropic_grammar,
    gemini_grammar,
    openai_chat_grammar,
    responses_grammar,
)

__all__ = ["End", "ending_of"]

End = Literal["answer", "error", "truncated"]

_ENDS: dict[str, End] = {"error": "error", "failed": "error", "truncated": "truncated"}


def ending_of(stream: bytes, target: Dialect) -> End:
    """How the stream ended. Raises the checker's error where it broke the dialect's order."""
    match target:
        case Dialect.ANTHROPIC:
            end: str = anthropic_grammar.check_stream(stream).end
        case Dialect.OPENAI_CHAT:
            end = openai_chat_grammar.check_stream(stream, strict=True, usage=True).end
        case Dialect.OPENAI_RESPONSES:
            end = responses_grammar.check_stream(stream, strict=True).end
        case Dialect.GEMINI:
            end = gemini_grammar.check_stream(stream).end
    return _ENDS.get(end, "answer")
