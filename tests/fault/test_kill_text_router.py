"""``kill -9`` of the text-router: cut streams cost nothing, finished answers are not forgotten."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.fault.load import START_UUSD, Load, nothing_held, reckon
from tests.support.gateway import Answer, Customer, Gateway

STREAM: dict[str, Any] = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 1000,
    "stream": True,
    "messages": [{"role": "user", "content": "Tell me of rivers."}],
}
STREAMS = 5


async def _hold_streams(customer: Customer, hold: str) -> list[asyncio.Task[Answer]]:
    """Streams that have delivered content and stand still in the middle."""
    faults = f"text-bytes=2000,events=20,hold-after={hold}@13"
    streams = [asyncio.create_task(customer.post(STREAM, faults=faults)) for _ in range(STREAMS)]
    await customer.gateway.simulator.held(hold, STREAMS)
    return streams


async def test_in_the_middle_of_streams(gateway: Gateway) -> None:
    customer = await gateway.customer()
    streams = await _hold_streams(customer, "kill")
    holds, held_uusd = await gateway.held(customer)
    assert (holds, held_uusd > 0) == (STREAMS, True)
    gateway.stack.parts["text-router"].kill()
    for answer in await asyncio.gather(*streams):
        assert answer.status == 200
        assert answer.body.count(b'"content_block_delta"') > 5
        # Never a clean end: an error in the dialect, and no terminal event.
        assert b"event: message_stop" not in answer.body
        assert b"event: error" in answer.body
    refused = await customer.post(STREAM)
    assert (refused.status, refused.error["type"]) == (503, "api_error")
    assert int(refused.headers["retry-after"]) > 0
    # What the router never saw is given back at once; what it held stays held until its lease ends.
    assert await gateway.held(customer) == (STREAMS, held_uusd)
    await gateway.stack.parts["text-router"].start()
    assert (await customer.post({**STREAM, "stream": False})).status == 200
    await nothing_held(customer)
    [usage] = await gateway.usage_of(customer, 1)
    assert await customer.balance_uusd() == START_UUSD - usage["charge_uusd"]
    seen = await gateway.simulator.finished(STREAMS + 1)
    assert [one.state for one in seen] == ["completed", *["client_closed"] * STREAMS]
    assert (await gateway.audit())["clean"] is True


async def test_charges_waiting_on_its_disk_survive_it(gateway: Gateway) -> None:
    """NATS is away, so events lie in the spool when the router is killed."""
    customer = await gateway.customer()
    gateway.stack.parts["nats"].kill()
    body = {**STREAM, "stream": False}
    answers = [await customer.post(body) for _ in range(STREAMS)]
    assert [answer.status for answer in answers] == [200] * STREAMS
    gateway.stack.parts["text-router"].kill()
    assert (
        await gateway.rows("select 1 from usage where account_id = $1", customer.account_id) == []
    )
    await gateway.stack.parts["nats"].start()
    await gateway.stack.parts["text-router"].start()
    rows = await gateway.usage_of(customer, STREAMS)
    assert {row["request_id"] for row in rows} == {answer.request_id for answer in answers}
    await gateway.settled(customer)
    spent_uusd = sum(row["charge_uusd"] for row in rows)
    assert await customer.balance_uusd() == START_UUSD - spent_uusd
    assert (await gateway.audit())["clean"] is True


async def test_again_and_again_under_load(gateway: Gateway) -> None:
    customers = [await gateway.customer() for _ in range(2)]
    async with Load(gateway, customers) as load:
        for _ in range(3):
            gateway.stack.parts["text-router"].kill()
            await load.refused("503")
            await gateway.stack.parts["text-router"].start()
            await load.more(20)
    callers = 8
    await reckon(load, at_most_cut=3 * callers)
