"""What a customer's own account page shows. Works as a tenant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bytespike_ledger.store import Connection

__all__ = ["MoneyRow", "OrgName", "UserRow", "read_money", "read_org_of", "read_user", "spent_by"]


@dataclass(frozen=True, slots=True)
class UserRow:
    """Who a key belongs to."""

    id: str
    email: str
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class OrgName:
    """The organisation that owns an account."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class MoneyRow:
    """An account's money since its first day; all in micro-USD."""

    topped_up_uusd: int
    spent_uusd: int
    low_balance_uusd: int
    low_balance_flagged: bool


async def read_user(conn: Connection, user_id: str, member_id: str | None) -> UserRow | None:
    """One user, or None. A member is shown as the organisation knows them: whoever can make keys
    for others must not learn from one whether a person was known here before.
    """
    row = await conn.fetchrow(
        """select users.id, email, coalesce(members.name, users.name) as name,
                  coalesce(members.created_at, users.created_at) as created_at
           from users left join members on members.id = $2 and members.user_id = users.id
           where users.id = $1""",
        user_id,
        member_id,
    )
    return None if row is None else UserRow(**row)


async def read_org_of(conn: Connection, account_id: str) -> OrgName | None:
    """The account's organisation; None for individuals."""
    row = await conn.fetchrow("select id, name from orgs where account_id = $1", account_id)
    return None if row is None else OrgName(**row)


async def read_money(conn: Connection, account_id: str) -> MoneyRow:
    """What was paid in and what was spent. Nobody walks through the charges for it: whatever came
    in or went out by other ways than usage is a handful of lines, and what of it the balance does
    not show was spent. One statement, so both sides are of the same moment. Zeros for an account
    that the tenant cannot see.
    """
    row = await conn.fetchrow(
        """select moved.topped_up_uusd, moved.other_uusd - posted_uusd as spent_uusd,
                  coalesce(low_balance_uusd, 0) as low_balance_uusd,
                  coalesce(low_balance_flagged, false) as low_balance_flagged
           from balances
           left join wallet_settings using (account_id)
           cross join lateral (
               select coalesce(sum(amount_uusd), 0)::bigint as other_uusd,
                      coalesce(sum(amount_uusd) filter (
                          where kind = 'topup' and coalesce(item, 'principal') = 'principal'
                      ), 0)::bigint as topped_up_uusd
               from transfers join entries on entries.transfer_id = transfers.id
               where transfers.account_id = balances.account_id and transfers.kind <> 'settle'
                 and entries.account_id = balances.account_id
           ) as moved
           where account_id = $1""",
        account_id,
    )
    return MoneyRow(0, 0, 0, False) if row is None else MoneyRow(**row)


async def spent_by(conn: Connection, key_id: str) -> dict[str, int]:
    """``{model: micro-USD}`` that a key has spent, from the daily sums."""
    rows = await conn.fetch(
        """select model, sum(charge_uusd)::bigint as spent_uusd from usage_days
           where key_id = $1 group by model""",
        key_id,
    )
    return {row["model"]: row["spent_uusd"] for row in rows}
