"""Operators switch channels: written down, put in force, carried over outages."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from bytespike_cli.home import Home
from bytespike_cli.servers import PostgresServer, RedisServer
from bytespike_contracts.channel_states import (
    CHANNEL_HEALTH,
    CHANNEL_STATES,
    HEALTH_TTL_MS,
    ChannelHealth,
    ChannelState,
    RouterHealth,
)
from bytespike_contracts.subjects import CHANNELS_CHANGED
from bytespike_ledger.carryover import carry_channel, carry_due
from bytespike_ledger.catalogue import CatalogueWatch
from bytespike_ledger.store import channels as store
from bytespike_ledger.store import connection
from bytespike_runtime import pg
from tests.support.eventually import eventually
from tests.support.ledger import CATALOGUE, Rig, ledger
from tests.support.ledger_api import LedgerApi, ledger_api
from tests.support.servers import running

OFF = {"state": "disabled", "reason": "invoice dispute"}
ON = {"state": "enabled", "reason": "settled"}


@pytest.fixture(scope="module")
async def own_redis(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RedisServer]:
    """A Redis that may be killed."""
    async with running(RedisServer(Home(tmp_path_factory.mktemp("own-redis")))) as server:
        yield server


@pytest.fixture(scope="module")
async def rig(
    postgres_server: PostgresServer, own_redis: RedisServer, nats_url: str
) -> AsyncIterator[Rig]:
    database = postgres_server.create_database("ledger_channels")
    async with ledger(database, own_redis.url, nats_url) as rig:
        yield rig


@pytest.fixture
async def api(rig: Rig, tmp_path: Path) -> AsyncIterator[LedgerApi]:
    async with pg.connection(rig.books.pool) as conn:
        await conn.execute("delete from channel_states")
    await rig.pipe.command("DEL", CHANNEL_STATES, CHANNEL_HEALTH)
    file = tmp_path / "catalogue.toml"
    file.write_text(CATALOGUE)
    async with ledger_api(rig, CatalogueWatch(str(file), rig.books.prices)) as api:
        yield api


async def in_redis(rig: Rig) -> dict[str, ChannelState]:
    """What routers read."""
    flat = await rig.pipe.command("HGETALL", CHANNEL_STATES)
    states = [msgspec.json.decode(text, type=ChannelState) for text in flat[1::2]]
    return {state.channel: state for state in states}


async def test_a_switch_is_in_redis_broadcast_and_written_down(rig: Rig, api: LedgerApi) -> None:
    heard: list[ChannelState] = []
    await rig.bus.subscribe(
        CHANNELS_CHANGED, lambda body: heard.append(msgspec.json.decode(body, type=ChannelState))
    )
    await rig.bus.ping()
    before = (await api.admin("GET", "/channels")).body["items"][0]
    assert (before["in_catalogue"], before["effective"], before["switch"]) == (
        "enabled",
        "enabled",
        None,
    )
    off = await api.admin("PUT", "/channels/c-1", OFF)
    assert (off.status, off.body["in_catalogue"], off.body["effective"]) == (
        200,
        "enabled",
        "disabled",
    )
    assert await in_redis(rig) == {"c-1": ChannelState(channel="c-1", enabled=False, version=1)}
    again = await api.admin("PUT", "/channels/c-1", OFF)
    assert again.body["switch"] == off.body["switch"]
    on = await api.admin("PUT", "/channels/c-1", ON)
    switch = on.body["switch"]
    assert (switch["version"], switch["by"], switch["reason"]) == (2, "root", "settled")
    assert switch["carried"] is True
    await eventually(lambda: [(s.enabled, s.version) for s in heard] == [(False, 1), (True, 2)])
    rows = await rig.value(
        """select string_agg(concat(before->>'state', '>', after->>'state'), ' ' order by id)
           from audit_log where action = 'channel.state' and target = 'c-1'"""
    )
    assert str(rows).endswith(">disabled disabled>enabled")


@pytest.mark.parametrize(
    ("channel", "body", "status"),
    [
        ("nothing", OFF, 404),
        ("c-1", {"state": "off", "reason": "x"}, 400),
        ("c-1", {"state": "disabled"}, 400),
        ("c-1", {"state": "disabled", "reason": ""}, 400),
        ("c-1", {"state": "disabled", "reason": "x" * 501}, 400),
    ],
)
async def test_what_cannot_be_switched(
    rig: Rig, api: LedgerApi, channel: str, body: dict[str, str], status: int
) -> None:
    assert (await api.admin("PUT", f"/channels/{channel}", body)).status == status
    assert await in_redis(rig) == {}


async def test_customers_see_nothing_of_channels(rig: Rig, api: LedgerApi) -> None:
    customer = await rig.customer(0)
    assert (await api.own(customer, "/api/v1/admin/channels")).status == 401
    assert (await api.public("/api/v1/admin/channels")).status == 401


async def test_an_older_switch_that_comes_late_changes_nothing(rig: Rig, api: LedgerApi) -> None:
    await api.admin("PUT", "/channels/c-1", OFF)
    async with connection(rig.books.pool) as conn:
        (first,) = await store.all_channels(conn)
    await api.admin("PUT", "/channels/c-1", ON)
    assert await carry_channel(rig.books, first)
    assert (await in_redis(rig))["c-1"].enabled is True


async def test_routers_are_shown_while_their_reports_are_fresh(rig: Rig, api: LedgerApi) -> None:
    now_ms = time.time_ns() // 1_000_000
    health = ChannelHealth(
        state="open", in_flight=3, last_error="overloaded", last_error_ms=now_ms - 1000
    )
    report = msgspec.json.encode(RouterHealth(at_ms=now_ms, channels={"c-1": health}))
    for router, taken_ms in (("r-1", now_ms), ("r-gone", now_ms - HEALTH_TTL_MS - 1)):
        value = f"{taken_ms}|".encode() + report
        await rig.pipe.command("HSET", CHANNEL_HEALTH, router, value)
    found = (await api.admin("GET", "/channels")).body
    (shown,) = found["items"][0]["routers"]
    assert (shown["router"], shown["state"], shown["in_flight"]) == ("r-1", "open", 3)
    assert shown["last_error"] == "overloaded"
    assert found["health_known"] is True


async def test_a_rebuild_brings_the_switches_back(rig: Rig, api: LedgerApi) -> None:
    await api.admin("PUT", "/channels/c-1", OFF)
    await rig.pipe.command("FLUSHALL")
    assert await rig.rebuilder.rebuild()
    assert (await in_redis(rig))["c-1"].enabled is False


async def test_a_switch_made_while_redis_is_away_is_carried_over_later(
    rig: Rig, api: LedgerApi, own_redis: RedisServer
) -> None:
    own_redis.kill()
    await eventually(lambda: not rig.pipe.connected)
    off = await api.admin("PUT", "/channels/c-1", OFF)
    assert (off.status, off.body["switch"]["carried"]) == (200, False)
    assert (await api.admin("GET", "/channels")).body["health_known"] is False
    await own_redis.start()
    await eventually(lambda: rig.pipe.connected)
    await carry_due(rig.books)
    assert (await in_redis(rig))["c-1"].enabled is False
    assert (await api.admin("GET", "/channels")).body["items"][0]["switch"]["carried"] is True
