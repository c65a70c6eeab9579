"""Sums of usage: added to in the settlement transaction, read by whoever asks "how much"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bytespike_ledger.rollups import DAY_MS, Sums, by_account, by_day, by_hour
from bytespike_ledger.settle import Settled
from bytespike_ledger.store import Connection, Row

__all__ = ["SummaryFilter", "add_rollups", "read_summary", "summary_statement"]


async def add_rollups(conn: Connection, settled: Sequence[Settled]) -> None:
    """Add what a batch settled to the sums of its hours and days.

    Call it while the accounts' balance rows are locked: no other settlement can then want the same
    rows.
    """
    hours = by_hour(settled)
    if hours:
        await _add(conn, _ADD_TO_HOURS, [(*place, *added) for place, added in hours.items()])
        await _add(conn, _ADD_TO_DAYS, [(*place, *added) for place, added in by_day(hours).items()])
        await _add(
            conn,
            _ADD_TO_ACCOUNT_HOURS,
            [(place.account_id, place.at_ms, *added) for place, added in by_account(hours).items()],
        )


async def _add(conn: Connection, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
    await conn.execute(statement, *zip(*rows, strict=True))


def _upsert(table: str, **key: str) -> str:
    columns = Sums._fields
    casts = [*key.values(), *["bigint"] * len(columns)]
    values = ", ".join(f"${number}::{cast}[]" for number, cast in enumerate(casts, 1))
    added = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in columns)
    # Table and columns are constants.
    return f"""insert into {table} ({", ".join([*key, *columns])})
               select * from unnest({values})
               on conflict ({", ".join(key)}) do update set {added}"""  # noqa: S608


_ADD_TO_HOURS = _upsert(
    "usage_hours", account_id="text", hour_ms="bigint", key_id="text", model="text"
)
_ADD_TO_DAYS = _upsert(
    "usage_days", account_id="text", day_ms="bigint", key_id="text", model="text"
)
_ADD_TO_ACCOUNT_HOURS = _upsert("usage_account_hours", account_id="text", hour_ms="bigint")

#: How sums may be told apart, as columns of the sums.
_DIMENSIONS = {"day": "at_ms - at_ms % 86400000", "hour": "at_ms", "model": "model"}


@dataclass(frozen=True, kw_only=True)
class SummaryFilter:
    """Which sums of an account: of some keys (None = all), optionally of one model, in whole hours
    from ``since_ms`` up to and without ``until_ms``; told apart by ``group_by`` (``day``, ``hour``,
    ``model``, ``key_id``).
    """

    account_id: str
    key_ids: Sequence[str] | None
    since_ms: int
    until_ms: int
    group_by: Sequence[str]
    model: str | None = None


async def read_summary(
    conn: Connection, wanted: SummaryFilter, *, limit: int
) -> list[Mapping[str, Any]]:
    """Up to ``limit`` sums in order of their groups: columns of :class:`Sums`, of ``group_by``."""
    statement, values = summary_statement(wanted, limit=limit)
    rows: list[Row] = await conn.fetch(statement, *values)
    return [dict(row) for row in rows]


def summary_statement(wanted: SummaryFilter, *, limit: int) -> tuple[str, list[object]]:
    """The query and its values: whole days from the days, the edges (and hours) from the hours;
    from the account's hours where neither keys nor models are told apart.
    """
    values: list[object] = [wanted.account_id, wanted.since_ms, wanted.until_ms, limit]
    conditions = ["account_id = $1"]
    for condition, value in (
        ("model = ${}", wanted.model),
        ("key_id = any(${}::text[])", wanted.key_ids),
    ):
        if value is not None:
            values.append(value)
            conditions.append(condition.format(len(values)))
    parts = []
    first_day_ms = -(-wanted.since_ms // DAY_MS) * DAY_MS
    end_day_ms = wanted.until_ms // DAY_MS * DAY_MS
    if len(conditions) == 1 and not {"key_id", "model"} & set(wanted.group_by):
        parts.append(_part("usage_account_hours", "hour_ms", conditions, "$2", "$3"))
    elif "hour" in wanted.group_by or first_day_ms >= end_day_ms:
        parts.append(_part("usage_hours", "hour_ms", conditions, "$2", "$3"))
    else:
        values += [first_day_ms, end_day_ms]
        first, end = f"${len(values) - 1}", f"${len(values)}"
        parts.append(_part("usage_days", "day_ms", conditions, first, end))
        parts.append(_part("usage_hours", "hour_ms", conditions, "$2", first))
        parts.append(_part("usage_hours", "hour_ms", conditions, end, "$3"))
    named = [f"{_DIMENSIONS.get(name, name)} as {name}" for name in wanted.group_by]
    sums = [f"sum({name})::bigint as {name}" for name in Sums._fields]
    places = ", ".join(str(place) for place in range(1, len(named) + 1))
    return (
        f"select {', '.join([*named, *sums])} from ({' union all '.join(parts)}) as found"  # noqa: S608
        + (f" group by {places} order by {places}" if places else " having count(*) > 0")
        + " limit $4",
        values,
    )


def _part(table: str, at: str, conditions: Sequence[str], since: str, until: str) -> str:
    # Tables and conditions are the constants above with numbers of parameters.
    where = " and ".join([*conditions, f"{at} >= {since}", f"{at} < {until}"])
    told_apart = [] if table == "usage_account_hours" else ["key_id", "model"]
    columns = ", ".join([f"{at} as at_ms", *told_apart, *Sums._fields])
    return f"select {columns} from {table} where {where}"  # noqa: S608
