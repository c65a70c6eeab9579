"""What an account's usage cost per day, from the roll-ups that settlement keeps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from bytespike_ledger.store import Connection

__all__ = ["DayUsage", "usage_before", "usage_per_day"]


@dataclass(frozen=True, slots=True)
class DayUsage:
    """One day (UTC) with usage that cost something: its first moment, calls and micro-USD."""

    first: datetime
    calls: int
    charge_uusd: int


async def usage_before(conn: Connection, account_id: str, until: datetime) -> int:
    """Micro-USD charged for days before ``until``, which must be the first moment of one."""
    total: int = await conn.fetchval(
        """select coalesce(sum(charge_uusd), 0)::bigint from usage_days
           where account_id = $1 and day_ms < $2""",
        account_id,
        _ms(until),
    )
    return total


async def usage_per_day(
    conn: Connection, account_id: str, since: datetime, until: datetime
) -> list[DayUsage]:
    """The days from ``since`` to before ``until`` that cost something, in order."""
    rows = await conn.fetch(
        """select day_ms, sum(calls)::bigint as calls, sum(charge_uusd)::bigint as charge_uusd
           from usage_days where account_id = $1 and day_ms >= $2 and day_ms < $3
           group by day_ms having sum(charge_uusd) <> 0 order by day_ms""",
        account_id,
        _ms(since),
        _ms(until),
    )
    return [
        DayUsage(
            datetime.fromtimestamp(row["day_ms"] // 1000, UTC), row["calls"], row["charge_uusd"]
        )
        for row in rows
    ]


def _ms(at: datetime) -> int:
    return int(at.timestamp()) * 1000
