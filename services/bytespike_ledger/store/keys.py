"""API keys: rows, their changes, and which of them Redis does not know yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from bytespike_ledger.store import Connection

__all__ = [
    "DuplicateKey",
    "KeyRow",
    "insert_key",
    "keys_after",
    "keys_due",
    "list_keys",
    "mark_key_projected",
    "read_key",
    "update_key",
]

_COLUMNS = """
    api_keys.id, api_keys.account_id, org_id, name, key_hash, hint, scopes, routing_group,
    quota_uusd, window_5h_uusd, window_1d_uusd, window_7d_uusd, ip_allow, ip_deny, expires_ms,
    status, version, projected_version, api_keys.created_at, updated_at, concurrency
"""
_SELECT = f"select {_COLUMNS} from api_keys join accounts on accounts.id = api_keys.account_id"  # noqa: S608

#: Columns a change may set; the names come from code, never from a caller.
_CHANGEABLE = frozenset(
    {
        "name",
        "scopes",
        "routing_group",
        "quota_uusd",
        "window_5h_uusd",
        "window_1d_uusd",
        "window_7d_uusd",
        "ip_allow",
        "ip_deny",
        "expires_ms",
        "status",
    }
)


class DuplicateKey(Exception):
    """The secret is in use, or was by a key that has been deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """A key as stored (never its secret), with the concurrency of its account."""

    id: str
    account_id: str
    org_id: str | None
    name: str
    key_hash: bytes
    hint: str
    scopes: list[str]
    routing_group: str
    quota_uusd: int
    window_5h_uusd: int
    window_1d_uusd: int
    window_7d_uusd: int
    ip_allow: list[str]
    ip_deny: list[str]
    expires_ms: int | None
    status: str
    version: int
    projected_version: int
    created_at: datetime
    updated_at: datetime
    concurrency: int


async def insert_key(conn: Connection, values: Mapping[str, object]) -> None:
    """Insert a key from ``{column: value}``. Raises :class:`DuplicateKey`."""
    columns = ", ".join(values)
    places = ", ".join(f"${number}" for number in range(1, len(values) + 1))
    try:
        await conn.execute(
            f"insert into api_keys ({columns}) values ({places})",  # noqa: S608 - columns come from code
            *values.values(),
        )
    except asyncpg.UniqueViolationError as error:
        raise DuplicateKey from error


async def update_key(conn: Connection, key_id: str, changes: Mapping[str, object]) -> KeyRow | None:
    """Apply ``{column: value}`` as the next version; None if there is no such (live) key."""
    unknown = changes.keys() - _CHANGEABLE
    if unknown:
        raise ValueError(f"not changeable: {sorted(unknown)}")
    sets = "".join(f", {column} = ${number}" for number, column in enumerate(changes, 2))
    status = await conn.execute(
        f"""update api_keys set version = version + 1, updated_at = now(){sets}
            where id = $1 and status <> 'deleted'""",  # noqa: S608 - checked above
        key_id,
        *changes.values(),
    )
    return await read_key(conn, key_id) if status == "UPDATE 1" else None


async def read_key(conn: Connection, key_id: str) -> KeyRow | None:
    """One key, deleted ones included, or None."""
    row = await conn.fetchrow(f"{_SELECT} where api_keys.id = $1", key_id)
    return None if row is None else KeyRow(**row)


async def list_keys(conn: Connection, org_id: str, *, after: str, limit: int) -> list[KeyRow]:
    """A page of an organisation's keys that are not deleted, oldest first."""
    rows = await conn.fetch(
        f"""{_SELECT} where org_id = $1 and api_keys.id > $2 and status <> 'deleted'
            order by api_keys.id limit $3""",
        org_id,
        after,
        limit,
    )
    return _rows(rows)


async def keys_after(conn: Connection, after: str, *, limit: int) -> list[KeyRow]:
    """A page of all keys that belong in Redis."""
    rows = await conn.fetch(
        f"""{_SELECT} where api_keys.id > $1 and status <> 'deleted'
            order by api_keys.id limit $2""",
        after,
        limit,
    )
    return _rows(rows)


async def keys_due(conn: Connection, *, limit: int) -> list[KeyRow]:
    """Keys whose last change has not been projected."""
    rows = await conn.fetch(
        f"{_SELECT} where projected_version < version order by api_keys.id limit $1", limit
    )
    return _rows(rows)


async def mark_key_projected(conn: Connection, key_id: str, version: int) -> None:
    """Redis has this version; a newer one stays due."""
    await conn.execute(
        """update api_keys set projected_version = greatest(projected_version, $2)
           where id = $1""",
        key_id,
        version,
    )


def _rows(rows: Sequence[asyncpg.Record]) -> list[KeyRow]:
    return [KeyRow(**row) for row in rows]
