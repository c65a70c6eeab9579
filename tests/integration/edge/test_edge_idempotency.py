"""``Idempotency-Key``: one charge per key and body, whatever happens to the first answer."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.edge.surroundings import (
    STREAM_HEAD,
    EdgeUnderTest,
    Seen,
    message,
    sse,
    whole,
)
from tests.support.raw_http import Peer, chunk, eventually

EVENTS = [b"event: a\ndata: 1\n\n", b"event: message_stop\ndata: 2\n\n"]


async def test_the_second_call_gets_the_first_answer_and_costs_nothing(
    edge: EdgeUnderTest,
) -> None:
    key, record = await edge.ledger.key()
    edge.router.answer = whole(b'{"type":"message","id":"m1"}', x_bytespike_cost_uusd="18")
    first = await edge.messages(key, idempotency_key="k1")
    await edge.ledger.finish(record, first.headers["x-request-id"], 18)
    before = await edge.ledger.state(record)
    edge.router.answer = whole(b'{"type":"message","id":"m2"}')
    second = await edge.messages(key, idempotency_key="k1")
    assert (second.status, second.body) == (first.status, first.body)
    assert second.headers["x-bytespike-replayed"] == "true"
    for header in ("content-type", "x-credits-used", "x-estimated-credits"):
        assert second.headers[header] == first.headers[header]
    assert second.headers["x-request-id"] != first.headers["x-request-id"]
    assert len(edge.router.seen) == 1
    assert await edge.ledger.state(record) == before


async def test_a_stream_is_replayed_byte_for_byte(edge: EdgeUnderTest) -> None:
    key, _ = await edge.ledger.key()
    edge.router.answer = sse(*EVENTS)
    body = message(stream=True)
    first = await edge.messages(key, body, idempotency_key="k1")
    second = await edge.messages(key, body, idempotency_key="k1")
    assert second.body == first.body == b"".join(EVENTS)
    assert second.headers["content-type"] == first.headers["content-type"]
    assert len(edge.router.seen) == 1


async def test_another_body_under_the_same_key_is_a_409(edge: EdgeUnderTest) -> None:
    key, _ = await edge.ledger.key()
    await edge.messages(key, idempotency_key="k1")
    reply = await edge.messages(key, message(max_tokens=7), idempotency_key="k1")
    assert (reply.status, reply.error["code"]) == (409, "idempotency_conflict")
    assert len(edge.router.seen) == 1


async def test_a_twin_still_running_is_a_409_and_then_a_replay(edge: EdgeUnderTest) -> None:
    key, _ = await edge.ledger.key()
    go = asyncio.Event()

    async def answer(peer: Peer, seen: Seen) -> None:
        await go.wait()
        await whole()(peer, seen)

    edge.router.answer = answer
    async with asyncio.TaskGroup() as group:
        first = group.create_task(edge.messages(key, idempotency_key="k1"))
        await eventually(lambda: len(edge.router.seen) == 1)
        reply = await edge.messages(key, idempotency_key="k1")
        assert (reply.status, reply.error["code"]) == (409, "request_in_progress")
        go.set()
    assert first.result().status == 200
    assert (await edge.messages(key, idempotency_key="k1")).headers["x-bytespike-replayed"]


async def test_a_failure_leaves_no_record(edge: EdgeUnderTest) -> None:
    key, record = await edge.ledger.key()
    edge.router.answer = whole(b"{}", status=529)
    assert (await edge.messages(key, idempotency_key="k1")).status == 529
    await edge.ledger.load(record, 0)
    assert (await edge.messages(key, idempotency_key="k1")).status == 402
    await edge.ledger.load(record, 100_000_000)
    edge.router.answer = whole()
    reply = await edge.messages(key, idempotency_key="k1")
    assert reply.status == 200
    assert "x-bytespike-replayed" not in reply.headers


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_lost_on_the_way_to_the_client_is_replayed(
    edge: EdgeUnderTest, stream: bool
) -> None:
    key, _ = await edge.ledger.key()
    go = asyncio.Event()

    async def answer(peer: Peer, seen: Seen) -> None:
        if stream:
            await peer.send(STREAM_HEAD + chunk(EVENTS[0]))
        await go.wait()
        if stream:
            await peer.send(chunk(EVENTS[1]) + chunk(b""))
        else:
            await whole(b'{"type":"message","id":"lost"}')(peer, seen)

    edge.router.answer = answer
    body = message(stream=stream)
    _, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(
        f"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\nidempotency-key: k1\r\n"
        f"content-length: {len(body)}\r\n\r\n".encode()
        + body
    )
    await eventually(lambda: len(edge.router.seen) == 1)
    writer.transport.abort()
    go.set()
    async with asyncio.timeout(5):
        while (reply := await edge.messages(key, body, idempotency_key="k1")).status == 409:
            pass
    assert reply.headers["x-bytespike-replayed"] == "true"
    assert reply.body == (b"".join(EVENTS) if stream else b'{"type":"message","id":"lost"}')
    assert len(edge.router.seen) == 1


async def test_an_answer_too_large_to_keep_is_a_409_that_says_so(edge: EdgeUnderTest) -> None:
    key, _ = await edge.ledger.key()
    edge.router.answer = whole(b"x" * 1_048_577)
    first = await edge.messages(key, idempotency_key="k1")
    assert first.status == 200
    reply = await edge.messages(key, idempotency_key="k1")
    assert (reply.status, reply.error["code"]) == (409, "conflict")
    assert first.headers["x-request-id"] in reply.error["message"]


async def test_keys_are_per_api_key(edge: EdgeUnderTest) -> None:
    one, _ = await edge.ledger.key()
    other, _ = await edge.ledger.key()
    await edge.messages(one, idempotency_key="k1")
    reply = await edge.messages(other, idempotency_key="k1")
    assert "x-bytespike-replayed" not in reply.headers
    assert len(edge.router.seen) == 2


@pytest.mark.parametrize("header", ["", "x" * 256])
async def test_an_unusable_header_is_a_400(edge: EdgeUnderTest, header: str) -> None:
    key, _ = await edge.ledger.key()
    assert (await edge.messages(key, idempotency_key=header)).status == 400
