"""Retention: rows of single requests go when they are old enough; the sums made of them stay.

First the books say which day is the first they keep, then older days go. In between, and whatever
happens in between, the days are neither settled into nor audited.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from bytespike_contracts.ids import mint_id
from bytespike_ledger.books import Books
from bytespike_ledger.store import Connection
from bytespike_ledger.store import retention as store
from bytespike_runtime.logs import get_logger

__all__ = ["drop_old_days"]

#: A day becomes old per day; more come together only when the setting was lowered.
_DAYS_AT_ONCE = 40

_log = get_logger()


async def drop_old_days(books: Books, conn: Connection) -> None:
    """Let go of the days of usage that are older than the setting says. One ledger at a time, and
    outside any transaction.
    """
    midnight = datetime.fromtimestamp(books.now_ms() // 1000, UTC).replace(
        hour=0, minute=0, second=0
    )
    first = midnight - timedelta(days=books.usage_retention_days)
    least_id = mint_id("", int(first.timestamp()) * 1000, bytes(10))
    await store.end_days_before(conn, first.date(), least_id.removeprefix("_"))
    for day in await store.old_days(conn, limit=_DAYS_AT_ONCE):
        await store.drop_day(conn, day)
        _log.info("usage of a day dropped", day=day.isoformat())
