"""Reading a body: pulled, pushed, too slow, too fast, too large, given up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bytespike_runtime.http_client import (
    BodyTooLarge,
    FirstByteTimeout,
    HttpClient,
    HttpResponse,
    IdleTimeout,
    Origin,
    ResponseBroken,
)
from tests.support.raw_http import Peer, RawServer, collect, eventually, raw_server

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LARGE_BYTES = 20 << 20


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@pytest_asyncio.fixture
async def client() -> AsyncIterator[HttpClient]:
    client = HttpClient()
    yield client
    await client.close()


async def call(
    client: HttpClient, server: RawServer, *, first_byte_timeout_s: float = 2
) -> HttpResponse:
    origin, _ = Origin.parse(server.url)
    return await client.request(
        "GET", origin, "/", [], connect_timeout_s=2, first_byte_timeout_s=first_byte_timeout_s
    )


async def paced(peer: Peer) -> None:
    """Two events, the second and the end when the test says so; then a plain response."""
    await peer.request()
    await peer.send(CHUNKED_HEAD + chunked(b"one"))
    await peer.server.go.wait()
    await peer.send(chunked(b"two") + chunked(b"three") + b"0\r\n\r\n")
    await peer.request()
    await peer.send(HELLO)


async def silent(peer: Peer) -> None:
    await peer.request()
    await peer.hang_up_seen()


async def half(peer: Peer) -> None:
    """The head and a part of the body, then nothing."""
    await peer.request()
    await peer.send(CHUNKED_HEAD + chunked(b"one"))
    await peer.hang_up_seen()


async def large(peer: Peer) -> None:
    """A body far over every buffer on the way; ``sent_bytes`` tells how much of it has left."""
    await peer.request()
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE_BYTES)
    for _ in range(LARGE_BYTES // 65536):
        await peer.send(b"x" * 65536)
        peer.server.sent_bytes += 65536
    await peer.hang_up_seen()


async def stalled(server: RawServer) -> None:
    """Return when the server can send no more because nobody reads."""
    async with asyncio.timeout(5):
        last, steady = -1, 0
        while steady < 20:
            steady = steady + 1 if server.sent_bytes == last else 0
            last = server.sent_bytes
            await asyncio.sleep(0.005)


# Pull


async def test_chunks_come_as_they_were_sent_and_join_when_unread(client: HttpClient) -> None:
    async with raw_server(paced) as server:
        response = await call(client, server)
        assert await response.chunk() == b"one"
        server.go.set()
        assert await response.chunk() == b"twothree"
        assert await response.chunk() == b""
        assert await response.chunk() == b""


async def test_a_cancelled_wait_for_a_chunk_loses_nothing(client: HttpClient) -> None:
    async with raw_server(paced) as server:
        response = await call(client, server)
        assert await response.chunk() == b"one"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await response.chunk(idle_timeout_s=5)
        server.go.set()
        assert await response.read(limit_bytes=100, idle_timeout_s=2) == b"twothree"


async def test_two_readers_at_once_are_a_bug_and_told_so(client: HttpClient) -> None:
    async with raw_server(half) as server:
        response = await call(client, server)
        await response.chunk()
        first = asyncio.create_task(response.chunk())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="already has a reader"):
            await response.chunk()
        response.abort()
        with pytest.raises(ResponseBroken, match="aborted"):
            await first


async def test_an_unread_body_stops_the_sender(client: HttpClient) -> None:
    async with raw_server(large) as server:
        response = await call(client, server)
        await stalled(server)
        assert server.sent_bytes < LARGE_BYTES
        assert response._buffered_bytes < 64 * 1024 + 256 * 1024
        body = await response.read(limit_bytes=LARGE_BYTES, idle_timeout_s=2)
        assert len(body) == LARGE_BYTES
        assert (await call_again(client, server)) is True


async def call_again(client: HttpClient, server: RawServer) -> bool:
    """Whether the connection of a finished response is used for the next request."""
    origin, _ = Origin.parse(server.url)
    connections = server.connections
    request = client.request("GET", origin, "/", [], connect_timeout_s=2, first_byte_timeout_s=0.05)
    with pytest.raises(FirstByteTimeout):
        await request
    return server.connections == connections


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", CHUNKED_HEAD + chunked(b"hello")],
)
async def test_a_body_over_the_limit_is_dropped(client: HttpClient, answer: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer)
        await peer.hang_up_seen()

    async with raw_server(script) as server:
        response = await call(client, server)
        with pytest.raises(BodyTooLarge):
            await response.read(limit_bytes=4, idle_timeout_s=2)
        await eventually(lambda: server.hang_ups == 1)


async def test_a_declared_length_over_the_limit_is_refused_unread(client: HttpClient) -> None:
    async with raw_server(large) as server:
        response = await call(client, server)
        with pytest.raises(BodyTooLarge):
            await response.read(limit_bytes=LARGE_BYTES - 1, idle_timeout_s=2)
        with pytest.raises(ResponseBroken, match="aborted"):
            await collect(response, [])


# Push


async def test_a_pump_pushes_what_is_there_and_what_comes(client: HttpClient) -> None:
    async with raw_server(paced) as server:
        response = await call(client, server)
        received: list[bytes] = []

        def sink(data: bytes) -> bool:
            received.append(data)
            server.go.set()
            return True

        await response.pump(sink, idle_timeout_s=2)
        assert received == [b"one", b"twothree"], "one call for each read, not for each chunk"
        assert (await call(client, server)).reused


async def test_a_sink_can_ask_for_a_pause(client: HttpClient) -> None:
    async with raw_server(large) as server:
        response = await call(client, server)
        received_bytes = calls = 0

        def sink(data: bytes) -> bool:
            nonlocal received_bytes, calls
            received_bytes += len(data)
            calls += 1
            return calls == 1  # the idle clock is running when the pause comes

        pump = asyncio.create_task(response.pump(sink, idle_timeout_s=0.03))
        await eventually(lambda: calls == 2)
        await stalled(server)  # takes longer than the idle timeout, which stands still
        assert calls == 2
        while not pump.done():
            response.resume()
            await asyncio.sleep(0)
        await pump
        assert received_bytes == LARGE_BYTES


async def test_an_end_behind_a_pause_waits_for_the_resume(client: HttpClient) -> None:
    async with raw_server(paced) as server:
        response = await call(client, server)
        assert await response.chunk() == b"one"
        received: list[bytes] = []

        def sink(data: bytes) -> bool:
            received.append(data)
            return False

        response._pause()  # as after a full buffer
        response._buffer.append(b"kept")
        pump = asyncio.create_task(response.pump(sink))
        await eventually(lambda: received == [b"kept"])
        server.go.set()
        response.resume()
        await pump
        assert received == [b"kept", b"twothree"]


async def test_a_cancelled_pump_leaves_the_rest_to_the_next_reader(client: HttpClient) -> None:
    async with raw_server(paced) as server:
        response = await call(client, server)
        received: list[bytes] = []

        def sink(data: bytes) -> bool:
            received.append(data)
            return False

        pump = asyncio.create_task(response.pump(sink))
        await eventually(lambda: received == [b"one"])
        pump.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pump
        server.go.set()
        assert await response.chunk(idle_timeout_s=2) == b"twothree"


async def test_a_sink_may_abort(client: HttpClient) -> None:
    async with raw_server(half) as server:
        response = await call(client, server)

        def sink(data: bytes) -> bool:
            response.abort()
            return True

        with pytest.raises(ResponseBroken, match="aborted"):
            await response.pump(sink)
        await eventually(lambda: server.hang_ups == 1)


async def test_a_pump_raises_on_truncation_after_delivering(client: HttpClient) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED_HEAD + chunked(b"one"))
        await peer.server.go.wait()

    async with raw_server(script) as server:
        response = await call(client, server)
        received: list[bytes] = []
        server.go.set()
        with pytest.raises(ResponseBroken):
            await collect(response, received, push=True)
        assert received == [b"one"]


# Time


async def test_silence_before_the_head_ends_in_time(client: HttpClient) -> None:
    async with raw_server(silent) as server:
        with pytest.raises(FirstByteTimeout):
            await call(client, server, first_byte_timeout_s=0.05)
        await eventually(lambda: server.hang_ups == 1)


@pytest.mark.parametrize("push", [False, True])
async def test_a_stalled_body_ends_in_time(client: HttpClient, push: bool) -> None:
    async with raw_server(half) as server:
        response = await call(client, server)
        received: list[bytes] = []
        with pytest.raises(IdleTimeout):
            await collect(response, received, push=push, idle_timeout_s=0.05)
        assert received == [b"one"]
        await eventually(lambda: server.hang_ups == 1)


@pytest.mark.parametrize("push", [False, True])
async def test_a_slow_drip_is_not_a_stall(client: HttpClient, push: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n")
        for _ in range(20):
            await asyncio.sleep(0.02)  # the drip itself, not a synchronisation
            await peer.send(b".")
        await peer.hang_up_seen()

    async with raw_server(script) as server:
        response = await call(client, server, first_byte_timeout_s=0.2)
        received: list[bytes] = []
        await collect(response, received, push=push, idle_timeout_s=0.3)
        assert b"".join(received) == b"." * 20


async def test_the_first_byte_clock_stops_at_the_head(client: HttpClient) -> None:
    async with raw_server(paced) as server:
        response = await call(client, server, first_byte_timeout_s=0.05)
        await asyncio.sleep(0.1)  # nobody reads, and nobody is in a hurry
        server.go.set()
        body = await response.read(limit_bytes=100, idle_timeout_s=2)
        assert body == b"onetwothree"


# Giving up


async def test_cancelling_a_request_hangs_up(client: HttpClient) -> None:
    async with raw_server(silent) as server:
        request = asyncio.create_task(call(client, server))
        await eventually(lambda: len(server.heads) == 1)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        await eventually(lambda: server.hang_ups == 1)


async def test_abort_hangs_up_and_is_final(client: HttpClient) -> None:
    async with raw_server(half) as server:
        response = await call(client, server)
        response.abort()
        response.abort()
        await eventually(lambda: server.hang_ups == 1)


async def test_abort_after_the_end_keeps_the_connection(client: HttpClient) -> None:
    async def script(peer: Peer) -> None:
        for _ in range(3):
            await peer.request()
            await peer.send(HELLO)

    async with raw_server(script) as server:
        finished = await call(client, server)
        assert await finished.read(limit_bytes=5, idle_timeout_s=2) == b"hello"
        finished.abort()
        busy = await call(client, server)
        finished.abort()  # must not reach the request that now uses the connection
        assert busy.reused
        assert await busy.read(limit_bytes=5, idle_timeout_s=2) == b"hello"
