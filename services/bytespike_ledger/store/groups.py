"""Grants of exclusive groups, and the keys that hang on them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bytespike_ledger.store import Connection
from bytespike_ledger.store.keys import KeyRow, update_key

__all__ = [
    "GrantRow",
    "delete_grant",
    "disable_group_keys",
    "grants_of",
    "insert_grant",
    "key_counts",
    "lock_grant",
    "read_grant",
    "total_counts",
]


@dataclass(frozen=True, slots=True)
class GrantRow:
    """An account may use an exclusive group; ``granted_by`` is the operator's id."""

    routing_group: str
    granted_by: str
    created_at: datetime


_GRANT = "select routing_group, granted_by, created_at from group_grants where account_id = $1"


async def lock_grant(conn: Connection, account_id: str, group: str, *, shared: bool) -> None:
    """Hold a grant still until the transaction ends: whoever binds a key to the group shares the
    lock, whoever takes the grant away has it alone. (A row lock would need the right to change the
    row, which tenants do not have.)

    Whoever binds a key has its row locked already. That is no circle: taking a group away locks
    only keys bound to it, and those that are about to be are not yet.
    """
    suffix = "_shared" if shared else ""
    await conn.execute(
        f"""select pg_advisory_xact_lock{suffix}(
                hashtextextended($1::text || ' may use ' || $2::text, 0))""",
        account_id,
        group,
    )


async def grants_of(conn: Connection, account_id: str) -> list[GrantRow]:
    """An account's grants by group."""
    rows = await conn.fetch(f"{_GRANT} order by routing_group", account_id)
    return [GrantRow(**row) for row in rows]


async def read_grant(conn: Connection, account_id: str, group: str) -> GrantRow | None:
    """One grant, or None."""
    row = await conn.fetchrow(f"{_GRANT} and routing_group = $2", account_id, group)
    return None if row is None else GrantRow(**row)


async def insert_grant(conn: Connection, account_id: str, group: str, *, granted_by: str) -> bool:
    """Grant; False if it was granted already."""
    status: str = await conn.execute(
        """insert into group_grants (account_id, routing_group, granted_by) values ($1, $2, $3)
           on conflict do nothing""",
        account_id,
        group,
        granted_by,
    )
    return status == "INSERT 0 1"


async def delete_grant(conn: Connection, account_id: str, group: str) -> None:
    """Take a grant away."""
    await conn.execute(
        "delete from group_grants where account_id = $1 and routing_group = $2", account_id, group
    )


async def disable_group_keys(conn: Connection, account_id: str, group: str) -> list[KeyRow]:
    """Disable the account's active keys of a group as their next version; the keys as they are
    now, for the caller to carry to Redis after its commit.
    """
    rows = await conn.fetch(
        """select id from api_keys
           where account_id = $1 and routing_group = $2 and status = 'active'
           order by id for update""",
        account_id,
        group,
    )
    changed = [await update_key(conn, row["id"], {"status": "disabled"}) for row in rows]
    return [key for key in changed if key is not None]


async def key_counts(conn: Connection, account_id: str) -> dict[str, int]:
    """``{group: active keys}`` of one account."""
    rows = await conn.fetch(
        """select routing_group, count(*) as keys from api_keys
           where account_id = $1 and status = 'active' group by routing_group""",
        account_id,
    )
    return {row["routing_group"]: row["keys"] for row in rows}


async def total_counts(conn: Connection) -> dict[str, tuple[int, int]]:
    """``{group: (active keys, grants)}`` over all accounts."""
    rows = await conn.fetch(
        """select routing_group, coalesce(keys, 0) as keys, coalesce(grants, 0) as grants
           from (select routing_group, count(*) as keys from api_keys
                 where status = 'active' group by routing_group) as bound
           full join (select routing_group, count(*) as grants from group_grants
                      group by routing_group) as granted using (routing_group)"""
    )
    return {row["routing_group"]: (row["keys"], row["grants"]) for row in rows}
