"""API keys: rows, their changes, and which of them Redis does not know yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import asyncpg
import msgspec

from bytespike_contracts.key_uses import KeyUse
from bytespike_contracts.keys import SpendCaps
from bytespike_ledger.store import Connection

__all__ = [
    "DuplicateKey",
    "KeyFilter",
    "KeyRow",
    "bury_secrets",
    "end_overlaps",
    "insert_key",
    "keys_after",
    "keys_due",
    "list_keys",
    "live_hashes",
    "manage_key_of",
    "mark_key_projected",
    "note_last_used",
    "read_created",
    "read_key",
    "read_member_role",
    "replace_secret",
    "touch_keys",
    "update_key",
]

_SELECT = """
    select api_keys.*, accounts.concurrency,
           coalesce(members.status, 'active') = 'active'
               and coalesce(orgs.status, 'active') = 'active'
               and coalesce(people.status, 'active') = 'active'
               and coalesce(individuals.status, 'active') = 'active' as owner_active,
           members.role as member_role,
           array(
               select key_hash from retired_secrets where key_id = api_keys.id and not buried
           ) as retired,
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

#: Held until the transaction ends: by one who changes what keys of an account get from their owner,
#: shared by those who make keys for it.
_OWNER_LOCK = "hashtextextended('keys of ' || $1, 0)"

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
    ``org_caps`` are None where there is no member or no organisation. ``retired`` are hashes of
    former secrets that Redis may still take for good; the one of a running overlap is
    ``old_key_hash`` as well.
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
    member_role: str | None
    retired: list[bytes]
    creation_hash: bytes | None

    def old_secret_works(self, now_ms: int) -> bool:
        """Whether the overlap of a rotation is still running."""
        return self.old_expires_ms is not None and now_ms < self.old_expires_ms


class KeyFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What a list is narrowed to; None = everything. ``search`` is part of a name in any case.

    ``of_member`` is ``(member_id,)``: that member's keys only, ``(None,)``: those of no member.
    """

    status: str | None = None
    group: str | None = None
    search: str | None = None
    of_member: tuple[str | None] | None = None


async def insert_key(conn: Connection, values: Mapping[str, object]) -> None:
    """Insert a key from ``{column: value}``. Raises :class:`DuplicateKey`.

    A change of the owner that is under way is waited for, so that it is either seen from here or
    sees the new key (:func:`touch_keys`).
    """
    await conn.execute(f"select pg_advisory_xact_lock_shared({_OWNER_LOCK})", values["account_id"])
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
    """Apply ``{column: value}`` as the next version; None if there is no such (live) key. A key
    that is no longer active has lost the overlap of its rotation, too.
    """
    unknown = changes.keys() - _CHANGEABLE
    if unknown:
        raise ValueError(f"not changeable: {sorted(unknown)}")
    sets = "".join(f", {column} = ${number}" for number, column in enumerate(changes, 2))
    if changes.get("status", "active") != "active":
        sets += ", old_key_hash = null, old_expires_ms = null"
    status = await conn.execute(
        f"""update api_keys set version = version + 1, updated_at = now(){sets}
            where id = $1 and status <> 'deleted'""",  # noqa: S608 - checked above
        key_id,
        *changes.values(),
    )
    return await read_key(conn, key_id) if status == "UPDATE 1" else None


async def replace_secret(
    conn: Connection, row: KeyRow, *, key_hash: bytes, hint: str, old_expires_ms: int | None
) -> KeyRow | None:
    """Give a locked key another secret as its next version. The old one is retired: at once, or
    (``old_expires_ms``) then; an overlap that was running ends. Raises :class:`DuplicateKey`.
    """
    try:
        await conn.execute(
            """update api_keys set version = version + 1, updated_at = now(), key_hash = $2,
                      hint = $3, old_key_hash = $4, old_expires_ms = $5
               where id = $1""",
            row.id,
            key_hash,
            hint,
            None if old_expires_ms is None else row.key_hash,
            old_expires_ms,
        )
    except asyncpg.UniqueViolationError as error:
        raise DuplicateKey from error
    await conn.execute(
        "insert into retired_secrets (key_hash, key_id) values ($1, $2)", row.key_hash, row.id
    )
    return await read_key(conn, row.id)


async def read_key(conn: Connection, key_id: str, *, locked: bool = False) -> KeyRow | None:
    """One key, deleted ones included, or None; ``locked`` until the transaction ends."""
    suffix = " for update of api_keys" if locked else ""
    row = await conn.fetchrow(f"{_SELECT} where api_keys.id = $1{suffix}", key_id)
    return None if row is None else _key(row)


async def manage_key_of(conn: Connection, member_id: str) -> KeyRow | None:
    """A member's oldest active key with the scope ``manage``, or None."""
    row = await conn.fetchrow(
        f"""{_SELECT} where api_keys.member_id = $1 and api_keys.status = 'active'
              and 'manage' = any (api_keys.scopes)
            order by api_keys.id limit 1""",
        member_id,
    )
    return None if row is None else _key(row)


