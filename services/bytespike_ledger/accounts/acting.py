"""The transaction in which somebody's call works: as wide as what they may see."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bytespike_ledger.accounts.actors import Actor, Operator
from bytespike_ledger.books import Books
from bytespike_ledger.store import Connection, connection, tenant

__all__ = ["acting"]


@asynccontextmanager
async def acting(books: Books, who: Actor | Operator) -> AsyncIterator[Connection]:
    """Operators reach everything, a customer's key its own account."""
    if isinstance(who, Actor):
        async with tenant(books.pool, who.account_id) as conn:
            yield conn
    else:
        async with connection(books.pool) as conn, conn.transaction():
            yield conn
