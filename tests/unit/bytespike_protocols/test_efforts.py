"""Budgets as levels: one table for every dialect that knows levels alone."""

from __future__ import annotations

import json

import pytest

from bytespike_protocols.efforts import effort_of_budget
from bytespike_protocols.ir import Dialect, Effort
from tests.support.loss_policy.reality import CODECS, translate


@pytest.mark.parametrize(
    ("budget_tokens", "effort"),
    [
        (0, Effort.NONE),
        (1, Effort.LOW),
        (4_096, Effort.LOW),
        (4_097, Effort.MEDIUM),
        (16_384, Effort.MEDIUM),
        (16_385, Effort.HIGH),
        (10_000_000, Effort.HIGH),
    ],
)
def test_the_nearest_level(budget_tokens: int, effort: Effort) -> None:
    assert effort_of_budget(budget_tokens) is effort


@pytest.mark.parametrize("budget_tokens", [1024, 5000, 60_000])
def test_all_vendors_are_told_the_same(budget_tokens: int) -> None:
    asked = {
        "model": "m",
        "max_tokens": 64_000,
        "messages": [{"role": "user", "content": "hi"}],
        "thinking": {"type": "enabled", "budget_tokens": budget_tokens},
    }
    chat, responses, gemini = (
        json.loads(translate(Dialect.ANTHROPIC, CODECS[target], asked).body)
        for target in (Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES, Dialect.GEMINI)
    )
    told = effort_of_budget(budget_tokens)
    assert chat["reasoning_effort"] == told
    assert responses["reasoning"]["effort"] == told
    assert gemini["generationConfig"]["thinkingConfig"]["thinkingLevel"] == told.upper()
