"""``kill -9`` of NATS, Redis and Postgres under load: what must go on goes on, what must not does
not, and the books come out right.
"""

from __future__ import annotations

import asyncio
from typing import Any

from tests.fault.load import START_UUSD, Load, reckon
from tests.support.gateway import Gateway, eventually

STREAM: dict[str, Any] = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 1000,
    "stream": True,
    "messages": [{"role": "user", "content": "Tell me of rivers."}],
}


async def test_nats(gateway: Gateway) -> None:
    """Nobody notices: events wait on disk until the bus is back."""
    customers = [await gateway.customer() for _ in range(2)]
    async with Load(gateway, customers) as load:
        for _ in range(2):
            gateway.stack.parts["nats"].kill()
            await load.more(40)
            await gateway.stack.parts["nats"].start()
            await load.more(20)
    assert set(load.outcomes) == set()
    await reckon(load)


async def test_redis(gateway: Gateway) -> None:
    """Paid calls fail closed until the ledger has loaded everything into an empty Redis."""
    customers = [await gateway.customer() for _ in range(2)]
    async with Load(gateway, customers) as load:
        for _ in range(2):
            gateway.stack.parts["redis"].kill()
            await load.refused("503")
            await gateway.stack.parts["redis"].start()
            await load.more(20)
    assert set(load.outcomes) == {"503"}
    await reckon(load)


async def test_redis_under_a_running_stream(gateway: Gateway) -> None:
    """The stream goes on; its hold comes back with it, and it is charged once at its end."""
    customer = await gateway.customer(usd="100")
    faults = "text-bytes=2000,events=20,hold-after=redis@13"
    asking = asyncio.create_task(customer.post(STREAM, faults=faults))
    await gateway.simulator.held("redis", 1)
    before = await gateway.held(customer)
    gateway.stack.parts["redis"].kill()
    await gateway.stack.parts["redis"].start()

    async def put_back() -> bool:
        return await gateway.held(customer) == before

    await eventually(put_back)
    await gateway.simulator.release("redis")
    answer = await asking
    assert answer.status == 200
    assert b"event: message_stop" in answer.body
    usage = await gateway.usage(answer.request_id)
    assert usage["outcome"] == "completed"
    await gateway.settled(customer)

    async def loaded() -> bool:
        return (await customer.post({**STREAM, "stream": False})).status == 200

    await eventually(loaded)
    rows = await gateway.usage_of(customer, 2)
    await gateway.settled(customer)
    spent_uusd = sum(row["charge_uusd"] for row in rows)
    assert await customer.balance_uusd() == START_UUSD - spent_uusd
    assert (await gateway.audit())["clean"] is True


async def test_postgres(gateway: Gateway) -> None:
    """Known keys go on working; events wait in JetStream."""
    customers = [await gateway.customer() for _ in range(2)]
    async with Load(gateway, customers) as load:
        gateway.stack.parts["postgres"].kill()
        await load.more(60)
        await gateway.stack.parts["postgres"].start()
        await load.more(20)
    assert set(load.outcomes) == set()
    await reckon(load)
