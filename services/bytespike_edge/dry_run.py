"""The answer to ``X-ByteSpike-Dry-Run: true``: what a request could cost at most. Pure."""

from __future__ import annotations

import msgspec

from bytespike_contracts.money import Rates, TokenUsage, format_usd, price
from bytespike_edge.worst_case import WorstCase

__all__ = ["dry_run_body"]

_TOKEN_KINDS = (
    ("input", "input_tokens"),
    ("cache_write_5m", "cache_write_5m_tokens"),
    ("cache_write_1h", "cache_write_1h_tokens"),
    ("output", "output_tokens"),
)


def dry_run_body(model: str, bound: WorstCase, rates: Rates) -> bytes:
    """JSON with amounts as exact USD decimals. Parts are rounded one by one, the total once, so the
    parts may add up to a micro-USD more or less.
    """
    breakdown = [
        _part(kind, TokenUsage(**{field: quantity}), rates, quantity=quantity, unit="token")
        for kind, field in _TOKEN_KINDS
        if (quantity := getattr(bound.usage, field))
    ]
    if searches := bound.usage.web_searches:
        usage = TokenUsage(web_searches=searches)
        breakdown.append(_part("web_search", usage, rates, quantity=searches, unit="use"))
    return msgspec.json.encode(
        {
            "estimated_credits": _decimal(bound.amount_uusd),
            "input_tokens": bound.input_tokens,
            "model": model,
            "breakdown": breakdown,
        }
    )


def _part(
    kind: str, usage: TokenUsage, rates: Rates, *, quantity: int, unit: str
) -> dict[str, object]:
    credits = _decimal(price(usage, rates))
    return {"kind": kind, "quantity": quantity, "unit": unit, "credits": credits}


def _decimal(amount_uusd: int) -> msgspec.Raw:
    """A JSON number with the exact digits of the amount; no float is involved."""
    return msgspec.Raw(format_usd(amount_uusd).encode())
