"""The outbox of account events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from bytespike_ledger.store import Connection

__all__ = ["EventRow", "forget_events", "insert_event", "mark_done", "take_due"]


async def insert_event(
    conn: Connection,
    event_id: str,
    *,
    account_id: str,
    member_id: str | None,
    kind: str,
    body: str,
    due: bool = True,
) -> None:
    """One event; ``body`` is a JSON text. One that is not ``due`` is fanned out to nobody."""
    await conn.execute(
        """insert into account_events (id, account_id, member_id, type, body, due)
           values ($1, $2, $3, $4, $5::jsonb, $6)""",
        event_id,
        account_id,
        member_id,
        kind,
        body,
        due,
    )


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """An event as written; ``body`` is a JSON text. ``member_id`` None = it concerns everybody."""

    id: str
    account_id: str
    member_id: str | None
    type: str
    body: str
    created_at: datetime


async def take_due(conn: Connection, *, limit: int) -> list[EventRow]:
    """Events nobody has fanned out, oldest first; locked until the transaction ends, and those that
    others are at are left to them.
    """
    rows = await conn.fetch(
        """select id, account_id, member_id, type, body::text as body, created_at
           from account_events where due order by id limit $1 for update skip locked""",
        limit,
    )
    return [EventRow(**row) for row in rows]


async def mark_done(conn: Connection, event_ids: Sequence[str]) -> None:
    """They are fanned out."""
    await conn.execute("update account_events set due = false where id = any($1)", event_ids)


async def forget_events(conn: Connection, *, before: datetime, limit: int) -> int:
    """Delete up to ``limit`` made before that neither a delivery nor a notification is about;
    returns how many.
    """
    status = await conn.execute(
        """delete from account_events where ctid = any(array(
               select ctid from account_events as events
               where created_at < $1 and not due
                 and not exists (select from webhook_deliveries where event_id = events.id)
                 and not exists (select from notifications where event_id = events.id)
               order by created_at limit $2))""",
        before,
        limit,
    )
    return int(status.removeprefix("DELETE "))
