"""The HTTP server and its process: hostile clients, leaving clients, drain, exit codes."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from bytespike_cli.ports import free_port
from bytespike_runtime.connection import BodyWriter, Handler, client_gone, cut_off
from bytespike_runtime.health import Health
from bytespike_runtime.metrics import new_registry
from bytespike_runtime.service import HttpService, StartError, serve
from tests.support.raw_http import eventually
from tests.tidy.tree import ROOT

HEADER_TIMEOUT_S = 0.4


class Running:
    """A served handler under test."""

    def __init__(self, handler: Handler, *, drain_timeout_s: float = 5.0) -> None:
        self.health = Health()
        self.stop = asyncio.Event()
        self.service = HttpService(
            name="edge",
            host="127.0.0.1",
            port=free_port(),
            ops_port=free_port(),
            handler=handler,
            health=self.health,
            registry=new_registry("edge"),
            on_bad_request=lambda status, reason: web.Response(status=status, text=reason),
            drain_timeout_s=drain_timeout_s,
            header_timeout_s=HEADER_TIMEOUT_S,
        )

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.service.port)

    async def talk(self, request: bytes, *, ops: bool = False) -> bytes:
        """Everything the server answers until it closes the connection."""
        port = self.service.ops_port if ops else self.service.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(request)
            async with asyncio.timeout(5):
                return await reader.read(-1)
        finally:
            writer.close()

    async def get(self, path: str, *, ops: bool = False) -> tuple[int, bytes]:
        answer = await self.talk(_get(path, "Connection: close"), ops=ops)
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), body


@asynccontextmanager
async def running(handler: Handler, *, drain_timeout_s: float = 5.0) -> AsyncIterator[Running]:
    server = Running(handler, drain_timeout_s=drain_timeout_s)
    serving = asyncio.create_task(serve(server.service, server.stop))
    await eventually(lambda: _listens(server.service.port))
    try:
        yield server
    finally:
        server.stop.set()
        async with asyncio.timeout(10):
            await serving


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _get(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


async def echo(request: web.BaseRequest) -> web.StreamResponse:
    """Answers with the length of the body."""
    return web.Response(text=str(len(await request.read())))


POST = b"POST / HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    "request_bytes",
    [
        POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        POST + b"Content-Length: 3, 3\r\n\r\nabc",
        POST + b"Content-Length: +3\r\n\r\nabc",
        POST + b"Content-Length : 3\r\n\r\nabc",
        POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        POST + b"X: a\r\n folded\r\n\r\n",
        POST + b"X: a\x00b\r\n\r\n",
        POST + b"X: " + b"a" * 40_000 + b"\r\n\r\n",
        POST + b"X: a\r\n" * 500 + b"\r\n",
        b"GET / HTTP/1.1\nHost: x\n\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"hello\r\n\r\n",
    ],
)
async def test_malformed_http_is_a_400_and_the_end(request_bytes: bytes) -> None:
    async with running(echo) as server:
        answer = await server.talk(request_bytes)
        assert answer.split()[1] == b"400"
        assert answer.count(b"HTTP/1.") == 1


async def test_a_request_smuggled_behind_a_malformed_one_is_not_served() -> None:
    served: list[str] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        served.append(request.path)
        return await echo(request)

    smuggled = b"GET /inner HTTP/1.1\r\nHost: x\r\n\r\n"
    async with running(handler) as server:
        await server.talk(
            POST + b"Content-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled
        )
    assert served == []


@pytest.mark.parametrize("beginning", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n"])
async def test_a_head_that_does_not_come_is_not_waited_for(beginning: bytes) -> None:
    async with running(echo) as server:
        began = time.monotonic()
        assert await server.talk(beginning) == b""
        assert HEADER_TIMEOUT_S * 0.9 < time.monotonic() - began < 3


async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends a head byte by byte until the server has had enough."""
    for byte in b"GET / HTTP/1.1\r\nX-Slow: " + b"a" * 1_000:
        writer.write(bytes([byte]))
        await writer.drain()
        if reader.at_eof():
            raise ConnectionResetError
        await asyncio.sleep(0.02)


