"""Settled state as Redis is to know it: balances, lifetime spend and buckets, absolute values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bytespike_contracts.holds import WINDOWS, BucketSpend, ScopeSpend
from bytespike_ledger.store import Connection, Row

__all__ = [
    "AccountSettled",
    "accounts_after",
    "accounts_due",
    "add_scopes",
    "mark_projected",
    "whole_accounts",
]


@dataclass(slots=True)
class AccountSettled:
    """One account's settled state; ``scopes`` may be all of them or only those that changed."""

    account_id: str
    balance_uusd: int
    version: int
    scopes: list[ScopeSpend] = field(default_factory=list)


async def whole_accounts(
    conn: Connection, account_ids: Sequence[str], *, now_ms: int
) -> list[AccountSettled]:
    """State of accounts with all their scopes (every key, every member and the organisation is one,
    also if it never spent) and every bucket still inside its window.
    """
    accounts = await _balances(conn, account_ids)
    spend = await conn.fetch(
        """select account_id, scope, max(spent_uusd) as spent_uusd from (
               select account_id, id as scope, 0 as spent_uusd from api_keys
               union all select account_id, id, 0 from members
               union all select account_id, id, 0 from orgs
               union all select account_id, scope, spent_uusd from scope_spend
           ) as scopes
           where account_id = any($1::text[]) group by account_id, scope""",
        list(account_ids),
    )
    rows = await conn.fetch(
        """select account_id, scope, window_no, bucket, settled_uusd from spend_buckets
           where account_id = any($1::text[])
             and bucket >= ($2::bigint[])[window_no]""",
        list(account_ids),
        [window.first_live_bucket(now_ms) for window in WINDOWS],
    )
    add_scopes(accounts, spend, rows)
    return list(accounts.values())


async def accounts_after(conn: Connection, after: str, *, limit: int) -> list[str]:
    """The next page of customer account ids, in order."""
    rows = await conn.fetch(
        "select account_id from balances where account_id > $1 order by account_id limit $2",
        after,
        limit,
    )
    return [row["account_id"] for row in rows]


async def accounts_due(conn: Connection, *, limit: int) -> list[str]:
    """Accounts with a change that no usage event will carry to Redis."""
    rows = await conn.fetch(
        "select account_id from balances where projection_due order by account_id limit $1", limit
    )
    return [row["account_id"] for row in rows]


async def mark_projected(conn: Connection, accounts: Iterable[AccountSettled]) -> None:
    """Redis has these versions now; a change made meanwhile stays due."""
    known = list(accounts)
    await conn.execute(
        """update balances set projection_due = false
           from unnest($1::text[], $2::bigint[]) as done (account, known_version)
           where account_id = account and version = known_version and projection_due""",
        [account.account_id for account in known],
        [account.version for account in known],
    )


async def _balances(conn: Connection, account_ids: Iterable[str]) -> dict[str, AccountSettled]:
    rows = await conn.fetch(
        "select account_id, posted_uusd, version from balances where account_id = any($1::text[])",
        list(account_ids),
    )
    return {
        row["account_id"]: AccountSettled(row["account_id"], row["posted_uusd"], row["version"])
        for row in rows
    }


def add_scopes(
    accounts: Mapping[str, AccountSettled], spend: Sequence[Row], buckets: Sequence[Row]
) -> None:
    """Put rows of ``scope_spend`` and ``spend_buckets`` on the accounts they belong to."""
    per_scope: dict[tuple[str, str], list[BucketSpend]] = {}
    for row in buckets:
        per_scope.setdefault((row["account_id"], row["scope"]), []).append(
            BucketSpend(row["window_no"], row["bucket"], row["settled_uusd"])
        )
    for row in spend:
        found = per_scope.get((row["account_id"], row["scope"]), [])
        accounts[row["account_id"]].scopes.append(
            ScopeSpend(row["scope"], row["spent_uusd"], found)
        )
