"""Charges split by kind of token: nothing lost, nothing invented, nothing put where it cost nil."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bytespike_contracts.money import CostParts, Rates, TokenUsage, price, split_charge

_COUNTS = st.integers(0, 2_000_000)
_USAGE = st.builds(
    TokenUsage,
    input_tokens=_COUNTS,
    cache_write_5m_tokens=_COUNTS,
    cache_write_1h_tokens=_COUNTS,
    cache_read_tokens=_COUNTS,
    output_tokens=_COUNTS,
    web_searches=st.integers(0, 50),
)
_RATE = st.integers(0, 100_000_000)
_RATES = st.builds(
    Rates,
    input_uusd=_RATE,
    output_uusd=_RATE,
    cache_read_uusd=_RATE,
    cache_write_5m_uusd=_RATE,
    cache_write_1h_uusd=_RATE,
    web_search_uusd=_RATE,
    multiplier_ppm=st.integers(1, 5_000_000),
)


def _costs(usage: TokenUsage, rates: Rates) -> list[int]:
    """What each kind costs in millionths of millionths, written down once more."""
    return [
        usage.input_tokens * rates.input_uusd,
        usage.cache_write_5m_tokens * rates.cache_write_5m_uusd
        + usage.cache_write_1h_tokens * rates.cache_write_1h_uusd,
        usage.cache_read_tokens * rates.cache_read_uusd,
        usage.output_tokens * rates.output_uusd,
        usage.web_searches * rates.web_search_uusd * 1000,
    ]


@given(_USAGE, _RATES, st.integers(1, 1_000))
def test_parts_are_the_charge_in_proportion(usage: TokenUsage, rates: Rates, covered: int) -> None:
    costs = _costs(usage, rates)
    assume(sum(costs))
    charge_uusd = int(price(usage, rates)) * covered // 1_000  # also what a balance cut short
    parts = split_charge(charge_uusd, usage, rates)

    assert sum(parts) == charge_uusd
    for part, cost in zip(parts, costs, strict=True):
        exact = charge_uusd * cost
        assert exact // sum(costs) <= part <= -(-exact // sum(costs))
    for part, cost in zip(parts, costs, strict=True):
        for other, dearer in zip(parts, costs, strict=True):
            assert cost >= dearer or part <= other, "what cost less is never charged more"


@given(_USAGE, _RATES)
def test_nothing_splits_into_nothing(usage: TokenUsage, rates: Rates) -> None:
    assert split_charge(0, usage, rates) == CostParts(0, 0, 0, 0, 0)


def test_leftovers_go_to_the_largest_remainders_first_kind_first() -> None:
    rates = Rates(
        input_uusd=1,
        output_uusd=1,
        cache_read_uusd=1,
        cache_write_5m_uusd=1,
        cache_write_1h_uusd=1,
    )
    thirds = TokenUsage(input_tokens=1, cache_read_tokens=1, output_tokens=1)
    assert split_charge(4, thirds, rates) == CostParts(2, 0, 1, 1, 0)
    uneven = TokenUsage(input_tokens=1, output_tokens=2)
    assert split_charge(2, uneven, rates) == CostParts(1, 0, 0, 1, 0)


def test_a_charge_for_what_has_no_price_is_a_contradiction() -> None:
    free = Rates(
        input_uusd=0, output_uusd=0, cache_read_uusd=0, cache_write_5m_uusd=0, cache_write_1h_uusd=0
    )
    with pytest.raises(ValueError, match="price"):
        split_charge(1, TokenUsage(input_tokens=5), free)
