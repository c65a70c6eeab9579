"""``GET /api/pricing``: what models cost, for everybody to read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from bytespike_contracts.catalogue import Catalogue
from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_ledger.api.call import Call, Reply
from bytespike_ledger.api.rates import ModelRates, model_rates
from bytespike_ledger.api.route import Access, Route
from bytespike_ledger.api.wire import Request, Timestamp, timestamp_of
from bytespike_ledger.catalogue import CatalogueWatch
from bytespike_ledger.price_list import Priced, PriceList

__all__ = ["PricingApi"]

#: Prices change some days apart. Whoever must know what the next request costs asks for a dry run.
_HEADERS = {"cache-control": "public, max-age=300"}
_NAME_SHOWN = 100


class PricingQuery(Request, frozen=True, kw_only=True):
    """Prices of a public group instead of the list prices."""

    group: Annotated[str, Meta(max_length=64, description="a public group")] | None = None


class ModelPrice(msgspec.Struct, frozen=True, kw_only=True):
    """``updated_at`` is when this price was first in force."""

    model: str
    category: Literal["text"]
    vendor: str
    rates: ModelRates
    updated_at: Timestamp


@dataclass(frozen=True, kw_only=True)
class PricingApi:
    """The handlers."""

    prices: PriceList
    catalogue: CatalogueWatch

    def routes(self) -> list[Route]:
        """``/api/pricing`` and ``/api/pricing/{model}``."""
        return [
            Route(
                method="GET",
                path="/api/pricing",
                handler=self.list,
                summary="What models cost: list prices, or those of a public group",
                tag="pricing",
                access=Access.PUBLIC,
                query=PricingQuery,
                reply=list[ModelPrice],
                also=(404,),
            ),
            Route(
                method="GET",
                path="/api/pricing/{model}",
                handler=self.get,
                summary="What one model costs, by its id or any name it answers to",
                tag="pricing",
                access=Access.PUBLIC,
                query=PricingQuery,
                reply=ModelPrice,
            ),
        ]

    async def list(self, call: Call) -> Reply:
        catalogue = self.catalogue.current
        group = _public_group(catalogue, call.query)
        found = await self.prices.prices(catalogue, group)
        return Reply([_price(priced) for priced in found], headers=_HEADERS)

    async def get(self, call: Call) -> Reply:
        catalogue = self.catalogue.current
        group = _public_group(catalogue, call.query)
        name = call.ids["model"]
        model = catalogue.resolve(name)
        for priced in await self.prices.prices(catalogue, group):
            if model is not None and priced.model.id == model.id:
                return Reply(_price(priced), headers=_HEADERS)
        raise GatewayError(
            ErrorCode.MODEL_NOT_FOUND, f"there is no price of {name[:_NAME_SHOWN]!r}"
        )


def _public_group(catalogue: Catalogue, query: PricingQuery) -> str | None:
    if query.group is None:
        return None
    group = catalogue.groups.get(query.group)
    if group is None or not group.public:
        raise GatewayError(ErrorCode.NOT_FOUND, f"no public group {query.group!r}", param="group")
    return group.id


def _price(priced: Priced) -> ModelPrice:
    return ModelPrice(
        model=priced.model.id,
        category="text",
        vendor=priced.model.vendor,
        rates=model_rates(priced.rates),
        updated_at=timestamp_of(priced.updated_at),
    )