async def test_a_head_that_trickles_is_not_waited_for_either() -> None:
    async with running(echo) as server:
        reader, writer = await server.connect()
        writer.write(_get("/"))
        assert await reader.readuntil(b"\r\n\r\n0")
        began = time.monotonic()
        with pytest.raises(ConnectionError):
            await trickle(reader, writer)
        assert time.monotonic() - began < 3
        writer.close()


async def test_an_idle_connection_and_a_slow_body_are_not_slow_heads() -> None:
    async with running(echo) as server:
        reader, writer = await server.connect()
        for _ in range(2):
            writer.write(POST + b"Content-Length: 2\r\n\r\na")
            await asyncio.sleep(HEADER_TIMEOUT_S * 1.5)
            writer.write(b"b")
            assert b"200" in await reader.readuntil(b"\r\n\r\n2")
            await asyncio.sleep(HEADER_TIMEOUT_S * 1.5)
        writer.close()


async def test_a_crash_is_a_500_without_its_reason() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        raise KeyError("private")

    async with running(handler) as server:
        assert await server.get("/") == (500, b"internal error")


async def test_a_crash_in_a_begun_answer_cuts_it_off() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        BodyWriter(request).write(b"half")
        raise KeyError("private")

    async with running(handler) as server:
        answer = await server.talk(_get("/"))
        assert answer.endswith(b"4\r\nhalf\r\n")


async def test_cutting_off_delivers_what_was_written_and_no_end() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        BodyWriter(request).write(b"event: error\n\n")
        cut_off(request)
        return response

    async with running(handler) as server:
        assert (await server.talk(_get("/"))).endswith(b"event: error\n\n\r\n")


async def test_a_body_writer_holds_back_for_a_slow_client() -> None:
    chunk = b"x" * 65_536
    states: list[bool] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        writer = BodyWriter(request)
        for _ in range(200):
            go_on = writer.write(chunk)
            states.append(go_on)
            if not go_on:
                await writer.drained()
        return response

    async with running(handler) as server:
        reader, writer = await server.connect()
        writer.write(_get("/", "Connection: close"))
        await eventually(lambda: False in states)
        written = len(states)
        assert written < 200
        received = await reader.read(-1)
        assert received.count(b"x") == 200 * len(chunk)
        assert received.endswith(b"0\r\n\r\n")
        writer.close()


async def test_a_handler_learns_that_its_client_left_and_may_finish() -> None:
    seen: list[str] = []
    entered = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        gone = client_gone(request)
        assert gone is client_gone(request)
        entered.set()
        await asyncio.wait([gone])
        seen.append("left")
        assert client_gone(request).done()
        await asyncio.sleep(0)
        seen.append("finished")
        return web.Response()

    async with running(handler) as server:
        _, writer = await server.connect()
        writer.write(_get("/"))
        await entered.wait()
        writer.close()
        await eventually(lambda: seen == ["left", "finished"])


async def test_the_ops_port_tells_health_readiness_and_metrics() -> None:
    async with running(echo) as server:
        assert (await server.get("/healthz", ops=True))[0] == 200
        status, body = await server.get("/readyz", ops=True)
        assert (status, json.loads(body)) == (200, {"ready": True, "checks": {}})
        status, body = await server.get("/metrics", ops=True)
        assert b"bytespike_http_in_flight_requests 0.0" in body
        assert (await server.get("/other", ops=True))[0] == 404
        server.health.start_draining()
        assert (await server.get("/readyz", ops=True))[0] == 503


async def test_a_drain_answers_what_runs_and_takes_nothing_new() -> None:
    entered, release = asyncio.Event(), asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        entered.set()
        await release.wait()
        return await echo(request)

    async with running(handler) as server:
        idle_reader, idle_writer = await server.connect()
        asked = asyncio.create_task(server.talk(POST + b"Content-Length: 3\r\n\r\nabc"))
        await entered.wait()
        server.stop.set()
        assert await idle_reader.read(-1) == b""  # idle connections close at once
        idle_writer.close()
        assert not _listens(server.service.port)
        assert (await server.get("/readyz", ops=True))[0] == 503
        assert b"in_flight_requests 1.0" in (await server.get("/metrics", ops=True))[1]
        assert not asked.done()
        release.set()
        answer = (await asked).lower()
        assert answer.endswith(b"\r\n\r\n3")
        assert b"connection: close" in answer


