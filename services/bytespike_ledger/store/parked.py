"""Usage events that could not be applied and wait for a human."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bytespike_ledger.store import Connection

__all__ = ["ParkedRow", "list_parked", "take_parked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedRow:
    """One of them, without what is in it."""

    id: int
    reason: str
    request_id: str | None
    parked_at: datetime


async def list_parked(conn: Connection, *, after: int, limit: int) -> list[ParkedRow]:
    """A page of them, oldest first."""
    rows = await conn.fetch(
        """select id, reason, request_id, parked_at from parked_events
           where id > $1 order by id limit $2""",
        after,
        limit,
    )
    return [ParkedRow(**row) for row in rows]


async def take_parked(conn: Connection, parked_id: int) -> tuple[ParkedRow, bytes] | None:
    """Remove one and return it with its body; None if there is none. Who parks the same again
    waits for this transaction's end.
    """
    row = await conn.fetchrow(
        """delete from parked_events where id = $1
           returning id, reason, request_id, parked_at, body""",
        parked_id,
    )
    if row is None:
        return None
    fields = dict(row)
    body: bytes = fields.pop("body")
    return ParkedRow(**fields), body
