"""Accounts, organisations and balances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from bytespike_ledger.store import Connection

__all__ = [
    "AccountRow",
    "OrgRow",
    "OrgStatus",
    "Tier",
    "credit_balance",
    "insert_account",
    "insert_org",
    "list_orgs",
    "lock_balance",
    "lock_org",
    "named_org",
    "read_account",
    "read_org",
    "update_account",
]

Tier = Literal["free", "pro", "max", "enterprise"]
OrgStatus = Literal["active", "paused"]

_ORG = """
    select orgs.*, tier, concurrency, posted_uusd as balance_uusd
    from orgs join accounts on accounts.id = orgs.account_id
              join balances on balances.account_id = orgs.account_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrgRow:
    """An organisation with its account and the settled balance of its wallet. Caps of 0: none."""

    id: str
    name: str
    account_id: str
    created_at: datetime
    updated_at: datetime
    status: OrgStatus
    quota_uusd: int
    window_5h_uusd: int
    window_1d_uusd: int
    window_7d_uusd: int
    tier: Tier
    concurrency: int
    balance_uusd: int


@dataclass(frozen=True, slots=True)
class AccountRow:
    """A customer account; ``org_id`` is None for an individual's."""

    id: str
    org_id: str | None
    tier: Tier
    concurrency: int
    balance_uusd: int


async def insert_account(conn: Connection, account_id: str, *, tier: str, concurrency: int) -> None:
    """A customer account with an empty wallet, due to be opened in Redis."""
    await conn.execute(
        "insert into accounts (id, kind, tier, concurrency) values ($1, 'customer', $2, $3)",
        account_id,
        tier,
        concurrency,
    )
    await conn.execute("insert into balances (account_id) values ($1)", account_id)


async def insert_org(conn: Connection, org_id: str, account_id: str, name: str) -> None:
    """An organisation that owns an account."""
    await conn.execute(
        "insert into orgs (id, account_id, name) values ($1, $2, $3)", org_id, account_id, name
    )


async def read_org(conn: Connection, org_id: str) -> OrgRow | None:
    """One organisation, or None."""
    row = await conn.fetchrow(f"{_ORG} where orgs.id = $1", org_id)
    return None if row is None else OrgRow(**row)


async def lock_org(conn: Connection, org_id: str) -> OrgRow | None:
    """The same, locked until the transaction ends: changes of an organisation and its members go
    one after the other.
    """
    await conn.execute("select from orgs where id = $1 for update", org_id)
    return await read_org(conn, org_id)


async def named_org(conn: Connection, name: str) -> OrgRow | None:
    """The oldest organisation of this name, or None."""
    row = await conn.fetchrow(f"{_ORG} where orgs.name = $1 order by orgs.id limit 1", name)
    return None if row is None else OrgRow(**row)


async def update_account(conn: Connection, account_id: str, changes: Mapping[str, object]) -> None:
    """Set ``tier`` and ``concurrency``, or one of them."""
    await conn.execute(
        """update accounts set tier = coalesce($2, tier), concurrency = coalesce($3, concurrency)
           where id = $1""",
        account_id,
        changes.get("tier"),
        changes.get("concurrency"),
    )


async def read_account(conn: Connection, account_id: str) -> AccountRow | None:
    """One customer account, or None."""
    row = await conn.fetchrow(
        """select accounts.id, orgs.id as org_id, tier, concurrency, posted_uusd as balance_uusd
           from accounts join balances on balances.account_id = accounts.id
                         left join orgs on orgs.account_id = accounts.id
           where accounts.id = $1""",
        account_id,
    )
    return None if row is None else AccountRow(**row)


async def list_orgs(conn: Connection, *, after: str, limit: int) -> list[OrgRow]:
    """A page of organisations by id, which is the order of their creation."""
    rows = await conn.fetch(f"{_ORG} where orgs.id > $1 order by orgs.id limit $2", after, limit)
    return [OrgRow(**row) for row in rows]


async def lock_balance(conn: Connection, account_id: str) -> int:
    """Lock one balance row for this transaction; returns the posted micro-USD."""
    posted: int = await conn.fetchval(
        "select posted_uusd from balances where account_id = $1 for update", account_id
    )
    return posted


async def credit_balance(conn: Connection, account_id: str, amount_uusd: int) -> None:
    """Move the balance and mark it to be carried to Redis."""
    await conn.execute(
        """update balances set posted_uusd = posted_uusd + $2, version = version + 1,
                               projection_due = true
           where account_id = $1""",
        account_id,
        amount_uusd,
    )
