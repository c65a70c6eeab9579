"""Users: people behind memberships, and individuals with an account of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_ledger.accounts.actors import Operator
from bytespike_ledger.accounts.audit_log import Action, record
from bytespike_ledger.accounts.changes import differing, facts
from bytespike_ledger.accounts.orgs import TIER_CONCURRENCY, with_concurrency
from bytespike_ledger.books import Books
from bytespike_ledger.carryover import carry_account, carry_keys
from bytespike_ledger.store import Connection, accounts, connection
from bytespike_ledger.store import people as store
from bytespike_ledger.store.changes import Taken, update_row
from bytespike_ledger.store.keys import KeyRow, touch_keys
from bytespike_ledger.store.people import UserRow

__all__ = ["change_user", "create_user", "find_user", "list_users"]

_OF_THE_ACCOUNT = frozenset({"tier", "concurrency"})


async def create_user(
    books: Books,
    who: Operator,
    *,
    email: str,
    name: str,
    tier: str | None,
    concurrency: int | None,
) -> UserRow:
    """A user; with a ``tier`` an individual, whose account may serve at once. 409 if known."""
    user_id = books.mint("usr")
    account_id = None if tier is None else books.mint("acct")
    async with connection(books.pool) as conn, conn.transaction():
        if account_id is not None and tier is not None:
            await accounts.insert_account(
                conn, account_id, tier=tier, concurrency=concurrency or TIER_CONCURRENCY[tier]
            )
        try:
            await store.insert_user(conn, user_id, email=email, name=name, account_id=account_id)
        except Taken as error:
            raise _address_taken() from error
        user = await _read(conn, user_id)
        columns = ["email", "name"]
        if account_id is not None:
            columns += ["account_id", "tier", "concurrency"]
        await _record(conn, who, Action.USER_CREATE, user, None, facts(user, columns))
    if account_id is not None:
        await carry_account(books, account_id)
    return user


async def change_user(
    books: Books, who: Operator, user_id: str, changes: Mapping[str, object]
) -> UserRow:
    """Apply ``{field of UserRow: value}``; a tier without a concurrency brings its own, and makes
    a user without an account an individual.

    A disabled user's keys stop within a second, wherever they are a member. Raises
    ``GatewayError``: 400 concurrency without an account, 404 no such user, 409 address taken.
    """
    async with connection(books.pool) as conn, conn.transaction():
        before = await _read(conn, user_id, lock=True)
        wanted = differing(before, with_concurrency(changes))
        if not wanted:
            return before
        opened = await _open_account(books, conn, before, wanted)
        account_id = before.account_id or opened
        own = {column: wanted[column] for column in wanted.keys() - _OF_THE_ACCOUNT}
        if opened is not None:
            own["account_id"] = opened
        try:
            await update_row(conn, "users", user_id, own)
        except Taken as error:
            raise _address_taken() from error
        if account_id is not None:
            await accounts.update_account(conn, account_id, wanted)
        after = await _read(conn, user_id)
        keys = await _touch(conn, after, wanted)
        columns = [*wanted, *own.keys() - wanted.keys()]
        await _record(
            conn, who, Action.USER_UPDATE, after, facts(before, columns), facts(after, columns)
        )
    if opened is not None:
        await carry_account(books, opened)
    await carry_keys(books, keys)
    return after


async def find_user(books: Books, user_id: str) -> UserRow:
    """One user; 404 if there is none."""
    async with connection(books.pool) as conn:
        return await _read(conn, user_id)


async def list_users(books: Books, *, email: str | None, after: str, limit: int) -> list[UserRow]:
    """A page of users, oldest first."""
    async with connection(books.pool) as conn:
        return await store.list_users(conn, email=email, after=after, limit=limit)


async def _open_account(
    books: Books, conn: Connection, user: UserRow, wanted: Mapping[str, object]
) -> str | None:
    """The id of the account made for a user who had none and is to have a tier."""
    if user.account_id is not None or not wanted.keys() & _OF_THE_ACCOUNT:
        return None
    if "tier" not in wanted:
        raise GatewayError(
            ErrorCode.INVALID_REQUEST, "no individual: name a tier as well", param="concurrency"
        )
    account_id = books.mint("acct")
    await accounts.insert_account(
        conn,
        account_id,
        tier=str(wanted["tier"]),
        concurrency=int(str(wanted["concurrency"])),
    )
    return account_id


async def _touch(conn: Connection, user: UserRow, wanted: Mapping[str, object]) -> list[KeyRow]:
    """All keys the change is felt by, in the order of their accounts."""
    owners: list[tuple[str, str | None]] = []
    if user.account_id is not None and wanted.keys() & (_OF_THE_ACCOUNT | {"status"}):
        owners.append((user.account_id, None))
    if "status" in wanted:
        owners += await store.memberships(conn, user.id)
    keys: list[KeyRow] = []
    for account_id, member_id in sorted(owners, key=lambda owner: owner[0]):
        keys += await touch_keys(conn, account_id, member_id=member_id)
    return keys


async def _record(
    conn: Connection,
    who: Operator,
    action: Action,
    user: UserRow,
    before: Mapping[str, object] | None,
    after: Mapping[str, object],
) -> None:
    await record(
        conn,
        who,
        action,
        target=user.id,
        account_id=user.account_id,
        before=before,
        after=after,
    )


async def _read(conn: Connection, user_id: str, *, lock: bool = False) -> UserRow:
    return await store.read_user(conn, user_id, lock=lock) or _not_found(user_id)


def _address_taken() -> GatewayError:
    return GatewayError(ErrorCode.CONFLICT, "there is a user with this address", param="email")


def _not_found(user_id: str) -> NoReturn:
    raise GatewayError(ErrorCode.NOT_FOUND, f"no user {user_id!r}")
