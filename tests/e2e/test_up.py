"""`bytespike up` as its users meet it: one command, a working gateway, nothing left behind."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bytespike_cli.demo_file import DemoFile, demo_file
from bytespike_cli.gateway_api import GatewayApi, decode
from bytespike_cli.home import Home
from bytespike_cli.ports import LOOPBACK, free_port
from bytespike_cli.servers import NatsServer, PostgresServer, RedisServer
from tests.support.servers import running
from tests.support.stack import clean_environment

_READY_S = 60.0
_STOP_S = 30.0


class Up:
    """A `bytespike up` process and what it printed."""

    def __init__(self, home: Path, process: asyncio.subprocess.Process, output: Path) -> None:
        self.home = home
        self.process = process
        self.output = output

    @property
    def printed(self) -> str:
        return self.output.read_text()

    @property
    def demo(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(demo_file(self.home).read_text())
        return content

    @property
    def pids(self) -> dict[str, int]:
        """Every child, servers too."""
        return {
            path.stem: int(path.read_text().split()[0]) for path in (self.home / "run").iterdir()
        }

    async def exit_code(self) -> int:
        async with asyncio.timeout(_STOP_S):
            return await self.process.wait()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "home"


@asynccontextmanager
async def _up(home: Path, *, ready: bool = True, **variables: str) -> AsyncIterator[Up]:
    environment = clean_environment(
        **{"BYTESPIKE_HOME": str(home), "BYTESPIKE_EDGE_PORT": str(free_port()), **variables}
    )
    output = home.with_name(f"{home.name}-{time.monotonic_ns()}.txt")
    with output.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bytespike_cli", "up"),
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    up = Up(home, process, output)
    try:
        if ready:
            await _until(lambda: "Ready after" in up.printed or process.returncode is not None)
            assert process.returncode is None, up.printed
        yield up
    finally:
        if process.returncode is None:
            process.terminate()
            await up.exit_code()


async def test_the_first_thing_a_user_does_works(folder: Path) -> None:
    async with _up(folder) as up:
        assert stat.S_IMODE(demo_file(folder).stat().st_mode) == 0o600
        assert set(up.demo) == set(DemoFile.__struct_fields__)
        assert set(up.demo["services"]) == {"edge", "text-router", "media", "ledger"}
        for service in up.demo["services"].values():
            assert set(service) == {"pid", "url", "metrics_url"}
            assert _is_alive(service["pid"])
        assert up.demo["base_url"] in up.printed
        assert up.demo["api_key"] in up.printed
        stream = await _paste(up, "/v1/messages")
        assert stream.startswith("event: message_start")
        assert '{"type":"message_stop"' in stream
        await _wallet_is_charged(up)
        assert json.loads(await _paste(up, "/v1/balance"))["org"]["name"] == "demo"
        assert "simulator" in await _paste(up, "anthropic.Anthropic")
        assert await _admin(up, "audit") == 0


async def test_an_orderly_stop_leaves_nothing_and_a_second_run_finds_everything(
    folder: Path,
) -> None:
    async with _up(folder) as up:
        first, pids = up.demo, up.pids
        await _paste(up, "/v1/messages")
        spent = await _wallet_is_charged(up)
        up.process.send_signal(signal.SIGINT)
        assert await up.exit_code() == 0
    assert not demo_file(folder).exists()
    assert [name for name, pid in pids.items() if _is_alive(pid)] == []
    async with _up(folder) as up:
        assert up.demo["api_key"] == first["api_key"]
        assert up.demo["manage_key"] == first["manage_key"]
        assert await _balance(up) == spent
        # Ready means that money moves: Redis came up empty and has been rebuilt already.
        assert (await _paste(up, "/v1/messages")).startswith("event: message_start")


async def test_a_second_run_beside_the_first_is_refused(folder: Path) -> None:
    async with _up(folder) as up:
        async with _up(folder, ready=False) as second:
            assert await second.exit_code() == 1
            assert f"in use by process {up.process.pid}" in second.printed
        assert _is_alive(up.demo["services"]["edge"]["pid"])


async def test_a_taken_port_is_named_with_the_variable_that_changes_it(folder: Path) -> None:
    listener = await asyncio.start_server(lambda reader, writer: writer.close(), LOOPBACK, 0)
    port = listener.sockets[0].getsockname()[1]
    async with listener, _up(folder, ready=False, BYTESPIKE_EDGE_PORT=str(port)) as up:
        assert await up.exit_code() == 1
    assert f"port {port} is taken" in up.printed
    assert "BYTESPIKE_EDGE_PORT" in up.printed
    assert up.pids == {}


async def test_a_dead_service_ends_the_run_with_its_last_words(folder: Path) -> None:
    async with _up(folder) as up:
        pids = up.pids
        os.kill(up.demo["services"]["ledger"]["pid"], signal.SIGKILL)
        assert await up.exit_code() == 1
    assert "ledger was ended by SIGKILL" in up.printed
    assert "ledger.log" in up.printed
    assert [name for name, pid in pids.items() if _is_alive(pid)] == []


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's leash is a Linux feature")
async def test_nothing_survives_a_killed_run(folder: Path) -> None:
    async with _up(folder) as up:
        pids = up.pids
        up.process.kill()
        await up.process.wait()
        await _until(lambda: not any(map(_is_alive, pids.values())))
    async with _up(folder) as up:
        assert await _balance(up) == "100.00"


async def test_servers_that_are_named_are_used(folder: Path, tmp_path: Path) -> None:
    own = Home(tmp_path / "servers")
    async with (
        running(PostgresServer(own, durable=False)) as postgres,
        running(RedisServer(own)) as redis,
        running(NatsServer(own)) as nats,
        _up(
            folder,
            BYTESPIKE_POSTGRES_URL=postgres.url,
            BYTESPIKE_REDIS_URL=redis.url,
            BYTESPIKE_NATS_URL=nats.url,
        ) as up,
    ):
        assert set(up.pids) == {"edge", "text-router", "media", "ledger", "simulator"}
        assert await _balance(up) == "100.00"


async def test_a_vendor_key_replaces_the_simulator(folder: Path) -> None:
    async with _up(folder, ANTHROPIC_API_KEY="sk-ant-not-a-real-key") as up:
        assert up.demo["simulator_url"] is None
        assert "simulator" not in up.pids
        assert "answers come from real vendors: anthropic\n" in up.printed
        assert "Left out for want of a key: openai, openai-chat, google, " in up.printed


async def _paste(up: Up, part: str) -> str:
    """Run the printed command that contains ``part``, as somebody would in a shell."""
    commands = [line for line in up.printed.splitlines() if part in line]
    if commands[0].startswith("curl") and shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    shell = await asyncio.create_subprocess_shell(
        commands[0],
        env=clean_environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(_STOP_S):
        output, errors = await shell.communicate()
    assert shell.returncode == 0, errors.decode()
    return output.decode()


async def _admin(up: Up, *words: str) -> int:
    environment = clean_environment(BYTESPIKE_HOME=str(up.home))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bytespike_cli", "admin", *words),
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
    )
    return await process.wait()


async def _balance(up: Up) -> str:
    """What the ledger has settled, as exact text."""
    async with GatewayApi(up.demo["base_url"], up.demo["api_key"]) as customer:
        answer = decode(await customer.call("GET", "/v1/balance"))
    return str(answer["balance"]["balance_usd"])


async def _wallet_is_charged(up: Up) -> str:
    """The balance once the first charge has been settled."""
    deadline = time.monotonic() + _STOP_S
    while (balance := await _balance(up)) == "100.00":
        assert time.monotonic() < deadline, "nothing was charged"
        await asyncio.sleep(0.05)
    return balance


async def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _READY_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Orphans may stay zombies where nobody reaps them; dead they are all the same.
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"
