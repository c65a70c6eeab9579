"""What each cell must come to. Every exception from "the same as everywhere else" stands here, with
its reason; the names in ``dropped`` are those of docs/translation.md.
"""

from __future__ import annotations

import re

from tests.e2e.matrix.model import FILE_NAME, Dialect, Stop
from tests.e2e.matrix.run import Cell
from tests.e2e.matrix.scenarios import SCENARIOS

__all__ = [
    "ANSWER",
    "added_words",
    "dropped",
    "keeps_state",
    "shows_thoughts",
    "stop",
    "stops_early",
    "vendor_refuses",
]

#: The simulator's answer to anything that it need not think up otherwise.
ANSWER = re.compile(
    r"You sent (?P<chars>\d+) characters of text in \d+ messages?\."
    r" This is the ByteSpike simulator answering: no model was asked\. Voilà\."
)

#: Where each client says when to stop. Responses has no such field, so there it is one that nobody
#: knows.
_STOP_FIELDS: dict[Dialect, str] = {
    "anthropic": "stop_sequences",
    "openai_chat": "stop",
    "openai_responses": "stop",
    "gemini": "generationConfig.stopSequences",
}
#: OpenAI shows no thoughts in Chat, however one asks for them. (Chat's clients cannot ask.)
_SHOW_FIELDS: dict[Dialect, list[str]] = {
    "anthropic": ["thinking.display"],
    "openai_chat": [],
    "openai_responses": ["reasoning.summary"],
    "gemini": ["generationConfig.thinkingConfig.includeThoughts"],
}
#: Gemini wants its signatures back but reads no thoughts, its own neither.
_THOUGHT_FIELDS: dict[Dialect, list[str]] = {
    "anthropic": ["messages[].content[].thinking"],
    "openai_chat": ["messages[].reasoning_content"],
    "openai_responses": ["input[].summary"],
    "gemini": [],
}
_CALLS = {"parallel-tools", "thinking-tools"}


def vendor_refuses(cell: Cell) -> str:
    """The vendor's words where a relayed request is refused; empty otherwise."""
    if cell.scenario == "stop-sequence" and cell.client == cell.upstream == "openai_responses":
        return "Unknown parameter: 'stop'"
    return ""


def dropped(cell: Cell, number: int) -> list[str]:
    """What ``X-ByteSpike-Dropped`` names for the request of this number (emulations aside)."""
    if cell.relayed:
        return []
    if cell.scenario == "stop-sequence" and not stops_early(cell):
        return [_STOP_FIELDS[cell.client]]
    if cell.scenario == "thinking-tools" and cell.upstream == "openai_chat":
        return _SHOW_FIELDS[cell.client]
    if cell.scenario == "thinking-tools" and cell.upstream == "gemini" and number == 1:
        return _THOUGHT_FIELDS[cell.client]
    return []


def added_words(cell: Cell) -> str:
    """What the vendor reads beside the client's own words: Gemini's documents have no name."""
    named = cell.client in {"openai_chat", "openai_responses"}
    return FILE_NAME if cell.scenario == "pdf" and named and cell.upstream == "gemini" else ""


def stops_early(cell: Cell) -> bool:
    """Whether both dialects have stop sequences."""
    return "openai_responses" not in (cell.client, cell.upstream)


def stop(cell: Cell, number: int) -> Stop:
    """Why the answer ends, as precisely as both dialects can say it."""
    if cell.scenario in _CALLS and number == 0:
        return "calls"
    if cell.scenario == "stop-sequence":
        # Only Anthropic tells a stop sequence from an ordinary end.
        return "stop_sequence" if cell.client == cell.upstream == "anthropic" else "end"
    return {"max-tokens": "max_tokens", "refusal": "refusal"}.get(cell.scenario, "end")  # type: ignore[return-value]


def shows_thoughts(cell: Cell) -> bool:
    """Whether the client gets to read what the model thought."""
    if not SCENARIOS[cell.scenario].ask.thinking or cell.upstream == "openai_chat":
        return False
    # A Chat client has no way to ask for the summary that Responses gives only when asked.
    return (cell.client, cell.upstream) != ("openai_chat", "openai_responses")


def keeps_state(cell: Cell) -> bool:
    """Whether there is opaque state that must come back to the vendor: Chat has none."""
    return cell.scenario == "thinking-tools" and cell.upstream != "openai_chat"
