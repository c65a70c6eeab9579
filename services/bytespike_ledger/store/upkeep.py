"""Housekeeping: partitions, retention, and the events that wait for a human."""

from __future__ import annotations

from datetime import date
from hashlib import sha256

from bytespike_contracts.holds import WINDOWS
from bytespike_ledger.settle import ParkReason
from bytespike_ledger.store import Connection

__all__ = ["ensure_day", "forget_old_buckets", "park", "settled_ids"]


async def ensure_day(conn: Connection, day: date) -> None:
    """Create the partitions of a day if they are missing."""
    await conn.execute("select ensure_usage_day($1)", day)


async def forget_old_buckets(conn: Connection, *, older_than_ms: int, limit: int) -> int:
    """Delete up to ``limit`` buckets per window that ended before; returns how many."""
    deleted = 0
    for number, window in enumerate(WINDOWS, 1):
        status = await conn.execute(
            """delete from spend_buckets where ctid = any(array(
                   select ctid from spend_buckets
                   where window_no = $1 and bucket < $2 limit $3))""",
            number,
            window.bucket(older_than_ms),
            limit,
        )
        deleted += int(status.rpartition(" ")[2])
    return deleted


async def park(conn: Connection, reason: ParkReason, request_id: str | None, body: bytes) -> bool:
    """Keep an event that cannot be applied; False if this very one is parked already."""
    status = await conn.execute(
        """insert into parked_events (reason, request_id, body_hash, body)
           values ($1, $2, $3, $4) on conflict do nothing""",
        reason.value,
        request_id,
        sha256(body).digest(),
        body,
    )
    return bool(status == "INSERT 0 1")


async def settled_ids(conn: Connection, ids_by_day: dict[date, list[str]]) -> set[str]:
    """Which of these requests have a usage row."""
    found: set[str] = set()
    for day, ids in ids_by_day.items():
        rows = await conn.fetch(
            "select request_id from usage where day = $1 and request_id = any($2::text[])", day, ids
        )
        found.update(row["request_id"] for row in rows)
    return found
