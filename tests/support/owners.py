"""Members and what limits owners, written as they stand in the books."""

from __future__ import annotations

import secrets
from typing import Literal

import asyncpg

from bytespike_contracts.ids import mint_id
from bytespike_contracts.keys import SpendCaps
from bytespike_ledger.books import wall_clock_ms

__all__ = ["add_member", "give_key", "set_caps"]


async def add_member(
    conn: asyncpg.Connection, account_id: str, org_id: str, caps: SpendCaps | None = None
) -> str:
    """A new user as a member of the organisation; the member's id."""
    user_id, member_id = (mint_id(p, wall_clock_ms(), secrets.token_bytes(10)) for p in _PREFIXES)
    await conn.execute(
        "insert into users (id, email, name) values ($1, lower($1) || '@example.com', 'Somebody')",
        user_id,
    )
    await conn.execute(
        """insert into members (id, account_id, org_id, user_id, role)
           values ($1, $2, $3, $4, 'member')""",
        member_id,
        account_id,
        org_id,
        user_id,
    )
    await set_caps(conn, "members", member_id, caps or SpendCaps())
    return member_id


async def give_key(conn: asyncpg.Connection, key_id: str, member_id: str) -> None:
    """Make it the member's key; the ledger's loop carries it to Redis."""
    await conn.execute(
        "update api_keys set member_id = $2, version = version + 1 where id = $1",
        key_id,
        member_id,
    )


async def set_caps(
    conn: asyncpg.Connection, table: Literal["members", "orgs"], owner: str, caps: SpendCaps
) -> None:
    """Only the row; who changes it has to touch the keys as well."""
    await conn.execute(
        f"""update {table} set quota_uusd = $2, window_5h_uusd = $3, window_1d_uusd = $4,
                               window_7d_uusd = $5
            where id = $1""",
        owner,
        caps.quota_uusd,
        caps.window_5h_uusd,
        caps.window_1d_uusd,
        caps.window_7d_uusd,
    )


_PREFIXES = ("usr", "mem")
