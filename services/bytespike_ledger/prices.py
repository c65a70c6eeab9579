"""Prices by revision: what a request cost then, whatever the catalogue says now.

The ledger stores the price table of every catalogue it has seen, before anything can be charged by
it, and never changes one. An event of a revision that no ledger has seen yet is not guessed: the
consumer asks :meth:`PriceBook.learn` and, failing that, puts the event back for a while.
"""

from __future__ import annotations

from collections import OrderedDict

from bytespike_contracts.catalogue import Catalogue
from bytespike_contracts.money import Rates
from bytespike_ledger.store import Pool, connection
from bytespike_ledger.store import prices as store

__all__ = ["PriceBook"]

#: A revision is a few KiB; events are priced within seconds, so the last few are all that is asked.
_REVISIONS_IN_MEMORY = 64

Table = dict[tuple[str, str], Rates]


class PriceBook:
    """Rates of (revision, group, model), remembered in process and backed by Postgres."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._tables: OrderedDict[str, Table] = OrderedDict()

    def rates(self, revision: str, group: str, model: str) -> Rates | None:
        """The rates, or None if this process does not know them (yet)."""
        return self._tables.get(revision, {}).get((group, model))

    async def register(self, catalogue: Catalogue) -> None:
        """Store the catalogue's prices under its revision; a known revision is left alone."""
        table = {
            (group, model): rates
            for group, models in catalogue.price_table().items()
            for model, rates in models.items()
        }
        async with connection(self._pool) as conn:
            await store.insert_revision(conn, catalogue.revision, table)
        self._remember(catalogue.revision, table)

    async def learn(self, revision: str) -> None:
        """Look for a revision another ledger has registered."""
        async with connection(self._pool) as conn:
            table = await store.revision_table(conn, revision)
        if table:
            self._remember(revision, table)

    def _remember(self, revision: str, table: Table) -> None:
        self._tables[revision] = table
        self._tables.move_to_end(revision)
        while len(self._tables) > _REVISIONS_IN_MEMORY:
            self._tables.popitem(last=False)
