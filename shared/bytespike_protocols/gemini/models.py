"""What differs between generations of Gemini: how effort is said, and which schemas are read.

Budgets and levels exclude each other, and the wrong one is refused; a name without a version
(``gemini-flash-latest``) is taken for the newest generation.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from bytespike_protocols.efforts import effort_of_budget
from bytespike_protocols.ir import Effort, Reasoning

__all__ = ["Generation", "generation", "is_spelled_for", "thinking_config"]

_VERSION = re.compile(r"gemini-(\d+)(?:\.(\d+))?")
_NEWEST = (9, 0)

#: As Google's own compatibility layer maps OpenAI's efforts; 24,576 is the cap of 2.5 Flash.
_BUDGETS = {
    Effort.NONE: 0,
    Effort.MINIMAL: 1024,
    Effort.LOW: 1024,
    Effort.MEDIUM: 8192,
    Effort.HIGH: 24576,
    Effort.XHIGH: 24576,
    Effort.MAX: 24576,
}
_BUDGET_RANGE = (0, 24576)
#: 2.5 Pro cannot stop thinking.
_BUDGET_RANGE_PRO = (128, 32768)

_LEVEL_NAMES = {
    Effort.NONE: "MINIMAL",
    Effort.MINIMAL: "MINIMAL",
    Effort.LOW: "LOW",
    Effort.MEDIUM: "MEDIUM",
    Effort.HIGH: "HIGH",
    Effort.XHIGH: "HIGH",
    Effort.MAX: "HIGH",
}


class Generation(msgspec.Struct, frozen=True):
    """What to reckon with for one model."""

    version: tuple[int, int]
    pro: bool

    @property
    def thinks_by_level(self) -> bool:
        """Gemini 3 on; these also insist on thought signatures and take media in results."""
        return self.version >= (3, 0)

    @property
    def thinks(self) -> bool:
        """Whether there is anything to configure."""
        return self.version >= (2, 5)

    @property
    def formats_beside_tools(self) -> bool:
        """Whether an answer in JSON may be asked for where functions are declared."""
        return self.thinks_by_level

    @property
    def reads_json_schema(self) -> bool:
        """Whether ``parametersJsonSchema`` and ``responseJsonSchema`` are understood."""
        return self.version >= (2, 5)


def generation(model: str) -> Generation:
    """By the vendor's name of the model."""
    match = _VERSION.search(model)
    version = _NEWEST if match is None else (int(match[1]), int(match[2] or 0))
    return Generation(version, "-pro" in model)


def thinking_config(reasoning: Reasoning, model: Generation) -> tuple[dict[str, Any], bool]:
    """``thinkingConfig`` for a wish from another dialect, and whether it stayed within
    what the model can do. Efforts and budgets turn into one another by the tables above.
    """
    if not model.thinks:
        return {}, reasoning.mode == "off"
    if model.thinks_by_level:
        config, exact = _level(reasoning, model)
    else:
        config, exact = _budget(reasoning, model)
    if reasoning.mode != "off" and reasoning.show is not False:
        config["includeThoughts"] = True
    return config, exact


def is_spelled_for(model: Generation, reasoning: Reasoning) -> bool:
    """Whether a Gemini client's own spelling, level or budget, is the one this model reads."""
    if model.thinks_by_level:
        return reasoning.mode in ("effort", "adaptive")
    return reasoning.mode != "effort" or not model.thinks


def _level(reasoning: Reasoning, model: Generation) -> tuple[dict[str, Any], bool]:
    effort = Effort.NONE if reasoning.mode == "off" else reasoning.effort
    by_budget = effort is None and reasoning.budget_tokens is not None
    if by_budget:
        effort = effort_of_budget(reasoning.budget_tokens or 0)
    if effort is None:
        return {}, True
    name = _LEVEL_NAMES[effort]
    if model.pro and name == "MINIMAL":
        name = "LOW"
    if model.pro and model.version == (3, 0) and name == "MEDIUM":
        name = "HIGH"
    return {"thinkingLevel": name}, name == effort.value.upper() and not by_budget


def _budget(reasoning: Reasoning, model: Generation) -> tuple[dict[str, Any], bool]:
    wanted = 0 if reasoning.mode == "off" else reasoning.budget_tokens
    if wanted is None and reasoning.effort is not None:
        wanted = _BUDGETS[reasoning.effort]
    if wanted is None:
        return {"thinkingBudget": -1}, True
    least, most = _BUDGET_RANGE_PRO if model.pro else _BUDGET_RANGE
    budget = min(max(wanted, least), most)
    beyond = reasoning.effort in (Effort.XHIGH, Effort.MAX)
    return {"thinkingBudget": budget}, budget == wanted and not beyond
