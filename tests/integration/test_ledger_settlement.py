"""Usage events through JetStream, Postgres and Redis: once, whatever happens on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from bytespike_cli.servers import PostgresServer
from bytespike_contracts.ids import mint_id
from bytespike_contracts.money import TokenUsage
from bytespike_contracts.settlement import Outcome
from bytespike_contracts.usage import decode_batch, encode_batch
from bytespike_ledger.consumer import Consumer
from bytespike_ledger.settle import PricedEvent, price_event
from bytespike_ledger.settling import Settler
from bytespike_runtime.kv import KvUnavailable
from tests.support.ledger import Rig, ledger, open_books, replaced


@pytest.fixture(scope="module")
async def rig(postgres_server: PostgresServer, redis_url: str, nats_url: str) -> AsyncIterator[Rig]:
    database = postgres_server.create_database("ledger_settlement")
    async with ledger(database, redis_url, nats_url) as rig:
        yield rig


@pytest.fixture(autouse=True)
async def books_stay_clean(rig: Rig) -> AsyncIterator[None]:
    yield
    assert await rig.dirty_checks() == set()


async def test_a_success_is_charged_and_its_hold_dropped(rig: Rig) -> None:
    customer = await rig.customer(1_000)
    event = rig.event(customer, output_tokens=7)
    assert await rig.admit(event)
    await rig.finish(event)

    await rig.publish(event)
    await rig.settle_all()

    assert await rig.balance(customer) == 930
    mirror = await rig.mirror.account(customer.account_id, [customer.key_id])
    assert (mirror.balance_uusd, mirror.pending_uusd, mirror.holds) == (930, 0, {})
    assert mirror.scopes[customer.key_id].spent_uusd == 70
    assert mirror.scopes[customer.key_id].sums == {1: 70, 2: 70, 3: 70}
    attempts = await rig.value(
        "select count(*) from usage_attempts where request_id = $1 and cost_uusd = 3",
        event.request_id,
    )
    assert attempts == 1


@pytest.mark.parametrize(
    "outcome", [o for o in Outcome if o not in (Outcome.COMPLETED, Outcome.CLIENT_LEFT_LATE)]
)
async def test_what_did_not_succeed_is_recorded_and_free(rig: Rig, outcome: Outcome) -> None:
    customer = await rig.customer(1_000)
    event = rig.event(customer, outcome=outcome)
    await rig.admit(event)

    await rig.publish(event)  # the finish never reached Redis: the settlement drops the hold
    await rig.settle_all()

    assert await rig.balance(customer) == 1_000
    stored = await rig.value("select outcome from usage where request_id = $1", event.request_id)
    assert stored == outcome.value
    mirror = await rig.mirror.account(customer.account_id)
    assert (mirror.pending_uusd, mirror.holds) == (0, {})


async def test_a_replay_changes_nothing(rig: Rig) -> None:
    customer = await rig.customer(1_000)
    event = rig.event(customer, output_tokens=3)

    await rig.publish(event, event)
    await rig.publish(event)
    await rig.settle_all()

    assert await rig.balance(customer) == 970
    transfers = await rig.value(
        "select count(*) from transfers where account_id = $1 and kind = 'settle'",
        customer.account_id,
    )
    assert transfers == 1


async def test_the_same_request_with_other_content_is_parked(rig: Rig) -> None:
    customer = await rig.customer(1_000)
    event = rig.event(customer, output_tokens=3)
    other = replaced(event, usage=TokenUsage(output_tokens=50), charge_uusd=500)

    await rig.publish(event)
    await rig.publish(other, other)
    await rig.settle_all()

    assert await rig.balance(customer) == 970
    body = await rig.value(
        "select body from parked_events where request_id = $1 and reason = 'other_content'",
        event.request_id,
    )
    assert isinstance(body, bytes)
    assert msgspec.json.decode(body, type=type(event)) == other


async def test_a_charge_beyond_the_balance_takes_what_is_there(rig: Rig) -> None:
    customer = await rig.customer(25)
    first, second = rig.event(customer, output_tokens=2), rig.event(customer, output_tokens=2)

    await rig.publish(first, second)
    await rig.settle_all()

    assert await rig.balance(customer) == 0
    loss = await rig.value(
        "select sum(shortfall_uusd)::int from usage where key_id = $1", customer.key_id
    )
    assert loss == 15


async def test_the_ledger_prices_by_its_own_table(rig: Rig) -> None:
    customer = await rig.customer(1_000)
    event = replaced(rig.event(customer, output_tokens=4), charge_uusd=1)

    await rig.publish(event)
    await rig.settle_all()

    assert await rig.balance(customer) == 960


async def test_one_unreadable_event_costs_its_neighbours_nothing(rig: Rig) -> None:
    customer = await rig.customer(1_000)
    event = rig.event(customer, output_tokens=1)
    body = encode_batch([event])[:-1] + b',{"request_id":17}]'

    await rig.publish_body(b"not even JSON")
    await rig.publish_body(body)
    await rig.settle_all()

    assert await rig.balance(customer) == 990
    parked = await rig.value("select count(*) from parked_events where reason = 'undecodable'")
    assert parked == 2


async def test_events_that_cannot_be_are_parked_one_by_one(rig: Rig) -> None:
    customer = await rig.customer(1_000)
    good = rig.event(customer, output_tokens=1)
    bad = {
        "unknown_account": replaced(rig.event(customer), account_id="acct_nobody"),
        "implausible_id": replaced(rig.event(customer), request_id="req_1"),
        "contradiction": replaced(rig.event(customer), usage=None),
        "refused_by_database": replaced(rig.event(customer), error_type="a\0b"),
    }
    far_future = replaced(
        rig.event(customer), request_id=mint_id("req", 2 * rig.books.now_ms(), b"0123456789")
    )

    await rig.publish(*bad.values(), good, far_future)
    await rig.settle_all()

    assert await rig.balance(customer) == 990
    for reason, event in bad.items():
        stored = await rig.value(
            "select reason from parked_events where request_id = $1", event.request_id
        )
        assert stored == reason


async def test_an_event_of_unknown_prices_waits_for_them(rig: Rig) -> None:
    customer = await rig.customer(1_000)
    event = replaced(rig.event(customer, output_tokens=1), price_revision="of tomorrow")

    await rig.publish(event)
    await rig.consumer.drain_some(wait_s=1)
    assert await rig.balance(customer) == 1_000
    assert await rig.pull.pending() == 1

    await rig.value(
        """insert into price_revisions
           select 'of tomorrow', routing_group, model, input_uusd, output_uusd, cache_read_uusd,
                  cache_write_5m_uusd, cache_write_1h_uusd, web_search_uusd, multiplier_ppm
           from price_revisions on conflict do nothing"""
    )
    await rig.settle_all()
    assert await rig.balance(customer) == 990


async def test_an_event_of_prices_nobody_ever_has_is_parked(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bytespike_ledger.consumer._PRICE_RETRY_S", 0.01)
    customer = await rig.customer(1_000)
    event = replaced(rig.event(customer), price_revision="never")

    await rig.publish(event)
    await rig.settle_all()

    stored = await rig.value(
        "select reason from parked_events where request_id = $1", event.request_id
    )
    assert stored == "unknown_price"


async def test_a_crash_between_commit_and_projection_is_made_good_by_the_redelivery(
    rig: Rig, postgres_server: PostgresServer
) -> None:
    customer = await rig.customer(1_000)
    event = rig.event(customer, output_tokens=5)
    await rig.admit(event)
    await rig.finish(event)
    dead_redis = "redis://127.0.0.1:1/0"
    database = postgres_server.database_url("ledger_settlement")
    async with open_books(database, dead_redis, rig.bus) as (books, _):
        with pytest.raises(KvUnavailable):
            await Settler(books).settle([priced(rig, event)])
    assert await rig.balance(customer) == 950
    before = await rig.mirror.account(customer.account_id)
    assert (before.balance_uusd, before.pending_uusd) == (1_000, 50)

    await rig.publish(event)
    await rig.settle_all()

    after = await rig.mirror.account(customer.account_id, [customer.key_id])
    assert (after.balance_uusd, after.pending_uusd) == (950, 0)
    assert after.scopes[customer.key_id].sums == {1: 50, 2: 50, 3: 50}
    assert await rig.balance(customer) == 950


async def test_a_message_is_not_acknowledged_while_redis_is_away(
    rig: Rig, postgres_server: PostgresServer
) -> None:
    customer = await rig.customer(1_000)
    event = rig.event(customer, output_tokens=5)
    database = postgres_server.database_url("ledger_settlement")
    async with open_books(database, "redis://127.0.0.1:1/0", rig.bus) as (books, _):
        await books.prices.register(rig.catalogue)
        await rig.publish(event)
        await Consumer(books, rig.bus, rig.pull).drain_some(wait_s=1)
        assert await rig.pull.pending() == 1

    await rig.settle_all()
    assert (await rig.mirror.account(customer.account_id)).balance_uusd == 950


async def test_ledgers_that_settle_the_same_events_at_once_charge_once(
    rig: Rig, postgres_server: PostgresServer, redis_url: str
) -> None:
    customers = [await rig.customer(10_000) for _ in range(3)]
    events = [rig.event(c, output_tokens=n) for n in range(1, 20) for c in customers]
    database = postgres_server.database_url("ledger_settlement")
    async with open_books(database, redis_url, rig.bus) as (books, _):
        one, two = Settler(rig.books), Settler(books)
        async with asyncio.TaskGroup() as group:
            for at in range(0, len(events), 10):
                batch = [priced(rig, event) for event in events[at : at + 10]]
                group.create_task(one.settle(batch))
                group.create_task(two.settle(batch[::-1]))

    assert [await rig.balance(c) for c in customers] == [10_000 - 10 * sum(range(1, 20))] * 3


async def test_a_large_batch_for_many_holds_of_one_account(rig: Rig) -> None:
    customer = await rig.customer(10_000_000)
    events = [rig.event(customer, output_tokens=1) for _ in range(600)]
    for event in events[:90]:
        assert await rig.admit(event)
        await rig.finish(event)

    for at in range(0, len(events), 50):
        await rig.publish(*events[at : at + 50])
    await rig.settle_all()

    mirror = await rig.mirror.account(customer.account_id)
    assert (mirror.balance_uusd, mirror.pending_uusd, mirror.holds) == (9_994_000, 0, {})


def priced(rig: Rig, event: object) -> PricedEvent:
    (decoded,) = decode_batch(msgspec.json.encode([event]))
    return price_event(decoded, rig.rates, rig.books.now_ms())
