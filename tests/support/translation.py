"""The tables of ``docs/translation.md``, written from the loss policy and the codecs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from bytespike_protocols.efforts import EFFORT_BY_BUDGET
from bytespike_protocols.ir import Dialect, Effort, Reasoning, Request, Text, Turn
from bytespike_protocols.loss_policy import TABLE, Row, targets
from tests.support.loss_policy.reality import CODECS

__all__ = ["PAGE", "page_with_tables", "tables_markdown"]

PAGE = Path(__file__).parents[2] / "docs" / "translation.md"

_BEGIN = "<!-- tables: written by `make docs`, checked by the tests -->\n"
_END = "<!-- end of tables -->\n"
_NAMES = {
    Dialect.ANTHROPIC: "Anthropic Messages",
    Dialect.OPENAI_CHAT: "OpenAI Chat Completions",
    Dialect.OPENAI_RESPONSES: "OpenAI Responses",
    Dialect.GEMINI: "Gemini generateContent",
}
_SHORT = {
    Dialect.ANTHROPIC: "Messages",
    Dialect.OPENAI_CHAT: "Chat",
    Dialect.OPENAI_RESPONSES: "Responses",
    Dialect.GEMINI: "Gemini",
}
#: Models that differ in how effort is said to them.
_EFFORTS = (
    (Dialect.ANTHROPIC, "claude-opus-4-8"),
    (Dialect.ANTHROPIC, "claude-opus-4-6"),
    (Dialect.ANTHROPIC, "claude-sonnet-4-5"),
    (Dialect.OPENAI_RESPONSES, "gpt-5"),
    (Dialect.GEMINI, "gemini-3-flash"),
    (Dialect.GEMINI, "gemini-3-pro"),
    (Dialect.GEMINI, "gemini-2.5-flash"),
)


def tables_markdown() -> str:
    """One table for each client dialect, then effort and budgets."""
    sections = [_fields(client) for client in Dialect]
    return "\n".join([*sections, _efforts(), _budgets()])


def page_with_tables() -> str:
    """The page as it should be; equal to the file unless somebody changed a row or a codec."""
    before, _, rest = PAGE.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n{tables_markdown()}\n{_END}{after}"


def _fields(client: Dialect) -> str:
    columns = targets(client)
    heads = " | ".join(f"to {_SHORT[target]}" for target in columns)
    lines = [f"| field | {heads} | |", "|---" * (len(columns) + 2) + "|"]
    lines += [_line(row, columns) for row in TABLE[client]]
    return f"### From {_NAMES[client]}\n\n" + "\n".join(lines) + "\n"


def _line(row: Row, columns: tuple[Dialect, ...]) -> str:
    field = f"`{row.path}`" + (f" ({row.case})" if row.case else "")
    verdicts = [row.verdicts[target] + ("*" if target in row.idle else "") for target in columns]
    note = row.note
    if row.told_as and "reported" not in note:
        note = f"{note}; reported as `{row.told_as}`".removeprefix("; ")
    return f"| {' | '.join([field, *verdicts, note])} |"


def _efforts() -> str:
    heads = " | ".join(model for _, model in _EFFORTS)
    lines = [f"| effort | {heads} |", "|---" * (len(_EFFORTS) + 1) + "|"]
    for effort in Effort:
        asked = Reasoning(mode="off" if effort is Effort.NONE else "effort", effort=effort)
        cells = [_effort_of(*target, asked) for target in _EFFORTS]
        lines.append(f"| {effort} | {' | '.join(cells)} |")
    return "### Effort, as each model is told\n\n" + "\n".join(lines) + "\n"


def _effort_of(target: Dialect, model: str, reasoning: Reasoning) -> str:
    """Asked as a client of Chat would."""
    request = Request(
        dialect=Dialect.OPENAI_CHAT,
        model="m",
        turns=(Turn(role="user", blocks=(Text(text="hi"),)),),
        max_output_tokens=100_000,
        reasoning=reasoning,
    )
    body = msgspec.json.decode(CODECS[target].encode_request(request, model=model).body)
    return _said(body)


def _said(body: dict[str, Any]) -> str:
    config = body.get("generationConfig", {}).get("thinkingConfig", {})
    effort = body.get("output_config", {}).get("effort") or body.get("reasoning", {}).get("effort")
    thinking = body.get("thinking", {})
    if "thinkingBudget" in config:
        return f"budget {config['thinkingBudget']:,}"
    if "budget_tokens" in thinking:
        return f"budget {thinking['budget_tokens']:,}"
    return str(config.get("thinkingLevel") or effort or thinking.get("type"))


def _budgets() -> str:
    lines = ["| budget up to | effort |", "|---|---|"]
    lines += [f"| {most:,} tokens | {effort} |" for most, effort in EFFORT_BY_BUDGET]
    lines.append(f"| more | {Effort.HIGH} |")
    return "### Budgets, where only effort can be said\n\n" + "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page_with_tables())
