"""The pipelined Redis connection against a real Redis that restarts, hangs and forgets."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis

from bytespike_cli.home import Home
from bytespike_cli.servers import RedisServer
from bytespike_runtime.kv import KvError, KvUnavailable, ScriptPipe, connect_redis
from tests.support.raw_http import eventually
from tests.support.servers import running

SCRIPTS = {
    "echo": "return {KEYS[1], ARGV[1], #ARGV}",
    "add": "return redis.call('INCRBY', KEYS[1], ARGV[1])",
    "break": "return redis.call('NO-SUCH-COMMAND')",
}


@asynccontextmanager
async def pipe_to(
    url: str, *, timeout_s: float = 5.0, max_pending: int = 10_000
) -> AsyncIterator[ScriptPipe]:
    pipe = ScriptPipe(url, SCRIPTS, timeout_s=timeout_s, max_pending=max_pending)
    await pipe.start()
    try:
        yield pipe
    finally:
        await pipe.close()


@pytest.fixture
async def own_redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    """A Redis this test may kill."""
    async with running(RedisServer(Home(tmp_path / "redis"))) as server:
        yield server


async def test_scripts_and_commands_answer(redis_url: str) -> None:
    key = secrets.token_hex(8)
    async with pipe_to(redis_url) as pipe:
        assert pipe.connected
        assert await pipe.script("echo", key, ["a", 2]) == [key.encode(), b"a", 2]
        assert await pipe.script("add", key, [40]) == 40
        assert await pipe.command("INCRBY", key, 2) == 42
        await pipe.ping()


async def test_many_calls_of_one_turn_keep_their_answers_apart(redis_url: str) -> None:
    async with pipe_to(redis_url) as pipe, asyncio.TaskGroup() as group:
        calls = [
            group.create_task(pipe.script("echo", "k", [f"{number}"])) for number in range(500)
        ]
    assert [task.result()[1] for task in calls] == [f"{n}".encode() for n in range(500)]


async def test_a_flushed_script_cache_is_not_noticed(redis_url: str) -> None:
    key = secrets.token_hex(8)
    async with pipe_to(redis_url) as pipe:
        await pipe.command("SCRIPT", "FLUSH")
        assert await pipe.script("add", key, [1]) == 1
        assert await pipe.script("add", key, [1]) == 2


async def test_what_redis_refuses_is_an_error_and_the_connection_lives_on(redis_url: str) -> None:
    async with pipe_to(redis_url) as pipe:
        with pytest.raises(KvError, match="nknown"):
            await pipe.script("break", "k", [])
        with pytest.raises(KvError):
            await pipe.command("HGET")
        await pipe.ping()


async def test_a_caller_that_gives_up_does_not_shift_the_answers(redis_url: str) -> None:
    async with pipe_to(redis_url) as pipe:
        first = asyncio.create_task(pipe.script("echo", "k", ["first"]))
        second = asyncio.create_task(pipe.script("echo", "k", ["second"]))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second)[1] == b"second"
        assert first.cancelled()


async def test_a_wrong_password_is_not_connected(redis_server: RedisServer) -> None:
    url = f"redis://:wrong@127.0.0.1:{redis_server.port}/0"
    async with pipe_to(url) as pipe:
        assert not pipe.connected
        with pytest.raises(KvUnavailable):
            await pipe.ping()


async def test_too_many_calls_at_once_are_refused(redis_url: str) -> None:
    async with pipe_to(redis_url, max_pending=10) as pipe:
        calls = [asyncio.create_task(pipe.command("PING")) for _ in range(11)]
        done, _ = await asyncio.wait(calls)
        refused = [call for call in done if isinstance(call.exception(), KvUnavailable)]
        assert len(refused) == 1


async def test_it_starts_without_redis_and_connects_when_it_comes(own_redis: RedisServer) -> None:
    await own_redis.stop()
    async with pipe_to(own_redis.url) as pipe:
        assert not pipe.connected
        with pytest.raises(KvUnavailable):
            await pipe.ping()
        await own_redis.start()
        await eventually(lambda: pipe.connected)
        await pipe.ping()


async def test_a_killed_redis_fails_what_waits_and_is_reported_when_back(
    own_redis: RedisServer,
) -> None:
    async with pipe_to(own_redis.url) as pipe:
        returns: list[int] = []
        pipe.on_reconnect.append(lambda: returns.append(1))
        waiting = asyncio.create_task(pipe.command("BLPOP", "nothing", 0))
        await asyncio.sleep(0)
        own_redis.kill()
        with pytest.raises(KvUnavailable):
            await waiting
        await eventually(lambda: not pipe.connected)
        assert returns == []
        await own_redis.start()
        await eventually(lambda: returns == [1])
        assert await pipe.script("add", "k", [1]) == 1


async def test_a_hung_redis_times_out_and_is_used_again_when_it_wakes(
    own_redis: RedisServer,
) -> None:
    assert own_redis.child is not None
    async with pipe_to(own_redis.url, timeout_s=0.2) as pipe:
        own_redis.child.send(signal.SIGSTOP)
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(KvUnavailable, match="no answer"):
            await pipe.ping()
        assert 0.15 < loop.time() - began < 2
        own_redis.child.send(signal.SIGCONT)
        await eventually(lambda: pipe.connected)
        await pipe.ping()


async def test_a_busy_process_is_not_taken_for_a_hung_redis(redis_url: str) -> None:
    """The answer came in time; only our own loop was too busy to read it."""
    async with pipe_to(redis_url, timeout_s=0.05) as pipe:
        outcome = posted(pipe, secrets.token_hex(8))
        time.sleep(0.2)  # noqa: ASYNC251 - the busy loop under test
        assert await outcome is None
        assert pipe.connected


async def test_what_is_posted_has_left_at_once(redis_url: str) -> None:
    """Seen by somebody else without a single turn of our loop in between."""
    key = secrets.token_hex(8)
    async with pipe_to(redis_url) as pipe:
        outcome = posted(pipe, key)
        with redis.Redis.from_url(redis_url) as other:
            deadline = time.monotonic() + 5
            while other.get(key) is None:
                assert time.monotonic() < deadline
        assert await outcome is None


async def test_what_is_posted_survives_a_flushed_script_cache(redis_url: str) -> None:
    key = secrets.token_hex(8)
    async with pipe_to(redis_url) as pipe:
        await pipe.command("SCRIPT", "FLUSH")
        assert await posted(pipe, key) is None
        assert await pipe.command("GET", key) == b"7"


async def test_a_post_that_fails_says_why(redis_url: str) -> None:
    key = secrets.token_hex(8)
    async with pipe_to(redis_url) as pipe:
        await pipe.command("SET", key, "no number")
        assert isinstance(await posted(pipe, key), KvError)


def posted(pipe: ScriptPipe, key: str) -> asyncio.Future[Exception | None]:
    """What ``then`` is told of an addition to ``key`` that has left when this returns."""
    outcome: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
    pipe.post("add", key, [7], outcome.set_result, at_once=True)
    return outcome


async def test_a_cold_client_for_the_rest(redis_url: str) -> None:
    client = connect_redis(redis_url)
    name = f"cold:{os.getpid()}"
    await client.set(name, "x", ex=5)
    assert await client.get(name) == b"x"
    await client.aclose()
