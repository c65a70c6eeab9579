"""The sweeper returns what nobody will ever finish, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from bytespike_cli.servers import PostgresServer
from bytespike_contracts import holds
from bytespike_contracts.holds import WINDOWS, ScopeCaps
from bytespike_contracts.keys import SpendCaps
from bytespike_contracts.usage import UsageEvent
from bytespike_ledger.sweeper import Sweeper
from bytespike_runtime import pg
from tests.support.eventually import eventually
from tests.support.ledger import Rig, ledger

SHORT_LEASE_MS = 50


@pytest.fixture(scope="module")
async def rig(postgres_server: PostgresServer, redis_url: str, nats_url: str) -> AsyncIterator[Rig]:
    database = postgres_server.create_database("ledger_sweeper")
    async with ledger(database, redis_url, nats_url, ghost_grace_s=0.0) as rig:
        yield rig


async def admit_briefly(rig: Rig, event: UsageEvent) -> None:
    args = holds.admit_args(
        event.request_id,
        event.hold_uusd,
        concurrency=100,
        scopes=[ScopeCaps(event.key_id, SpendCaps())],
        lease_ms=SHORT_LEASE_MS,
    )
    await rig.pipe.script("admit", holds.wallet_name(event.account_id), args)


async def pending(rig: Rig, event: UsageEvent) -> int:
    return (await rig.mirror.account(event.account_id)).pending_uusd


async def test_a_hold_whose_owner_died_is_returned_after_its_lease(rig: Rig) -> None:
    customer = await rig.customer(1_000)
    dead, alive = rig.event(customer, output_tokens=5), rig.event(customer, output_tokens=2)
    await admit_briefly(rig, dead)
    assert await rig.admit(alive)
    assert await pending(rig, dead) == 70

    async def swept() -> bool:
        await rig.sweeper.sweep()
        return await pending(rig, dead) == 20

    await eventually(swept)
    assert set((await rig.mirror.account(customer.account_id)).holds) == {alive.request_id}
    metrics = rig.books.metrics
    assert metrics.holds_expired._value.get() >= 1
    assert metrics.holds_open._value.get() >= 1
    await rig.finish(alive)


async def test_a_finish_that_came_after_the_settlement_is_let_go_at_once(rig: Rig) -> None:
    customer = await rig.customer(1_000)
    event = rig.event(customer, output_tokens=5)
    await rig.publish(event)
    await rig.settle_all()
    await rig.finish(event)
    assert await pending(rig, event) == 50

    patient = Sweeper(rig.books, rig.mirror, rig.pull.pending, ghost_grace_s=3600)
    await patient.sweep()

    assert await pending(rig, event) == 0
    assert await rig.dirty_checks() == set()


async def test_a_finish_whose_event_is_on_its_way_is_kept(rig: Rig) -> None:
    customer = await rig.customer(1_000)
    event = rig.event(customer, output_tokens=5)
    await rig.admit(event)
    await rig.finish(event)
    await rig.publish(event)

    await rig.sweeper.sweep()
    assert await pending(rig, event) == 50

    await rig.settle_all()
    assert await pending(rig, event) == 0
    assert await rig.balance(customer) == 950


async def test_a_finish_without_an_event_is_let_go_after_the_grace_time(rig: Rig) -> None:
    customer = await rig.customer(1_000)
    event = rig.event(customer, output_tokens=5)
    await rig.admit(event)
    await rig.finish(event)

    patient = Sweeper(rig.books, rig.mirror, rig.pull.pending, ghost_grace_s=3600)
    await patient.sweep()
    assert await pending(rig, event) == 50

    await rig.sweeper.sweep()
    assert await pending(rig, event) == 0
    assert (await rig.mirror.account(customer.account_id)).balance_uusd == 1_000


async def test_tables_are_kept_in_order(rig: Rig) -> None:
    customer = await rig.customer(1_000)
    old_ms = rig.books.now_ms() - 9 * 86_400_000
    async with pg.connection(rig.books.pool) as conn:
        for number, window in enumerate(WINDOWS, 1):
            for at_ms in (old_ms, rig.books.now_ms()):
                await conn.execute(
                    "insert into spend_buckets values ($1, 'scope', $2, $3, 1)",
                    customer.account_id,
                    number,
                    window.bucket(at_ms),
                )
        await rig.sweeper.sweep_tables(conn)

    left = await rig.value(
        "select count(*) from spend_buckets where account_id = $1", customer.account_id
    )
    assert left == 3
    ahead = datetime.now(UTC).date() + timedelta(days=2)
    partition = await rig.value("select to_regclass($1)::text", f"usage_{ahead:%Y_%m_%d}")
    assert partition is not None
