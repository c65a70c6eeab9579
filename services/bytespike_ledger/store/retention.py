"""Old days of usage: which there are, and how they go without anybody waiting for it."""

from __future__ import annotations

from datetime import date

from bytespike_ledger.store import Connection

__all__ = ["drop_day", "end_days_before", "old_days"]

#: Longer than a full audit, which is all that ever reads days that old.
_DETACH_TIMEOUT_S = 900.0
_PARENTS = ("usage", "usage_attempts")


async def end_days_before(conn: Connection, first_day: date, first_ulid: str) -> None:
    """Say that days before are not kept; never moves back. From the commit on nothing of them can
    be settled, and the audit leaves them out.
    """
    await conn.execute(
        """update usage_retention set first_day = $1, first_ulid = $2 where first_day < $1""",
        first_day,
        first_ulid,
    )


async def old_days(conn: Connection, *, limit: int) -> list[date]:
    """Up to ``limit`` days that are not kept and still have a table, oldest first."""
    rows = await conn.fetch(
        """select distinct to_date(right(relname, 10), 'YYYY_MM_DD') as day
           from pg_class, usage_retention
           where relkind = 'r' and relnamespace = current_schema()::regnamespace
             and relname ~ '^usage(_attempts)?_[0-9]{4}_[0-9]{2}_[0-9]{2}$'
             and to_date(right(relname, 10), 'YYYY_MM_DD') < first_day
           order by day limit $1""",
        limit,
    )
    return [row["day"] for row in rows]


async def drop_day(conn: Connection, day: date) -> None:
    """Detach the tables of a day and drop them; what an earlier try left half done is finished.

    Detaching concurrently waits for whoever is reading, and nobody waits for it; it must not run
    in a transaction. The table is dropped when nothing can reach it any more.
    """
    for parent in _PARENTS:
        child = f"{parent}_{day:%Y_%m_%d}"
        pending = await conn.fetchval(
            """select inhdetachpending from pg_inherits
               where inhparent = $1::text::regclass and inhrelid = to_regclass($2)""",
            parent,
            child,
        )
        if pending is not None:
            how = "finalize" if pending else "concurrently"
            await conn.execute(
                f"alter table {parent} detach partition {child} {how}",
                timeout=_DETACH_TIMEOUT_S,
            )
        await conn.execute(f"drop table if exists {child}")
