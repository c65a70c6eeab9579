"""The ladder as the price page has it, and shares that add up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bytespike_contracts.money import parse_usd
from bytespike_ledger.accounts.bonus import bonus_share, bonus_uusd


@pytest.mark.parametrize(
    ("usd", "free", "pro", "max_"),
    [
        ("5", "0", "0.25", "0.56"),
        ("19.99", "0", "0.9995", "2.23888"),
        ("20", "0.6", "1.6", "2.84"),
        ("99.99", "2.9997", "7.9992", "14.19858"),
        ("100", "5", "10", "16.2"),
        ("499.99", "24.9995", "49.999", "80.99838"),
        ("500", "40", "65", "96"),
        ("999.99", "79.9992", "129.9987", "191.99808"),
        ("1000", "112", "162", "224"),
        ("1250", "140", "202.5", "280"),
    ],
)
def test_every_step_of_the_ladder(usd: str, free: str, pro: str, max_: str) -> None:
    for tier, bonus in (("free", free), ("enterprise", free), ("pro", pro), ("max", max_)):
        assert bonus_uusd(parse_usd(usd), tier) == parse_usd(bonus), tier


def test_it_is_rounded_down() -> None:
    assert bonus_uusd(20_000_033, "free") == 600_000
    assert bonus_uusd(20_000_034, "free") == 600_001
    assert bonus_uusd(1, "max") == 0


@given(
    amount=st.integers(1, 2**53), bonus=st.integers(0, 2**50), parts=st.lists(st.integers(1, 2**53))
)
def test_parts_of_a_refund_take_the_whole_bonus_and_no_more(
    amount: int, bonus: int, parts: list[int]
) -> None:
    refunded = taken = 0
    for part in [*parts, amount]:
        step = min(part, amount - refunded)
        before = bonus_share(bonus, amount_uusd=amount, refunded_uusd=refunded)
        refunded += step
        share = bonus_share(bonus, amount_uusd=amount, refunded_uusd=refunded) - before
        assert share >= 0
        taken += share
        assert taken <= bonus
    assert (refunded, taken) == (amount, bonus)
