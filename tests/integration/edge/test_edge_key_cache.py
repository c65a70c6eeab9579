"""The key cache against a real Redis, with time and the bus in the test's hands."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from bytespike_contracts.errors import GatewayError
from bytespike_contracts.ids import key_hash, mint_key
from bytespike_contracts.keys import (
    PROJECTION_MARKER,
    KeyChange,
    KeyRecord,
    ProjectionMarker,
    Scope,
    key_record_name,
)
from bytespike_edge.key_cache import BRIEF_S, FRESH_S, KeyCache
from bytespike_edge.metrics import EdgeMetrics
from bytespike_runtime.kv import ScriptPipe, connect_redis


class CountingPipe(ScriptPipe):
    """The real pipe, counting what is asked of it and able to be held up."""

    def __init__(self, url: str) -> None:
        super().__init__(url, {})
        self.reads = 0
        self.open = asyncio.Event()
        self.open.set()

    async def command(self, *words: str | int | bytes) -> Any:
        self.reads += 1
        reply = await super().command(*words)
        await self.open.wait()
        return reply


class World:
    """A cache with its clock, its bus and its Redis."""

    def __init__(self, pipe: CountingPipe, redis: Redis, *, size: int = 100) -> None:
        self.pipe = pipe
        self.redis = redis
        self.now = 1000.0
        self.hearing = True
        self.cache = KeyCache(
            pipe,
            hears_changes=lambda: self.hearing,
            size=size,
            metrics=EdgeMetrics(CollectorRegistry(), held_bytes=lambda: 0),
            clock=lambda: self.now,
        )

    async def store(self, key: str, *, version: int = 1, **fields: Any) -> KeyRecord:
        record = KeyRecord(
            key_id="key_1",
            account_id="acct_1",
            version=version,
            group="default",
            scopes=(Scope.INFERENCE,),
            concurrency=1,
            **fields,
        )
        await self.redis.set(key_record_name(key_hash(key)), msgspec.json.encode(record))
        return record

    def announce(self, key: str, version: int) -> None:
        change = KeyChange(hash=key_hash(key), version=version)
        self.cache.on_change(msgspec.json.encode(change))

    async def version(self, key: str) -> int:
        return (await self.cache.find(key)).record.version

    async def status(self, key: str) -> int:
        with pytest.raises(GatewayError) as caught:
            await self.cache.find(key)
        return caught.value.status


@pytest.fixture
async def world(redis_url: str) -> AsyncIterator[World]:
    pipe, redis = CountingPipe(redis_url), connect_redis(redis_url)
    await pipe.start()
    marker = ProjectionMarker(verified_ms=0)
    await redis.set(PROJECTION_MARKER, msgspec.json.encode(marker))
    yield World(pipe, redis)
    await pipe.close()
    await redis.aclose()


@pytest.fixture
def key() -> str:
    return mint_key(secrets.token_bytes(40))


async def test_a_record_is_read_once_while_it_is_fresh(world: World, key: str) -> None:
    await world.store(key)
    assert await world.version(key) == 1
    await world.store(key, version=2)
    world.now += FRESH_S - 0.1
    assert await world.version(key) == 1
    assert world.pipe.reads == 1
    world.now += 0.2
    assert await world.version(key) == 2


async def test_a_change_drops_the_copy_but_not_a_newer_one(world: World, key: str) -> None:
    await world.store(key, version=5)
    assert await world.version(key) == 5
    world.announce(key, 5)
    world.announce(key, 4)
    assert await world.version(key) == 5
    assert world.pipe.reads == 1
    await world.store(key, version=6)
    world.announce(key, 6)
    assert await world.version(key) == 6


async def test_copies_are_brief_while_changes_cannot_be_heard(world: World, key: str) -> None:
    await world.store(key)
    assert await world.version(key) == 1
    world.hearing = False
    await world.store(key, version=2)
    world.now += BRIEF_S + 0.1
    assert await world.version(key) == 2


async def test_copies_made_in_the_silence_stay_brief_after_it(world: World, key: str) -> None:
    world.hearing = False
    await world.store(key)
    assert await world.version(key) == 1
    world.hearing = True  # the first connection of the process: nobody called distrust
    await world.store(key, version=2)
    world.now += BRIEF_S + 0.1
    assert await world.version(key) == 2
    world.now += FRESH_S - 1
    assert await world.version(key) == 2
    assert world.pipe.reads == 2


async def test_after_a_reconnect_old_copies_are_brief(world: World, key: str) -> None:
    await world.store(key)
    assert await world.version(key) == 1
    await world.store(key, version=2)
    world.cache.distrust()
    world.now += BRIEF_S + 0.1
    assert await world.version(key) == 2


async def test_many_misses_at_once_are_one_read(world: World, key: str) -> None:
    await world.store(key)
    found = await asyncio.gather(*(world.cache.find(key) for _ in range(50)))
    assert {known.record.version for known in found} == {1}
    assert world.pipe.reads == 1


async def test_a_failed_read_fails_all_who_waited_for_it(world: World, key: str) -> None:
    await world.pipe.close()
    found = await asyncio.gather(*(world.cache.find(key) for _ in range(3)), return_exceptions=True)
    assert [error.status for error in found if isinstance(error, GatewayError)] == [503] * 3


async def test_a_record_older_than_the_announced_one_is_not_believed(
    world: World, key: str
) -> None:
    await world.store(key, version=1)
    world.announce(key, 2)
    assert await world.status(key) == 503
    await world.store(key, version=2)
    assert await world.version(key) == 2


async def test_a_change_that_overtakes_a_read_is_not_lost(world: World, key: str) -> None:
    await world.store(key, version=1)
    world.pipe.open.clear()
    async with asyncio.TaskGroup() as group:
        finding = group.create_task(world.version(key))
        async with asyncio.timeout(5):
            while world.pipe.reads == 0:  # noqa: ASYNC110 - the read is on its way
                await asyncio.sleep(0)
        await world.store(key, version=2)
        world.announce(key, 2)
        world.pipe.open.set()
    assert finding.result() == 2


async def test_unknown_is_remembered_briefly_and_forgotten_on_a_change(
    world: World, key: str
) -> None:
    assert await world.status(key) == 401
    reads = world.pipe.reads
    assert await world.status(key) == 401
    assert world.pipe.reads == reads
    await world.store(key)
    assert await world.status(key) == 401
    world.announce(key, 1)
    assert await world.version(key) == 1


async def test_unknown_is_asked_again_after_a_second(world: World, key: str) -> None:
    assert await world.status(key) == 401
    await world.store(key)
    world.now += BRIEF_S
    assert await world.version(key) == 1


async def test_without_the_marker_nothing_is_called_unknown(world: World, key: str) -> None:
    await world.redis.delete(PROJECTION_MARKER)
    assert await world.status(key) == 503
    await world.store(key)
    assert await world.version(key) == 1


async def test_a_malformed_key_never_reaches_redis(world: World, key: str) -> None:
    typo = key[:-1] + ("a" if key[-1] != "a" else "b")
    assert await world.status(typo) == 401
    assert world.pipe.reads == 0


async def test_a_record_that_cannot_be_read_is_a_503(world: World, key: str) -> None:
    await world.redis.set(key_record_name(key_hash(key)), b"{}")
    assert await world.status(key) == 503
    await world.store(key, ip_deny=("everyone",))
    assert await world.status(key) == 503


async def test_a_broadcast_that_cannot_be_read_drops_everything(world: World, key: str) -> None:
    await world.store(key)
    assert await world.version(key) == 1
    await world.store(key, version=2)
    world.cache.on_change(b"?")
    assert await world.version(key) == 2


async def test_the_cache_is_bounded_and_keeps_what_is_used(redis_url: str, world: World) -> None:
    small = World(world.pipe, world.redis, size=2)
    keys = [mint_key(secrets.token_bytes(40)) for _ in range(3)]
    for key in keys:
        await small.store(key)
    await small.version(keys[0])
    await small.version(keys[1])
    await small.version(keys[0])
    await small.version(keys[2])
    reads = world.pipe.reads
    await small.version(keys[0])
    assert world.pipe.reads == reads
    await small.version(keys[1])
    assert world.pipe.reads == reads + 1
