"""Taking money out of a wallet while requests run on it.

A request may spend whatever Redis says is available, so a debit first takes its amount there, as a
request does; then it commits; then Redis is told the new balance and the hold is dropped in one
step. At no moment can the same money be spent as well. A process that dies on the way leaves a hold
whose lease ends, and, if it had committed, a balance that the loop carries over.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_contracts.money import format_usd
from bytespike_ledger.books import Books
from bytespike_ledger.carryover import project_account
from bytespike_ledger.store import Connection, Lock, connection, lock
from bytespike_runtime.kv import KvUnavailable
from bytespike_runtime.logs import get_logger

__all__ = ["NotAvailable", "debiting", "not_available"]

#: Long enough for the loop to carry a committed debit over whatever Redis is doing; after a crash
#: before the commit the customer gets the money back at the latest then.
_LEASE_MS = 120_000

_log = get_logger()


class NotAvailable(Exception):
    """The wallet, less what running requests hold, has only ``available_uusd``."""

    def __init__(self, available_uusd: int) -> None:
        super().__init__(f"{available_uusd} micro-USD available")
        self.available_uusd = available_uusd


@asynccontextmanager
async def debiting(books: Books, account_id: str, amount_uusd: int) -> AsyncIterator[Connection]:
    """A connection to commit a debit of ``amount_uusd`` on, in a transaction of the caller's.

    Raises :class:`NotAvailable`, or ``Unavailable`` if Redis cannot promise the money. Whatever
    became of the transaction, Redis is told afterwards what is committed.
    """
    hold_id = books.mint("debit")
    async with connection(books.pool) as conn, lock(conn, Lock.PROJECTION, shared=True):
        admission = await books.projector.hold(account_id, hold_id, amount_uusd, lease_ms=_LEASE_MS)
        if admission.refusal is not None:
            state = admission.state
            left = 0 if state is None else state.balance_uusd - state.pending_uusd
            raise NotAvailable(max(0, left))
        try:
            yield conn
        finally:
            # On a broken connection nobody knows whether it was committed: the lease decides.
            if not conn.is_closed():
                await _tell_redis(books, conn, account_id, hold_id)


def not_available(error: NotAvailable) -> GatewayError:
    """The refusal as callers see it."""
    return GatewayError(
        ErrorCode.CONFLICT,
        f"the wallet has only {format_usd(error.available_uusd)} USD available"
        " (running requests hold the rest)",
        param="usd",
    )


async def _tell_redis(books: Books, conn: Connection, account_id: str, hold_id: str) -> None:
    try:
        await project_account(books, conn, account_id, [hold_id])
    except KvUnavailable as error:
        _log.warning("debit waits for Redis", account_id=account_id, error=str(error))
