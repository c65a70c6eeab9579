"""All SQL of the ledger. Nothing outside this package (and ``bytespike_runtime.pg``) knows asyncpg.

Functions take a connection and speak in plain values; who opens the transaction decides what is
atomic. This module has the connection itself and the locks that several ledgers meet at.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import IntEnum
from typing import TypeAlias

import asyncpg

from bytespike_runtime import pg

__all__ = [
    "Connection",
    "Lock",
    "Pool",
    "RefusedByDatabase",
    "Row",
    "connection",
    "lock",
    "savepoint",
    "tenant",
    "try_lock",
]

Row: TypeAlias = asyncpg.Record
Pool: TypeAlias = asyncpg.Pool
Connection: TypeAlias = asyncpg.Connection


class Lock(IntEnum):
    """Advisory locks (session level, because Redis is written after the commit)."""

    #: Shared around "commit, then project"; exclusive for a rebuild, which therefore sees a state
    #: nobody is in the middle of carrying over.
    PROJECTION = 0x6273_0001
    #: Held by the one ledger that rebuilds.
    REBUILD = 0x6273_0002
    #: Held by the one ledger that sweeps, audits and creates partitions.
    UPKEEP = 0x6273_0003
    #: Held by the one call that sets up a first organisation.
    BOOTSTRAP = 0x6273_0004


class RefusedByDatabase(Exception):
    """A constraint or a type refused the values; trying again cannot help."""


#: Beyond what the driver's module calls "not now": we lost a race, ran into a lock's deadline or a
#: limit of the server. The transaction was rolled back and may be repeated.
_REPEATABLE = (
    asyncpg.TransactionRollbackError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.LockNotAvailableError,
)
_REFUSED = (
    asyncpg.DataError,
    asyncpg.exceptions.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
)


@asynccontextmanager
async def connection(pool: Pool) -> AsyncIterator[Connection]:
    """A connection for a while. Raises ``PgUnavailable`` or :class:`RefusedByDatabase`."""
    try:
        async with pg.connection(pool) as conn:
            yield conn
    except _REFUSED as error:
        raise RefusedByDatabase(str(error)) from error
    except _REPEATABLE as error:
        raise pg.PgUnavailable(f"{type(error).__name__}: {error}") from error


@asynccontextmanager
async def tenant(
    pool: Pool, account_id: str, *, snapshot: bool = False
) -> AsyncIterator[Connection]:
    """A transaction that can see and write one account's rows only: Postgres itself enforces it.

    Every call of a customer works in one of these. ``snapshot`` = it only reads, and all of its
    reads show one moment. Raises as :func:`connection` does.
    """
    isolation = "repeatable_read" if snapshot else None
    async with (
        connection(pool) as conn,
        conn.transaction(isolation=isolation, readonly=snapshot),
    ):
        await conn.execute(
            """select set_config('role', 'bytespike_tenant', true),
                      set_config('bytespike.account_id', $1, true)""",
            account_id,
        )
        yield conn


@asynccontextmanager
async def savepoint(conn: Connection) -> AsyncIterator[None]:
    """A part of a transaction that is undone alone if it fails. Raises :class:`RefusedByDatabase`;
    the transaction can go on after it.
    """
    try:
        async with conn.transaction():
            yield
    except _REFUSED as error:
        raise RefusedByDatabase(str(error)) from error


@asynccontextmanager
async def lock(conn: Connection, which: Lock, *, shared: bool = False) -> AsyncIterator[None]:
    """Hold an advisory lock; waits its turn (Postgres queues waiters, so nobody starves)."""
    suffix = "_shared" if shared else ""
    await conn.execute(f"select pg_advisory_lock{suffix}($1)", int(which))
    try:
        yield
    finally:
        # A connection that broke has lost its locks already.
        if not conn.is_closed():
            await conn.execute(f"select pg_advisory_unlock{suffix}($1)", int(which))


@asynccontextmanager
async def try_lock(conn: Connection, which: Lock) -> AsyncIterator[bool]:
    """Hold an advisory lock if nobody else does; yields whether it was taken."""
    taken: bool = await conn.fetchval("select pg_try_advisory_lock($1)", int(which))
    try:
        yield taken
    finally:
        if taken and not conn.is_closed():
            await conn.execute("select pg_advisory_unlock($1)", int(which))
