"""Which groups an account may bind keys to: the public ones, and the exclusive ones granted to it.

What a group is says the catalogue, who may use an exclusive one say the grants, and
:func:`require_group` alone decides by both. A key whose group was taken away is disabled, not
moved: another group has other prices.
"""

from __future__ import annotations

from bytespike_contracts.catalogue import Catalogue, Group
from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_ledger.accounts.actors import Operator
from bytespike_ledger.accounts.audit_log import Action, record
from bytespike_ledger.accounts.events import EventType, emit
from bytespike_ledger.accounts.key_rules import announced
from bytespike_ledger.accounts.orgs import find_account
from bytespike_ledger.books import Books
from bytespike_ledger.carryover import carry_keys
from bytespike_ledger.store import Connection, connection
from bytespike_ledger.store import groups as store
from bytespike_ledger.store.groups import GrantRow

__all__ = ["account_groups", "grant_group", "require_group", "revoke_group", "usable_groups"]


async def usable_groups(conn: Connection, catalogue: Catalogue, account_id: str) -> list[Group]:
    """The groups the account may bind keys to, in the catalogue's order. Works as a tenant."""
    granted = {grant.routing_group for grant in await store.grants_of(conn, account_id)}
    return [group for group in catalogue.groups.values() if group.public or group.id in granted]


async def require_group(
    conn: Connection, catalogue: Catalogue, account_id: str, group: str
) -> None:
    """Raises ``GatewayError`` 400 unless the account may bind keys to the group; one message for
    unknown and exclusive ones, so that customers cannot find out which exist.

    Call it in the transaction that binds or enables the key (as a tenant or not): the grant cannot
    be taken away before that ends.
    """
    known = catalogue.groups.get(group)
    if known is not None and known.public:
        return
    if known is not None:
        await store.lock_grant(conn, account_id, group, shared=True)
        if await store.read_grant(conn, account_id, group) is not None:
            return
    raise GatewayError(
        ErrorCode.INVALID_REQUEST,
        f"no group {group[:64]!r} is available to this account",
        param="group",
    )


async def account_groups(
    books: Books, account_id: str
) -> tuple[dict[str, GrantRow], dict[str, int]]:
    """The account's grants and its numbers of active keys, by group. 404 if there is no account."""
    await find_account(books, account_id)
    async with connection(books.pool) as conn:
        grants = await store.grants_of(conn, account_id)
        counts = await store.key_counts(conn, account_id)
    return {grant.routing_group: grant for grant in grants}, counts


async def grant_group(
    books: Books, catalogue: Catalogue, who: Operator, account_id: str, group: str
) -> GrantRow:
    """Let an account use a group; again is no change. 404 if either does not exist. A public group
    may be granted too: it counts once the group is exclusive.
    """
    if group not in catalogue.groups:
        raise GatewayError(ErrorCode.NOT_FOUND, f"no group {group[:64]!r}")
    await find_account(books, account_id)
    async with connection(books.pool) as conn, conn.transaction():
        if await store.insert_grant(conn, account_id, group, granted_by=who.id):
            await record(
                conn,
                who,
                Action.GROUP_GRANT,
                target=group,
                account_id=account_id,
                after={"group": group},
            )
        grant = await store.read_grant(conn, account_id, group)
    if grant is None:
        raise GatewayError(ErrorCode.CONFLICT, "the grant was taken away at the same moment")
    return grant


async def revoke_group(
    books: Books, catalogue: Catalogue, who: Operator, account_id: str, group: str
) -> int:
    """Take a grant away and disable the account's active keys of the group, unless the group is
    public by now; the number of keys disabled. 404 if there is no such grant.
    """
    await find_account(books, account_id)
    known = catalogue.groups.get(group)
    async with connection(books.pool) as conn, conn.transaction():
        await store.lock_grant(conn, account_id, group, shared=False)
        if await store.read_grant(conn, account_id, group) is None:
            raise GatewayError(ErrorCode.NOT_FOUND, f"no grant of group {group[:64]!r}")
        await store.delete_grant(conn, account_id, group)
        keys = []
        if known is None or not known.public:
            keys = await store.disable_group_keys(conn, account_id, group)
        for key in keys:
            await emit(
                conn,
                books,
                account_id,
                EventType.KEY_REVOKE,
                announced(key),
                member_id=key.member_id,
            )
        await record(
            conn,
            who,
            Action.GROUP_REVOKE,
            target=group,
            account_id=account_id,
            before={"group": group},
            after={"keys_disabled": [key.id for key in keys]},
        )
    await carry_keys(books, keys)
    return len(keys)
