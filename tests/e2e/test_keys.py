"""Credentials: where they may stand, which one counts, who may use them, and how fast a change is
in force everywhere.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Mapping
from typing import Any

import pytest

from bytespike_contracts.ids import mint_key
from tests.support.gateway import Answer, Customer, Gateway

ASK: dict[str, Any] = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 50,
    "messages": [{"role": "user", "content": "Hi"}],
}
PLACES = ["x-api-key", "x-goog-api-key", "authorization", "query"]


async def ask(
    gateway: Gateway, headers: Mapping[str, str], *, query: str = "", edge: int = 0
) -> Answer:
    sent = {"content-type": "application/json", **headers}
    path = f"/v1/messages{query}"
    return await gateway.call("POST", path, data=json.dumps(ASK).encode(), headers=sent, edge=edge)


def placed(place: str, key: str) -> tuple[dict[str, str], str]:
    """Headers and query that present ``key`` in one place."""
    if place == "query":
        return {}, f"?key={key}"
    return {place: f"Bearer {key}" if place == "authorization" else key}, ""


@pytest.mark.parametrize("place", PLACES)
async def test_a_key_works_in_all_four_places(
    gateway: Gateway, customer: Customer, place: str
) -> None:
    headers, query = placed(place, customer.key)
    assert (await ask(gateway, headers, query=query)).status == 200


@pytest.mark.parametrize("first", range(3))
@pytest.mark.parametrize("bad", ["", "sk-byts-nonsense", "unknown-key-of-a-possible-shape"])
async def test_the_first_one_present_decides(
    gateway: Gateway, customer: Customer, first: int, bad: str
) -> None:
    """A later, good key does not rescue an earlier, bad one; and the other way round."""
    for order, status in ((1, 401), (-1, 200)):
        keys = [(PLACES[first], bad), (PLACES[first + 1], customer.key)][::order]
        headers: dict[str, str] = {}
        query = ""
        for place, key in zip(PLACES[first : first + 2], (k for _, k in keys), strict=True):
            more, more_query = placed(place, key)
            headers |= more
            query += more_query
        assert (await ask(gateway, headers, query=query)).status == status


async def test_a_key_in_the_body_is_nothing(gateway: Gateway, customer: Customer) -> None:
    body = {**ASK, "api_key": customer.key, "key": customer.key}
    answer = await gateway.call("POST", "/v1/messages", data=json.dumps(body).encode())
    assert answer.status == 401


async def test_all_ways_to_have_no_key_look_the_same(gateway: Gateway) -> None:
    disabled, deleted = await gateway.customer(), await gateway.customer()
    expired = await gateway.customer(expires_in_days=1e-6)
    await gateway.admin.call("POST", f"/api/v1/admin/keys/{disabled.key_id}/disable")
    await gateway.admin.call("DELETE", f"/api/v1/admin/keys/{deleted.key_id}")
    await asyncio.sleep(1)  # the promise under test: every change is in force after a second
    typo = expired.key[:-3] + expired.key[-2] + expired.key[-3] + expired.key[-1]
    unknown = mint_key(secrets.token_bytes(40))
    keys = (disabled.key, deleted.key, expired.key, unknown, typo, "sk-byts-", "a b", "x" * 500)
    answers = [await ask(gateway, {"x-api-key": key}) for key in keys]
    answers.append(await ask(gateway, {}))
    assert {answer.status for answer in answers} == {401}
    assert len({answer.error["message"] for answer in answers}) == 1


async def refused_within_a_second(customer: Customer, status: int) -> None:
    """Both edges refuse from a second after now on, having served just before."""
    changed = time.monotonic()
    for edge in (0, 1):
        while (answer := await customer.post(ASK, edge=edge)).status == 200:
            assert time.monotonic() - changed < 1.0
        assert answer.status == status


@pytest.mark.parametrize("change", ["disable", "delete"])
async def test_a_revoked_key_is_dead_on_every_edge_within_a_second(
    gateway: Gateway, customer: Customer, change: str
) -> None:
    for edge in (0, 1):
        assert (await customer.post(ASK, edge=edge)).status == 200
    path = f"/api/v1/admin/keys/{customer.key_id}"
    if change == "disable":
        await gateway.admin.call("POST", f"{path}/disable")
    else:
        await gateway.admin.call("DELETE", path)
    await refused_within_a_second(customer, 401)


async def test_an_updated_limit_is_in_force_on_every_edge_within_a_second(
    customer: Customer,
) -> None:
    for edge in (0, 1):
        assert (await customer.post(ASK, edge=edge)).status == 200
    await customer.update(quota="0.000001")
    await refused_within_a_second(customer, 402)
    await customer.update(quota="0")
    enabled = time.monotonic()
    for edge in (0, 1):
        while (await customer.post(ASK, edge=edge)).status != 200:
            assert time.monotonic() - enabled < 1.0


async def test_a_new_key_works_at_once_on_every_edge(gateway: Gateway) -> None:
    org = await gateway.org()
    for edge in (0, 1):
        customer = await gateway.customer(org=org)
        assert (await customer.post(ASK, edge=edge)).status == 200


async def test_a_custom_key(gateway: Gateway) -> None:
    name = f"team-{secrets.token_hex(12)}"
    customer = await gateway.customer(custom_key=name)
    assert customer.key == name
    assert (await customer.post(ASK)).status == 200


async def test_a_manage_key_may_not_spend_and_both_see_their_own(gateway: Gateway) -> None:
    org = await gateway.org()
    manager = await gateway.customer(org=org, scopes=["manage"])
    refused = await manager.post(ASK)
    assert (refused.status, refused.error["type"]) == (403, "permission_error")
    assert (await manager.get("/v1/balance")).status == 200
    assert (await manager.get("/v1/usage")).json()["items"] == []


async def test_own_usage_only(gateway: Gateway) -> None:
    org = await gateway.org()
    one, other = await gateway.customer(org=org), await gateway.customer(org=org)
    answer = await one.post(ASK)
    await gateway.usage(answer.request_id)
    assert [row["request_id"] for row in (await one.get("/v1/usage")).json()["items"]] == [
        answer.request_id
    ]
    assert (await other.get("/v1/usage")).json()["items"] == []


async def test_a_group_limits_the_models(gateway: Gateway) -> None:
    customer = await gateway.customer(group="half-price")
    assert (await customer.post(ASK)).status == 200
    refused = await customer.post({**ASK, "model": "sim-drained"})
    assert (refused.status, refused.error["type"]) == (403, "permission_error")


class TestAddresses:
    """The first edge sees its peers; the second trusts one proxy's word, and not a word more."""

    async def _status(
        self, customer: Customer, forwarded: str | None = None, *, edge: int = 0
    ) -> int:
        headers = {} if forwarded is None else {"x_forwarded_for": forwarded}
        return (await customer.post(ASK, edge=edge, **headers)).status

    async def test_the_peer_counts_and_its_claims_do_not(self, gateway: Gateway) -> None:
        local = await gateway.customer(ip_allow=["127.0.0.0/8"])
        distant = await gateway.customer(ip_allow=["203.0.113.0/24"])
        assert await self._status(local, "203.0.113.5") == 200
        assert await self._status(distant, "203.0.113.5") == 403

    async def test_behind_a_proxy_the_last_entry_counts(self, gateway: Gateway) -> None:
        distant = await gateway.customer(ip_allow=["203.0.113.0/24", "2001:db8::/32"])
        for forwarded, status in {
            "203.0.113.5": 200,
            "203.0.113.5, 198.51.100.1": 403,  # the left one is the client's own claim
            "198.51.100.1, 203.0.113.5": 200,
            "::ffff:203.0.113.5": 200,
            "2001:db8::1": 200,
            "203.0.113.5:4711": 200,
            "[2001:db8::1]:4711": 200,
            "unknown": 403,
            "": 403,
        }.items():
            assert await self._status(distant, forwarded, edge=1) == status, forwarded
        assert await self._status(distant, None, edge=1) == 403

    async def test_deny_beats_allow(self, gateway: Gateway) -> None:
        customer = await gateway.customer(ip_allow=["203.0.113.0/24"], ip_deny=["203.0.113.7"])
        assert await self._status(customer, "203.0.113.8", edge=1) == 200
        assert await self._status(customer, "203.0.113.7", edge=1) == 403
        assert await self._status(customer, "::ffff:203.0.113.7", edge=1) == 403

    async def test_a_refused_address_moves_no_counter(self, gateway: Gateway) -> None:
        customer = await gateway.customer(ip_deny=["127.0.0.1"], quota="5")
        answer = await customer.post(ASK)
        assert answer.status == 403
        assert await gateway.held(customer) == (0, 0)
        assert answer.headers["x-quota-remaining-credits"] == "5.00"
