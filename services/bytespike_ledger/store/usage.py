"""The customer's usage list: one row per answered request, newest first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from bytespike_contracts.settlement import CLIENT_SUCCESS
from bytespike_ledger.store import Connection, Row

__all__ = ["UsageFilter", "list_usage"]

_SUCCESS = sorted(outcome.value for outcome in CLIENT_SUCCESS)


@dataclass(frozen=True, kw_only=True)
class UsageFilter:
    """Which rows: of one key, optionally of one model, one request, a span of time.

    ``before`` is the last request id of the page before; times are Unix milliseconds of admission,
    ``since`` inclusive, ``until`` exclusive. ``first_day`` and ``last_day`` bound the partitions.
    """

    key_id: str
    first_day: date
    last_day: date
    model: str | None = None
    request_id: str | None = None
    before: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None


async def list_usage(
    conn: Connection, wanted: UsageFilter, *, limit: int
) -> list[Mapping[str, object]]:
    """Up to ``limit`` rows; ids sort by time, so the id alone is the order and the cursor."""
    rows: list[Row] = await conn.fetch(
        """select request_id, model, dialect, stream, status, outcome, estimated, admitted_ms,
                  finished_ms, first_byte_ms, input_tokens, cache_write_5m_tokens,
                  cache_write_1h_tokens, cache_read_tokens, output_tokens, reasoning_tokens,
                  web_searches, charge_uusd, price_revision
           from usage
           where key_id = $1 and day between $2 and $3 and outcome = any($4::text[])
             and ($5::text is null or model = $5)
             and ($6::text is null or request_id = $6)
             and ($7::text is null or request_id < $7)
             and ($8::bigint is null or admitted_ms >= $8)
             and ($9::bigint is null or admitted_ms < $9)
           order by day desc, request_id desc limit $10""",
        wanted.key_id,
        wanted.first_day,
        wanted.last_day,
        _SUCCESS,
        wanted.model,
        wanted.request_id,
        wanted.before,
        wanted.since_ms,
        wanted.until_ms,
        limit,
    )
    return [dict(row) for row in rows]
