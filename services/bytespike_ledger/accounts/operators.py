"""Operators: people who run the platform, each with a token of their own.

Only whoever has the settings' token may make and disable them: an operator cannot make another.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_ledger.accounts.actors import ROOT, Operator
from bytespike_ledger.accounts.audit_log import Action, record
from bytespike_ledger.accounts.changes import differing, facts
from bytespike_ledger.books import Books
from bytespike_ledger.store import Connection, connection
from bytespike_ledger.store import operators as store
from bytespike_ledger.store.changes import Taken, update_row
from bytespike_ledger.store.operators import OperatorRow

__all__ = ["NewOperator", "change_operator", "create_operator", "list_operators"]

_PREFIX = "byts-admin-"
_TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True)
class NewOperator:
    """An operator just made: the only moment the token is known."""

    token: str
    row: OperatorRow


async def create_operator(books: Books, who: Operator, *, name: str) -> NewOperator:
    """Raises ``GatewayError``: 403 not root, 409 the name is taken."""
    _check_root(who)
    operator_id = books.mint("op")
    token = _PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
    async with connection(books.pool) as conn, conn.transaction():
        try:
            await store.insert_operator(
                conn,
                operator_id,
                name=name,
                token_hash=hashlib.sha256(token.encode()).digest(),
                hint=f"{_PREFIX}...{token[-4:]}",
            )
        except Taken as error:
            raise _name_taken() from error
        made = await _read(conn, operator_id)
        after = facts(made, ("name", "hint"))
        await record(conn, who, Action.OPERATOR_CREATE, target=operator_id, after=after)
    return NewOperator(token, made)


async def change_operator(
    books: Books, who: Operator, operator_id: str, changes: Mapping[str, object]
) -> OperatorRow:
    """Apply ``{column: value}``; a disabled one is refused from the next call on.

    Raises ``GatewayError``: 403 not root, 404 no such operator, 409 the name is taken.
    """
    _check_root(who)
    async with connection(books.pool) as conn, conn.transaction():
        before = await _read(conn, operator_id, lock=True)
        wanted = differing(before, changes)
        if not wanted:
            return before
        try:
            await update_row(conn, "operators", operator_id, wanted)
        except Taken as error:
            raise _name_taken() from error
        after = await _read(conn, operator_id)
        await record(
            conn,
            who,
            Action.OPERATOR_UPDATE,
            target=operator_id,
            before=facts(before, wanted),
            after=facts(after, wanted),
        )
    return after


async def list_operators(
    books: Books, who: Operator, *, after: str, limit: int
) -> list[OperatorRow]:
    """A page of operators, oldest first. 403 if the caller is not root."""
    _check_root(who)
    async with connection(books.pool) as conn:
        return await store.list_operators(conn, after=after, limit=limit)


def _check_root(who: Operator) -> None:
    if who.id != ROOT:
        raise GatewayError(
            ErrorCode.PERMISSION_DENIED, "only the admin token of the settings manages operators"
        )


async def _read(conn: Connection, operator_id: str, *, lock: bool = False) -> OperatorRow:
    return await store.read_operator(conn, operator_id, lock=lock) or _not_found(operator_id)


def _name_taken() -> GatewayError:
    return GatewayError(ErrorCode.CONFLICT, "there is an operator of this name", param="name")


def _not_found(operator_id: str) -> NoReturn:
    raise GatewayError(ErrorCode.NOT_FOUND, f"no operator {operator_id!r}")
