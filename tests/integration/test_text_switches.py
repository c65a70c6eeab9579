"""Channels switched off by operators: obeyed at once, remembered, and told about."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from bytespike_cli.home import Home
from bytespike_cli.servers import RedisServer
from bytespike_contracts.channel_states import (
    CHANNEL_HEALTH,
    CHANNEL_STATES,
    HEALTH_TTL_MS,
    ChannelState,
    RouterHealth,
)
from bytespike_contracts.subjects import CHANNELS_CHANGED
from bytespike_runtime.bus import Bus
from bytespike_runtime.kv import KvUnavailable, ScriptPipe
from bytespike_runtime.unavailable import Unavailable
from bytespike_text.switches import Switches
from tests.integration import text_setup as setup
from tests.integration.text_setup import TextUnderTest, running_text
from tests.support.eventually import eventually
from tests.support.servers import running

WITHIN_S = 1.0
BOTH_PREFERRED_FIRST = ["priority = 2", "priority = 1"]


@pytest.fixture(scope="module", autouse=True)
def vendor_key() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEST_VENDOR_KEY", "vendor-key")
        yield


@pytest_asyncio.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    bus = Bus(nats_url)
    await bus.start()
    yield bus
    await bus.close()


@asynccontextmanager
async def router(tmp_path: Path, redis_url: str, nats_url: str) -> AsyncIterator[TextUnderTest]:
    """Two channels, the first preferred; what Redis says of channels is as it was left."""
    async with running_text(
        tmp_path,
        redis_url=redis_url,
        nats_url=nats_url,
        vendors=2,
        channels=BOTH_PREFERRED_FIRST,
    ) as running:
        await running.redis.delete("bs:bench:vendor-0", "bs:bench:vendor-1")
        yield running


@pytest_asyncio.fixture
async def pair(tmp_path: Path, redis_url: str, nats_url: str) -> AsyncIterator[TextUnderTest]:
    async with router(tmp_path, redis_url, nats_url) as running:
        yield running
        await running.redis.delete(CHANNEL_STATES)


def word(channel: str, *, enabled: bool, version: int) -> bytes:
    return msgspec.json.encode(ChannelState(channel=channel, enabled=enabled, version=version))


async def store(text: TextUnderTest, state: bytes) -> None:
    """Redis knows it; nobody is told."""
    channel = msgspec.json.decode(state)["channel"]
    await text.redis.hset(CHANNEL_STATES, channel, state)


async def used(text: TextUnderTest) -> str:
    """The channel that answers one request; its status where none does."""
    principal = await text.admit()
    response, _ = await text.call(principal)
    if response.status != 200:
        return str(response.status)
    return (await text.event(principal)).attempts[-1].channel


async def in_force(text: TextUnderTest, wanted: str) -> float:
    """Seconds until a request is answered by ``wanted``."""
    began = time.monotonic()
    async with asyncio.timeout(10):
        while await used(text) != wanted:
            pass
    return time.monotonic() - began


async def test_a_broadcast_is_obeyed_while_running_calls_finish(
    pair: TextUnderTest, bus: Bus
) -> None:
    rest = setup.WHOLE_STREAM[len(setup.START) :]
    pair.vendors[0].answer(setup.paused_stream(setup.START, rest), setup.whole())
    principal = await pair.admit()
    response = await pair.open(principal, stream=True)
    await bus.broadcast(CHANNELS_CHANGED, word("vendor-0", enabled=False, version=5))
    assert await in_force(pair, "vendor-1") < WITHIN_S
    pair.vendors[0].next()
    pair.vendors[0].next()
    body = await response.read(limit_bytes=1 << 20, idle_timeout_s=5)
    assert body == setup.WHOLE_STREAM
    assert (await pair.event(principal)).attempts[0].channel == "vendor-0"


@pytest.mark.parametrize("stale", [1, 2])
async def test_an_older_word_changes_nothing(pair: TextUnderTest, bus: Bus, stale: int) -> None:
    await bus.broadcast(CHANNELS_CHANGED, word("vendor-0", enabled=False, version=2))
    await in_force(pair, "vendor-1")
    await bus.broadcast(CHANNELS_CHANGED, word("vendor-0", enabled=True, version=stale))
    await bus.broadcast(CHANNELS_CHANGED, b"not a state")
    await bus.broadcast(CHANNELS_CHANGED, word("vendor-1", enabled=False, version=1))
    assert await in_force(pair, "503") < WITHIN_S


async def test_without_a_broadcast_redis_is_enough(pair: TextUnderTest) -> None:
    """What NATS being away comes to."""
    await store(pair, word("vendor-0", enabled=False, version=1))
    assert await in_force(pair, "vendor-1") < WITHIN_S
    await store(pair, word("vendor-0", enabled=True, version=2))
    assert await in_force(pair, "vendor-0") < WITHIN_S


async def test_the_last_channel_may_go_and_come_back(pair: TextUnderTest) -> None:
    await store(pair, word("vendor-0", enabled=False, version=1))
    await store(pair, word("vendor-1", enabled=False, version=1))
    assert await in_force(pair, "503") < WITHIN_S
    response, body = await pair.call(await pair.admit())
    assert (response.status, response.headers.get("retry-after")) == (503, "2")
    assert b"vendor" not in body
    await store(pair, word("vendor-1", enabled=True, version=2))
    assert await in_force(pair, "vendor-1") < WITHIN_S


async def test_a_new_process_knows_before_its_first_request(
    pair: TextUnderTest, tmp_path: Path, redis_url: str, nats_url: str
) -> None:
    await store(pair, word("vendor-0", enabled=False, version=1))
    folder = tmp_path / "another"
    folder.mkdir()
    async with router(folder, redis_url, nats_url) as another:
        assert await used(another) == "vendor-1"
        assert another.vendors[0].asks == []


async def test_every_replica_obeys(
    pair: TextUnderTest, bus: Bus, tmp_path: Path, redis_url: str, nats_url: str
) -> None:
    folder = tmp_path / "another"
    folder.mkdir()
    async with router(folder, redis_url, nats_url) as another:
        for version, (enabled, wanted) in enumerate(((False, "vendor-1"), (True, "vendor-0")), 1):
            said = time.monotonic()
            await bus.broadcast(
                CHANNELS_CHANGED, word("vendor-0", enabled=enabled, version=version)
            )
            for each in (pair, another):
                await in_force(each, wanted)
            assert time.monotonic() - said < WITHIN_S


async def test_an_emptied_redis_switches_nothing_on(pair: TextUnderTest) -> None:
    await store(pair, word("vendor-0", enabled=False, version=1))
    await in_force(pair, "vendor-1")
    await pair.redis.delete(CHANNEL_STATES)
    await store(pair, word("vendor-1", enabled=False, version=1))
    # The other channel going shows that Redis was read after it was emptied.
    await in_force(pair, "503")


async def test_the_last_known_states_outlive_redis(tmp_path: Path) -> None:
    async with running(RedisServer(Home(tmp_path))) as server:
        pipe = ScriptPipe(server.url, {})
        await pipe.start()
        switches = Switches(pipe)
        with pytest.raises(Unavailable):
            await switches.ping()
        off = word("vendor-0", enabled=False, version=1)
        await pipe.command("HSET", CHANNEL_STATES, "vendor-0", off)
        await switches.look()
        server.kill()
        await eventually(lambda: not pipe.connected)
        with pytest.raises(KvUnavailable):
            await switches.look()
        assert switches.off == {"vendor-0"}
        await switches.ping()
        await pipe.close()


async def reports(text: TextUnderTest) -> dict[str, tuple[int, RouterHealth]]:
    """Router -> when Redis took its report, and the report."""
    found = {}
    stored: dict[bytes, bytes] = await text.redis.hgetall(CHANNEL_HEALTH)  # type: ignore[assignment]
    for name, value in stored.items():
        taken_ms, _, report = value.partition(b"|")
        found[name.decode()] = (int(taken_ms), msgspec.json.decode(report, type=RouterHealth))
    return found


async def test_a_router_reports_and_buries_those_that_are_gone(
    pair: TextUnderTest, tmp_path: Path, redis_url: str, nats_url: str
) -> None:
    long_ago = b"1000|" + msgspec.json.encode(RouterHealth(at_ms=1000, channels={}))
    await pair.redis.delete(CHANNEL_HEALTH)
    await pair.redis.hset(CHANNEL_HEALTH, "gone", long_ago)
    folder = tmp_path / "another"
    folder.mkdir()
    async with router(folder, redis_url, nats_url) as another:

        async def reported() -> bool:
            return bool(set(await reports(another)) - {"gone"})

        await eventually(reported)
        told = await reports(another)
    assert "gone" not in told
    taken_ms, report = next(iter(told.values()))
    assert abs(taken_ms - report.at_ms) < HEALTH_TTL_MS
    assert {name: health.state for name, health in report.channels.items()} == {
        "vendor-0": "closed",
        "vendor-1": "closed",
    }
    assert 0 < await pair.redis.pttl(CHANNEL_HEALTH) <= HEALTH_TTL_MS
