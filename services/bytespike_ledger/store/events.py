"""The outbox of account events."""

from __future__ import annotations

from bytespike_ledger.store import Connection

__all__ = ["insert_event"]


async def insert_event(
    conn: Connection,
    event_id: str,
    *,
    account_id: str,
    member_id: str | None,
    kind: str,
    body: str,
) -> None:
    """One event; ``body`` is a JSON text."""
    await conn.execute(
        """insert into account_events (id, account_id, member_id, type, body)
           values ($1, $2, $3, $4, $5::jsonb)""",
        event_id,
        account_id,
        member_id,
        kind,
        body,
    )
