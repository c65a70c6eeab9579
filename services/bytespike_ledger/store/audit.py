"""The audit's questions to Postgres. Each names every row it looked at and whether it is right."""

from __future__ import annotations

from dataclasses import dataclass

from bytespike_contracts.holds import WINDOWS
from bytespike_ledger.store import Connection
from bytespike_ledger.store.rollup_audit import ROLLUP_CHECKS

__all__ = ["Finding", "postgres_findings", "snapshot"]

#: A full pass over the books may take longer than any statement of the service may.
_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: how much was examined, how much is wrong, and the first offenders (ids only)."""

    name: str
    examined: int
    violations: int
    first: list[str]


# What keys spent (``sums``) counts for the key, its member and its organisation.
_OWNERS = """
    left join api_keys on api_keys.account_id = sums.account_id and api_keys.id = key_id
    cross join unnest(array[key_id, member_id, org_id]) as owner where owner is not null
"""

# Each query gives (offender, ok).
_CHECKS = {
    "transfers_sum_to_zero": """
        select transfers.id::text as offender, coalesce(sum(amount_uusd), 1) = 0 as ok
        from transfers left join entries on entries.transfer_id = transfers.id
        group by transfers.id
    """,
    "balances_equal_entries": """
        select account_id as offender, posted_uusd = coalesce(total, 0) as ok
        from balances left join (
            select account_id, sum(amount_uusd) as total from entries group by account_id
        ) as sums using (account_id)
    """,
    "balances_are_not_negative": """
        select account_id as offender, posted_uusd >= 0 as ok from balances
    """,
    "charges_equal_settlements": """
        select coalesce(charged.request_id, substr(settled.idempotency_key, 8)) as offender,
               charged.account_id is not distinct from settled.account_id
               and charged.charge_uusd is not distinct from -settled.amount_uusd as ok
        from (
            select * from usage, usage_retention where charge_uusd > 0 and day >= first_day
        ) as charged
        full join (
            select idempotency_key, transfers.account_id, amount_uusd
            from transfers join entries on entries.transfer_id = transfers.id
                                       and entries.account_id = transfers.account_id
            cross join usage_retention
            where kind = 'settle' and right(idempotency_key, 26) collate "C" >= first_ulid
        ) as settled on settled.idempotency_key = 'settle:' || charged.request_id
    """,
    "balances_after_equal_entries": """
        select transfers.id::text as offender, balance_after_uusd = so_far as ok
        from (
            select account_id, transfer_id,
                   sum(sum(amount_uusd))
                       over (partition by account_id order by transfer_id) as so_far
            from entries group by account_id, transfer_id
        ) as running
        join transfers on transfers.id = transfer_id and transfers.account_id = running.account_id
        where balance_after_uusd is not null
    """,
    "payments_equal_transfers": """
        with credited as (
            select transfers.id, transfers.account_id, transfers.payment_id,
                   sum(amount_uusd) filter (where item is distinct from 'bonus') as principal,
                   coalesce(sum(amount_uusd) filter (where item = 'bonus'), 0) as bonus
            from transfers join entries on entries.transfer_id = transfers.id
                                       and entries.account_id = transfers.account_id
            where kind = 'topup' group by transfers.id
        ), taken as (
            select refers_to as id, -sum(amount_uusd) as total
            from transfers join entries on entries.transfer_id = transfers.id
                                       and entries.account_id = transfers.account_id
            where kind = 'refund' group by refers_to
        )
        select coalesce(payments.id, credited.id::text) as offender,
               payments.account_id is not distinct from credited.account_id
               and coalesce(credited.payment_id, payments.id) is not distinct from payments.id
               and amount_uusd is not distinct from principal
               and (status = 'refunded') = (refunded_uusd = amount_uusd)
               and coalesce(total, 0) + shortfall_uusd
                   = refunded_uusd + div(bonus * refunded_uusd, amount_uusd) as ok
        from (select * from payments where status in ('succeeded', 'refunded')) as payments
        full join credited on credited.id = payments.transfer_id
        left join taken on taken.id = credited.id
    """,
    "refunds_fit_their_top_ups": """
        with moved as (
            select coalesce(refers_to, transfers.id) as top_up, kind,
                   coalesce(sum(amount_uusd) filter (where item is distinct from 'bonus'), 0)
                       as principal,
                   coalesce(sum(amount_uusd) filter (where item = 'bonus'), 0) as bonus
            from transfers join entries on entries.transfer_id = transfers.id
                                       and entries.account_id = transfers.account_id
            where kind in ('topup', 'refund') group by 1, kind
        )
        select top_up::text as offender,
               count(*) filter (where kind = 'topup') = 1
               and sum(principal) >= 0 and sum(bonus) >= 0 as ok
        from moved group by top_up
    """,
    "statements_equal_settlements": """
        select concat_ws(':', account_id, day_ms) as offender,
               rolled.total is not distinct from settled.total as ok
        from (
            select account_id, day_ms, sum(charge_uusd) as total from usage_days
            group by account_id, day_ms having sum(charge_uusd) <> 0
        ) as rolled full join (
            select transfers.account_id, -sum(amount_uusd) as total,
                   86400000 * floor(extract(epoch from effective_at) / 86400)::bigint as day_ms
            from transfers join entries on entries.transfer_id = transfers.id
                                       and entries.account_id = transfers.account_id
            where kind = 'settle' group by transfers.account_id, 3
        ) as settled using (account_id, day_ms)
    """,
    "spend_equals_usage": f"""
        with sums as (
            select account_id, key_id, sum(charge_uusd) as total
            from usage_days where charge_uusd > 0 group by account_id, key_id
        ), totals as (
            select sums.account_id, owner, sum(total) as total from sums {_OWNERS}
            group by sums.account_id, owner
        )
        select coalesce(scope, owner) as offender, spent_uusd is not distinct from total as ok
        from (select * from scope_spend where spent_uusd > 0) as counted
        full join totals on totals.account_id = counted.account_id and owner = scope
    """,  # noqa: S608 - a constant
    "buckets_equal_usage": f"""
        with windows as (
            select * from unnest($1::bigint[], $2::bigint[])
                with ordinality as windows (width_ms, first_live, window_no)
        ), live as (
            select spend_buckets.* from spend_buckets join windows using (window_no)
            where bucket >= first_live and settled_uusd > 0
        ), sums as (
            select account_id, key_id, window_no, admitted_ms / width_ms as bucket,
                   sum(charge_uusd) as total
            from usage, windows
            where charge_uusd > 0 and admitted_ms / width_ms >= first_live
            group by account_id, key_id, window_no, admitted_ms / width_ms
        ), totals as (
            select sums.account_id, owner, window_no, bucket, sum(total) as total
            from sums {_OWNERS} group by sums.account_id, owner, window_no, bucket
        )
        select concat_ws(':', coalesce(scope, owner), coalesce(live.window_no, totals.window_no),
                         coalesce(live.bucket, totals.bucket)) as offender,
               settled_uusd is not distinct from total as ok
        from live full join totals
          on totals.account_id = live.account_id and owner = scope
         and totals.window_no = live.window_no and totals.bucket = live.bucket
    """,  # noqa: S608 - a constant
    **ROLLUP_CHECKS,
}


async def postgres_findings(conn: Connection, *, now_ms: int) -> list[Finding]:
    """All checks, in the snapshot of the caller's transaction (see :func:`snapshot`)."""
    findings = []
    for name, query in _CHECKS.items():
        arguments: list[list[int]] = []
        if "$1" in query:
            arguments = [
                [window.bucket_ms for window in WINDOWS],
                [window.first_live_bucket(now_ms) for window in WINDOWS],
            ]
        row = await conn.fetchrow(  # the queries are the constants above
            f"""select count(*) as examined, count(*) filter (where not ok) as violations,
                       (array_agg(offender) filter (where not ok))[1:10] as first
                from ({query}) as looked_at""",  # noqa: S608
            *arguments,
            timeout=_TIMEOUT_S,
        )
        findings.append(Finding(name, row["examined"], row["violations"], row["first"] or []))
    return findings


async def snapshot(conn: Connection) -> None:
    """Make the transaction just begun read one moment of the books, and nothing but read.

    Days of usage that go in this moment are waited for or wait: see ``retention``.
    """
    await conn.execute("set transaction isolation level repeatable read, read only")
    await conn.execute("lock table usage in access share mode")
