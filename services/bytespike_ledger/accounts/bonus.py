"""The bonus ladder: what a top-up brings beyond what was paid. Pure, in whole micro-USD.

Shares are parts per thousand, because the ladder has a step of 11.2 percent.
"""

from __future__ import annotations

from bytespike_contracts.money import UUSD_PER_USD

__all__ = ["LARGEST_CHECKOUT_UUSD", "SMALLEST_CHECKOUT_UUSD", "bonus_share", "bonus_uusd"]

#: What a customer can buy in one go. Operators book what they received, whatever it was.
SMALLEST_CHECKOUT_UUSD = 5 * UUSD_PER_USD
LARGEST_CHECKOUT_UUSD = 1_250 * UUSD_PER_USD

_PER_MILLE = 1_000
#: (from this many USD on, per mille), largest first.
_LADDER = ((1_000, 112), (500, 80), (100, 50), (20, 30))
_ON_TOP = {"pro": 50, "max": 112}


def bonus_uusd(amount_uusd: int, tier: str) -> int:
    """The bonus of a top-up for an account of ``tier``, rounded down.

    A tier's addition comes on top of the ladder, also below its first step.
    """
    step = next((share for usd, share in _LADDER if amount_uusd >= usd * UUSD_PER_USD), 0)
    return amount_uusd * (step + _ON_TOP.get(tier, 0)) // _PER_MILLE


def bonus_share(bonus: int, *, amount_uusd: int, refunded_uusd: int) -> int:
    """How much of a top-up's ``bonus`` is gone once ``refunded_uusd`` of ``amount_uusd`` are given
    back: proportional, rounded down, all of it with the last micro-USD.

    A partial refund takes the difference of two of these, so that parts add up exactly.
    """
    return bonus * refunded_uusd // amount_uusd
