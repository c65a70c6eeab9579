"""Price revisions: written once, read by whoever meets an event of an unknown revision."""

from __future__ import annotations

from datetime import datetime

from bytespike_contracts.money import Rates
from bytespike_ledger.store import Connection

__all__ = ["first_seen", "insert_revision", "read_rates", "revision_table"]

_COLUMNS = (
    "input_uusd",
    "output_uusd",
    "cache_read_uusd",
    "cache_write_5m_uusd",
    "cache_write_1h_uusd",
    "web_search_uusd",
    "multiplier_ppm",
)


async def insert_revision(
    conn: Connection, revision: str, table: dict[tuple[str, str], Rates]
) -> None:
    """Store a revision's rates; rows that exist stay as they are."""
    rows = sorted(table.items())
    await conn.execute(
        f"""insert into price_revisions (revision, routing_group, model, {", ".join(_COLUMNS)})
            select $1, * from unnest($2::text[], $3::text[], {_casts(4)})
            on conflict do nothing""",  # noqa: S608 - constants
        revision,
        [group for (group, _), _ in rows],
        [model for (_, model), _ in rows],
        *([getattr(rates, column) for _, rates in rows] for column in _COLUMNS),
    )


async def revision_table(conn: Connection, revision: str) -> dict[tuple[str, str], Rates]:
    """``{(group, model): rates}``; empty if nobody has registered the revision."""
    rows = await conn.fetch(
        f"select routing_group, model, {', '.join(_COLUMNS)}"  # noqa: S608 - constants
        " from price_revisions where revision = $1",
        revision,
    )
    return {
        (row["routing_group"], row["model"]): Rates(**{name: row[name] for name in _COLUMNS})
        for row in rows
    }


async def first_seen(conn: Connection, revision: str) -> dict[tuple[str, str], datetime]:
    """``{(group, model): when this very price was first registered}`` of a revision; a group's
    price is another one when its multiplier is. Empty if nobody has registered the revision.
    """
    rows = await conn.fetch(
        f"""select now_.routing_group, now_.model, min(then_.seen_at) as seen_at
            from price_revisions as now_ join price_revisions as then_
                 using (routing_group, model, {", ".join(_COLUMNS)})
            where now_.revision = $1 group by now_.routing_group, now_.model""",  # noqa: S608 - constants
        revision,
    )
    return {(row["routing_group"], row["model"]): row["seen_at"] for row in rows}


def _casts(first: int) -> str:
    return ", ".join(f"${number}::bigint[]" for number in range(first, first + len(_COLUMNS)))


async def read_rates(conn: Connection, revision: str, *, group: str, model: str) -> Rates | None:
    """What a model cost in a group by a revision, or None."""
    row = await conn.fetchrow(
        f"""select {", ".join(_COLUMNS)} from price_revisions
            where revision = $1 and routing_group = $2 and model = $3""",  # noqa: S608 - constants
        revision,
        group,
        model,
    )
    return None if row is None else Rates(**row)
