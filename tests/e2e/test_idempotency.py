"""One ``Idempotency-Key``, one call, one charge, however often and however fast it is repeated."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from bytespike_contracts.money import parse_usd
from tests.support.gateway import Customer, Gateway, eventually

ASK: dict[str, Any] = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 300,
    "messages": [{"role": "user", "content": "Order me a river."}],
}
START_UUSD = 100_000_000


async def paid_uusd(gateway: Gateway, customer: Customer, rows: int = 1) -> int:
    """What the customer has paid, all ``rows`` of its usage settled."""
    await gateway.usage_of(customer, rows)
    await gateway.settled(customer)
    return START_UUSD - await customer.balance_uusd()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_repeat_is_the_same_answer_and_free(
    gateway: Gateway, customer: Customer, stream: bool
) -> None:
    body = {**ASK, "stream": stream}
    first = await customer.post(body, idempotency_key="same")
    once_uusd = await paid_uusd(gateway, customer)
    for edge in (0, 1):
        again = await customer.post(body, idempotency_key="same", edge=edge)
        assert (again.status, again.body) == (200, first.body)
        assert again.headers["content-type"] == first.headers["content-type"]
        assert again.headers["x-bytespike-replayed"] == "true"
        assert again.request_id != first.request_id
    assert await paid_uusd(gateway, customer) == once_uusd > 0
    assert len(await gateway.simulator.requests()) == 1


async def test_fifty_at_once_are_one(gateway: Gateway, customer: Customer) -> None:
    asking = [
        asyncio.create_task(
            customer.post(ASK, idempotency_key="rush", faults="hold=rush", edge=number % 2)
        )
        for number in range(50)
    ]

    async def all_but_one() -> bool:
        return sum(task.done() for task in asking) == 49

    await eventually(all_but_one)
    await gateway.simulator.release("rush")
    answers = await asyncio.gather(*asking)
    assert Counter(answer.status for answer in answers) == {409: 49, 200: 1}
    assert {a.error["code"] for a in answers if a.status == 409} == {"request_in_progress"}
    [won] = [answer for answer in answers if answer.status == 200]
    assert await paid_uusd(gateway, customer) == parse_usd(won.headers["x-credits-used"])


async def test_a_failure_may_be_tried_again(gateway: Gateway, customer: Customer) -> None:
    body = {**ASK, "model": "sim-fails"}
    failed = await customer.post(body, idempotency_key="retry", faults="status=529")
    assert failed.status == 529
    retried = await customer.post(body, idempotency_key="retry")
    assert retried.status == 200
    assert "x-bytespike-replayed" not in retried.headers
    assert await paid_uusd(gateway, customer, rows=2) > 0


async def test_the_same_key_of_another_customer_is_another(
    gateway: Gateway, customer: Customer
) -> None:
    other = await gateway.customer()
    first = await customer.post(ASK, idempotency_key="shared")
    second = await other.post(ASK, idempotency_key="shared")
    assert (first.status, second.status) == (200, 200)
    assert "x-bytespike-replayed" not in second.headers


async def test_other_words_under_the_same_key_are_refused(customer: Customer) -> None:
    await customer.post(ASK, idempotency_key="words")
    other = await customer.post({**ASK, "max_tokens": 301}, idempotency_key="words")
    assert (other.status, other.error["code"]) == (409, "idempotency_conflict")


async def test_an_answer_survives_a_client_that_left(gateway: Gateway, customer: Customer) -> None:
    """Who asked for a repeatable answer gets it, even if the connection died meanwhile."""
    asking = asyncio.create_task(customer.post(ASK, idempotency_key="left", faults="hold=left"))
    await gateway.simulator.held("left", 1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await gateway.simulator.release("left")

    async def stored() -> bool:
        again = await customer.post(ASK, idempotency_key="left")
        return again.status == 200 and "x-bytespike-replayed" in again.headers

    await eventually(stored)
    assert len(await gateway.simulator.requests()) == 1
    assert await paid_uusd(gateway, customer) > 0
