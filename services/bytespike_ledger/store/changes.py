"""Changing columns of one row by name. The names come from code, never from a caller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import asyncpg

from bytespike_ledger.store import Connection

__all__ = ["Taken", "update_row"]

Table = Literal["orgs", "members", "users", "operators"]

_CAPS = frozenset({"quota_uusd", "window_5h_uusd", "window_1d_uusd", "window_7d_uusd"})
_CHANGEABLE: Mapping[Table, frozenset[str]] = {
    "orgs": _CAPS | {"name", "status"},
    "members": _CAPS | {"name", "role", "status"},
    "users": frozenset({"email", "name", "status", "account_id"}),
    "operators": frozenset({"name", "status"}),
}


class Taken(Exception):
    """Somebody else has this name or address already."""


async def update_row(
    conn: Connection, table: Table, row_id: str, changes: Mapping[str, object]
) -> None:
    """Set ``{column: value}`` of a row that exists. Raises :class:`Taken`."""
    unknown = changes.keys() - _CHANGEABLE[table]
    if unknown:
        raise ValueError(f"not changeable: {sorted(unknown)}")
    sets = "".join(f", {column} = ${number}" for number, column in enumerate(changes, 2))
    try:
        await conn.execute(
            f"update {table} set updated_at = now(){sets} where id = $1",  # noqa: S608 - checked above
            row_id,
            *changes.values(),
        )
    except asyncpg.UniqueViolationError as error:
        raise Taken from error
