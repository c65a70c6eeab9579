"""Debits and requests on one wallet: nothing is spent twice, wherever a process dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from bytespike_cli.servers import PostgresServer
from bytespike_contracts.errors import GatewayError
from bytespike_ledger.accounts.debits import debiting
from bytespike_ledger.accounts.wallets import adjust
from bytespike_ledger.books import Books
from bytespike_ledger.carryover import carry_due
from bytespike_ledger.store import Connection, transfers
from bytespike_ledger.store.accounts import credit_balance, lock_balance
from bytespike_ledger.store.transfers import Line, NewTransfer
from bytespike_runtime.bus import Bus
from bytespike_runtime.kv import KvUnavailable
from tests.support.ledger import Customer, Rig, ledger, open_books

LEASE_MS = 120_000


class Died(Exception):
    """The process, as far as the test is concerned."""


@pytest.fixture(scope="module")
async def rig(postgres_server: PostgresServer, redis_url: str, nats_url: str) -> AsyncIterator[Rig]:
    database = postgres_server.create_database("ledger_debits")
    async with ledger(database, redis_url, nats_url) as rig:
        yield rig


@pytest.fixture
def database(postgres_server: PostgresServer) -> str:
    return postgres_server.database_url("ledger_debits")


async def debit_and_die(
    rig: Rig, database: str, redis_url: str, customer: Customer, amount: int, *, commit: bool
) -> None:
    """Another ledger takes its hold, commits or not, and is never heard of again."""
    async with open_books(database, redis_url, Bus("nats://127.0.0.1:1")) as (dying, pipe):

        async def debit() -> None:
            async with debiting(dying, customer.account_id, amount) as conn:
                if commit:
                    await commit_debit(conn, rig.books.mint("once"), customer, amount)
                await pipe.close()
                raise Died

        with pytest.raises(Died):
            await debit()


async def commit_debit(conn: Connection, name: str, customer: Customer, amount: int) -> None:
    async with conn.transaction():
        posted = await lock_balance(conn, customer.account_id)
        await credit_balance(conn, customer.account_id, -amount)
        new = NewTransfer(
            kind="adjust",
            account_id=customer.account_id,
            lines=[Line("adjustment", "house_adjustment", -amount)],
            idempotency_key=name,
            input_hash=bytes(32),
            actor="test",
            note="",
            effective_at=await conn.fetchval("select now()"),
        )
        await transfers.insert_transfer(conn, new, balance_after_uusd=posted - amount)


async def available(rig: Rig, customer: Customer) -> int:
    mirror = await rig.mirror.account(customer.account_id)
    assert mirror.balance_uusd is not None
    return mirror.balance_uusd - mirror.pending_uusd


async def after_the_lease(rig: Rig, database: str, redis_url: str, customer: Customer) -> list[str]:
    def late_ms() -> int:
        return rig.books.now_ms() + LEASE_MS + 1_000

    bus = Bus("nats://127.0.0.1:1")
    async with open_books(database, redis_url, bus, script_clock_ms=late_ms) as (later, _):
        return await later.projector.expire(customer.account_id)


async def test_a_ledger_that_dies_after_its_commit(rig: Rig, database: str, redis_url: str) -> None:
    customer = await rig.customer(1_000)
    await debit_and_die(rig, database, redis_url, customer, 600, commit=True)
    assert await rig.balance(customer) == 400
    # Redis has not heard of it, and still nobody can spend more than there is.
    assert await available(rig, customer) == 400
    assert not await rig.admit(rig.event(customer, output_tokens=41))
    await carry_due(rig.books)
    assert await available(rig, customer) == -200  # taken and held: too careful, never too generous
    assert len(await after_the_lease(rig, database, redis_url, customer)) == 1
    assert await available(rig, customer) == 400
    assert await rig.dirty_checks() == set()


async def test_a_ledger_that_dies_before_its_commit(
    rig: Rig, database: str, redis_url: str
) -> None:
    customer = await rig.customer(1_000)
    await debit_and_die(rig, database, redis_url, customer, 600, commit=False)
    assert await rig.balance(customer) == 1_000
    assert await available(rig, customer) == 400
    assert len(await after_the_lease(rig, database, redis_url, customer)) == 1
    assert await available(rig, customer) == 1_000
    assert await rig.dirty_checks() == set()


async def test_a_debit_that_fails_gives_its_hold_back_at_once(rig: Rig) -> None:
    customer = await rig.customer(1_000)
    with pytest.raises(Died):
        async with debiting(rig.books, customer.account_id, 600):
            raise Died
    assert await available(rig, customer) == 1_000


async def test_without_redis_nothing_is_debited(rig: Rig, database: str) -> None:
    customer = await rig.customer(1_000)
    bus = Bus("nats://127.0.0.1:1")
    async with open_books(database, "redis://127.0.0.1:1/0", bus) as (blind, _):
        with pytest.raises(KvUnavailable):
            await adjust(blind, customer.account_id, amount_uusd=-1, reason="x")
    assert await rig.balance(customer) == 1_000


async def test_debits_and_requests_together_take_no_more_than_there_is(rig: Rig) -> None:
    customer = await rig.customer(1_000)
    requests = [rig.event(customer, output_tokens=10) for _ in range(12)]

    async def debit(books: Books) -> int:
        try:
            await adjust(books, customer.account_id, amount_uusd=-100, reason="race")
        except GatewayError as error:
            if error.status != 409:
                raise
            return 0
        return 100

    async def ask(number: int) -> int:
        return 100 if await rig.admit(requests[number]) else 0

    async with asyncio.TaskGroup() as group:
        debits = [group.create_task(debit(rig.books)) for _ in range(5)]
        admitted = [group.create_task(ask(number)) for number in range(12)]
    debited = sum(task.result() for task in debits)
    held = sum(task.result() for task in admitted)
    assert debited + held <= 1_000
    assert await rig.balance(customer) == 1_000 - debited
    assert await available(rig, customer) == 1_000 - debited - held
    for request, task in zip(requests, admitted, strict=True):
        if task.result():
            await rig.finish(request)
            await rig.publish(request)
    await rig.settle_all()
    assert await rig.balance(customer) == 1_000 - debited - held
    assert await rig.value("select sum(shortfall_uusd)::bigint from usage") == 0
    assert await rig.dirty_checks() == set()


async def test_a_rebuild_waits_for_a_debit_under_way(rig: Rig) -> None:
    customer = await rig.customer(1_000)
    rebuilt = None
    async with debiting(rig.books, customer.account_id, 600) as conn:
        rebuilt = asyncio.create_task(rig.rebuilder.rebuild())
        for _ in range(20):
            await asyncio.sleep(0.01)
        assert not rebuilt.done()
        async with conn.transaction():
            await conn.execute("select 1")
    assert await rebuilt
    assert await available(rig, customer) == 1_000
