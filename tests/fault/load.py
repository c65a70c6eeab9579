"""Customers who keep calling while things break, and the reckoning afterwards.

The client's own account of what it received is the yardstick: an answer that arrived whole has a
price (its usage is in it), and that, no more and no less, must be in the books.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import aiohttp

from bytespike_contracts.money import TokenUsage, price
from tests.support.gateway import Answer, Customer, Gateway, Row, eventually

__all__ = ["START_UUSD", "Load", "nothing_held", "reckon"]

MODEL = "claude-sonnet-4-6"
START_UUSD = 100_000_000
#: Pause of a caller who was refused or cut off, so that an outage is not a busy loop.
_BACK_OFF_S = 0.02
#: A lease of 30 s, a sweep every 5 s, and time for a busy machine.
HOLDS_GONE_WITHIN_S = 60.0
#: A message that was delivered and not acknowledged comes again after 30 s.
SETTLED_WITHIN_S = 60.0


class Load:
    """Each customer calls ``callers`` times at once, over and over, while the block runs."""

    def __init__(
        self, gateway: Gateway, customers: Sequence[Customer], *, callers: int = 4
    ) -> None:
        self.gateway = gateway
        self.customers = list(customers)
        self.paid: dict[str, int] = {}
        self.outcomes: Counter[str] = Counter()
        self._callers = callers
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [
            asyncio.create_task(self._call_on(customer, caller))
            for customer in self.customers
            for caller in range(self._callers)
        ]
        await self.more(10)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        await asyncio.gather(*self._tasks)

    async def more(self, answers: int) -> None:
        """Return once so many more whole answers have arrived."""
        wanted = len(self.paid) + answers

        async def enough() -> bool:
            return len(self.paid) >= wanted

        await eventually(enough, within_s=SETTLED_WITHIN_S)

    async def refused(self, word: str) -> None:
        """Return once somebody has met this status or end."""

        async def met() -> bool:
            return self.outcomes[word] > 0

        await eventually(met)

    async def _call_on(self, customer: Customer, caller: int) -> None:
        number = caller
        while not self._stop.is_set():
            number += 1
            if not await self._call(customer, number):
                await asyncio.sleep(_BACK_OFF_S)

    async def _call(self, customer: Customer, number: int) -> bool:
        body = {
            "model": MODEL,
            "max_tokens": 300,
            "stream": number % 2 == 0,
            "messages": [{"role": "user", "content": f"Call number {number}"}],
        }
        try:
            answer = await customer.post(body, faults=f"text-bytes={400 + number % 7},slow=2")
        except (aiohttp.ClientError, OSError):
            self.outcomes["no answer"] += 1
            return False
        cost_uusd = cost_of(customer.gateway, answer)
        if cost_uusd is None:
            self.outcomes["broken" if answer.status == 200 else str(answer.status)] += 1
            return False
        self.paid[answer.request_id] = cost_uusd
        return True


def cost_of(gateway: Gateway, answer: Answer) -> int | None:
    """What a whole 200 must cost; None for anything else."""
    if answer.status != 200 or not answer.complete:
        return None
    usage: dict[str, Any]
    if answer.headers["content-type"].startswith("text/event-stream"):
        if b"event: message_stop" not in answer.body:
            return None
        lines = answer.body.decode().splitlines()
        delta = next(line for line in lines if line.startswith('data: {"type":"message_delta"'))
        usage = json.loads(delta[6:])["usage"]
    else:
        usage = answer.json()["usage"]
    tokens = TokenUsage(input_tokens=usage["input_tokens"], output_tokens=usage["output_tokens"])
    return price(tokens, gateway.rates(MODEL))


async def reckon(load: Load, *, at_most_cut: int = 0) -> None:
    """Everything delivered whole is charged once, at its price; nothing else is charged, except at
    most ``at_most_cut`` answers that were finished and charged in the instant their bearer was
    killed. Nothing is held any more, the books prove themselves, and Redis equals Postgres.
    """
    gateway = load.gateway
    charged = await _all_charged(load)
    for request_id, cost_uusd in load.paid.items():
        assert charged[request_id]["charge_uusd"] == cost_uusd
        assert charged[request_id]["outcome"] == "completed"
    assert len(charged) - len(load.paid) <= at_most_cut
    for customer in load.customers:
        await nothing_held(customer)
        spent_uusd = sum(
            row["charge_uusd"]
            for row in charged.values()
            if row["account_id"] == customer.account_id
        )
        assert await customer.balance_uusd() == START_UUSD - spent_uusd
    audit = await gateway.audit()
    assert audit["clean"] is True, audit


async def nothing_held(customer: Customer) -> None:
    """Return once no hold of the customer is left, if need be because its lease ran out."""

    async def nothing() -> bool:
        return await customer.gateway.held(customer) == (0, 0)

    await eventually(nothing, within_s=HOLDS_GONE_WITHIN_S)


async def _all_charged(load: Load) -> dict[str, Row]:
    """Charged usage rows of the load's customers by request id, once every paid one is there."""
    charged: dict[str, Row] = {}

    async def complete() -> bool:
        rows = await load.gateway.rows(
            "select request_id, account_id, outcome, charge_uusd, shortfall_uusd from usage"
            " where account_id = any($1) and charge_uusd > 0",
            [customer.account_id for customer in load.customers],
        )
        assert len({row["request_id"] for row in rows}) == len(rows)
        assert not any(row["shortfall_uusd"] for row in rows)
        charged.update({row["request_id"]: row for row in rows})
        return charged.keys() >= load.paid.keys()

    await eventually(complete, within_s=SETTLED_WITHIN_S)
    return charged
