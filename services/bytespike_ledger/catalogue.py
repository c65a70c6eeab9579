"""The catalogue as the ledger uses it: prices to store by revision, groups keys may be bound to.

A changed file is in force within a second, and its prices are stored as soon as Postgres takes
them; a bad one is refused with every problem logged and the last good one stays in force.
"""

from __future__ import annotations

import asyncio

from bytespike_contracts.catalogue import Catalogue, parse_catalogue
from bytespike_ledger.prices import PriceBook
from bytespike_runtime.logs import get_logger
from bytespike_runtime.unavailable import Unavailable
from bytespike_runtime.watched_file import WatchedFile

__all__ = ["CatalogueWatch"]

#: How soon prices that could not be stored are tried again.
_AGAIN_S = 1.0

_log = get_logger()


class CatalogueWatch:
    """The catalogue in force. Raises ``CatalogueError`` or ``OSError`` if the first one is bad."""

    def __init__(self, path: str, prices: PriceBook) -> None:
        self._prices = prices
        self._changed = asyncio.Event()
        self._file = WatchedFile(path, _parse, name="catalogue", on_result=self._on_result)

    @property
    def current(self) -> Catalogue:
        """The last good one."""
        return self._file.current

    async def run(self) -> None:
        """Keep up with the file until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._file.run())
            group.create_task(self._keep_stored())

    async def look(self) -> None:
        """Take over the file if it has changed, and store its prices. Raises ``Unavailable``."""
        self._file.reload_if_changed()
        await self._prices.register(self.current)

    async def _keep_stored(self) -> None:
        while True:
            self._changed.clear()
            try:
                await self._prices.register(self.current)
            except Unavailable as error:
                _log.warning("prices not stored yet", error=str(error))
                await asyncio.sleep(_AGAIN_S)
            else:
                await self._changed.wait()

    def _on_result(self, good: bool) -> None:
        if good:
            self._changed.set()


def _parse(text: str) -> Catalogue:
    # Addresses of vendors are none of the ledger's business, so their overrides are not read.
    return parse_catalogue(text, {})
