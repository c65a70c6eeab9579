"""A channel switched off stays off: without NATS, in a new router, after Redis was lost."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.gateway import Customer, Gateway, eventually

ASK: dict[str, Any] = {
    "model": "sim-fails",
    "max_tokens": 50,
    "messages": [{"role": "user", "content": "Hi"}],
}
WITHIN_S = 1.0


async def switch(gateway: Gateway, state: str) -> None:
    """The one channel of the model."""
    path = "/api/v1/admin/channels/fails"
    await gateway.admin.call("PUT", path, {"state": state, "reason": "a test"})


@pytest.fixture
async def caller(gateway: Gateway) -> AsyncIterator[Customer]:
    """Served before the test, and again after it."""
    customer = await gateway.customer()
    assert (await customer.post(ASK)).status == 200
    yield customer
    await switch(gateway, "enabled")


async def takes_s(customer: Customer, status: int) -> float:
    """Seconds until the answer is this one."""
    began_s = time.monotonic()

    async def so() -> bool:
        return (await customer.post(ASK)).status == status

    await eventually(so)
    return time.monotonic() - began_s


async def test_while_nats_is_away(gateway: Gateway, caller: Customer) -> None:
    gateway.stack.parts["nats"].kill()
    for state, status in (("disabled", 503), ("enabled", 200)):
        await switch(gateway, state)
        took_s = await takes_s(caller, status)
        print(f"without NATS, {state}: {took_s * 1000:.0f} ms")
        assert took_s <= WITHIN_S
    await gateway.stack.parts["nats"].start()


async def test_a_new_router_never_calls_it(gateway: Gateway, caller: Customer) -> None:
    await switch(gateway, "disabled")
    await takes_s(caller, 503)
    calls = len(await gateway.simulator.requests(model="sim-fails"))
    gateway.stack.parts["text-router"].kill()
    await gateway.stack.parts["text-router"].start()
    for _ in range(5):
        assert (await caller.post(ASK)).status == 503
    assert len(await gateway.simulator.requests(model="sim-fails")) == calls


async def test_after_redis_was_lost(gateway: Gateway, caller: Customer) -> None:
    """The router keeps what it knew; a router that comes after the loss learns it again."""
    await switch(gateway, "disabled")
    await takes_s(caller, 503)
    calls = len(await gateway.simulator.requests(model="sim-fails"))
    gateway.stack.parts["redis"].kill()
    await gateway.stack.parts["redis"].start()
    gateway.stack.parts["text-router"].kill()
    await gateway.stack.parts["text-router"].start()

    async def open_again() -> bool:
        return (await caller.post({**ASK, "model": "claude-sonnet-4-6"})).status == 200

    await eventually(open_again, within_s=30)
    assert (await caller.post(ASK)).status == 503
    assert len(await gateway.simulator.requests(model="sim-fails")) == calls
    await switch(gateway, "enabled")
    assert await takes_s(caller, 200) <= WITHIN_S
