"""Money for ten, two hundred at the door: ten get in, nothing is sold twice, nothing is lost.

The vendor holds every answer back, so all two hundred meet before anything is paid. Whatever the
limit is, exactly ten fit into it, and exactly ten reach the vendor.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

import asyncpg
import pytest

from bytespike_cli.gateway_api import decode
from bytespike_contracts.keys import SpendCaps
from bytespike_contracts.money import format_usd, parse_usd, price
from tests.support.gateway import Answer, Customer, Gateway, eventually
from tests.support.owners import add_member, give_key, set_caps

ASK: Mapping[str, Any] = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 400,
    "messages": [{"role": "user", "content": "How many rivers reach the sea?"}],
}
MODEL = "claude-sonnet-4-6"
FITTING = 10
KNOCKING = 200
WALLET_USD = "100"


async def worst_case_uusd(customer: Customer) -> int:
    """What one such request holds."""
    answer = await customer.post(ASK, x_bytespike_dry_run="true")
    assert answer.status == 200
    return parse_usd(answer.headers["x-estimated-credits"])


class Crowd:
    """Two hundred equal requests, of the customers in turn and of each through all edges, held at
    the vendor's door under one name.
    """

    def __init__(self, gateway: Gateway, *customers: Customer, hold: str, edges: int = 1) -> None:
        self.gateway = gateway
        self.hold = hold
        self._tasks = []
        for number in range(KNOCKING):
            turn, whose = divmod(number, len(customers))
            asking = customers[whose].post(ASK, faults=f"hold={hold}", edge=turn % edges)
            self._tasks.append(asyncio.create_task(asking))

    async def refused(self) -> list[Answer]:
        """Everybody but ten has an answer, while those ten stand at the vendor."""
        await self.gateway.simulator.held(self.hold, FITTING)
        answers = []
        for done in asyncio.as_completed(self._tasks):
            answers.append(await done)
            if len(answers) == KNOCKING - FITTING:
                break
        assert await self.gateway.simulator.waiting(self.hold) == FITTING
        return answers

    async def admitted(self) -> list[Answer]:
        """The vendor answers; the ten come home."""
        await self.gateway.simulator.release(self.hold)
        answers = await asyncio.gather(*self._tasks)
        return [answer for answer in answers if answer.status == 200]


async def check_books(gateway: Gateway, customer: Customer, paid: list[Answer]) -> int:
    """Ten were answered, ten reached the vendor, ten are charged, to the micro-USD."""
    assert len(paid) == FITTING
    await gateway.settled(customer)
    seen = await gateway.simulator.finished(FITTING)
    assert len(await gateway.simulator.requests()) == FITTING
    cost_uusd = sum(price(exchange.billed, gateway.rates(MODEL)) for exchange in seen)
    charged = [parse_usd(answer.headers["x-credits-used"]) for answer in paid]
    assert sum(charged) == cost_uusd > 0
    rows = await gateway.usage_of(customer, FITTING)
    assert [row["outcome"] for row in rows] == ["completed"] * FITTING
    assert sum(row["charge_uusd"] for row in rows) == cost_uusd
    return cost_uusd


def refusal(answers: list[Answer]) -> tuple[int, str]:
    """All were refused for the same reason: status and error type."""
    kinds = Counter((answer.status, answer.error["type"]) for answer in answers)
    assert len(kinds) == 1, kinds
    return next(iter(kinds))


@pytest.mark.parametrize("edges", [1, 2])
async def test_wallet(gateway: Gateway, edges: int) -> None:
    rich = await gateway.customer()
    hold_uusd = await worst_case_uusd(rich)
    customer = await gateway.customer(usd=format_usd(FITTING * hold_uusd))
    crowd = Crowd(gateway, customer, hold=f"wallet-{edges}", edges=edges)
    refused = await crowd.refused()
    assert refusal(refused) == (402, "billing_error")
    for answer in refused:
        assert "insufficient_balance" in answer.error["message"]
        assert format_usd(FITTING * hold_uusd) in answer.error["message"]
    assert await gateway.held(customer) == (FITTING, FITTING * hold_uusd)
    cost_uusd = await check_books(gateway, customer, await crowd.admitted())
    assert await customer.balance_uusd() == FITTING * hold_uusd - cost_uusd


@pytest.mark.parametrize("edges", [1, 2])
async def test_quota(gateway: Gateway, edges: int) -> None:
    org = await gateway.org(usd=WALLET_USD)
    hold_uusd = await worst_case_uusd(await gateway.customer(org=org))
    customer = await gateway.customer(org=org, quota=format_usd(FITTING * hold_uusd))
    crowd = Crowd(gateway, customer, hold=f"quota-{edges}", edges=edges)
    refused = await crowd.refused()
    assert refusal(refused) == (402, "billing_error")
    for answer in refused:
        assert "quota_exceeded" in answer.error["message"]
        assert format_usd(FITTING * hold_uusd) in answer.error["message"]
    cost_uusd = await check_books(gateway, customer, await crowd.admitted())
    assert await customer.balance_uusd() == parse_usd(WALLET_USD) - cost_uusd
    after = await customer.get("/v1/balance")
    left = parse_usd(after.headers["x-quota-remaining-credits"])
    assert left == FITTING * hold_uusd - cost_uusd


@pytest.mark.parametrize("window", ["5h", "1d", "7d"])
async def test_each_window(gateway: Gateway, window: str) -> None:
    org = await gateway.org(usd=WALLET_USD)
    hold_uusd = await worst_case_uusd(await gateway.customer(org=org))
    cap = format_usd(FITTING * hold_uusd)
    caps: dict[str, Any] = {f"rate_limit_{window}": cap}
    customer = await gateway.customer(org=org, **caps)
    crowd = Crowd(gateway, customer, hold=f"window-{window}", edges=2)
    refused = await crowd.refused()
    assert refusal(refused) == (429, "rate_limit_error")
    for answer in refused:
        message = answer.error["message"]
        assert message.startswith(f"rate_limit_{window} exceeded: {cap} / {cap} used; resets at ")
        assert int(answer.headers["retry-after"]) > 0
        assert answer.headers["x-ratelimit-limit"] == cap
        # Nothing is settled yet, and holds do not count against what is left.
        assert answer.headers["x-ratelimit-remaining"] == cap
    cost_uusd = await check_books(gateway, customer, await crowd.admitted())
    after = await customer.get("/v1/balance")
    left = parse_usd(after.headers["x-ratelimit-remaining"])
    assert left == FITTING * hold_uusd - cost_uusd


async def limited_owner(gateway: Gateway, owner: str, caps: SpendCaps, *customers: Customer) -> str:
    """Two keys: of one member with these caps, or of two members of an organisation with them.
    Returns the limited one's id once every edge knows.
    """
    account_id, org_id = customers[0].account_id, customers[0].org_id
    conn = await asyncpg.connect(gateway.stack.servers["postgres"].url)
    try:
        if owner == "member":
            shared = await add_member(conn, account_id, org_id, caps)
            members = [shared, shared]
        else:
            await set_caps(conn, "orgs", org_id, caps)
            shared = org_id
            members = [await add_member(conn, account_id, org_id) for _ in customers]
        for customer, member in zip(customers, members, strict=True):
            await give_key(conn, customer.key_id, member)
    finally:
        await conn.close()

    async def known() -> bool:
        answers = [
            await customer.get("/v1/models", edge=edge) for customer in customers for edge in (0, 1)
        ]
        shown = ("x-ratelimit-limit", "x-quota-remaining-credits")
        return all(any(name in answer.headers for name in shown) for answer in answers)

    await eventually(known)
    return shared


@pytest.mark.parametrize("edges", [1, 2])
@pytest.mark.parametrize("limit", ["quota", "5h", "7d"])
@pytest.mark.parametrize("owner", ["member", "org"])
async def test_the_keys_of_one_owner_share_its_limits(
    gateway: Gateway, owner: str, limit: str, edges: int
) -> None:
    """A member's limit over two keys, an organisation's over the keys of two members."""
    org = await gateway.org(usd=WALLET_USD, concurrency=500)
    customers = [await gateway.customer(org=org) for _ in range(2)]
    hold_uusd = await worst_case_uusd(customers[0])
    cap_uusd = FITTING * hold_uusd
    cap = format_usd(cap_uusd)
    caps = SpendCaps(**{"quota_uusd" if limit == "quota" else f"window_{limit}_uusd": cap_uusd})
    shared = await limited_owner(gateway, owner, caps, *customers)

    crowd = Crowd(gateway, *customers, hold=f"{owner}-{limit}-{edges}", edges=edges)
    refused = await crowd.refused()

    is_quota = limit == "quota"
    kind = (402, "billing_error") if is_quota else (429, "rate_limit_error")
    assert refusal(refused) == kind
    words = "quota_exceeded" if is_quota else f"rate_limit_{limit} exceeded"
    for answer in refused:
        assert answer.error["message"].startswith(f"{owner} {words}: {cap} / {cap} used")
    cost_uusd = await check_books(gateway, customers[0], await crowd.admitted())
    left = "x-quota-remaining-credits" if is_quota else "x-ratelimit-remaining"
    for customer in customers:
        after = await customer.get("/v1/balance")
        assert parse_usd(after.headers[left]) == cap_uusd - cost_uusd
        balance = decode(after.body)
        shown = balance["member" if owner == "member" else "organisation"]
        assert balance["organisation" if owner == "member" else "member"] is None
        assert shown["id"] == shared
        limits = {"quota": shown["quota"], **{w["name"]: w for w in shown["windows"]}}
        for name, counted in limits.items():
            assert parse_usd(counted["used_usd"]) == cost_uusd
            limit_usd = counted["limit_usd"]
            assert (limit_usd and parse_usd(limit_usd)) == (cap_uusd if name == limit else None)
    assert (await gateway.audit())["clean"]


@pytest.mark.parametrize("edges", [1, 2])
async def test_concurrency(gateway: Gateway, edges: int) -> None:
    customer = await gateway.customer(usd=WALLET_USD, concurrency=FITTING)
    crowd = Crowd(gateway, customer, hold=f"slots-{edges}", edges=edges)
    refused = await crowd.refused()
    assert refusal(refused) == (429, "rate_limit_error")
    for answer in refused:
        assert "concurrency_limit" in answer.error["message"]
        assert answer.headers["retry-after"] == "1"
        assert "x-ratelimit-reset" not in answer.headers
    cost_uusd = await check_books(gateway, customer, await crowd.admitted())
    assert await customer.balance_uusd() == parse_usd(WALLET_USD) - cost_uusd
    assert (await customer.post(ASK)).status == 200


async def test_a_small_crowd_spends_a_wallet_to_the_last_micro_usd(gateway: Gateway) -> None:
    """Ten in parallel, again and again: the balance never goes below zero on its way down."""
    rich = await gateway.customer()
    hold_uusd = await worst_case_uusd(rich)
    customer = await gateway.customer(usd=format_usd(3 * hold_uusd))
    spent_uusd, statuses = 0, Counter[int]()
    while statuses[402] == 0 or statuses[402] < statuses[200]:
        answers = await asyncio.gather(*(customer.post(ASK, edge=n % 2) for n in range(10)))
        statuses.update(answer.status for answer in answers)
        spent_uusd += sum(
            parse_usd(a.headers["x-credits-used"]) for a in answers if a.status == 200
        )
        await gateway.settled(customer)
        assert await customer.balance_uusd() == 3 * hold_uusd - spent_uusd >= 0
    assert set(statuses) == {200, 402}
