"""``kill -9`` of NATS, Redis and Postgres under load: what must go on goes on, what must not does
not, and the books come out right.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from typing import Any

from bytespike_contracts.ids import mint_key
from bytespike_contracts.money import format_usd, parse_usd
from tests.fault.load import START_UUSD, Load, nothing_held, reckon
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


async def test_redis_loss_does_not_sell_what_is_held(gateway: Gateway) -> None:
    """Money for ten, all ten at the vendor, then Redis forgets everything: still nobody else gets
    in, because the accounts open only after the holds are back.
    """
    estimate = await (await gateway.customer()).post(STREAM, x_bytespike_dry_run="true")
    hold_uusd = parse_usd(estimate.headers["x-estimated-credits"])
    customer = await gateway.customer(usd=format_usd(10 * hold_uusd))
    faults = "hold-after=sold@1"
    holders = [asyncio.create_task(customer.post(STREAM, faults=faults)) for _ in range(10)]
    await gateway.simulator.held("sold", 10)
    gateway.stack.parts["redis"].kill()
    await gateway.stack.parts["redis"].start()
    statuses: Counter[int] = Counter()
    while statuses[402] < 20:
        statuses[(await customer.post(STREAM)).status] += 1
    assert set(statuses) <= {402, 503}
    await gateway.simulator.release("sold")
    answers = await asyncio.gather(*holders)
    assert {answer.status for answer in answers} == {200}
    rows = await gateway.usage_of(customer, 10)
    await nothing_held(customer)
    spent_uusd = sum(row["charge_uusd"] for row in rows)
    assert await customer.balance_uusd() == 10 * hold_uusd - spent_uusd >= 0
    assert (await gateway.audit())["clean"] is True


async def test_a_key_revoked_while_the_bus_is_away(gateway: Gateway) -> None:
    """Without the broadcast the edge looks again each second."""
    customer = await gateway.customer()
    assert (await customer.post(STREAM)).status == 200
    gateway.stack.parts["nats"].kill()
    await gateway.admin.call("POST", f"/api/v1/admin/keys/{customer.key_id}/disable")
    revoked = time.monotonic()
    while (answer := await customer.post(STREAM)).status == 200:
        assert time.monotonic() - revoked < 2.0
    assert answer.status == 401
    await gateway.stack.parts["nats"].start()


async def test_an_unknown_key_is_not_refused_for_good_while_nobody_can_tell(
    gateway: Gateway,
) -> None:
    """Postgres is away: keys that are known go on working, others are asked to come again."""
    customer = await gateway.customer()
    unknown = {"x-api-key": mint_key(secrets.token_bytes(40))}
    assert (await gateway.call("POST", "/v1/messages", headers=unknown)).status == 401
    gateway.stack.parts["postgres"].kill()

    async def nobody_can_tell() -> bool:
        answer = await gateway.call("POST", "/v1/messages", headers=unknown)
        return answer.status == 503 and int(answer.headers["retry-after"]) > 0

    await eventually(nobody_can_tell)
    assert (await customer.post(STREAM)).status == 200
    balance = await customer.get("/v1/balance")
    assert (balance.status, balance.error["code"]) == (503, "unavailable")
    await gateway.stack.parts["postgres"].start()

    async def told_again() -> bool:
        return (await gateway.call("POST", "/v1/messages", headers=unknown)).status == 401

    await eventually(told_again)
    assert (await customer.get("/v1/balance")).status == 200


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
