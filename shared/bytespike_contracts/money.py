"""Money: integer micro-USD, one price function, one rounding.

1 USD = 1,000,000 micro-USD (uUSD). Every amount in the system is an ``int`` of micro-USD; floats
never touch money. Rates are integers too: micro-USD per million tokens, and micro-USD per thousand
uses for server tools. A request is priced exactly once, by :func:`price`, which sums the numerators
of every token kind and rounds half-up to a whole micro-USD at the very end. The edge (worst case),
the router (finish) and the ledger (settle) all call it, so the three can only differ if their
inputs do.
"""

from __future__ import annotations

from typing import NamedTuple, NewType

import msgspec

__all__ = [
    "MAX_UUSD",
    "UNLIMITED",
    "UUSD_PER_USD",
    "CostParts",
    "MicroUsd",
    "Rates",
    "TokenUsage",
    "format_usd",
    "parse_ppm",
    "parse_usd",
    "price",
    "split_charge",
]

MicroUsd = NewType("MicroUsd", int)

UUSD_PER_USD = 1_000_000
#: The largest integer a Lua number carries exactly (about nine billion USD): beyond it Redis could
#: not mirror an amount.
MAX_UUSD = 2**53 - 1
TOKENS_PER_RATE = 1_000_000
USES_PER_RATE = 1_000
PPM = 1_000_000

#: A cap of zero means "no cap", as the public API documents for every limit.
UNLIMITED = 0


class TokenUsage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one request consumed, in disjoint buckets (no token is counted in two of the first
    five).

    ``input_tokens`` excludes everything read from or written to a prompt cache; ``output_tokens``
    includes reasoning, of which ``reasoning_tokens`` is the informational share.
    """

    input_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    cache_read_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    web_searches: int = 0

    def __post_init__(self) -> None:
        least = min(
            self.input_tokens,
            self.cache_write_5m_tokens,
            self.cache_write_1h_tokens,
            self.cache_read_tokens,
            self.output_tokens,
            self.reasoning_tokens,
            self.web_searches,
        )
        if least < 0:
            names = [name for name in self.__struct_fields__ if getattr(self, name) < 0]
            raise ValueError(f"{names[0]} is negative")


class Rates(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The price of one model in one group: micro-USD per million tokens, already before the
    multiplier.

    ``multiplier_ppm`` is the group multiplier in parts per million (0.8x = 800,000).
    """

    input_uusd: int
    output_uusd: int
    cache_read_uusd: int
    cache_write_5m_uusd: int
    cache_write_1h_uusd: int
    web_search_uusd: int = 0  # per thousand uses
    multiplier_ppm: int = PPM


class CostParts(NamedTuple):
    """A charge by what it was for, in micro-USD; the parts sum to the charge."""

    input_uusd: int
    cache_write_uusd: int
    cache_read_uusd: int
    output_uusd: int
    web_search_uusd: int


NO_COST = CostParts(0, 0, 0, 0, 0)


def price(usage: TokenUsage, rates: Rates) -> MicroUsd:
    """The cost of ``usage`` at ``rates`` in whole micro-USD, rounded half-up once.

    Everything is brought to one denominator (a million tokens x a million ppm) before the single
    division, so no intermediate value is ever rounded.
    """
    numerator = sum(_numerators(usage, rates)) * rates.multiplier_ppm
    denominator = TOKENS_PER_RATE * PPM
    return MicroUsd((2 * numerator + denominator) // (2 * denominator))


def split_charge(charge_uusd: int, usage: TokenUsage, rates: Rates) -> CostParts:
    """What of a charge was for which kind of token; the parts sum to the charge.

    ``charge_uusd`` may be less than the price (a balance that did not cover it): it is shared out
    in proportion, and the micro-dollars lost to rounding go to the largest remainders, the first
    kind where they are equal. Nothing is ever put down to a kind that cost nothing. Raises
    ``ValueError`` for a charge on usage that costs nothing.
    """
    if charge_uusd == 0:
        return NO_COST
    weights = _numerators(usage, rates)
    total = sum(weights)
    if total == 0 or charge_uusd < 0:
        raise ValueError("a charge needs usage with a price")
    shares = [divmod(charge_uusd * weight, total) for weight in weights]
    parts = [whole for whole, _ in shares]
    for kind in sorted(range(len(shares)), key=lambda kind: -shares[kind][1])[
        : charge_uusd - sum(parts)
    ]:
        parts[kind] += 1
    return CostParts(*parts)


def _numerators(usage: TokenUsage, rates: Rates) -> tuple[int, int, int, int, int]:
    """Tokens times rate of each kind in the order of :class:`CostParts`, multiplier left out."""
    return (
        usage.input_tokens * rates.input_uusd,
        usage.cache_write_5m_tokens * rates.cache_write_5m_uusd
        + usage.cache_write_1h_tokens * rates.cache_write_1h_uusd,
        usage.cache_read_tokens * rates.cache_read_uusd,
        usage.output_tokens * rates.output_uusd,
        usage.web_searches * rates.web_search_uusd * (TOKENS_PER_RATE // USES_PER_RATE),
    )


def format_usd(amount_uusd: int) -> str:
    """``192400000`` -> ``"192.40"``, ``18`` -> ``"0.000018"``: 2 to 6 digits after the point,
    exact.
    """
    sign = "-" if amount_uusd < 0 else ""
    whole, micros = divmod(abs(amount_uusd), UUSD_PER_USD)
    digits = f"{micros:06d}".rstrip("0").ljust(2, "0")
    return f"{sign}{whole}.{digits}"


def parse_usd(text: str) -> MicroUsd:
    """``"12.5"`` -> ``12500000``. Raises ``ValueError`` on anything but a plain decimal of at most
    6 places.
    """
    sign, body = (-1, text[1:]) if text.startswith("-") else (1, text)
    whole, point, fraction = body.partition(".")
    if not whole.isascii() or not whole.isdigit() or (point and not fraction.isdigit()):
        raise ValueError(f"not an amount in USD: {text!r}")
    if not fraction.isascii() or len(fraction) > 6:
        raise ValueError(f"more than six decimal places: {text!r}")
    return MicroUsd(sign * (int(whole) * UUSD_PER_USD + int(fraction.ljust(6, "0") or "0")))


def parse_ppm(text: str) -> int:
    """A multiplier such as ``"0.8"`` as parts per million; must be positive."""
    ppm = int(parse_usd(text))
    if ppm <= 0:
        raise ValueError(f"a multiplier must be above zero: {text!r}")
    return ppm
