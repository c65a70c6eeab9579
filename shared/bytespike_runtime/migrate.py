"""Migrations: plain SQL files, applied once, in order, and never changed afterwards.

Files are named ``NNNN_pre_words.sql`` (the code already running must bear it) or
``NNNN_post_words.sql`` (for after the roll-out), numbered from 0001 without gaps. Each runs in its
own transaction with short lock and statement timeouts: a migration that would block the service is
stopped rather than the service.
"""

from __future__ import annotations

import hashlib
import re
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NamedTuple

import asyncpg
from asyncpg import exceptions

from bytespike_runtime.pg import connect, translated

__all__ = ["MigrationError", "migrate"]

_FILE_NAME = re.compile(r"(\d{4})_(?:pre|post)_[a-z0-9_]+\.sql")

_LOCK_TIMEOUT_MS = 4_000
_STATEMENT_TIMEOUT_MS = 5_000
#: How long to wait for another process that migrates the same service.
_TURN_TIMEOUT_MS = 60_000
_LOCK_KEY = 0x6D696772  # "migr": one at a time in a database, whatever the service

_CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    service text NOT NULL,
    number integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (service, number)
)
"""


class MigrationError(Exception):
    """The files and the database do not agree, or a file failed; nothing of it was applied."""


class _Migration(NamedTuple):
    number: int
    name: str
    sql: str
    checksum: str


async def migrate(url: str, folder: Traversable | Path, *, service: str) -> list[str]:
    """Apply what is not applied yet; returns the names of the files applied now.

    Safe to run by several processes at once: one works, the others wait and find nothing to do.
    Raises :class:`MigrationError`, or ``PgUnavailable``.
    """
    migrations = _read(folder)
    connection = await connect(url)
    try:
        with translated():
            await _take_turn(connection)
            done = await _applied(connection, service)
            _verify(migrations, done, service)
            waiting = [migration for migration in migrations if migration.number not in done]
            for migration in waiting:
                await _apply(connection, service, migration)
            return [migration.name for migration in waiting]
    finally:
        await connection.close()


def _read(folder: Traversable | Path) -> list[_Migration]:
    migrations = []
    for file in folder.iterdir():
        if not file.name.endswith(".sql"):
            continue
        match = _FILE_NAME.fullmatch(file.name)
        if match is None:
            raise MigrationError(f"{file.name} is not named NNNN_pre_words.sql or NNNN_post_...")
        text = file.read_text(encoding="utf-8")
        checksum = hashlib.sha256(text.encode()).hexdigest()
        migrations.append(_Migration(int(match[1]), file.name, text, checksum))
    migrations.sort()
    for expected, migration in enumerate(migrations, start=1):
        if migration.number != expected:
            raise MigrationError(f"expected number {expected:04d} but found {migration.name}")
    return migrations


async def _take_turn(connection: asyncpg.Connection) -> None:
    """Wait until we are the only migration here; closing the connection ends the turn."""
    await connection.execute(f"SET statement_timeout = {_TURN_TIMEOUT_MS}")
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK_KEY)
    except exceptions.QueryCanceledError as error:
        raise MigrationError("another migration runs for too long") from error
    await connection.execute(_CREATE_TABLE)


async def _applied(connection: asyncpg.Connection, service: str) -> dict[int, tuple[str, str]]:
    rows = await connection.fetch(
        "SELECT number, name, checksum FROM schema_migrations WHERE service = $1", service
    )
    return {row["number"]: (row["name"], row["checksum"]) for row in rows}


def _verify(migrations: list[_Migration], done: dict[int, tuple[str, str]], service: str) -> None:
    files = {migration.number: migration for migration in migrations}
    for number, (name, checksum) in sorted(done.items()):
        file = files.get(number)
        if file is None or file.name != name:
            raise MigrationError(f"{service}: {name} is applied but its file is missing")
        if file.checksum != checksum:
            raise MigrationError(f"{service}: {name} was changed after it was applied")
    missing = [number for number in files if number not in done]
    if missing and done and min(missing) < max(done):
        raise MigrationError(f"{service}: {files[min(missing)].name} comes before applied ones")


async def _apply(connection: asyncpg.Connection, service: str, migration: _Migration) -> None:
    try:
        with translated():
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}")
                await connection.execute(f"SET LOCAL statement_timeout = {_STATEMENT_TIMEOUT_MS}")
                await connection.execute(migration.sql)
                if not connection.is_in_transaction():
                    raise MigrationError(
                        f"{service}: {migration.name} ends its own transaction; what it did until "
                        "then is in force and has to be undone by hand"
                    )
                await connection.execute(
                    "INSERT INTO schema_migrations (service, number, name, checksum) "
                    "VALUES ($1, $2, $3, $4)",
                    service,
                    migration.number,
                    migration.name,
                    migration.checksum,
                )
    except (exceptions.PostgresError, exceptions.InterfaceError) as error:
        raise MigrationError(f"{service}: {migration.name} failed: {error}") from error
