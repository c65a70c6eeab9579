"""The audit finds planted corruption of every kind, and names the offender."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bytespike_cli.servers import PostgresServer
from bytespike_contracts import holds
from bytespike_contracts.usage import UsageEvent
from bytespike_runtime import pg
from tests.support.ledger import Customer, Rig, ledger


@pytest.fixture
async def rig(
    postgres_server: PostgresServer, fresh_postgres_url: str, redis_url: str, nats_url: str
) -> AsyncIterator[Rig]:
    async with ledger(fresh_postgres_url, redis_url, nats_url) as rig:
        yield rig


@pytest.fixture
async def settled(rig: Rig) -> tuple[Customer, UsageEvent]:
    """A customer with one settled request of 70 micro-USD, and clean books."""
    customer = await rig.customer(1_000)
    event = rig.event(customer, output_tokens=7)
    await rig.publish(event)
    await rig.settle_all()
    assert await rig.dirty_checks() == set()
    return customer, event


#: What somebody with a psql prompt could do -> the checks that must notice.
POSTGRES = {
    "update entries set amount_uusd = -71 where account_id = $1 and amount_uusd = -70": {
        "transfers_sum_to_zero",
        "balances_equal_entries",
        "charges_equal_settlements",
        "usage_days_equal_settlements",
        "statements_equal_settlements",
    },
    "delete from entries where account_id <> $1 and amount_uusd = 70": {"transfers_sum_to_zero"},
    "update balances set posted_uusd = 931 where account_id = $1": {
        "balances_equal_entries",
        "redis_equals_postgres",
    },
    # The constraint has to be taken away first, and even then it is noticed.
    "update balances set posted_uusd = -1 where account_id = $1": {
        "balances_are_not_negative",
        "balances_equal_entries",
        "redis_equals_postgres",
    },
    "update usage set charge_uusd = 60 where account_id = $1": {
        "charges_equal_settlements",
        "usage_days_equal_usage",
        "buckets_equal_usage",
    },
    "delete from usage where account_id = $1": {
        "charges_equal_settlements",
        "usage_days_equal_usage",
        "buckets_equal_usage",
    },
    "delete from usage_days where account_id = $1": {
        "statements_equal_settlements",
        "spend_equals_usage",
        "usage_days_equal_hours",
        "usage_days_equal_usage",
        "usage_days_equal_settlements",
    },
    "update usage_days set output_tokens = 8 where account_id = $1": {
        "usage_days_equal_hours",
        "usage_days_equal_usage",
    },
    "update usage_hours set calls = 2 where account_id = $1": {
        "usage_days_equal_hours",
        "usage_account_hours_equal_hours",
    },
    "delete from usage_account_hours where account_id = $1": {"usage_account_hours_equal_hours"},
    "update scope_spend set spent_uusd = 1 where account_id = $1": {
        "spend_equals_usage",
        "redis_equals_postgres",
    },
    "delete from spend_buckets where account_id = $1 and window_no = 2": {
        "buckets_equal_usage",
        "redis_equals_postgres",
    },
    "update spend_buckets set settled_uusd = 71 where account_id = $1 and window_no = 3": {
        "buckets_equal_usage",
        "redis_equals_postgres",
    },
    "update transfers set balance_after_uusd = 999 where account_id = $1 and kind = 'topup'": {
        "balances_after_equal_entries"
    },
    "update payments set amount_uusd = 999 where account_id = $1": {"payments_equal_transfers"},
    "update payments set refunded_uusd = 1 where account_id = $1": {"payments_equal_transfers"},
    "update payments set shortfall_uusd = 1 where account_id = $1": {"payments_equal_transfers"},
    "update transfers set kind = 'refund', refers_to = id"
    " where account_id = $1 and kind = 'topup'": {
        "payments_equal_transfers",
        "refunds_fit_their_top_ups",
    },
    "insert into usage_days select account_id, 0, 'key', 'm-1', 1, 0, 0, 0, 0, 0, 0, 5, 5, 0, 0, 0,"
    " 0 from balances where account_id = $1": {
        "statements_equal_settlements",
        "spend_equals_usage",
        "usage_days_equal_settlements",
        "usage_days_equal_hours",
    },
}


@pytest.mark.parametrize("corruption", POSTGRES)
async def test_corruption_in_postgres(
    rig: Rig, settled: tuple[Customer, UsageEvent], corruption: str
) -> None:
    async with pg.connection(rig.books.pool) as conn:
        # Only a superuser can get past the triggers, which is what this test plays.
        await conn.execute("set session_replication_role = replica")
        await conn.execute("alter table balances drop constraint balances_posted_uusd_check")
        await conn.execute(corruption, settled[0].account_id)
        await conn.execute("reset session_replication_role")
    assert await rig.dirty_checks() == POSTGRES[corruption]


PROJECTION, PENDING, FINISHED = (
    "redis_equals_postgres",
    "pending_is_backed_by_holds",
    "settled_holds_are_dropped",
)

#: Redis commands with {a}ccount, {k}ey and {r}equest -> the checks that must notice.
REDIS: dict[str, set[str]] = {
    "HSET bs:{{{a}}}:wallet balance 931": {PROJECTION},
    "HSET bs:{{{a}}}:wallet version 9": {PROJECTION},
    "HDEL bs:{{{a}}}:wallet balance": {PROJECTION},
    "HSET bs:{{{a}}}:wallet pending 1": {PENDING},
    "HSET bs:{{{a}}}:spend:{k} spent 71": {PROJECTION},
    "HSET bs:{{{a}}}:spend:{k} S1 71": {PROJECTION},
    "HSET bs:{{{a}}}:spend:{k} pend 5": {PENDING},
    "DEL bs:{{{a}}}:spend:{k}": {PROJECTION},
    "ZADD bs:{{{a}}}:leases 9999999999999 {r}": {PENDING},
    "HSET bs:{{{a}}}:holds {r} 70|1|f|{k}": {PENDING, FINISHED},
}


@pytest.mark.parametrize("command", REDIS)
async def test_corruption_in_redis(
    rig: Rig, settled: tuple[Customer, UsageEvent], command: str
) -> None:
    customer, event = settled
    words = command.format(a=customer.account_id, k=customer.key_id, r=event.request_id)
    await rig.pipe.command(*words.split(" "))

    report = await rig.auditor.audit()

    assert {f.name for f in report.findings if f.violations} == REDIS[command]
    assert not report.clean
    for finding in report.findings:
        assert finding.first == ([customer.account_id] if finding.violations else [])
    if PROJECTION in REDIS[command]:
        await rig.rebuilder.rebuild()
        assert await rig.dirty_checks() == set(), "a rebuild mends the settled state"


async def test_work_in_progress_is_not_an_offence(
    rig: Rig, settled: tuple[Customer, UsageEvent]
) -> None:
    customer, _ = settled
    running, done = rig.event(customer, output_tokens=2), rig.event(customer, output_tokens=3)
    assert await rig.admit(running)
    assert await rig.admit(done)
    await rig.finish(done)

    assert await rig.dirty_checks() == set()

    state = await rig.books.projector.look(customer.account_id, customer.key_id)
    assert (state.pending_uusd, state.slots_in_use) == (50, 1)


async def test_findings_are_metrics(rig: Rig, settled: tuple[Customer, UsageEvent]) -> None:
    await rig.pipe.command("HSET", holds.wallet_name(settled[0].account_id), "balance", 1)
    await rig.auditor.audit()
    violations = rig.books.metrics.audit_violations
    assert violations.labels(PROJECTION)._value.get() == 1
    assert violations.labels("transfers_sum_to_zero")._value.get() == 0