async def read_created(conn: Connection, account_id: str, creation_key: str) -> KeyRow | None:
    """The key that a creation under this name has made, or None."""
    row = await conn.fetchrow(
        f"{_SELECT} where api_keys.account_id = $1 and api_keys.creation_key = $2",
        account_id,
        creation_key,
    )
    return None if row is None else _key(row)


async def list_keys(
    conn: Connection,
    account_id: str,
    *,
    after: str,
    limit: int,
    narrowed: KeyFilter,
) -> list[KeyRow]:
    """A page of an account's keys that are not deleted, oldest first."""
    of_member = narrowed.of_member
    rows = await conn.fetch(
        f"""{_SELECT} where api_keys.account_id = $1 and api_keys.id > $2
              and api_keys.status <> 'deleted'
              and ($4::text is null or api_keys.status = $4)
              and ($5::text is null or api_keys.routing_group = $5)
              and ($6::text is null or position(lower($6) in lower(api_keys.name)) > 0)
              and ($7 or api_keys.member_id is not distinct from $8)
            order by api_keys.id limit $3""",
        account_id,
        after,
        limit,
        narrowed.status,
        narrowed.group,
        narrowed.search,
        of_member is None,
        None if of_member is None else of_member[0],
    )
    return _rows(rows)


async def read_member_role(conn: Connection, account_id: str, member_id: str) -> str | None:
    """The role of an active member of the account, or None."""
    role: str | None = await conn.fetchval(
        "select role from members where id = $1 and account_id = $2 and status = 'active'",
        member_id,
        account_id,
    )
    return role


async def end_overlaps(conn: Connection, *, now_ms: int, limit: int) -> None:
    """Overlaps that are over become a change to be projected."""
    await conn.execute(
        """update api_keys set version = version + 1, old_key_hash = null, old_expires_ms = null
           where id in (
               select id from api_keys where old_key_hash is not null and old_expires_ms <= $1
               order by old_expires_ms limit $2 for update skip locked
           )""",
        now_ms,
        limit,
    )


async def bury_secrets(conn: Connection, hashes: Sequence[bytes]) -> None:
    """Redis knows of these retired secrets that they are dead."""
    await conn.execute(
        "update retired_secrets set buried = true where key_hash = any($1::bytea[])", hashes
    )


async def note_last_used(conn: Connection, uses: Sequence[KeyUse]) -> None:
    """Write down the last uses of keys; no new version of the key, and never back in time."""
    ids, times, addresses = zip(*sorted(uses, key=lambda use: use.key_id), strict=True)
    await conn.execute(
        """update api_keys set last_used_ms = uses.at_ms, last_used_address = uses.address
           from unnest($1::text[], $2::bigint[], $3::text[]) as uses (key_id, at_ms, address)
           where id = uses.key_id and coalesce(last_used_ms, 0) < uses.at_ms""",
        ids,
        times,
        addresses,
    )


async def keys_after(conn: Connection, after: str, *, limit: int) -> list[KeyRow]:
    """A page of all keys that belong in Redis."""
    rows = await conn.fetch(
        f"""{_SELECT} where api_keys.id > $1 and api_keys.status <> 'deleted'
            order by api_keys.id limit $2""",
        after,
        limit,
    )
    return _rows(rows)


async def live_hashes(conn: Connection, hashes: Sequence[bytes]) -> set[bytes]:
    """Those of ``hashes`` that are the secret of a key, or its old one while an overlap runs."""
    rows = await conn.fetch(
        """select key_hash from api_keys
           where key_hash = any($1::bytea[]) and status <> 'deleted'
           union all
           select old_key_hash from api_keys
           where old_key_hash = any($1::bytea[]) and status <> 'deleted'""",
        hashes,
    )
    return {row["key_hash"] for row in rows}


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

    Keys that are just being made are waited for: one that read its owner before the change and
    was not touched by it would keep what it read for ever. Several accounts are touched in the
    order of their ids.
    """
    await conn.execute(f"select pg_advisory_xact_lock({_OWNER_LOCK})", account_id)
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
