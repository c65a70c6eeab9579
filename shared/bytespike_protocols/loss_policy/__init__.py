"""What becomes of every request field of every dialect towards each of the others.

The table is a contract, not a program: encoders report losses by themselves, and both the table and
they are held to each other by the tests. Models matter too; the verdicts are for those in
:data:`REFERENCE_MODELS`, and notes say where others differ. Chat means OpenAI's own.
"""

from __future__ import annotations

from typing import Final

from bytespike_protocols.ir import Dialect
from bytespike_protocols.loss_policy import anthropic, gemini, openai_chat, openai_responses
from bytespike_protocols.loss_policy.row import Row, Verdict, targets
from bytespike_protocols.loss_policy.strict import (
    DROPPED_HEADER_BYTES,
    dropped_header,
    require_lossless,
)

__all__ = [
    "DROPPED_HEADER_BYTES",
    "REFERENCE_MODELS",
    "TABLE",
    "Row",
    "Verdict",
    "dropped_header",
    "require_lossless",
    "targets",
    "verdict",
]

TABLE: Final[dict[Dialect, tuple[Row, ...]]] = {
    Dialect.ANTHROPIC: anthropic.ROWS,
    Dialect.OPENAI_CHAT: openai_chat.ROWS,
    Dialect.OPENAI_RESPONSES: openai_responses.ROWS,
    Dialect.GEMINI: gemini.ROWS,
}
REFERENCE_MODELS: Final[dict[Dialect, str]] = {
    Dialect.ANTHROPIC: "claude-opus-4-6",
    Dialect.OPENAI_CHAT: "gpt-5",
    Dialect.OPENAI_RESPONSES: "gpt-5",
    Dialect.GEMINI: "gemini-3-flash",
}

_ROWS: Final = {(client, row.path, row.case): row for client, rows in TABLE.items() for row in rows}


def verdict(client: Dialect, upstream: Dialect, path: str, case: str = "") -> Verdict:
    """For a field by its path without places in arrays. A field nobody has heard of is dropped, and
    reported. Raises ``KeyError`` for a dialect towards itself, and for a known path without its
    case.
    """
    row = _ROWS.get((client, path, case))
    if row is not None:
        return row.verdicts[upstream]
    if any(known.path == path for known in TABLE[client]):
        raise KeyError(f"{path}: name one of its cases")
    return Verdict.DROPPED
