"""Who may: credentials in four places, key states, addresses, scopes, groups, and how fast a change
is in force.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from pathlib import Path

import msgspec
import pytest

from bytespike_cli.home import Home
from bytespike_cli.servers import NatsServer, RedisServer
from bytespike_contracts.ids import mint_key
from bytespike_contracts.keys import PROJECTION_MARKER, Scope, SpendCaps
from tests.integration.edge.surroundings import EdgeUnderTest, message, running_edge
from tests.support.raw_http import eventually
from tests.support.servers import running

UNKNOWN = mint_key(secrets.token_bytes(40))


@pytest.mark.parametrize("place", ["x-api-key", "x-goog-api-key", "authorization", "query"])
async def test_a_key_is_found_in_all_four_places(edge: EdgeUnderTest, place: str) -> None:
    key, record = await edge.ledger.key()
    headers = {"authorization": f"Bearer {key}"} if place == "authorization" else {place: key}
    path = "/v1/messages"
    if place == "query":
        headers, path = {}, f"/v1/messages?beta=true&key={key}"
    reply = await edge.call("POST", path, headers=headers, body=message())
    assert reply.status == 200
    assert edge.router.last.principal.key_id == record.key_id
    assert key.encode() not in edge.router.last.head


@pytest.mark.parametrize(
    "stronger",
    [
        {"x-api-key": UNKNOWN},
        {"x-api-key": ""},
        {"x-goog-api-key": "sk-byts-typo"},
        {"authorization": "Basic abc"},
        {"authorization": "Bearer "},
    ],
)
async def test_the_first_place_decides_even_if_it_holds_rubbish(
    edge: EdgeUnderTest, stronger: dict[str, str]
) -> None:
    key, _ = await edge.ledger.key()
    path = f"/v1/messages?key={key}"
    reply = await edge.call("POST", path, headers=stronger, body=message())
    assert reply.status == 401


async def test_every_unusable_key_gets_the_same_401(edge: EdgeUnderTest) -> None:
    disabled, _ = await edge.ledger.key(enabled=False, caps=SpendCaps(quota_uusd=1))
    expired, _ = await edge.ledger.key(expires_ms=int(time.time() * 1000) - 1)
    deleted, record = await edge.ledger.key()
    assert (await edge.messages(deleted)).status == 200
    await edge.ledger.delete(deleted, record)
    await until_status(edge, deleted, 401)
    typo = UNKNOWN[:-1] + ("0" if UNKNOWN[-1] != "0" else "1")
    answers = [
        await edge.messages(key) for key in (disabled, expired, deleted, UNKNOWN, typo, "x", None)
    ]
    assert {reply.status for reply in answers} == {401}
    assert {reply.error["type"] for reply in answers} == {"authentication_error"}
    assert len({reply.error["message"] for reply in answers}) == 1
    assert not any("x-quota-remaining-credits" in reply.headers for reply in answers)


async def until_status(edge: EdgeUnderTest, key: str, status: int) -> float:
    """Seconds until the key gets this status."""
    started = time.monotonic()
    async with asyncio.timeout(5):
        while (await edge.messages(key)).status != status:
            pass
    return time.monotonic() - started


async def test_a_change_is_in_force_within_a_second_on_two_edges(
    edge: EdgeUnderTest, redis_url: str, nats_url: str, tmp_path: Path
) -> None:
    async with running_edge(redis_url, nats_url, tmp_path) as second:
        key, record = await edge.ledger.key()
        for one in (edge, second):
            assert (await one.messages(key)).status == 200
        record = await edge.ledger.change(key, record, enabled=False)
        assert await until_status(edge, key, 401) < 1
        assert await until_status(second, key, 401) < 1
        await edge.ledger.change(key, record, enabled=True)
        assert await until_status(edge, key, 200) < 1
        assert await until_status(second, key, 200) < 1


async def test_a_key_made_after_it_was_tried_works_at_once(edge: EdgeUnderTest) -> None:
    key = mint_key(secrets.token_bytes(40))
    assert (await edge.messages(key)).status == 401
    _, record = await edge.ledger.key(plaintext=key)
    await edge.ledger.announce(key, record.version)
    assert await until_status(edge, key, 200) < 1


async def test_a_change_is_in_force_within_two_seconds_without_nats(
    redis_url: str, tmp_path: Path
) -> None:
    async with (
        running(NatsServer(Home(tmp_path))) as nats,
        running_edge(redis_url, nats.url, tmp_path) as edge,
    ):
        key, record = await edge.ledger.key()
        assert (await edge.messages(key)).status == 200
        nats.kill()
        await eventually(lambda: not edge.ledger.bus.connected)
        await edge.ledger.project(key, msgspec.structs.replace(record, enabled=False))
        assert await until_status(edge, key, 401) < 2


async def test_unknown_keys_cannot_be_judged_without_the_projection_marker(
    edge: EdgeUnderTest,
) -> None:
    known, _ = await edge.ledger.key()
    assert (await edge.messages(known)).status == 200
    await edge.ledger.redis.delete(PROJECTION_MARKER)
    try:
        reply = await edge.messages(mint_key(secrets.token_bytes(40)))
        assert reply.status == 503
        assert reply.headers["retry-after"] == "1"
        assert (await edge.messages(known)).status == 200
    finally:
        await edge.ledger.verify()


async def test_known_keys_stop_when_the_grace_is_over(
    redis_url: str, nats_url: str, tmp_path: Path
) -> None:
    async with running_edge(redis_url, nats_url, tmp_path, key_grace_s=2.0) as edge:
        key, _ = await edge.ledger.key()
        assert (await edge.messages(key)).status == 200
        assert await until_status(edge, key, 503) < 4
        await edge.ledger.verify()
        assert await until_status(edge, key, 200) < 3


async def test_redis_away_is_a_503_and_back_is_back(nats_url: str, tmp_path: Path) -> None:
    async with (
        running(RedisServer(Home(tmp_path))) as redis,
        running_edge(redis.url, nats_url, tmp_path) as edge,
    ):
        key, record = await edge.ledger.key()
        assert (await edge.messages(key)).status == 200
        redis.kill()
        reply = await edge.messages(key)
        assert reply.status == 503
        assert int(reply.headers["retry-after"]) >= 1
        await redis.start()
        await edge.ledger.redis.connection_pool.disconnect()  # the ones the kill left behind
        await edge.ledger.project(key, record)
        assert (await edge.messages(key)).status == 503  # nobody has loaded the account yet
        await edge.ledger.load(record, 1_000_000)
        assert await until_status(edge, key, 200) < 5


@pytest.mark.parametrize(
    ("hops", "forwarded", "status"),
    [
        (0, "10.1.1.1", 403),
        (1, "10.1.1.1", 200),
        (1, "10.1.1.1, 192.0.2.9", 403),
        (2, "10.1.1.1, 192.0.2.9", 200),
        (1, "::ffff:10.1.1.1", 200),
        (1, "10.6.6.6", 403),
        (1, "nonsense", 403),
        (2, "10.1.1.1", 403),
    ],
)
async def test_address_rules_see_the_client_behind_the_trusted_hops(
    redis_url: str, nats_url: str, tmp_path: Path, hops: int, forwarded: str, status: int
) -> None:
    async with running_edge(redis_url, nats_url, tmp_path, trusted_hops=hops) as edge:
        key, record = await edge.ledger.key(ip_allow=("10.0.0.0/8",), ip_deny=("10.6.0.0/16",))
        reply = await edge.messages(key, x_forwarded_for=forwarded)
        assert reply.status == status
        if status == 403:
            assert reply.error["type"] == "permission_error"
            assert (await edge.ledger.state(record)).slots_in_use == 0


async def test_a_key_without_the_scope_may_not_spend(edge: EdgeUnderTest) -> None:
    key, _ = await edge.ledger.key(scopes=(Scope.MANAGE,))
    reply = await edge.messages(key)
    assert reply.status == 403
    assert "inference" in reply.error["message"]
    assert (await edge.call("GET", "/v1/balance", key=key)).status == 200


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("nobody", 404, "model_not_found"),
        ("claude-other", 403, "model_not_in_group"),
        ("claude-unpriced", 503, "unavailable"),
    ],
)
async def test_models_outside_of_what_the_key_can_use(
    edge: EdgeUnderTest, model: str, status: int, code: str
) -> None:
    key, _ = await edge.ledger.key(org_id="org_1")
    reply = await edge.messages(key, message(model=model))
    assert (reply.status, reply.error["code"]) == (status, code)
    assert reply.headers["x-org-quota-remaining-credits"] == "100.00"
