"""Whose usage a caller sees: the account's, their own member's, or that of their key alone."""

from __future__ import annotations

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_ledger.accounts.actors import Actor, Permission
from bytespike_ledger.store import Connection
from bytespike_ledger.store.usage import matching_keys

__all__ = ["keys_in_account", "keys_in_sight"]


async def keys_in_sight(conn: Connection, actor: Actor, wanted: str | None) -> list[str] | None:
    """Ids of the keys whose usage the caller may see and asks for; None = the whole account's.

    ``wanted`` is an id or a masked form. Raises ``GatewayError`` 404 if it names none of them.
    """
    if actor.may(Permission.READ_ALL_USAGE):
        return await keys_in_account(conn, actor.account_id, wanted)
    found = await matching_keys(
        conn,
        actor.account_id,
        wanted=wanted,
        member_id=actor.member_id,
        only=actor.key_id if actor.member_id is None else None,
    )
    return _known(found, wanted)


async def keys_in_account(
    conn: Connection, account_id: str, wanted: str | None
) -> list[str] | None:
    """The same for somebody who may see all of the account."""
    if wanted is None:
        return None
    return _known(await matching_keys(conn, account_id, wanted=wanted), wanted)


def _known(found: list[str], wanted: str | None) -> list[str]:
    if wanted is not None and not found:
        raise GatewayError(ErrorCode.NOT_FOUND, f"no key {wanted!r}")
    return found
