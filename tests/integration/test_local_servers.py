"""The local servers are real, private, restartable, and die with whoever started them."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import asyncpg
import nats
import pytest
import redis.asyncio

from bytespike_cli.home import Home
from bytespike_cli.processes import reap_leftovers
from bytespike_cli.servers import NatsServer, PostgresServer, RedisServer
from tests.support.servers import running

_ROOT = Path(__file__).parents[2]

#: Starts a Redis below argv[1], says its pid, and waits to be killed.
_OWNER = """
import asyncio, sys
from pathlib import Path
from bytespike_cli.home import Home
from bytespike_cli.servers import RedisServer

async def main():
    server = RedisServer(Home(Path(sys.argv[1])))
    await server.start()
    print(server.child.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_postgres_keeps_what_was_committed_through_kill(tmp_path: Path) -> None:
    async with running(PostgresServer(Home(tmp_path))) as server:
        connection = await asyncpg.connect(server.url)
        await connection.execute("create table kept (n int); insert into kept values (7)")
        server.kill()
        await server.start()
        connection = await asyncpg.connect(server.url)
        assert await connection.fetchval("select n from kept") == 7
        await connection.close()


async def test_postgres_data_and_password_survive_a_second_run(tmp_path: Path) -> None:
    async with running(PostgresServer(Home(tmp_path))) as server:
        connection = await asyncpg.connect(server.url)
        await connection.execute("create table kept (n int)")
        await connection.close()
    async with running(PostgresServer(Home(tmp_path))) as server:
        connection = await asyncpg.connect(server.url)
        assert await connection.fetchval("select count(*) from kept") == 0
        assert str(await connection.fetchval("show server_version")).startswith("18")
        await connection.close()


async def test_postgres_refuses_a_wrong_password(postgres_server: PostgresServer) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres_server.url.replace(postgres_server.password, "wrong"))


async def test_each_test_can_have_an_empty_database(
    fresh_postgres_url: str, postgres_url: str
) -> None:
    assert fresh_postgres_url != postgres_url
    connection = await asyncpg.connect(fresh_postgres_url)
    tables = await connection.fetchval(
        "select count(*) from pg_class where relnamespace = 'public'::regnamespace"
    )
    await connection.close()
    assert tables == 0


async def test_redis_wants_its_password(redis_server: RedisServer, redis_url: str) -> None:
    async with redis.asyncio.Redis(port=redis_server.port) as stranger:
        with pytest.raises(redis.exceptions.AuthenticationError):
            await stranger.ping()
    async with redis.asyncio.Redis.from_url(redis_url) as friend:
        assert await friend.ping()


async def test_jetstream_keeps_acknowledged_messages_through_kill(tmp_path: Path) -> None:
    async with running(NatsServer(Home(tmp_path))) as server:
        client = await nats.connect(server.url)
        stream = client.jetstream()
        await stream.add_stream(name="KEPT", subjects=["kept"])
        await stream.publish("kept", b"one")
        await client.close()
        server.kill()
        await server.start()
        client = await nats.connect(server.url)
        state = (await client.jetstream().stream_info("KEPT")).state
        await client.close()
    assert state.messages == 1


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's leash is a Linux feature")
async def test_a_killed_owner_leaves_no_server_behind(tmp_path: Path) -> None:
    owner, pid = await _start_owner(tmp_path)
    owner.kill()
    await owner.wait()
    await _until_dead(pid)


async def test_what_an_earlier_run_left_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An empty PATH hides setpriv, as on systems without it: the server outlives its owner.
    monkeypatch.setenv("PATH", str(tmp_path))
    owner, pid = await _start_owner(tmp_path)
    owner.kill()
    await owner.wait()
    os.kill(pid, 0)
    assert reap_leftovers(Home(tmp_path)) == ["redis"]
    await _until_dead(pid)
    assert reap_leftovers(Home(tmp_path)) == []


async def test_a_reused_pid_is_not_touched(tmp_path: Path) -> None:
    home = Home(tmp_path)
    bystander = await asyncio.create_subprocess_exec("sleep", "60")
    (home.pids / "redis.pid").write_text(f"{bystander.pid} 12345")
    assert reap_leftovers(home) == []
    assert bystander.returncode is None
    bystander.kill()
    await bystander.wait()


async def _start_owner(folder: Path) -> tuple[asyncio.subprocess.Process, int]:
    path = os.pathsep.join([str(_ROOT / "services"), str(_ROOT / "shared")])
    owner = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _OWNER,
        str(folder),
        env={**os.environ, "PYTHONPATH": path},
        stdout=asyncio.subprocess.PIPE,
    )
    assert owner.stdout is not None
    return owner, int(await owner.stdout.readline())


async def _until_dead(pid: int) -> None:
    deadline = time.monotonic() + 10
    while _alive(pid):
        assert time.monotonic() < deadline, f"process {pid} is still there"
        await asyncio.sleep(0.02)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Nobody may be there to reap a grandchild; a zombie is dead all the same.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
