"""Redis loses its memory, one way or another, and gets it back from Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from bytespike_cli.home import Home
from bytespike_cli.servers import PostgresServer, RedisServer
from bytespike_contracts import holds
from bytespike_contracts.keys import PROJECTION_MARKER, KeyRecord, key_record_name
from bytespike_ledger.accounts.keys import change_key, create_key
from bytespike_ledger.carryover import carry_due, carry_key, keep_carrying
from bytespike_ledger.rebuild import Rebuilder
from bytespike_runtime.kv import KvUnavailable
from tests.support.eventually import eventually
from tests.support.ledger import Customer, Rig, ledger, plain_controls, replaced
from tests.support.servers import running


@pytest.fixture(scope="module")
async def own_redis(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RedisServer]:
    """A Redis that may be killed."""
    async with running(RedisServer(Home(tmp_path_factory.mktemp("own-redis")))) as server:
        yield server


@pytest.fixture(scope="module")
async def rig(
    postgres_server: PostgresServer, own_redis: RedisServer, nats_url: str
) -> AsyncIterator[Rig]:
    database = postgres_server.create_database("ledger_rebuild")
    async with ledger(database, own_redis.url, nats_url) as rig:
        yield rig


@pytest.fixture
async def spender(rig: Rig) -> Customer:
    """A customer with 1,000 micro-USD of which 70 are spent."""
    customer = await rig.customer(1_000)
    await rig.publish(rig.event(customer, output_tokens=7))
    await rig.settle_all()
    return customer


async def restart(server: RedisServer, rig: Rig) -> None:
    """Kill -9, start again, and wait until the ledger is connected."""
    server.kill()
    await server.start()
    await eventually(lambda: rig.pipe.connected)


async def key_record(rig: Rig, customer: Customer) -> KeyRecord | None:
    body = await rig.pipe.command("GET", key_record_name(customer.key_hash))
    return None if body is None else msgspec.json.decode(body, type=KeyRecord)


async def test_everything_is_back_after_flushall(rig: Rig, spender: Customer) -> None:
    await rig.pipe.command("FLUSHALL")
    assert not await rig.books.projector.intact()
    assert not await rig.admit(rig.event(spender))

    assert await rig.rebuilder.rebuild()

    assert await rig.books.projector.intact()
    assert await rig.dirty_checks() == set()
    mirror = await rig.mirror.account(spender.account_id, [spender.key_id])
    assert mirror.balance_uusd == 930
    assert mirror.scopes[spender.key_id].sums == {1: 70, 2: 70, 3: 70}
    record = await key_record(rig, spender)
    assert record is not None
    assert record.key_id == spender.key_id
    assert await rig.admit(rig.event(spender))


async def test_the_watch_notices_a_restart_and_rebuilds(
    rig: Rig, spender: Customer, own_redis: RedisServer
) -> None:
    watch = asyncio.create_task(rig.rebuilder.run())
    try:
        await restart(own_redis, rig)
        await eventually(rig.books.projector.intact)
    finally:
        watch.cancel()
    assert await rig.admit(rig.event(spender))


async def test_what_finished_before_the_loss_is_settled_before_the_account_opens(
    rig: Rig, spender: Customer, own_redis: RedisServer
) -> None:
    event = rig.event(spender, output_tokens=90)
    assert await rig.admit(event)
    await rig.finish(event)
    await rig.publish(event)
    await restart(own_redis, rig)

    rebuild = asyncio.create_task(rig.rebuilder.rebuild())
    await asyncio.wait([rebuild], timeout=0.5)
    assert not rebuild.done(), "it waits for the stream"
    await rig.settle_all()
    assert await rebuild

    mirror = await rig.mirror.account(spender.account_id)
    assert (mirror.balance_uusd, mirror.pending_uusd) == (30, 0)


async def test_holds_that_routers_put_back_survive_the_rebuild(rig: Rig, spender: Customer) -> None:
    event = rig.event(spender, output_tokens=5)
    assert await rig.admit(event)
    await rig.pipe.command("FLUSHALL")

    args = holds.renew_args(
        event.request_id, event.hold_uusd, admitted_ms=event.admitted_ms, scopes=[event.key_id]
    )
    await rig.pipe.script("renew", holds.wallet_name(event.account_id), args)
    assert await rig.rebuilder.rebuild()

    state = await rig.books.projector.look(spender.account_id, spender.key_id)
    assert (state.balance_uusd, state.pending_uusd, state.slots_in_use) == (930, 50, 1)
    assert await rig.dirty_checks() == set()


async def test_a_redis_with_an_old_memory_is_not_believed(rig: Rig, spender: Customer) -> None:
    """A failover to a replica that lagged: wrong balance, wrong spend, another server's epoch."""
    wallet = holds.wallet_name(spender.account_id)
    await rig.pipe.command("HSET", wallet, "balance", 999_999, "version", 99)
    scope = f"bs:{{{spender.account_id}}}:spend:{spender.key_id}"
    await rig.pipe.command("HSET", scope, "spent", 5_000, "s1:1", 4, "S1", 4)
    await rig.pipe.command("SET", "bs:epoch", "another-server")

    assert await rig.rebuilder.rebuild()

    assert await rig.dirty_checks() == set()
    assert (await rig.mirror.account(spender.account_id)).balance_uusd == 930


