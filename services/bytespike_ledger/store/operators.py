"""The platform's operators."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import asyncpg

from bytespike_ledger.store import Connection
from bytespike_ledger.store.changes import Taken

__all__ = ["OperatorRow", "OperatorStatus", "insert_operator", "list_operators", "read_operator"]

OperatorStatus = Literal["active", "disabled"]

_OPERATOR = "select id, name, hint, status, created_at, updated_at from operators"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorRow:
    """An operator without their token."""

    id: str
    name: str
    hint: str
    status: OperatorStatus
    created_at: datetime
    updated_at: datetime


async def insert_operator(
    conn: Connection, operator_id: str, *, name: str, token_hash: bytes, hint: str
) -> None:
    """An active operator. Raises :class:`Taken` if there is one of this name."""
    try:
        await conn.execute(
            "insert into operators (id, name, token_hash, hint) values ($1, $2, $3, $4)",
            operator_id,
            name,
            token_hash,
            hint,
        )
    except asyncpg.UniqueViolationError as error:
        raise Taken from error


async def read_operator(
    conn: Connection, operator_id: str, *, lock: bool = False
) -> OperatorRow | None:
    """One operator, or None; with ``lock`` nobody else changes them until the transaction ends."""
    last = "for update" if lock else ""
    row = await conn.fetchrow(f"{_OPERATOR} where id = $1 {last}", operator_id)
    return None if row is None else OperatorRow(**row)


async def list_operators(conn: Connection, *, after: str, limit: int) -> list[OperatorRow]:
    """A page of operators, oldest first."""
    rows = await conn.fetch(f"{_OPERATOR} where id > $1 order by id limit $2", after, limit)
    return [OperatorRow(**row) for row in rows]
