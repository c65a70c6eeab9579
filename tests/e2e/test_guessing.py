"""Those who guess keys are put off, those who have one are not; and no answer tells them more."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping

import pytest

from bytespike_contracts.ids import mint_key
from tests.support.gateway import Answer, Customer, Gateway

#: The edge behind a proxy of ours, with the brake as it comes.
EDGE = 1
FREE = 20
_numbers = itertools.count(1)


@pytest.fixture
def address() -> str:
    """An address nobody else has."""
    return f"198.19.0.{next(_numbers)}"


async def ask(gateway: Gateway, address: str, headers: Mapping[str, str]) -> Answer:
    sent = {**headers, "x-forwarded-for": address}
    return await gateway.call("GET", "/v1/balance", headers=sent, edge=EDGE)


async def flood(gateway: Gateway, address: str, count: int) -> list[Answer]:
    return [
        await ask(gateway, address, {"x-api-key": mint_key(number.to_bytes(40, "big"))})
        for number in range(count)
    ]


async def test_a_flood_of_wrong_keys_is_cut_while_a_known_key_goes_on(
    gateway: Gateway, customer: Customer, address: str
) -> None:
    known = {"x-api-key": customer.key}
    assert (await ask(gateway, address, known)).status == 200

    answers = await flood(gateway, address, 3 * FREE)

    statuses = [answer.status for answer in answers]
    assert statuses[:FREE] == [401] * FREE
    # The counter slides, so a moment may free one or two more.
    assert statuses.count(429) >= 3 * FREE - FREE - 3
    put_off = answers[statuses.index(429)]
    assert put_off.error["code"] == "rate_limit_exceeded"
    assert 1 <= int(put_off.headers["retry-after"]) <= 120
    for _ in range(5):
        assert (await ask(gateway, address, known)).status == 200


async def test_a_key_that_is_not_known_yet_waits_with_the_guesses(
    gateway: Gateway, customer: Customer, address: str
) -> None:
    await flood(gateway, address, FREE + 5)
    valid = {"x-api-key": customer.key}
    assert (await ask(gateway, address, valid)).status == 429
    assert (await ask(gateway, "198.19.255.1", valid)).status == 200
    # Now it is known.
    assert (await ask(gateway, address, valid)).status == 200


async def test_an_ipv6_client_counts_with_its_whole_network(gateway: Gateway) -> None:
    network = f"2001:db8:0:{next(_numbers):x}"
    for number in range(FREE):
        guess = {"x-api-key": f"sk-byts-nonsense-{number}"}
        await ask(gateway, f"{network}::{number + 1:x}", guess)
    assert (await ask(gateway, f"{network}::ffff", {"x-api-key": "sk-byts-x"})).status == 429
    assert (await ask(gateway, "2001:db8:1::1", {"x-api-key": "sk-byts-x"})).status == 401


async def test_a_disabled_key_is_no_different_from_one_that_never_was(
    gateway: Gateway, customer: Customer, address: str
) -> None:
    gone = await gateway.customer()
    await gone.update(status="disabled")
    expired = await gateway.customer(expires_in_days=1e-9)
    bodies, heads = set(), set()
    for headers in (
        {"x-api-key": gone.key},
        {"x-api-key": expired.key},
        {"x-api-key": mint_key(bytes(40))},
        {"x-api-key": customer.key[:-1]},
        {"x-api-key": ""},
        {"authorization": "Basic abc"},
        {"authorization": f"Bearer {customer.key_id}"},
        {"x-api-key": "\u00e9" * 30},
        {},
    ):
        answer = await ask(gateway, address, headers)
        assert answer.status == 401
        body = answer.json()
        body.pop("request_id")
        bodies.add(json.dumps(body))
        heads.add(tuple(sorted(name.lower() for name in answer.headers)))
    assert len(bodies) == 1
    assert len(heads) == 1
    await flood(gateway, address, FREE)
    assert (await ask(gateway, address, {"x-api-key": gone.key})).status == 429


async def test_leaving_the_key_out_is_not_a_guess(
    gateway: Gateway, customer: Customer, address: str
) -> None:
    for _ in range(FREE + 5):
        assert (await ask(gateway, address, {})).status == 401
    assert (await ask(gateway, address, {"x-api-key": customer.key})).status == 200


async def test_the_brake_is_counted(gateway: Gateway, address: str) -> None:
    await flood(gateway, address, FREE + 5)
    metrics = gateway.stack.services["edge-2"].metrics_url
    async with gateway.http.get(metrics) as response:
        page = await response.text()
    for result in ("refused", "put_off"):
        assert f'gateway_auth_failures_total{{result="{result}"' in page