async def test_an_account_with_many_keys_opens_when_all_of_them_are_loaded(
    rig: Rig, spender: Customer
) -> None:
    for _ in range(40):
        made = await create_key(
            rig.books, rig.catalogue, spender.account_id, custom_key=None, controls=plain_controls()
        )
        await rig.publish(replaced(rig.event(spender), key_id=made.row.id))
    await rig.settle_all()
    await rig.pipe.command("FLUSHALL")

    assert await rig.rebuilder.rebuild()

    assert await rig.dirty_checks() == set()
    assert (await rig.mirror.account(spender.account_id)).balance_uusd == 930 - 400


async def test_only_one_ledger_rebuilds(rig: Rig) -> None:
    slow = Rebuilder(rig.books, rig.mirror, rig.pull.pending, grace_s=0.5)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(slow.rebuild())
        second = group.create_task(slow.rebuild())
    assert sorted([first.result(), second.result()]) == [False, True]


async def test_changes_made_while_redis_is_away_are_carried_over_later(
    rig: Rig, spender: Customer, own_redis: RedisServer
) -> None:
    own_redis.kill()
    await eventually(lambda: not rig.pipe.connected)
    newcomer = await rig.customer(500)
    row = await change_key(rig.books, rig.catalogue, spender.key_id, {"status": "disabled"})
    assert row.status == "disabled"
    with pytest.raises(KvUnavailable):
        await carry_due(rig.books)

    await own_redis.start()
    await eventually(lambda: rig.pipe.connected)
    assert not await carry_due(rig.books), "the projection is not whole before the rebuild"
    await rig.rebuilder.rebuild()
    assert await carry_due(rig.books)

    record = await key_record(rig, spender)
    assert record is not None
    assert not record.enabled
    assert await rig.admit(rig.event(newcomer))


async def test_a_deleted_key_cannot_be_brought_back_by_an_older_change(
    rig: Rig, spender: Customer
) -> None:
    row = await change_key(rig.books, rig.catalogue, spender.key_id, {"name": "renamed"})
    await change_key(rig.books, rig.catalogue, spender.key_id, {"status": "deleted"})

    await carry_key(rig.books, row)

    record = await key_record(rig, spender)
    assert record is not None
    assert not record.enabled
    ttl = await rig.pipe.command("PTTL", key_record_name(spender.key_hash))
    assert 0 < ttl <= 3_600_000


async def test_the_marker_is_kept_fresh_only_while_the_projection_is_whole(rig: Rig) -> None:
    async def marker() -> bytes | None:
        value: bytes | None = await rig.pipe.command("GET", PROJECTION_MARKER)
        return value

    await rig.pipe.command("DEL", PROJECTION_MARKER)
    loop = asyncio.create_task(keep_carrying(rig.books))
    try:
        await eventually(marker)
        await rig.pipe.command("DEL", "bs:epoch", PROJECTION_MARKER)
        assert not await carry_due(rig.books)
        assert await marker() is None
        await rig.rebuilder.rebuild()
        await eventually(marker)
    finally:
        loop.cancel()
