"""Writing down when and from where keys were last used, as the edges noted it in Redis."""

from __future__ import annotations

import asyncio

from bytespike_contracts.key_uses import USES_PER_CALL
from bytespike_ledger.books import Books
from bytespike_ledger.store import RefusedByDatabase, connection
from bytespike_ledger.store.keys import note_last_used
from bytespike_runtime.logs import get_logger
from bytespike_runtime.unavailable import Unavailable

__all__ = ["collect_key_uses", "keep_collecting"]

_EVERY_S = 3.0
#: Per turn, so that it never keeps a connection for long; the rest waits for the next.
_CALLS_PER_TURN = 20

_log = get_logger()


async def collect_key_uses(books: Books) -> int:
    """Take what has been noted and write it down; how many keys. What is taken and cannot be
    written is lost, until the key is used again. Raises ``Unavailable``.
    """
    collected = 0
    for _ in range(_CALLS_PER_TURN):
        uses = await books.projector.take_key_uses()
        if uses:
            async with connection(books.pool) as conn:
                await note_last_used(conn, uses)
        collected += len(uses)
        if len(uses) < USES_PER_CALL:
            break
    return collected


async def keep_collecting(books: Books) -> None:
    """The loop. Runs until cancelled."""
    while True:
        try:
            await collect_key_uses(books)
        except (Unavailable, RefusedByDatabase) as error:
            _log.debug("last uses of keys not written", error=str(error))
        await asyncio.sleep(_EVERY_S)
