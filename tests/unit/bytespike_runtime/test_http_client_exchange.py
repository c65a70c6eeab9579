"""Response framing, and servers that get it wrong on purpose."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bytespike_runtime.http_client import (
    BadResponse,
    ClientError,
    HttpClient,
    HttpResponse,
    Origin,
    RequestBroken,
    ResponseBroken,
)
from tests.support.raw_http import Peer, RawServer, Script, collect, eventually, raw_server

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;ext=1\r\nhel\r\n2\r\nlo\r\n0\r\nX-Trailer: 1\r\n\r\n"
)


@pytest_asyncio.fixture
async def client() -> AsyncIterator[HttpClient]:
    client = HttpClient()
    yield client
    await client.close()


async def call(client: HttpClient, server: RawServer, method: str = "GET") -> HttpResponse:
    origin, _ = Origin.parse(server.url)
    return await client.request(
        method, origin, "/", [], connect_timeout_s=2, first_byte_timeout_s=2
    )


async def body_of(response: HttpResponse) -> bytes:
    return await response.read(limit_bytes=1 << 20, idle_timeout_s=2)


def answering(*answers: bytes, then_close: bool = False, piece_bytes: int = 1 << 20) -> Script:
    """A script that gives one answer after another on each connection."""

    async def script(peer: Peer) -> None:
        for answer in answers:
            await peer.request()
            for start in range(0, len(answer), piece_bytes):
                await peer.send(answer[start : start + piece_bytes])
                await asyncio.sleep(0)
        if not then_close:
            await peer.hang_up_seen()

    return script


@pytest.mark.parametrize("answer", [PLAIN, CHUNKED])
@pytest.mark.parametrize("piece_bytes", [1, 2, 7, 1000])
async def test_a_response_cut_anywhere_is_the_same(
    client: HttpClient, answer: bytes, piece_bytes: int
) -> None:
    async with raw_server(answering(answer, answer, piece_bytes=piece_bytes)) as server:
        for turn in range(2):
            response = await call(client, server)
            assert (response.status, response.reason) == (200, "OK")
            assert (response.reused, response.close_delimited) == (turn == 1, False)
            assert await body_of(response) == b"hello"
            assert await response.chunk() == b""
        assert server.connections == 1


@pytest.mark.parametrize("answer", [PLAIN, CHUNKED])
async def test_every_truncation_of_a_framed_response_raises(
    client: HttpClient, answer: bytes
) -> None:
    head_end = answer.index(b"\r\n\r\n") + 4
    for cut in range(len(answer)):
        async with raw_server(answering(answer[:cut], then_close=True)) as server:
            expected = RequestBroken if cut < head_end else ResponseBroken
            received: list[bytes] = []
            with pytest.raises(expected):
                await collect(await call(client, server), received)
            assert b"hello".startswith(b"".join(received))


async def test_a_close_delimited_body_says_so(client: HttpClient) -> None:
    answer = b"HTTP/1.1 200 OK\r\n\r\nhello"
    async with raw_server(answering(answer, then_close=True)) as server:
        response = await call(client, server)
        assert response.close_delimited
        assert await body_of(response) == b"hello"
        assert (await call(client, server)).reused is False


async def test_a_reset_does_not_end_a_close_delimited_body_cleanly(client: HttpClient) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await peer.server.go.wait()
        peer.reset()

    async with raw_server(script) as server:
        response = await call(client, server)
        assert await response.chunk(idle_timeout_s=2) == b"hello"
        server.go.set()
        with pytest.raises(ResponseBroken):
            await response.chunk(idle_timeout_s=2)


@pytest.mark.parametrize(
    ("method", "answer", "status", "reused"),
    [
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", 204, True),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, True),
        ("GET", b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200, True),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", 200, False),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, False),
    ],
)
async def test_responses_without_a_body(
    client: HttpClient, method: str, answer: bytes, status: int, reused: bool
) -> None:
    async with raw_server(answering(answer, answer)) as server:
        response = await call(client, server, method)
        assert (response.status, response.close_delimited) == (status, False)
        assert await body_of(response) == b""
        assert (await call(client, server, method)).reused is reused


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhelloEXTRA",
        PLAIN + b"x",
        PLAIN + PLAIN,
        PLAIN + b"HTTP/1.1 100 Continue\r\n\r\n",
        CHUNKED + CHUNKED,
    ],
)
async def test_the_response_stands_and_the_connection_goes(
    client: HttpClient, answer: bytes
) -> None:
    async with raw_server(answering(answer, PLAIN)) as server:
        assert await body_of(await call(client, server)) == b"hello"
        assert (await call(client, server)).reused is False
        assert server.connections == 2


async def test_bytes_that_arrive_on_an_idle_connection_end_it(client: HttpClient) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(PLAIN)
        await peer.server.go.wait()
        await peer.send(PLAIN)
        await peer.hang_up_seen()

    async with raw_server(script) as server:
        await body_of(await call(client, server))
        server.go.set()
        await eventually(lambda: server.hang_ups == 1)
        assert (await call(client, server)).reused is False


async def test_interim_responses_are_skipped(client: HttpClient) -> None:
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    async with raw_server(answering(early + PLAIN, piece_bytes=3)) as server:
        response = await call(client, server)
        assert response.status == 200
        assert response.headers.get("link") is None
        assert response.headers.items() == [("content-length", "5"), ("x-a", "1")]
        assert await body_of(response) == b"hello"


FILLER = b"X-Filler: " + b"a" * 1000 + b"\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nxx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n" + CHUNKED[17:],
        b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 257 + b"Content-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + FILLER * 66 + b"Content-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 " + b"O" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 1_000_000,
        b"HTTP/1.1 102 Processing\r\n\r\n" * 3000,
    ],
    ids=lambda answer: repr(answer[:48]),
)
@pytest.mark.parametrize("piece_bytes", [1000, 1 << 20])
async def test_bad_heads_are_refused(client: HttpClient, answer: bytes, piece_bytes: int) -> None:
    async with raw_server(answering(answer, piece_bytes=piece_bytes)) as server:
        with pytest.raises(BadResponse):
            await call(client, server)


async def test_large_heads_within_the_limits_pass(client: HttpClient) -> None:
    answer = b"HTTP/1.1 200 OK\r\n" + FILLER * 60 + b"Content-Length: 0\r\n\r\n"
    async with raw_server(answering(answer)) as server:
        response = await call(client, server)
        assert len(response.headers.items()) == 61


@pytest.mark.parametrize(
    "tail",
    [
        b"-1\r\nx\r\n",
        b"zz\r\n",
        b"ffffffffffffffffff\r\nx",
        b"1\nx\n0\n\n",
        b"1\r\nxy\r\n0\r\n\r\n",
        b"1\r\nx0\r\n\r\n",
        b"1;" + b"e" * 200_000,
        b"0\r\nX: " + b"t" * 200_000,
    ],
    ids=lambda tail: repr(tail[:12]),
)
async def test_broken_chunks_break_the_response(client: HttpClient, tail: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = head + b"5\r\nhello\r\n" + tail
    async with raw_server(answering(answer)) as server:
        response = await call(client, server)
        received: list[bytes] = []
        with pytest.raises(ResponseBroken):
            await collect(response, received)
        body = b"".join(received)
        assert body.startswith(b"hello"), "what arrived before the damage is delivered"
        assert len(body) <= 6
        assert (await call(client, server)).reused is False


async def test_a_server_that_hangs_up_on_a_reused_connection_is_told_apart(
    client: HttpClient,
) -> None:
    async def script(peer: Peer) -> None:
        if peer.server.connections == 1:
            await peer.request()
            await peer.send(PLAIN)
        await peer.request()

    async with raw_server(script) as server:
        await body_of(await call(client, server))
        for reused in (True, False):
            with pytest.raises(RequestBroken) as caught:
                await call(client, server)
            assert caught.value.reused is reused
            assert caught.value.sent


async def test_an_early_refusal_stops_a_large_upload(client: HttpClient) -> None:
    refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"

    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.send(refusal)
        await peer.hang_up_seen()

    async with raw_server(script) as server:
        origin, _ = Origin.parse(server.url)
        body = bytes(32 << 20)
        response = await client.request(
            "POST", origin, "/", [], body, connect_timeout_s=2, first_byte_timeout_s=5
        )
        assert response.status == 413
        assert await body_of(response) == b"no"
        await eventually(lambda: server.hang_ups == 1)


@pytest.mark.parametrize("size_bytes", [0, 1, 16 << 10, (16 << 10) + 1, 256 << 10, 5 << 20])
async def test_bodies_of_every_size_arrive_whole(client: HttpClient, size_bytes: int) -> None:
    async def script(peer: Peer) -> None:
        while True:
            _, body = await peer.request()
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    body = bytes(range(256)) * (size_bytes // 256) + b"z" * (size_bytes % 256)
    async with raw_server(script) as server:
        origin, _ = Origin.parse(server.url)
        for turn in range(2):
            response = await client.request(
                "POST", origin, "/", [], body, connect_timeout_s=2, first_byte_timeout_s=5
            )
            assert await response.read(limit_bytes=size_bytes, idle_timeout_s=2) == body
            assert response.reused is (turn == 1)


async def test_all_errors_are_client_errors() -> None:
    assert issubclass(BadResponse, ClientError)
    assert ClientError("x").sent
