"""The second book beside the first: what channels cost and what customers paid for their answers.

A request's revenue belongs to the channel of its last attempt, the one that answered. Requests that
reached no channel stand under the empty name, so that nothing is missing from the sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from bytespike_ledger.store import Connection

__all__ = ["ChannelDay", "reconcile_day"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelDay:
    """One channel, model and day (of the request ids). ``calls`` are those it answered last;
    ``attempts``, tokens and ``cost_uusd`` count every attempt, also of calls that went elsewhere.
    """

    day: date
    channel: str
    model: str
    calls: int
    attempts: int
    input_tokens: int
    cache_write_tokens: int
    cache_read_tokens: int
    output_tokens: int
    reasoning_tokens: int
    web_searches: int
    cost_uusd: int
    revenue_uusd: int


async def reconcile_day(
    conn: Connection, day: date, *, channel: str | None
) -> Sequence[ChannelDay]:
    """Both books of one day by channel and model, in this order; of one channel where given."""
    rows = await conn.fetch(
        """with lines as (
               select usage.model, charge_uusd, attempts.*,
                      coalesce(attempt = max(attempt) over (partition by usage.request_id), true)
                          as answered
               from usage left join usage_attempts as attempts
                 on attempts.day = usage.day and attempts.request_id = usage.request_id
               where usage.day = $1
           )
           select $1::date as day, coalesce(channel, '') as channel, model,
                  count(*) filter (where answered) as calls, count(attempt) as attempts,
                  coalesce(sum(input_tokens), 0)::bigint as input_tokens,
                  coalesce(sum(cache_write_5m_tokens + cache_write_1h_tokens), 0)::bigint
                      as cache_write_tokens,
                  coalesce(sum(cache_read_tokens), 0)::bigint as cache_read_tokens,
                  coalesce(sum(output_tokens), 0)::bigint as output_tokens,
                  coalesce(sum(reasoning_tokens), 0)::bigint as reasoning_tokens,
                  coalesce(sum(web_searches), 0)::bigint as web_searches,
                  coalesce(sum(cost_uusd), 0)::bigint as cost_uusd,
                  coalesce(sum(charge_uusd) filter (where answered), 0)::bigint as revenue_uusd
           from lines where $2::text is null or coalesce(channel, '') = $2
           group by 2, 3 order by 2, 3""",
        day,
        channel,
    )
    return [ChannelDay(**row) for row in rows]
