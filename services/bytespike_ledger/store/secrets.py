"""Sealed secrets: what `sealing` made of them, by whom they belong to. Never a plain secret."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from bytespike_ledger.sealing import Sealed
from bytespike_ledger.store import Connection

__all__ = [
    "StaleSecret",
    "delete_secret",
    "put_secret",
    "read_secret",
    "rewrap_secret",
    "stale_count",
    "stale_secrets",
]


class StaleSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A secret whose data key is wrapped by a key-encryption key that is not the current one."""

    owner_id: str
    purpose: str
    sealed: Sealed


async def put_secret(
    conn: Connection, owner_id: str, account_id: str, purpose: str, sealed: Sealed
) -> None:
    """Keep the secret of an owner (a key, a webhook), instead of the one it had."""
    await conn.execute(
        """insert into sealed_secrets (owner_id, account_id, purpose, kek_id, wrapped, sealed)
           values ($1, $2, $3, $4, $5, $6)
           on conflict (owner_id) do update set
               kek_id = excluded.kek_id, wrapped = excluded.wrapped, sealed = excluded.sealed,
               created_at = now(), rewrapped_at = null""",
        owner_id,
        account_id,
        purpose,
        sealed.kek_id,
        sealed.wrapped,
        sealed.sealed,
    )


async def read_secret(conn: Connection, owner_id: str) -> Sealed | None:
    """What is kept of the owner's secret, or None."""
    row = await conn.fetchrow(
        "select kek_id, wrapped, sealed from sealed_secrets where owner_id = $1", owner_id
    )
    return None if row is None else Sealed(**row)


async def delete_secret(conn: Connection, owner_id: str) -> None:
    """Forget it (a no-op if nothing is kept)."""
    await conn.execute("delete from sealed_secrets where owner_id = $1", owner_id)


async def stale_secrets(
    conn: Connection, kek_id: str, *, after: str, limit: int
) -> Sequence[StaleSecret]:
    """A page of the secrets that are not wrapped by ``kek_id``, in order of owner; locked, without
    waiting for those that somebody else is changing right now.
    """
    rows = await conn.fetch(
        """select owner_id, purpose, kek_id, wrapped, sealed from sealed_secrets
           where kek_id <> $1 and owner_id > $2
           order by owner_id limit $3 for update skip locked""",
        kek_id,
        after,
        limit,
    )
    return [
        StaleSecret(
            owner_id=row["owner_id"],
            purpose=row["purpose"],
            sealed=Sealed(kek_id=row["kek_id"], wrapped=row["wrapped"], sealed=row["sealed"]),
        )
        for row in rows
    ]


async def rewrap_secret(conn: Connection, owner_id: str, sealed: Sealed) -> None:
    """Store the new wrapping of a locked row; its sealed text stays as it is."""
    await conn.execute(
        """update sealed_secrets set kek_id = $2, wrapped = $3, rewrapped_at = now()
           where owner_id = $1""",
        owner_id,
        sealed.kek_id,
        sealed.wrapped,
    )


async def stale_count(conn: Connection, kek_id: str) -> int:
    """How many secrets are not wrapped by ``kek_id``."""
    count: int = await conn.fetchval(
        "select count(*) from sealed_secrets where kek_id <> $1", kek_id
    )
    return count
