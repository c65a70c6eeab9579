"""Reading usage rows as the customer sees them: their own, answered requests only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from bytespike_ledger.store import Connection, Row

__all__ = ["UsageFilter", "list_usage", "matching_keys", "usage_statement"]

_COLUMNS = """day, request_id, key_id, routing_group, model, dialect, stream, status, outcome,
    estimated, admitted_ms, finished_ms, first_byte_ms, input_tokens, cache_write_5m_tokens,
    cache_write_1h_tokens, cache_read_tokens, output_tokens, reasoning_tokens, web_searches,
    charge_uusd, price_revision"""
_ORDER = "order by day desc, request_id desc"


@dataclass(frozen=True, kw_only=True)
class UsageFilter:
    """Which rows of an account: of some keys (None = all), optionally of one model, one request, a
    span of time.

    Rows lie between ``after`` and ``before``, both by day and request id, which is the order of
    rows and of the indexes; times are Unix milliseconds of admission, ``since`` inclusive,
    ``until`` exclusive.
    """

    account_id: str
    key_ids: Sequence[str] | None
    after: tuple[date, str]
    before: tuple[date, str]
    model: str | None = None
    request_id: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None


async def list_usage(
    conn: Connection, wanted: UsageFilter, *, limit: int
) -> list[Mapping[str, object]]:
    """Up to ``limit`` rows, newest first; ids sort by time, so the id alone is the cursor."""
    statement, values = usage_statement(wanted, limit=limit)
    rows: list[Row] = await conn.fetch(statement, *values)
    return [dict(row) for row in rows]


def usage_statement(wanted: UsageFilter, *, limit: int) -> tuple[str, list[object]]:
    """The query and its values.

    Only the conditions that are wanted are in it, so that each combination gets a plan of its own.
    Keys are walked one by one: each has its rows in order in an index, all of them together do not.
    """
    values: list[object] = [wanted.account_id, *wanted.after, *wanted.before, limit]
    conditions = [
        "account_id = $1",
        # The days again by themselves: partitions are chosen by them, not by the pairs.
        "day between $2 and $4",
        "(day, request_id) > ($2, $3)",
        "(day, request_id) < ($4, $5)",
        "outcome <> 'failed'",
    ]
    for condition, value in (
        ("model = ${}", wanted.model),
        ("request_id = ${}", wanted.request_id),
        ("admitted_ms >= ${}", wanted.since_ms),
        ("admitted_ms < ${}", wanted.until_ms),
    ):
        if value is not None:
            values.append(value)
            conditions.append(condition.format(len(values)))
    if wanted.key_ids is None:
        return _page(conditions), values
    values.append(list(wanted.key_ids))
    page = _page(["key_id = asked_key", *conditions])
    return (
        f"select page.* from unnest(${len(values)}::text[]) as asked (asked_key)"  # noqa: S608
        f" cross join lateral ({page}) as page {_ORDER} limit $6",
        values,
    )


def _page(conditions: Sequence[str]) -> str:
    # Conditions are the constants above with numbers of parameters.
    where = " and ".join(conditions)
    return f"select {_COLUMNS} from usage where {where} {_ORDER} limit $6"  # noqa: S608


async def matching_keys(
    conn: Connection,
    account_id: str,
    *,
    wanted: str | None = None,
    member_id: str | None = None,
    only: str | None = None,
) -> list[str]:
    """Ids of an account's keys, deleted ones too: named ``wanted`` (id or masked form), of a
    member, and only this one, each where given.
    """
    rows = await conn.fetch(
        """select id from api_keys
           where account_id = $1 and ($2::text is null or id = $2 or hint = $2)
             and ($3::text is null or member_id = $3) and ($4::text is null or id = $4)
           order by id""",
        account_id,
        wanted,
        member_id,
        only,
    )
    return [row["id"] for row in rows]
