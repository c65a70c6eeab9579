"""However connections die, a caller of the Redis pipe gets its own reply or none."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bytespike_cli.home import Home
from bytespike_cli.servers import RedisServer
from bytespike_runtime.kv import KvUnavailable, ScriptPipe, connect_redis
from tests.support.raw_http import eventually
from tests.support.servers import running

ECHO = {"echo": "return {KEYS[1], ARGV[1]}"}
CALLERS = 20
CALLS = 15


@pytest.fixture(scope="module")
async def own_redis_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A Redis of our own: its clients get killed."""
    async with running(RedisServer(Home(tmp_path_factory.mktemp("redis")))) as server:
        yield server.url


async def _call(pipe: ScriptPipe, caller: int, rng: random.Random) -> int:
    """Calls until done; returns how many were answered. Fails on a reply to somebody else."""
    answered = 0
    for number in range(CALLS):
        tag = f"{caller}:{number}:{'x' * rng.choice((0, 10, 5_000))}"
        try:
            reply = await pipe.script("echo", f"key{caller}", [tag])
        except KvUnavailable:
            await asyncio.sleep(0.001)
            continue
        assert reply == [f"key{caller}".encode(), tag.encode()]
        answered += 1
    return answered


async def _kill(url: str, kills: list[float]) -> None:
    """Lets Redis drop all connections of the pipe, after each of the given pauses."""
    client = connect_redis(url)
    for pause_s in kills:
        await asyncio.sleep(pause_s)
        await client.client_kill_filter(_type="normal", skipme=True)
    await client.aclose()


async def _scenario(url: str, seed: int, kills: list[float]) -> None:
    pipe = ScriptPipe(url, ECHO)
    await pipe.start()
    async with asyncio.TaskGroup() as group:
        group.create_task(_kill(url, kills))
        callers = [
            group.create_task(_call(pipe, caller, random.Random(seed + caller)))
            for caller in range(CALLERS)
        ]
    await eventually(lambda: pipe.connected)
    await pipe.ping()
    await pipe.close()
    answered = sum(task.result() for task in callers)
    assert answered == CALLERS * CALLS if not kills else answered <= CALLERS * CALLS


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    kills=st.lists(st.floats(0.0, 0.01), max_size=5),
)
def test_replies_are_never_mixed_up(own_redis_url: str, seed: int, kills: list[float]) -> None:
    asyncio.run(_scenario(own_redis_url, seed, kills))
