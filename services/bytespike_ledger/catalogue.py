"""The catalogue as the ledger uses it: prices to store by revision, groups keys may be bound to.

The file is looked at every few seconds; a new one is taken over when its prices are stored, a bad
one is refused with every problem logged and the last good one stays in force.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from bytespike_contracts.catalogue import Catalogue, CatalogueError, parse_catalogue
from bytespike_ledger.prices import PriceBook
from bytespike_runtime.logs import get_logger
from bytespike_runtime.unavailable import Unavailable

__all__ = ["CatalogueWatch"]

_EVERY_S = 2.0

_log = get_logger()


class CatalogueWatch:
    """The catalogue in force. Raises ``CatalogueError`` or ``OSError`` if the first one is bad."""

    def __init__(self, path: str, prices: PriceBook) -> None:
        self._path = Path(path)
        self._prices = prices
        self._text = self._path.read_text(encoding="utf-8")
        self.current: Catalogue = _parse(self._text)
        self._stored = False

    async def run(self) -> None:
        """Keep up with the file until cancelled."""
        while True:
            try:
                await self.look()
            except Unavailable as error:
                _log.warning("prices not stored yet", error=str(error))
            except (OSError, UnicodeDecodeError) as error:
                _log.error("catalogue not readable", error=str(error))
            except CatalogueError as error:
                _log.error("catalogue refused", problems=error.problems)
            await asyncio.sleep(_EVERY_S)

    async def look(self) -> None:
        """Take over the file if it has changed; make sure that its prices are stored."""
        text = await asyncio.to_thread(self._path.read_text, encoding="utf-8")
        if text != self._text:
            self._text = text  # a refused text is not parsed again until it changes
            self.current = _parse(text)
            self._stored = False
            _log.info("catalogue changed", revision=self.current.revision)
        if not self._stored:
            await self._prices.register(self.current)
            self._stored = True


def _parse(text: str) -> Catalogue:
    # Addresses of vendors are none of the ledger's business, so their overrides are not read.
    return parse_catalogue(text, {})
