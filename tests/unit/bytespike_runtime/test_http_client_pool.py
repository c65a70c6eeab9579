"""Connections: shared, bounded, expired, encrypted, closed."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from pathlib import Path

import pytest
from cryptography import x509

from bytespike_runtime.http_client import (
    ConnectFailed,
    HttpClient,
    HttpResponse,
    Origin,
    RequestBroken,
    ResponseBroken,
)
from tests.support.certificates import certificate
from tests.support.raw_http import Peer, RawServer, eventually, raw_server

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


async def polite(peer: Peer) -> None:
    while True:
        await peer.request()
        await peer.send(HELLO)


async def waiting(peer: Peer) -> None:
    """Answers each request when the test says so."""
    while True:
        await peer.request()
        await peer.server.go.wait()
        await peer.send(HELLO)


async def call(
    client: HttpClient, server: RawServer | str, *, connect_timeout_s: float = 2
) -> HttpResponse:
    url = server if isinstance(server, str) else server.url
    origin, _ = Origin.parse(url)
    return await client.request(
        "GET", origin, "/", [], connect_timeout_s=connect_timeout_s, first_byte_timeout_s=2
    )


async def test_one_connection_serves_one_request_after_another() -> None:
    client = HttpClient()
    async with raw_server(polite) as server:
        seen = [(await call(client, server)).reused for _ in range(3)]
        assert (seen, server.connections) == ([False, True, True], 1)
        await client.close()


async def test_small_writes_are_not_held_back() -> None:
    client = HttpClient()
    async with raw_server(waiting) as server:
        request = asyncio.create_task(call(client, server))
        await eventually(lambda: len(server.heads) == 1)
        (pool,) = client._pools.values()
        (connection,) = pool._open
        sock = connection._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        server.go.set()
        await request
        await client.close()


async def test_a_server_that_closes_while_idle_costs_nothing() -> None:
    async def once(peer: Peer) -> None:
        await peer.request()
        await peer.send(HELLO)

    client = HttpClient()
    async with raw_server(once) as server:
        for n in range(3):
            await call(client, server)
            assert server.connections == n + 1
            (pool,) = client._pools.values()
            await eventually(lambda: not pool._open)  # noqa: B023 - awaited within the turn
        await client.close()


async def test_a_connection_that_is_closing_is_not_taken() -> None:
    client = HttpClient()
    async with raw_server(polite) as server:
        await call(client, server)
        (pool,) = client._pools.values()
        (connection,) = pool._idle
        connection._transport.abort()  # the loop tells the connection in its next turn only
        assert not (await call(client, server)).reused
        await client.close()


async def test_an_idle_connection_expires() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(HELLO)
        await peer.hang_up_seen()

    client = HttpClient(keepalive_s=0.05)
    async with raw_server(script) as server:
        await call(client, server)
        await eventually(lambda: server.hang_ups == 1)
        await client.close()


async def test_requests_beyond_the_limit_wait_their_turn() -> None:
    client = HttpClient(max_connections_per_origin=2)
    async with raw_server(waiting) as server:
        async with asyncio.TaskGroup() as group:
            requests = [group.create_task(call(client, server)) for _ in range(6)]
            await eventually(lambda: len(server.heads) == 2)
            server.go.set()
        assert [request.result().status for request in requests] == [200] * 6
        assert server.connections == 2
        await client.close()


async def test_a_wait_for_a_connection_is_bounded_and_leaves_no_trace() -> None:
    client = HttpClient(max_connections_per_origin=1)
    async with raw_server(waiting) as server:
        busy = asyncio.create_task(call(client, server))
        await eventually(lambda: len(server.heads) == 1)
        for _ in range(3):
            with pytest.raises(ConnectFailed) as caught:
                await call(client, server, connect_timeout_s=0.02)
            assert not caught.value.sent
        server.go.set()
        await busy
        assert (await call(client, server)).reused
        await client.close()


async def test_an_aborted_response_gives_its_place_back() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(HELLO[:-1])
        await peer.hang_up_seen()

    client = HttpClient(max_connections_per_origin=1)
    async with raw_server(script) as server:
        for _ in range(3):
            (await call(client, server)).abort()
        assert server.connections == 3
        await client.close()


async def test_nobody_there_is_a_failed_connect() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refused, and nobody else gets it
        client = HttpClient(max_connections_per_origin=1)
        for _ in range(3):
            with pytest.raises(ConnectFailed, match="cannot connect") as caught:
                await call(client, f"http://127.0.0.1:{taken.getsockname()[1]}")
            assert not caught.value.sent
        await client.close()


@pytest.mark.parametrize("host", ["does-not-exist.invalid", "a" * 70 + ".invalid"])
async def test_an_unknown_name_is_a_failed_connect(host: str) -> None:
    client = HttpClient()
    with pytest.raises(ConnectFailed):
        await call(client, f"http://{host}")
    await client.close()


async def test_close_ends_everything_and_refuses_more() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.server.go.wait()
        await peer.send(HELLO[:-1])
        await peer.hang_up_seen()

    client = HttpClient()
    async with raw_server(script) as server:
        first = asyncio.create_task(call(client, server))
        await eventually(lambda: len(server.heads) == 1)
        server.go.set()
        response = await first
        server.go.clear()
        second = asyncio.create_task(call(client, server))
        await eventually(lambda: len(server.heads) == 2)
        await client.close()
        with pytest.raises(ResponseBroken, match="closed"):
            await response.read(limit_bytes=5, idle_timeout_s=2)
        with pytest.raises(RequestBroken, match="closed"):
            await second
        with pytest.raises(ConnectFailed, match="closed"):
            await call(client, server)


# TLS


LOOPBACK = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


async def test_tls_with_a_trusted_certificate(tmp_path: Path) -> None:
    names: list[str | None] = []
    context = certificate(tmp_path, x509.DNSName("localhost"))
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    trusting = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    client = HttpClient(ssl_context=trusting)
    body = b"x" * (3 << 20)

    async def echo(peer: Peer) -> None:
        while True:
            _, received = await peer.request()
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(received))
            await peer.send(received)

    async with raw_server(echo, tls=context) as server:
        origin, _ = Origin.parse(f"https://localhost:{server.port}")
        for turn in range(2):
            response = await client.request(
                "POST", origin, "/", [], body, connect_timeout_s=5, first_byte_timeout_s=5
            )
            assert response.reused is (turn == 1)
            assert await response.read(limit_bytes=len(body), idle_timeout_s=5) == body
        await client.close()
    assert names == ["localhost"]


@pytest.mark.parametrize(
    ("name", "trusted"), [(LOOPBACK, False), (x509.DNSName("other.test"), True)]
)
async def test_tls_without_a_fitting_certificate_is_a_failed_connect(
    tmp_path: Path, name: x509.GeneralName, trusted: bool
) -> None:
    context = certificate(tmp_path, name)
    default = ssl.create_default_context(cafile=str(tmp_path / "ca.pem")) if trusted else None
    client = HttpClient(ssl_context=default)
    async with raw_server(polite, tls=context) as server:
        with pytest.raises(ConnectFailed, match="verify failed"):
            await call(client, f"https://127.0.0.1:{server.port}")
        assert server.heads == []
        await client.close()
