"""Parked usage events: listed without what is in them, tried again, never lost on the way."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

import pytest

from bytespike_cli.servers import PostgresServer
from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_ledger.accounts.actors import Operator
from bytespike_ledger.api.call import Call
from bytespike_ledger.api.parked import ParkedApi, ParkedEvent, ParkedEventPage, ParkedQuery
from bytespike_ledger.consumer import Consumer
from bytespike_runtime.bus import Bus, BusUnavailable
from tests.support.ledger import Rig, ledger, replaced

OPERATOR = Operator(id="op_1", address="192.0.2.1", request_id="req_1")


@pytest.fixture(scope="module")
async def rig(postgres_server: PostgresServer, redis_url: str, nats_url: str) -> AsyncIterator[Rig]:
    database = postgres_server.create_database("ledger_parked")
    async with ledger(database, redis_url, nats_url) as rig:
        yield rig


@pytest.fixture
def api(rig: Rig) -> ParkedApi:
    return ParkedApi(books=rig.books, put_back=rig.consumer.put_back)


async def parked(api: ParkedApi) -> dict[str | None, ParkedEvent]:
    """All of them by request id, read in pages of two."""
    found: list[ParkedEvent] = []
    cursor: str | None = "0"
    while cursor is not None:
        query = ParkedQuery(cursor=int(cursor), limit=2)
        page = (await api.list(Call(who=OPERATOR, query=query))).body
        assert isinstance(page, ParkedEventPage)
        found += page.items
        cursor = page.next_cursor
    assert [int(one.id) for one in found] == sorted({int(one.id) for one in found})
    return {one.request_id: one for one in found}


async def retry(api: ParkedApi, event_id: str) -> None:
    await api.retry(Call(who=OPERATOR, ids={"event": event_id}))


async def test_an_event_is_settled_once_what_it_lacked_is_there(
    rig: Rig, api: ParkedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bytespike_ledger.consumer._PRICE_RETRY_S", 0.01)
    customer = await rig.customer(1_000)
    event = replaced(rig.event(customer, output_tokens=1), price_revision="late")
    await rig.publish(event)
    await rig.settle_all()
    one = (await parked(api))[event.request_id]
    assert one.reason.value == "unknown_price"

    await rig.value(
        """insert into price_revisions
           select 'late', routing_group, model, input_uusd, output_uusd, cache_read_uusd,
                  cache_write_5m_uusd, cache_write_1h_uusd, web_search_uusd, multiplier_ppm
           from price_revisions on conflict do nothing"""
    )
    await retry(api, one.id)
    await rig.settle_all()

    assert await rig.balance(customer) == 990
    assert event.request_id not in await parked(api)
    entry = "select actor || ' ' || action || ' ' || address from audit_log where target = $1"
    assert await rig.value(entry, event.request_id) == "op_1 event.retry 192.0.2.1"
    with pytest.raises(GatewayError) as error:
        await retry(api, one.id)
    assert error.value.code is ErrorCode.NOT_FOUND


async def test_an_event_that_still_cannot_be_is_parked_anew(rig: Rig, api: ParkedApi) -> None:
    event = replaced(rig.event(await rig.customer(1_000)), account_id="acct_nobody")
    await rig.publish(event)
    await rig.settle_all()
    first = (await parked(api))[event.request_id]

    for _ in range(2):  # within the time in which JetStream takes the same id for the same message
        await retry(api, (await parked(api))[event.request_id].id)
        assert event.request_id not in await parked(api)
        await rig.settle_all()

    again = (await parked(api))[event.request_id]
    assert int(again.id) > int(first.id)
    assert again.reason is first.reason


async def test_what_is_no_event_stays_where_it_is(rig: Rig, api: ParkedApi) -> None:
    body = b"not even JSON, and nobody's business"
    await rig.publish_body(body)
    await rig.settle_all()
    digest = hashlib.sha256(body).digest()
    event_id = str(await rig.value("select id from parked_events where body_hash = $1", digest))

    with pytest.raises(GatewayError) as error:
        await retry(api, event_id)

    assert error.value.code is ErrorCode.CONFLICT
    assert event_id in {one.id for one in (await parked(api)).values()}
    assert b"business" not in str(await parked(api)).encode()


async def test_without_nats_it_stays_parked_and_unrecorded(rig: Rig) -> None:
    event = replaced(rig.event(await rig.customer(1_000)), account_id="acct_nowhere")
    await rig.publish(event)
    await rig.settle_all()
    offline = Consumer(rig.books, Bus("nats://127.0.0.1:1"), rig.pull)
    api = ParkedApi(books=rig.books, put_back=offline.put_back)
    one = (await parked(api))[event.request_id]

    with pytest.raises(BusUnavailable):
        await retry(api, one.id)

    assert (await parked(api))[event.request_id] == one
    entries = "select count(*) from audit_log where target = $1"
    assert await rig.value(entries, event.request_id) == 0


@pytest.mark.parametrize("event_id", ["0", "x", "-1", "٣", "9" * 19, "9" * 30])
async def test_an_id_of_none_is_not_found(api: ParkedApi, event_id: str) -> None:
    with pytest.raises(GatewayError) as error:
        await retry(api, event_id)
    assert error.value.code is ErrorCode.NOT_FOUND
