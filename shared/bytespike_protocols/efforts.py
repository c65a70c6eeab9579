"""A budget of thinking tokens as a level of effort, for vendors that know levels alone.

The bounds lie between the budgets that Google's own compatibility layer gives to the levels (1,024,
8,192 and 24,576 tokens). ``minimal`` is nobody's: the models of today no longer take it everywhere,
and what a budget asks for is at least some thought.
"""

from __future__ import annotations

from typing import Final

from bytespike_protocols.ir import Effort

__all__ = ["EFFORT_BY_BUDGET", "effort_of_budget"]

#: Budgets up to (tokens) -> level; more is high.
EFFORT_BY_BUDGET: Final = ((0, Effort.NONE), (4_096, Effort.LOW), (16_384, Effort.MEDIUM))


def effort_of_budget(budget_tokens: int) -> Effort:
    """The level that comes nearest to a budget of thinking tokens."""
    for most, effort in EFFORT_BY_BUDGET:
        if budget_tokens <= most:
            return effort
    return Effort.HIGH
