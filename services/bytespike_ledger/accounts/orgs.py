"""Organisations: a name, an account with its tier, a wallet, limits on what is spent from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_ledger.accounts.acting import acting
from bytespike_ledger.accounts.actors import Actor, Operator
from bytespike_ledger.accounts.audit_log import Action, record
from bytespike_ledger.accounts.changes import differing, facts
from bytespike_ledger.accounts.events import EventType, emit
from bytespike_ledger.books import Books
from bytespike_ledger.carryover import carry_account, carry_limits
from bytespike_ledger.store import Connection, connection
from bytespike_ledger.store import accounts as store
from bytespike_ledger.store.accounts import AccountRow, OrgRow
from bytespike_ledger.store.changes import update_row
from bytespike_ledger.store.keys import KeyRow, touch_keys

__all__ = [
    "TIER_CONCURRENCY",
    "change_org",
    "create_org",
    "find_account",
    "find_org",
    "list_orgs",
    "lock_org",
    "read_org",
    "with_concurrency",
]

#: Requests in flight per account. The product page sets enterprise per customer, "typically 500 to
#: 2000": the lower end is the default.
TIER_CONCURRENCY = {"free": 5, "pro": 25, "max": 100, "enterprise": 500}

_OF_THE_ACCOUNT = frozenset({"tier", "concurrency"})


async def create_org(
    books: Books, who: Operator, *, name: str, tier: str, concurrency: int | None
) -> OrgRow:
    """Create an organisation that may serve at once (as soon as its wallet has money)."""
    org_id, account_id = books.mint("org"), books.mint("acct")
    async with connection(books.pool) as conn, conn.transaction():
        await store.insert_account(
            conn, account_id, tier=tier, concurrency=concurrency or TIER_CONCURRENCY[tier]
        )
        await store.insert_org(conn, org_id, account_id, name)
        org = await read_org(conn, org_id)
        await record(
            conn,
            who,
            Action.ORG_CREATE,
            target=org_id,
            account_id=account_id,
            after=facts(org, ("name", "tier", "concurrency")),
        )
    await carry_account(books, account_id)
    return org


async def change_org(
    books: Books, who: Actor | Operator, org_id: str, changes: Mapping[str, object]
) -> OrgRow:
    """Apply ``{field of OrgRow: value}``; a tier without a concurrency brings its own.

    In force on every edge within a second. 404 if there is no such organisation.
    """
    keys: list[KeyRow] = []
    async with acting(books, who) as conn:
        before = await lock_org(conn, org_id)
        wanted = differing(before, with_concurrency(changes))
        if not wanted:
            return before
        await update_row(conn, "orgs", org_id, _without(wanted, _OF_THE_ACCOUNT))
        if wanted.keys() & _OF_THE_ACCOUNT:
            await store.update_account(conn, before.account_id, wanted)
        after = await read_org(conn, org_id)
        if wanted.keys() != {"name"}:
            keys = await touch_keys(conn, before.account_id)
        now = facts(after, wanted)
        await record(
            conn,
            who,
            Action.ORG_UPDATE,
            target=org_id,
            account_id=before.account_id,
            before=facts(before, wanted),
            after=now,
        )
        body = {"org_id": org_id, **now}
        await emit(conn, books, before.account_id, EventType.ORG_UPDATE, body)
    await carry_limits(books, before.account_id, keys)
    return after


def with_concurrency(changes: Mapping[str, object]) -> Mapping[str, object]:
    """A new tier brings its concurrency unless one is named."""
    tier = changes.get("tier")
    return changes if tier is None else {"concurrency": TIER_CONCURRENCY[str(tier)], **changes}


async def find_org(books: Books, org_id: str) -> OrgRow:
    """One organisation; 404 if there is none."""
    async with connection(books.pool) as conn:
        return await read_org(conn, org_id)


async def read_org(conn: Connection, org_id: str) -> OrgRow:
    """One organisation; 404 if there is none."""
    return await store.read_org(conn, org_id) or _not_found(org_id)


async def lock_org(conn: Connection, org_id: str) -> OrgRow:
    """One organisation, its changes and those of its members kept waiting; 404 if none."""
    return await store.lock_org(conn, org_id) or _not_found(org_id)


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


def _without(changes: Mapping[str, object], columns: frozenset[str]) -> dict[str, object]:
    return {column: value for column, value in changes.items() if column not in columns}


def _not_found(org_id: str) -> NoReturn:
    raise GatewayError(ErrorCode.NOT_FOUND, f"no organisation {org_id!r}")
