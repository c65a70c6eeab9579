"""Prices as the API shows them: the catalogue's own integers, written out exactly."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw

from bytespike_contracts.money import PPM, UUSD_PER_USD, Rates

__all__ = ["ModelRates", "model_rates"]

#: Up to twelve places: a price times a multiplier is shown as it is charged, not rounded.
ExactUsd = Annotated[
    Raw,
    Meta(description="USD, exact", extra_json_schema={"type": "number", "minimum": 0}),
]


class ModelRates(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Prices per million tokens; ``cache_write_per_1m`` is for writes that live 5 minutes,
    ``cache_write_1h_per_1m`` for an hour. ``web_search_per_1k`` is for a thousand uses, left out
    where searches cost nothing.
    """

    input_per_1m: ExactUsd
    cache_write_per_1m: ExactUsd
    cache_write_1h_per_1m: ExactUsd
    cache_read_per_1m: ExactUsd
    output_per_1m: ExactUsd
    currency: Literal["USD"]
    web_search_per_1k: ExactUsd | None = None


def model_rates(rates: Rates) -> ModelRates:
    """The price of one model with its group's multiplier in it."""

    def shown(amount_uusd: int) -> Raw:
        return _exact_usd(amount_uusd * rates.multiplier_ppm)

    return ModelRates(
        input_per_1m=shown(rates.input_uusd),
        cache_write_per_1m=shown(rates.cache_write_5m_uusd),
        cache_write_1h_per_1m=shown(rates.cache_write_1h_uusd),
        cache_read_per_1m=shown(rates.cache_read_uusd),
        output_per_1m=shown(rates.output_uusd),
        currency="USD",
        web_search_per_1k=shown(rates.web_search_uusd) if rates.web_search_uusd else None,
    )


def _exact_usd(amount: int) -> Raw:
    """``amount`` in millionths of a micro-USD -> ``0.243`` USD: 2 to 12 digits after the point."""
    whole, rest = divmod(amount, UUSD_PER_USD * PPM)
    return Raw(f"{whole}.{f'{rest:012d}'.rstrip('0').ljust(2, '0')}".encode())
