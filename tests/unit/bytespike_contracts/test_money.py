"""Integer money: one price, one rounding, exact text in both directions."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bytespike_contracts.money import (
    Rates,
    TokenUsage,
    format_usd,
    parse_ppm,
    parse_usd,
    price,
)

SONNET = Rates(
    input_uusd=3_000_000,
    output_uusd=15_000_000,
    cache_read_uusd=300_000,
    cache_write_5m_uusd=3_750_000,
    cache_write_1h_uusd=6_000_000,
    web_search_uusd=10_000_000,
)

counts = st.integers(0, 10_000_000)
amounts = st.integers(0, 100_000_000)
usages = st.builds(
    TokenUsage,
    input_tokens=counts,
    cache_write_5m_tokens=counts,
    cache_write_1h_tokens=counts,
    cache_read_tokens=counts,
    output_tokens=counts,
    web_searches=st.integers(0, 100),
)
rates = st.builds(
    Rates,
    input_uusd=amounts,
    output_uusd=amounts,
    cache_read_uusd=amounts,
    cache_write_5m_uusd=amounts,
    cache_write_1h_uusd=amounts,
    web_search_uusd=amounts,
    multiplier_ppm=st.integers(1, 10_000_000),
)


@pytest.mark.parametrize(
    ("usage", "expected_uusd"),
    [
        (TokenUsage(), 0),
        (TokenUsage(input_tokens=1_000_000), 3_000_000),
        (TokenUsage(input_tokens=10, output_tokens=2), 60),
        (TokenUsage(cache_write_5m_tokens=1000, cache_write_1h_tokens=1000), 9_750),
        (TokenUsage(cache_read_tokens=1), 0),  # 0.3 uUSD rounds down
        (TokenUsage(cache_read_tokens=2), 1),  # 0.6 rounds up
        (TokenUsage(web_searches=3), 30_000),  # 10 USD per thousand uses
        (TokenUsage(output_tokens=5, reasoning_tokens=4), 75),  # reasoning is inside output
    ],
)
def test_price_of_known_requests(usage: TokenUsage, expected_uusd: int) -> None:
    assert price(usage, SONNET) == expected_uusd


def test_half_a_micro_usd_rounds_up() -> None:
    half = Rates(
        input_uusd=500_000,
        output_uusd=0,
        cache_read_uusd=0,
        cache_write_5m_uusd=0,
        cache_write_1h_uusd=0,
    )
    assert price(TokenUsage(input_tokens=1), half) == 1


def test_rounding_happens_once_not_per_kind() -> None:
    third = Rates(
        input_uusd=400_000,
        output_uusd=400_000,
        cache_read_uusd=400_000,
        cache_write_5m_uusd=0,
        cache_write_1h_uusd=0,
    )
    usage = TokenUsage(input_tokens=1, output_tokens=1, cache_read_tokens=1)
    assert price(usage, third) == 1  # 1.2 in all; per kind it would have been 0


@given(usages, rates)
def test_price_equals_exact_arithmetic_rounded_half_up(usage: TokenUsage, rate: Rates) -> None:
    exact = Fraction(rate.multiplier_ppm, 10**6) * (
        Fraction(
            usage.input_tokens * rate.input_uusd
            + usage.output_tokens * rate.output_uusd
            + usage.cache_read_tokens * rate.cache_read_uusd
            + usage.cache_write_5m_tokens * rate.cache_write_5m_uusd
            + usage.cache_write_1h_tokens * rate.cache_write_1h_uusd,
            10**6,
        )
        + Fraction(usage.web_searches * rate.web_search_uusd, 1000)
    )
    floor = exact.numerator // exact.denominator
    assert price(usage, rate) == floor + (exact - floor >= Fraction(1, 2))


@given(usages, usages, rates)
def test_more_usage_never_costs_less(small: TokenUsage, more: TokenUsage, rate: Rates) -> None:
    total = TokenUsage(
        **{
            field: getattr(small, field) + getattr(more, field)
            for field in TokenUsage.__struct_fields__
        }
    )
    assert price(total, rate) >= price(small, rate) >= 0


def test_negative_counts_cannot_be_built() -> None:
    with pytest.raises(ValueError, match="output_tokens is negative"):
        TokenUsage(output_tokens=-1)


@pytest.mark.parametrize(
    ("amount_uusd", "text"),
    [
        (192_400_000, "192.40"),
        (18, "0.000018"),
        (0, "0.00"),
        (50_000_000, "50.00"),
        (1_500_000, "1.50"),
        (1_234_567, "1.234567"),
        (-7_800_000, "-7.80"),
    ],
)
def test_amounts_as_text(amount_uusd: int, text: str) -> None:
    assert format_usd(amount_uusd) == text
    assert parse_usd(text) == amount_uusd


@given(st.integers(-(10**15), 10**15))
def test_text_round_trip(amount_uusd: int) -> None:
    assert parse_usd(format_usd(amount_uusd)) == amount_uusd


@pytest.mark.parametrize(
    "text", ["", ".5", "1e3", "1.", "1.1234567", "NaN", "1,5", " 1", "+1", "\uff11"]
)
def test_only_plain_decimals_are_amounts(text: str) -> None:
    with pytest.raises(ValueError, match=r"USD|decimal"):
        parse_usd(text)


def test_multipliers_are_positive() -> None:
    assert parse_ppm("0.8") == 800_000
    with pytest.raises(ValueError, match="above zero"):
        parse_ppm("0")
