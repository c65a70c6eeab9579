"""``kill -9`` of an edge: to the router it is a client that left, so what was delivered is paid."""

from __future__ import annotations

import asyncio
from typing import Any

from bytespike_contracts.money import price
from tests.fault.load import START_UUSD
from tests.support.gateway import Gateway

STREAM: dict[str, Any] = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 1000,
    "stream": True,
    "messages": [{"role": "user", "content": "Tell me of rivers."}],
}


async def test_in_the_middle_of_a_stream(gateway: Gateway) -> None:
    customer = await gateway.customer()
    faults = "text-bytes=2000,events=20,hold-after=edge@13"
    asking = asyncio.create_task(customer.post(STREAM, faults=faults))
    await gateway.simulator.held("edge", 1)
    gateway.stack.parts["edge"].kill()
    answer = await asking
    assert (answer.status, answer.complete) == (200, False)
    await gateway.settled(customer)
    usage = await gateway.usage(answer.request_id)
    seen = await gateway.simulator.last()
    assert (usage["outcome"], seen.state) == ("client_left_late", "client_closed")
    assert usage["charge_uusd"] == price(seen.billed, gateway.rates("claude-sonnet-4-6")) > 0
    await gateway.stack.parts["edge"].start()
    assert await customer.balance_uusd() == START_UUSD - usage["charge_uusd"]
    assert (await gateway.audit())["clean"] is True
