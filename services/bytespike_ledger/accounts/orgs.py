"""Organisations: a name, an account with its tier, an empty wallet."""

from __future__ import annotations

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_ledger.books import Books
from bytespike_ledger.carryover import carry_account
from bytespike_ledger.store import accounts as store
from bytespike_ledger.store import connection
from bytespike_ledger.store.accounts import AccountRow, OrgRow

__all__ = ["TIER_CONCURRENCY", "create_org", "find_account", "find_org", "list_orgs"]

#: Requests in flight per account. The product page sets enterprise per customer, "typically 500 to
#: 2000": the lower end is the default.
TIER_CONCURRENCY = {"free": 5, "pro": 25, "max": 100, "enterprise": 500}


async def create_org(books: Books, *, name: str, tier: str, concurrency: int | None) -> OrgRow:
    """Create an organisation that may serve at once (as soon as its wallet has money)."""
    org_id, account_id = books.mint("org"), books.mint("acct")
    async with connection(books.pool) as conn, conn.transaction():
        await store.insert_account(
            conn, account_id, tier=tier, concurrency=concurrency or TIER_CONCURRENCY[tier]
        )
        await store.insert_org(conn, org_id, account_id, name)
    await carry_account(books, account_id)
    return await find_org(books, org_id)


async def find_org(books: Books, org_id: str) -> OrgRow:
    """One organisation; 404 if there is none."""
    async with connection(books.pool) as conn:
        org = await store.read_org(conn, org_id)
    if org is None:
        raise GatewayError(ErrorCode.NOT_FOUND, f"no organisation {org_id!r}")
    return org


async def find_account(books: Books, account_id: str) -> AccountRow:
    """One customer account; 404 if there is none."""
    async with connection(books.pool) as conn:
        account = await store.read_account(conn, account_id)
    if account is None:
        raise GatewayError(ErrorCode.NOT_FOUND, f"no account {account_id!r}")
    return account


async def list_orgs(books: Books, *, after: str, limit: int) -> list[OrgRow]:
    """A page of organisations, oldest first."""
    async with connection(books.pool) as conn:
        return await store.list_orgs(conn, after=after, limit=limit)
