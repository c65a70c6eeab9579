"""How Postgres answers what the usage pages ask: plans of the office's database, as a page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta

from bytespike_contracts.ids import mint_id
from bytespike_ledger.rollups import DAY_MS
from bytespike_ledger.store import Connection
from bytespike_ledger.store.rollups import SummaryFilter, summary_statement
from bytespike_ledger.store.usage import UsageFilter, usage_statement
from bytespike_runtime import pg
from tests.bench.rig import Rig

__all__ = ["plans_page"]

_LIMIT = 50
_MOST_BUCKETS = 10_001
_Statement = tuple[str, list[object]]
_HEAD = """# Usage queries

How PostgreSQL finds rows and sums of usage: plans of the statements the ledger sends, as the role
of a customer (so with the policy that keeps tenants apart), over a month of 1,000,000 requests of
four accounts, 60 % of them the asking account's, with 20 keys and 10 models. Written {day} by
`make bench ARGS="--only office --plans docs/usage-queries.md"`; what each call takes over HTTP is
in [performance.md](performance.md).

Partitions that a page never came to are left out and counted.
"""


async def plans_page(rig: Rig) -> str:
    """The page. The scenario ``office`` must have filled the database."""
    conn = await pg.connect(rig.stack.servers["postgres"].url)
    try:
        account_id, key_id = await conn.fetchrow(
            """select account_id, min(key_id) from usage where price_revision = 'office'
               group by 1 order by count(*) desc limit 1"""
        )
        parts = [_HEAD.format(day=f"{datetime.now(UTC):%Y-%m-%d}")]
        for title, statement in _statements(account_id, key_id).items():
            plan = await _plan(conn, account_id, statement)
            plan = plan.replace(account_id, "acct_A").replace(key_id, "key_K")
            sql = re.sub(r"\s+", " ", statement[0])
            parts.append(f"\n## {title}\n\n```sql\n{sql}\n```\n\n```\n{plan}\n```\n")
        return "".join(parts)
    finally:
        await conn.close()


def _statements(account_id: str, key_id: str) -> Mapping[str, _Statement]:
    today = datetime.now(UTC).date()
    month = _mark(today - timedelta(days=30)), _mark(today)

    def rows(
        *,
        keys: list[str] | None = None,
        model: str | None = None,
        between: tuple[tuple[date, str], tuple[date, str]] = month,
    ) -> _Statement:
        wanted = UsageFilter(
            account_id=account_id,
            key_ids=keys,
            after=between[0],
            before=between[1],
            model=model,
        )
        return usage_statement(wanted, limit=_LIMIT)

    def sums(*group_by: str, keys: list[str] | None = None) -> _Statement:
        since_ms = _midnight_ms(today - timedelta(days=30)) + DAY_MS // 2
        wanted = SummaryFilter(
            account_id=account_id,
            key_ids=keys,
            since_ms=since_ms,
            until_ms=_midnight_ms(today) - DAY_MS // 2,
            group_by=group_by,
        )
        return summary_statement(wanted, limit=_MOST_BUCKETS)

    middle = _mark(today - timedelta(days=15))
    return {
        "First page": rows(),
        "A page behind a cursor, half a month back": rows(between=(month[0], middle)),
        "A common model": rows(model="model-1"),
        "A rare model": rows(model="model-10"),
        "One key": rows(keys=[key_id]),
        "Sums by day": sums("day"),
        "Sums by hour": sums("hour"),
        "Sums by model": sums("model"),
        "Sums by key": sums("key_id"),
        "Sums by hour of one key": sums("hour", keys=[key_id]),
    }


async def _plan(conn: Connection, account_id: str, statement: _Statement) -> str:
    sql, values = statement
    async with conn.transaction():
        await conn.execute(
            """select set_config('role', 'bytespike_tenant', true),
                      set_config('bytespike.account_id', $1, true)""",
            account_id,
        )
        rows = await conn.fetch(f"explain (analyze, buffers) {sql}", *values)
    return "\n".join(_executed([row[0] for row in rows]))


def _executed(lines: list[str]) -> Iterator[str]:
    """The plan without the nodes that were never come to."""
    skipped, hidden_below = 0, None
    for line in lines:
        depth = len(line) - len(line.lstrip())
        if hidden_below is not None and depth > hidden_below:
            continue
        hidden_below = None
        if "(never executed)" in line:
            skipped, hidden_below = skipped + 1, depth
            continue
        yield re.sub(r"cost=\S+ ", "", line)
    if skipped:
        yield f"({skipped} nodes never executed)"


def _midnight_ms(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000


def _mark(day: date) -> tuple[date, str]:
    return day, mint_id("req", _midnight_ms(day), bytes(10))
