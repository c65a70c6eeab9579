"""Postgres: a bounded pool, and one exception for "not now" instead of asyncpg's dozen.

SQL stays with the services that own the tables; this module only opens and translates.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import asyncpg
from asyncpg import exceptions

from bytespike_runtime.unavailable import Unavailable

__all__ = ["PgUnavailable", "connect", "connect_pool", "connection", "ping", "translated"]

_CONNECT_TIMEOUT_S = 5.0
#: Longer than any statement of ours may run; it also ends calls on a connection that went silent.
_COMMAND_TIMEOUT_S = 30.0
#: How long a caller may wait for a free connection: beyond it the database is the bottleneck.
_ACQUIRE_TIMEOUT_S = 5.0
#: Below the idle timeouts of poolers and firewalls.
_IDLE_LIFETIME_S = 240.0

_NOT_NOW = (
    OSError,
    TimeoutError,
    exceptions.AdminShutdownError,
    exceptions.CannotConnectNowError,
    exceptions.CrashShutdownError,
    exceptions.PostgresConnectionError,
    exceptions.TooManyConnectionsError,
)


class PgUnavailable(Unavailable):
    """Postgres is down, starting, full or too slow. A statement under way may have committed."""


@contextmanager
def translated() -> Iterator[None]:
    """Turns asyncpg's connection errors into :class:`PgUnavailable`; others pass."""
    try:
        yield
    except _NOT_NOW as error:
        raise PgUnavailable(f"Postgres: {error or type(error).__name__}") from error
    except exceptions.InterfaceError as error:
        # asyncpg uses one class for our mistakes and for a connection that closed meanwhile.
        if "closed" not in str(error):
            raise
        raise PgUnavailable(f"Postgres: {error}") from error


async def connect_pool(url: str, *, min_size: int = 1, max_size: int = 10) -> asyncpg.Pool:
    """A pool with timeouts on everything. Raises :class:`PgUnavailable`.

    With ``min_size`` 0 nothing is connected yet, so a service can start before its database.
    """
    with translated():
        pool: asyncpg.Pool = await asyncpg.create_pool(
            url,
            min_size=min_size,
            max_size=max_size,
            timeout=_CONNECT_TIMEOUT_S,
            command_timeout=_COMMAND_TIMEOUT_S,
            max_inactive_connection_lifetime=_IDLE_LIFETIME_S,
        )
    return pool


async def connect(url: str) -> asyncpg.Connection:
    """One connection of one's own (migrations, session locks). Raises :class:`PgUnavailable`."""
    with translated():
        opened: asyncpg.Connection = await asyncpg.connect(url, timeout=_CONNECT_TIMEOUT_S)
    return opened


@asynccontextmanager
async def connection(pool: asyncpg.Pool) -> AsyncIterator[asyncpg.Connection]:
    """A pooled connection; errors of the connection inside the block come out translated."""
    with translated():
        async with pool.acquire(timeout=_ACQUIRE_TIMEOUT_S) as acquired:
            yield acquired


async def ping(pool: asyncpg.Pool) -> None:
    """Raises :class:`PgUnavailable` unless Postgres answers."""
    async with connection(pool) as acquired:
        await acquired.execute("SELECT 1")
