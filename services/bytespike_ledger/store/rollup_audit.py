"""The audit's questions about sums of usage. Each query gives (offender, ok)."""

from __future__ import annotations

from bytespike_ledger.rollups import Sums

__all__ = ["ROLLUP_CHECKS"]

_NAMES = Sums._fields
#: The columns that rows of usage have as well; the parts of a charge are not among them.
_COUNTED = _NAMES[: _NAMES.index("charge_uusd") + 1]
_OF_ROWS = {"cache_write_tokens": "cache_write_5m_tokens + cache_write_1h_tokens"}


def _of(table: str) -> str:
    return ", ".join(f"{table}.{name}" for name in _NAMES)


_HOUR_SUMS = ", ".join(f"sum({name}) as {name}" for name in _NAMES)
_ROW_TOKENS = ", ".join(f"coalesce(sum({_OF_ROWS.get(name, name)}), 0)" for name in _COUNTED[1:-1])

#: By name. Rows are compared from the day after the first that is kept on: what was admitted on the
#: first may have had its id from the day before, and be gone.
ROLLUP_CHECKS = {
    "usage_days_equal_hours": f"""
        select concat_ws(':', account_id, day_ms, key_id, model) as offender,
               ({_of("usage_days")}) is not distinct from ({_of("hours")}) as ok
        from usage_days full join (
            select account_id, hour_ms - hour_ms % 86400000 as day_ms, key_id, model, {_HOUR_SUMS}
            from usage_hours group by 1, 2, 3, 4
        ) as hours using (account_id, day_ms, key_id, model)
    """,  # noqa: S608 - constants
    "usage_account_hours_equal_hours": f"""
        select concat_ws(':', account_id, hour_ms) as offender,
               ({_of("usage_account_hours")}) is not distinct from ({_of("hours")}) as ok
        from usage_account_hours full join (
            select account_id, hour_ms, {_HOUR_SUMS} from usage_hours group by 1, 2
        ) as hours using (account_id, hour_ms)
    """,  # noqa: S608 - constants
    "usage_days_equal_usage": f"""
        with kept as (
            select extract(epoch from greatest(first_day, date '1970-01-01') + 1)::bigint * 1000
                       as since_ms, first_day
            from usage_retention
        ), listed as (
            select account_id, admitted_ms - admitted_ms % 86400000 as day_ms, key_id, model,
                   count(*), {_ROW_TOKENS}, sum(charge_uusd)
            from usage, kept
            where outcome <> 'failed' and day >= first_day and admitted_ms >= since_ms
            group by 1, 2, 3, 4
        ), summed as (
            select account_id, day_ms, key_id, model, {", ".join(_COUNTED)}
            from usage_days, kept where day_ms >= since_ms
        )
        select concat_ws(':', account_id, day_ms, key_id, model) as offender, false as ok
        from ((table listed except table summed) union all
              (table summed except table listed)) as different
        union all select '', true from summed
    """,  # noqa: S608 - constants
    "usage_days_equal_settlements": """
        select coalesce(days.account_id, settled.account_id) as offender,
               coalesce(days.total, 0) = coalesce(settled.total, 0) as ok
        from (
            select account_id, sum(charge_uusd) as total from usage_days group by 1
        ) as days full join (
            select transfers.account_id, -sum(amount_uusd) as total
            from transfers join entries on entries.transfer_id = transfers.id
                                       and entries.account_id = transfers.account_id
            where kind = 'settle' group by 1
        ) as settled using (account_id)
    """,
}