async def test_a_drain_ends_when_its_time_is_over() -> None:
    entered = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        entered.set()
        await asyncio.Event().wait()
        return web.Response()

    began = time.monotonic()
    async with running(handler, drain_timeout_s=0.2) as server:
        asked = asyncio.create_task(server.talk(_get("/")))
        await entered.wait()
        server.stop.set()
        assert await asked == b""
    assert time.monotonic() - began < 5


async def test_a_taken_port_names_the_variable_that_changes_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = Running(echo)
        service = HttpService(**{**vars(server.service), "port": port})
        with pytest.raises(StartError) as failure:
            await serve(service, asyncio.Event())
    assert str(failure.value) == f"port {port} is in use; set BYTESPIKE_EDGE_PORT to another"


PROGRAM = """
import asyncio
from aiohttp import web
from bytespike_runtime.health import Health
from bytespike_runtime.metrics import new_registry
from bytespike_runtime.service import HttpService, main, serve
from bytespike_runtime.settings import ServiceSettings

async def handler(request):
    if request.path == "/hang":
        await asyncio.Event().wait()
    return web.Response(text="ok")

async def amain(settings, stop):
    if settings.host == "crash":
        raise RuntimeError("cannot go on")
    await serve(HttpService(name="edge", host=settings.host, port=settings.port,
        ops_port=settings.ops_port, handler=handler, health=Health(),
        registry=new_registry("edge"), drain_timeout_s=settings.drain_timeout_s,
        on_bad_request=lambda status, reason: web.Response(status=status, text=reason)), stop)

main("edge", ServiceSettings, amain)
"""


def spawn(*arguments: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        env={"PYTHONPATH": str(ROOT / "shared"), "LC_ALL": "C", **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=15)
    return process.returncode, out, err


async def start_process() -> tuple[subprocess.Popen[str], int]:
    port = free_port()
    process = spawn(BYTESPIKE_EDGE_PORT=str(port), BYTESPIKE_OPS_PORT=str(free_port()))
    await eventually(lambda: _listens(port), within_s=15)
    return process, port


async def test_sigterm_drains_and_exits_with_0() -> None:
    process, _ = await start_process()
    process.send_signal(signal.SIGTERM)
    code, out, _ = await asyncio.to_thread(ended, process)
    assert code == 0
    assert [json.loads(line)["event"] for line in out.splitlines()] == ["listening", "draining"]


async def test_a_second_signal_does_not_wait() -> None:
    process, port = await start_process()
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(_get("/hang"))
    await writer.drain()
    process.send_signal(signal.SIGTERM)
    await eventually(lambda: not _listens(port))
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    code, _, _ = await asyncio.to_thread(ended, process)
    assert code == 1
    writer.close()


def test_settings_are_checked_shown_and_complained_about() -> None:
    good = {"BYTESPIKE_EDGE_PORT": "8080", "BYTESPIKE_EDGE_OPS_PORT": "8081"}
    assert ended(spawn("--check", **good))[0] == 0
    code, _, err = ended(spawn("--check", BYTESPIKE_EDGE_PORT="many"))
    assert code == 1
    assert err.splitlines()[0].startswith("BYTESPIKE_EDGE_PORT: ")
    assert "BYTESPIKE_EDGE_OPS_PORT is not set" in err
    code, out, _ = ended(spawn("--help"))
    assert code == 0
    assert "BYTESPIKE_EDGE_DRAIN_TIMEOUT_S" in out


def test_a_crash_is_logged_and_exits_with_1() -> None:
    env = {"BYTESPIKE_PORT": "8080", "BYTESPIKE_OPS_PORT": "8081", "BYTESPIKE_HOST": "crash"}
    code, out, _ = ended(spawn(**env))
    assert code == 1
    line = json.loads(out)
    assert line["event"] == "service crashed"
    assert "cannot go on" in line["exception"]
