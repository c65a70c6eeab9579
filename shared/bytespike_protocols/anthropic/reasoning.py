"""How hard to think: the bridge between levels, token budgets and what a Claude model takes.

Levels are for models that think adaptively, budgets for the older ones; each turns into the other
by one table. Whatever was rounded on the way is reported.
"""

from __future__ import annotations

from bytespike_protocols.anthropic.draft import Draft, Wire
from bytespike_protocols.anthropic.models import MIN_THINKING_TOKENS
from bytespike_protocols.ir import Effort, Reasoning

__all__ = ["budget_of", "effort_of", "encode_own", "fit"]

#: A level as a budget. A budget as a level: the lowest one whose budget covers it.
_BUDGETS = {
    Effort.MINIMAL: 1024,
    Effort.LOW: 2048,
    Effort.MEDIUM: 8192,
    Effort.HIGH: 16384,
    Effort.XHIGH: 32768,
    Effort.MAX: 65536,
}
_DEFAULT_EFFORT = Effort.MEDIUM
#: Levels no Claude model has, and what stands in for a level a model lacks.
_NEAREST = {Effort.MINIMAL: Effort.LOW, Effort.XHIGH: Effort.HIGH, Effort.MAX: Effort.HIGH}
_PATH = "reasoning"


def budget_of(effort: Effort) -> int:
    """Tokens a level may think for; 0 for none."""
    return _BUDGETS.get(effort, 0)


def effort_of(budget_tokens: int) -> Effort:
    """The level that stands for a budget."""
    covering = (effort for effort, budget in _BUDGETS.items() if budget >= budget_tokens)
    return next(covering, Effort.MAX)


def encode_own(draft: Draft, reasoning: Reasoning) -> Wire:
    """As an Anthropic client said it: fields of the body, ``effort`` being one of its
    ``output_config``.
    """
    thinking: Wire | None
    match reasoning.mode:
        case "budget":
            thinking = {"type": "enabled", "budget_tokens": reasoning.budget_tokens}
        case "adaptive":
            thinking = {"type": "adaptive"}
        case "off":
            thinking = {"type": "disabled"}
        case _:
            thinking = None
    fields: Wire = {}
    if thinking is not None:
        fields["thinking"] = draft.finish("thinking", thinking | _display(reasoning))
    if reasoning.effort is not None:
        fields["effort"] = reasoning.effort.value
    return fields


def fit(draft: Draft, reasoning: Reasoning, *, max_tokens: int, forbidden: bool) -> Wire:
    """Fitted to the model; the same fields. ``forbidden``: a manual budget would be refused with
    this history or tool choice.
    """
    if reasoning.mode == "off" or reasoning.effort is Effort.NONE:
        able = draft.abilities.budget or draft.abilities.adaptive
        return {"thinking": {"type": "disabled"}} if able else {}
    if draft.abilities.adaptive:
        return _adaptive(draft, reasoning)
    if not draft.abilities.budget or forbidden or max_tokens <= MIN_THINKING_TOKENS:
        draft.lose(_PATH)
        return {}
    return _budget(draft, reasoning, max_tokens)


def _adaptive(draft: Draft, reasoning: Reasoning) -> Wire:
    fields: Wire = {"thinking": {"type": "adaptive"} | _display(reasoning)}
    wanted = reasoning.effort
    if reasoning.mode == "budget" and reasoning.budget_tokens is not None:
        wanted = effort_of(reasoning.budget_tokens)
        draft.lose(f"{_PATH}.budget_tokens", "emulated")
    if wanted is not None:
        level = wanted if wanted in draft.abilities.levels else _NEAREST.get(wanted, wanted)
        if level is not reasoning.effort and reasoning.mode != "budget":
            draft.lose(f"{_PATH}.effort", "emulated")
        fields["effort"] = level.value
    return fields


def _budget(draft: Draft, reasoning: Reasoning, max_tokens: int) -> Wire:
    wanted = reasoning.budget_tokens
    if wanted is None:
        wanted = budget_of(reasoning.effort or _DEFAULT_EFFORT)
        draft.lose(f"{_PATH}.effort" if reasoning.effort else _PATH, "emulated")
        granted = _within(wanted, max_tokens)
    else:
        granted = _within(wanted, max_tokens)
        if granted != wanted:
            draft.lose(f"{_PATH}.budget_tokens", "emulated")
    return {"thinking": {"type": "enabled", "budget_tokens": granted} | _display(reasoning)}


def _within(budget: int, max_tokens: int) -> int:
    return max(MIN_THINKING_TOKENS, min(budget, max_tokens - 1))


def _display(reasoning: Reasoning) -> Wire:
    if reasoning.show is None:
        return {}
    return {"display": "summarized" if reasoning.show else "omitted"}
