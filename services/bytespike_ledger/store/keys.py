"""API keys: rows, their changes, and which of them Redis does not know yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import asyncpg
import msgspec

from bytespike_contracts.keys import SpendCaps
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
    "touch_keys",
    "update_key",
]

_SELECT = """
    select api_keys.*, accounts.concurrency,
           coalesce(members.status, 'active') = 'active'
               and coalesce(orgs.status, 'active') = 'active'
               and coalesce(people.status, 'active') = 'active'
               and coalesce(individuals.status, 'active') = 'active' as owner_active,
           members.quota_uusd     as member_quota_uusd,
           members.window_5h_uusd as member_5h_uusd,
           members.window_1d_uusd as member_1d_uusd,
           members.window_7d_uusd as member_7d_uusd,
           orgs.quota_uusd     as org_quota_uusd,
           orgs.window_5h_uusd as org_5h_uusd,
           orgs.window_1d_uusd as org_1d_uusd,
           orgs.window_7d_uusd as org_7d_uusd
    from api_keys
    join accounts on accounts.id = api_keys.account_id
    left join orgs on orgs.id = api_keys.org_id
    left join members on members.id = api_keys.member_id
    left join users as people on people.id = members.user_id
    left join users as individuals on individuals.account_id = api_keys.account_id
"""

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


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """A key as stored (never its secret) with what its owner adds to it.

    ``owner_active`` = organisation, member and user are all active. ``member_caps`` and
    ``org_caps`` are None where there is no member or no organisation.
    """

    id: str
    account_id: str
    org_id: str | None
    member_id: str | None
    name: str
    key_hash: bytes
    old_key_hash: bytes | None
    old_expires_ms: int | None
    hint: str
    scopes: list[str]
    routing_group: str
    caps: SpendCaps
    ip_allow: list[str]
    ip_deny: list[str]
    expires_ms: int | None
    status: str
    version: int
    projected_version: int
    last_used_ms: int | None
    last_used_address: str | None
    created_at: datetime
    updated_at: datetime
    concurrency: int
    owner_active: bool
    member_caps: SpendCaps | None
    org_caps: SpendCaps | None


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
    return None if row is None else _key(row)


async def list_keys(conn: Connection, account_id: str, *, after: str, limit: int) -> list[KeyRow]:
    """A page of an account's keys that are not deleted, oldest first."""
    rows = await conn.fetch(
        f"""{_SELECT} where api_keys.account_id = $1 and api_keys.id > $2
              and api_keys.status <> 'deleted'
            order by api_keys.id limit $3""",
        account_id,
        after,
        limit,
    )
    return _rows(rows)


async def keys_after(conn: Connection, after: str, *, limit: int) -> list[KeyRow]:
    """A page of all keys that belong in Redis."""
    rows = await conn.fetch(
        f"""{_SELECT} where api_keys.id > $1 and api_keys.status <> 'deleted'
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


async def touch_keys(
    conn: Connection, account_id: str, *, member_id: str | None = None
) -> list[KeyRow]:
    """Give the account's (or one member's) live keys a new version, because what their owner adds
    to them has changed; the caller carries them to Redis after its commit.
    """
    await conn.execute(
        """update api_keys set version = version + 1
           where account_id = $1 and status <> 'deleted'
             and ($2::text is null or member_id = $2)""",
        account_id,
        member_id,
    )
    rows = await conn.fetch(
        f"""{_SELECT} where api_keys.account_id = $1 and api_keys.status <> 'deleted'
              and ($2::text is null or api_keys.member_id = $2)""",
        account_id,
        member_id,
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
    return [_key(row) for row in rows]


def _key(row: asyncpg.Record) -> KeyRow:
    return KeyRow(
        **{name: row[name] for name in _PLAIN},
        caps=SpendCaps(
            quota_uusd=row["quota_uusd"],
            window_5h_uusd=row["window_5h_uusd"],
            window_1d_uusd=row["window_1d_uusd"],
            window_7d_uusd=row["window_7d_uusd"],
        ),
        member_caps=_caps(row, "member"),
        org_caps=_caps(row, "org"),
    )


#: Fields of :class:`KeyRow` that are columns of the same name.
_PLAIN = [
    name for name in KeyRow.__struct_fields__ if name not in {"caps", "member_caps", "org_caps"}
]


def _caps(row: asyncpg.Record, owner: str) -> SpendCaps | None:
    if row[f"{owner}_quota_uusd"] is None:
        return None
    return SpendCaps(
        quota_uusd=row[f"{owner}_quota_uusd"],
        window_5h_uusd=row[f"{owner}_5h_uusd"],
        window_1d_uusd=row[f"{owner}_1d_uusd"],
        window_7d_uusd=row[f"{owner}_7d_uusd"],
    )
