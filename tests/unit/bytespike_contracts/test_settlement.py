"""The success table, row by row."""

from __future__ import annotations

import pytest

from bytespike_contracts.money import Rates, TokenUsage
from bytespike_contracts.settlement import CLIENT_SUCCESS, Outcome, charge

RATES = Rates(
    input_uusd=3_000_000,
    output_uusd=15_000_000,
    cache_read_uusd=0,
    cache_write_5m_uusd=0,
    cache_write_1h_uusd=0,
)
USAGE = TokenUsage(input_tokens=100, output_tokens=10)


@pytest.mark.parametrize(
    ("outcome", "expected_uusd"),
    [
        (Outcome.COMPLETED, 450),
        (Outcome.CLIENT_LEFT_LATE, 450),
        (Outcome.USAGE_UNKNOWN, 0),
        (Outcome.FAILED, 0),
        (Outcome.BROKE_UPSTREAM, 0),
        (Outcome.FILTERED, 0),
        (Outcome.CLIENT_LEFT_EARLY, 0),
    ],
)
def test_every_row(outcome: Outcome, expected_uusd: int) -> None:
    assert charge(outcome, USAGE, RATES) == expected_uusd


def test_the_table_covers_every_outcome() -> None:
    assert all(charge(outcome, USAGE, RATES) >= 0 for outcome in Outcome)


@pytest.mark.parametrize("outcome", [Outcome.COMPLETED, Outcome.CLIENT_LEFT_LATE])
def test_a_billed_outcome_without_usage_is_a_bug_not_a_guess(outcome: Outcome) -> None:
    with pytest.raises(ValueError, match="needs usage"):
        charge(outcome, None, RATES)


def test_free_rows_do_not_look_at_usage() -> None:
    assert charge(Outcome.USAGE_UNKNOWN, None, RATES) == 0


def test_only_failures_are_hidden_from_the_usage_list() -> None:
    assert frozenset({Outcome.FAILED}) == frozenset(Outcome) - CLIENT_SUCCESS
