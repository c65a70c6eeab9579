"""Streams and failures behind the edge: nothing lingers, nothing broken looks whole."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bytespike_cli.ports import free_port
from bytespike_runtime.http_client import ResponseBroken
from tests.integration.edge.surroundings import (
    STREAM_HEAD,
    EdgeUnderTest,
    Seen,
    message,
    running_edge,
)
from tests.support.raw_http import Peer, chunk, collect, eventually

EVENT = b'event: content_block_delta\ndata: {"type":"content_block_delta"}\n\n'


async def read_until_broken(edge: EdgeUnderTest, key: str) -> bytes:
    """What a client gets of a stream that must not end cleanly."""
    response = await edge.open("POST", "/v1/messages", key=key, body=message(stream=True))
    assert response.status == 200
    pieces: list[bytes] = []
    with pytest.raises(ResponseBroken):
        await collect(response, pieces, idle_timeout_s=5)
    return b"".join(pieces)


async def test_the_head_comes_with_the_first_event_not_with_the_last(edge: EdgeUnderTest) -> None:
    key, _ = await edge.ledger.key()
    go = asyncio.Event()

    async def answer(peer: Peer, _: Seen) -> None:
        await peer.send(STREAM_HEAD + chunk(EVENT))
        await go.wait()
        await peer.send(chunk(EVENT) + chunk(b""))

    edge.router.answer = answer
    response = await edge.open("POST", "/v1/messages", key=key, body=message(stream=True))
    assert response.headers.get("x-request-id") is not None
    assert await response.chunk(idle_timeout_s=5) == EVENT
    go.set()
    assert await response.read(limit_bytes=1000, idle_timeout_s=5) == EVENT


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_is_gone_for_the_router_too(
    edge: EdgeUnderTest, stream: bool
) -> None:
    key, _ = await edge.ledger.key()
    waiting = asyncio.Event()

    async def answer(peer: Peer, _: Seen) -> None:
        if stream:
            await peer.send(STREAM_HEAD + chunk(EVENT))
        waiting.set()
        await peer.hang_up_seen()
        edge.router.hang_ups += 1

    edge.router.answer = answer
    _, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    body = message(stream=stream)
    writer.write(
        f"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\n"
        f"content-length: {len(body)}\r\n\r\n".encode()
        + body
    )
    await waiting.wait()
    writer.transport.abort()
    await eventually(lambda: edge.router.hang_ups == 1)


async def test_a_router_that_dies_between_frames_becomes_an_error_event(
    edge: EdgeUnderTest,
) -> None:
    key, _ = await edge.ledger.key()

    async def answer(peer: Peer, _: Seen) -> None:
        await peer.send(STREAM_HEAD + chunk(EVENT))
        peer.reset()
        raise ConnectionResetError

    edge.router.answer = answer
    received = await read_until_broken(edge, key)
    assert received.startswith(EVENT + b"event: error\ndata: ")
    assert received.endswith(b"\n\n")


async def test_a_router_that_dies_within_a_frame_just_ends_broken(edge: EdgeUnderTest) -> None:
    key, _ = await edge.ledger.key()

    async def answer(peer: Peer, _: Seen) -> None:
        await peer.send(STREAM_HEAD + chunk(EVENT) + chunk(EVENT[:20]))
        peer.writer.close()
        raise ConnectionResetError

    edge.router.answer = answer
    assert await read_until_broken(edge, key) == EVENT + EVENT[:20]


async def test_a_slow_client_holds_the_router_back(edge: EdgeUnderTest) -> None:
    key, _ = await edge.ledger.key()
    total, sent = 64 * 1_048_576, 0

    async def answer(peer: Peer, _: Seen) -> None:
        nonlocal sent
        peer.writer.transport.set_write_buffer_limits(high=65_536)
        await peer.send(STREAM_HEAD)
        piece = chunk(b"d" * 65_536)
        while sent < total:
            await peer.send(piece)
            sent += 65_536
        await peer.send(chunk(b""))

    edge.router.answer = answer
    response = await edge.open("POST", "/v1/messages", key=key, body=message(stream=True))
    await standstill(lambda: sent)
    assert sent < total // 2
    received = 0
    while piece := await response.chunk(idle_timeout_s=10):
        received += len(piece)
    assert received == total


async def standstill(value: object, *, for_s: float = 0.5) -> None:
    """Return when a number has stopped moving."""
    assert callable(value)
    async with asyncio.timeout(20):
        seen = -1
        while value() != seen:
            seen = value()
            await asyncio.sleep(for_s)


async def test_an_unreachable_router_is_a_503_and_the_hold_is_given_back(
    redis_url: str, nats_url: str, tmp_path: Path
) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    async with running_edge(redis_url, nats_url, tmp_path, text_url=nobody) as edge:
        key, record = await edge.ledger.key()
        reply = await edge.messages(key)
        assert reply.status == 503
        assert reply.headers["retry-after"] == "1"
        state = await edge.ledger.state(record)
        assert (state.pending_uusd, state.slots_in_use) == (0, 0)


async def test_a_router_that_dies_without_an_answer_keeps_the_hold_for_its_lease(
    edge: EdgeUnderTest,
) -> None:
    key, record = await edge.ledger.key()

    async def answer(peer: Peer, _: Seen) -> None:
        peer.reset()
        raise ConnectionResetError

    edge.router.answer = answer
    reply = await edge.messages(key)
    assert reply.status == 503
    assert reply.error["type"] == "api_error"
    assert (await edge.ledger.state(record)).slots_in_use == 1


async def test_an_answer_that_breaks_off_is_a_503(edge: EdgeUnderTest) -> None:
    key, _ = await edge.ledger.key()

    async def answer(peer: Peer, _: Seen) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
        peer.writer.close()
        raise ConnectionResetError

    edge.router.answer = answer
    reply = await edge.messages(key)
    assert reply.status == 503
    assert "x-credits-used" not in reply.headers


async def test_a_silent_router_is_a_504(redis_url: str, nats_url: str, tmp_path: Path) -> None:
    async with running_edge(redis_url, nats_url, tmp_path, response_timeout_s=0.2) as edge:

        async def answer(peer: Peer, _: Seen) -> None:
            await peer.hang_up_seen()

        edge.router.answer = answer
        key, _ = await edge.ledger.key()
        assert (await edge.messages(key)).status == 504


async def test_a_new_catalogue_is_taken_over_and_a_bad_one_refused(edge: EdgeUnderTest) -> None:
    key, _ = await edge.ledger.key()
    good = edge.catalogue.read_text()
    wider = good.replace('"claude-unpriced"]', '"claude-unpriced", "claude-other"]')
    edge.catalogue.write_text(wider)
    await until_status(edge, key, message(model="claude-other"), 200)
    edge.catalogue.write_text("models = 3")
    await until_metric(edge, 'gateway_catalogue_reloads_total{result="refused"} 1.0')
    assert (await edge.messages(key, message(model="claude-other"))).status == 200
    edge.catalogue.write_text(good)
    await until_status(edge, key, message(model="claude-other"), 403)


async def until_status(edge: EdgeUnderTest, key: str, body: bytes, status: int) -> None:
    async with asyncio.timeout(10):
        while (await edge.messages(key, body)).status != status:
            pass


async def until_metric(edge: EdgeUnderTest, line: str) -> None:
    async with asyncio.timeout(10):
        while line not in await edge.metrics():
            pass
