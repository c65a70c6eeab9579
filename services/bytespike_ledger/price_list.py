"""The public price list: the rates that charge, with the day each of them was first in force."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from bytespike_contracts.catalogue import Catalogue, Model
from bytespike_contracts.money import Rates
from bytespike_ledger.store import Pool, connection
from bytespike_ledger.store import prices as store
from bytespike_runtime.unavailable import Unavailable

__all__ = ["PriceList", "Priced"]


@dataclass(frozen=True, slots=True)
class Priced:
    """One model that has a price; ``updated_at`` is when this price was first in the catalogue."""

    model: Model
    rates: Rates
    updated_at: datetime


class PriceList:
    """Prices by group; Postgres is asked once per price revision, for the dates alone."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._revision = ""
        self._dates: Mapping[tuple[str, str], datetime] = {}

    async def prices(self, catalogue: Catalogue, group: str | None) -> list[Priced]:
        """What every priced model costs, in the catalogue's order: in a group those it may use at
        its own prices, without one all at list price.

        Raises ``Unavailable`` while the dates of a new revision cannot be read.
        """
        dates = await self._dates_of(catalogue.revision)
        found = []
        for model in catalogue.models.values():
            if model.price is None or (group and not catalogue.in_group(group, model.id)):
                continue
            multiplied = None if group is None else catalogue.rates(group, model.id)
            groups = list(catalogue.groups) if group is None else [group]
            since = [dates[name, model.id] for name in groups if (name, model.id) in dates]
            if since:
                rates = multiplied or model.price.rates()
                found.append(Priced(model, rates, min(since)))
        return found

    async def _dates_of(self, revision: str) -> Mapping[tuple[str, str], datetime]:
        if revision != self._revision:
            async with connection(self._pool) as conn:
                dates = await store.first_seen(conn, revision)
            if not dates:
                raise Unavailable("the prices are being stored")
            self._revision, self._dates = revision, dates
        return self._dates
