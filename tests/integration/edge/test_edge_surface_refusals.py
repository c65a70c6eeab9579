"""Refusals and broken streams of every text surface, each in the words of its own dialect."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bytespike_cli.ports import free_port
from bytespike_contracts.keys import Scope, SpendCaps
from bytespike_protocols.ir import Dialect
from bytespike_runtime.http_client import ResponseBroken
from tests.integration.edge.surfaces import MODEL, PAID, SURFACES, Surface, envelope_of
from tests.integration.edge.surroundings import (
    STREAM_HEAD,
    EdgeUnderTest,
    Reply,
    Seen,
    running_edge,
    whole,
)
from tests.support.raw_http import Peer, chunk, collect

ENVELOPES = {
    Dialect.ANTHROPIC: "anthropic",
    Dialect.OPENAI_CHAT: "openai",
    Dialect.OPENAI_RESPONSES: "openai",
    Dialect.GEMINI: "google",
}
MIB = 1_048_576

all_surfaces = pytest.mark.parametrize("surface", SURFACES, ids=str)
paid_surfaces = pytest.mark.parametrize("surface", PAID, ids=str)


async def call(
    edge: EdgeUnderTest,
    surface: Surface,
    key: str | None,
    *,
    model: str = MODEL,
    body: bytes | None = None,
    method: str = "POST",
    headers: Mapping[str, str] = {},
) -> Reply:
    body = surface.body(model) if body is None else body
    target = surface.target(model)
    return await edge.call(method, target, key=key, headers=headers, body=body)


def assert_refused(reply: Reply, surface: Surface, status: int, code: str) -> None:
    assert reply.status == status
    assert envelope_of(reply) == ENVELOPES[surface.dialect]
    said = code.upper() if surface.dialect is Dialect.GEMINI else code
    assert said.encode() in reply.body
    assert reply.headers["x-request-id"].encode() in reply.body
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers.get("retry-after") or status not in (429, 503)


@all_surfaces
async def test_before_the_body_is_read(edge: EdgeUnderTest, surface: Surface) -> None:
    key, _ = await edge.ledger.key()
    managing, _ = await edge.ledger.key(scopes=(Scope.MANAGE,))
    assert_refused(await call(edge, surface, None), surface, 401, "invalid_api_key")
    assert_refused(await call(edge, surface, managing), surface, 403, "permission_denied")
    reply = await call(edge, surface, key, method="PUT")
    assert_refused(reply, surface, 405, "method_not_allowed")
    assert reply.headers["allow"] == "POST"
    reply = await call(edge, surface, key, headers={"content-type": "text/plain"})
    assert_refused(reply, surface, 415, "unsupported_media_type")
    reply = await call(edge, surface, key, headers={"content-encoding": "br"})
    assert_refused(reply, surface, 415, "unsupported_media_type")
    reply = await call(edge, surface, key, headers={"x-bytespike-strict": "maybe"})
    assert_refused(reply, surface, 400, "invalid_request")
    assert edge.router.seen == []


@all_surfaces
async def test_a_body_that_is_too_large(edge: EdgeUnderTest, surface: Surface) -> None:
    key, _ = await edge.ledger.key()
    reply = await call(edge, surface, key, body=b" " * (32 * MIB + 1))
    assert_refused(reply, surface, 413, "request_too_large")
    assert b"32 MiB" in reply.body


@all_surfaces
async def test_models_that_cannot_be_had(edge: EdgeUnderTest, surface: Surface) -> None:
    key, _ = await edge.ledger.key()
    reply = await call(edge, surface, key, model="gpt-9")
    assert_refused(reply, surface, 404, "model_not_found")
    reply = await call(edge, surface, key, model="claude-other")
    assert_refused(reply, surface, 403, "model_not_in_group")
    if surface.paid:
        reply = await call(edge, surface, key, model="claude-unpriced")
        assert_refused(reply, surface, 503, "unavailable")
    assert edge.router.seen == []


@all_surfaces
@pytest.mark.parametrize("body", [b"{", b"[]", b"", b'{"a":1,"a":2}'])
async def test_bodies_that_are_no_json_object(
    edge: EdgeUnderTest, surface: Surface, body: bytes
) -> None:
    key, _ = await edge.ledger.key()
    assert_refused(await call(edge, surface, key, body=body), surface, 400, "invalid_request")


@paid_surfaces
@pytest.mark.parametrize("cap", ["x", -1, [], True, 10_000_001])
async def test_a_bad_cap_is_named_by_its_path(
    edge: EdgeUnderTest, surface: Surface, cap: object
) -> None:
    key, _ = await edge.ledger.key()
    reply = await call(edge, surface, key, body=surface.capped(cap))
    assert_refused(reply, surface, 400, "invalid_request")
    path = ".".join(surface.cap)
    if ENVELOPES[surface.dialect] == "openai":
        assert reply.error["param"] == path
    else:
        assert reply.error["message"].startswith(f"{path}: must be ")


@paid_surfaces
async def test_money_and_limits(edge: EdgeUnderTest, surface: Surface) -> None:
    poor, _ = await edge.ledger.key(balance_uusd=10)
    reply = await call(edge, surface, poor)
    assert_refused(reply, surface, 402, "insufficient_balance")
    key, record = await edge.ledger.key(caps=SpendCaps(quota_uusd=1_000_000))
    await edge.ledger.spent(record, 1_000_000, balance_uusd=10_000_000)
    assert_refused(await call(edge, surface, key), surface, 402, "quota_exceeded")
    key, record = await edge.ledger.key(caps=SpendCaps(window_7d_uusd=1_000_000))
    await edge.ledger.spent(record, 1_000_000, balance_uusd=10_000_000)
    reply = await call(edge, surface, key)
    assert_refused(reply, surface, 429, "rate_limit_exceeded")
    # The wait is longer than any SDK has patience for.
    assert reply.headers["x-should-retry"] == "false"
    key, _ = await edge.ledger.key(concurrency=1)
    await call(edge, surface, key)
    reply = await call(edge, surface, key)
    assert_refused(reply, surface, 429, "concurrency_limit")
    assert "x-should-retry" not in reply.headers
    loading, _ = await edge.ledger.key(balance_uusd=None)
    assert_refused(await call(edge, surface, loading), surface, 503, "unavailable")


async def test_words_for_missing_money_by_dialect(edge: EdgeUnderTest) -> None:
    key, _ = await edge.ledger.key(balance_uusd=10)
    replies = {surface.name: await call(edge, surface, key) for surface in PAID}
    assert replies["messages"].error["type"] == "billing_error"
    for name in ("chat", "responses"):
        error = replies[name].error
        assert (error["type"], error["code"]) == ("insufficient_quota", "insufficient_balance")
    assert replies["generate"].error["status"] == "FAILED_PRECONDITION"


@paid_surfaces
async def test_a_repeat_with_another_body_is_not_worth_repeating(
    edge: EdgeUnderTest, surface: Surface
) -> None:
    key, _ = await edge.ledger.key()
    headers = {"idempotency-key": "k1"}
    await call(edge, surface, key, headers=headers)
    reply = await call(edge, surface, key, headers=headers, body=surface.capped(7))
    assert_refused(reply, surface, 409, "idempotency_conflict")
    assert reply.headers["x-should-retry"] == "false"


@paid_surfaces
async def test_a_router_that_cannot_be_reached(
    redis_url: str, nats_url: str, tmp_path: Path, surface: Surface
) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    async with running_edge(redis_url, nats_url, tmp_path, text_url=nobody) as edge:
        key, record = await edge.ledger.key()
        assert_refused(await call(edge, surface, key), surface, 503, "unavailable")
        assert (await edge.ledger.state(record)).pending_uusd == 0


@all_surfaces
async def test_what_the_router_refuses_passes_as_it_is(
    edge: EdgeUnderTest, surface: Surface
) -> None:
    key, _ = await edge.ledger.key()
    edge.router.answer = whole(b'{"error":{}}', status=503, retry_after="7")
    reply = await call(edge, surface, key)
    assert (reply.status, reply.body) == (503, b'{"error":{}}')
    assert reply.headers["retry-after"] == "7"


@pytest.mark.parametrize(
    ("path", "envelope"),
    [
        ("/v1/responses/resp_1", "openai"),
        ("/v1/chat/completions/chatcmpl-1", "openai"),
        ("/v1beta/tunedModels/a:generateContent", "google"),
        ("/v1/models/a:predict", "google"),
        ("/v1/v1beta/cachedContents", "google"),
    ],
)
async def test_what_is_not_served_is_a_404(edge: EdgeUnderTest, path: str, envelope: str) -> None:
    for method in ("GET", "POST"):
        reply = await edge.call(method, path)
        assert (reply.status, envelope_of(reply)) == (404, envelope)


FRAMES: dict[Dialect, bytes] = {
    Dialect.ANTHROPIC: b'event: x\ndata: {"type":"x"}\n\n',
    Dialect.OPENAI_CHAT: b'data: {"choices":[]}\n\n',
    Dialect.OPENAI_RESPONSES: b'event: x\ndata: {"type":"x"}\n\n',
    Dialect.GEMINI: b'data: {"candidates":[]}\r\n\r\n',
}


def streamed(surface: Surface) -> tuple[bytes, bytes]:
    """What a stream of the surface begins with: a whole frame, and half of the next."""
    if surface.framing == "array":
        return b'[{"candidates":[]}', b',\r\n{"candidates":["'
    frame = FRAMES[surface.dialect]
    return frame, frame[:9]


async def broken(edge: EdgeUnderTest, surface: Surface, *pieces: bytes) -> bytes:
    """What a client gets of a stream whose router dies after ``pieces``."""
    key, _ = await edge.ledger.key()

    async def answer(peer: Peer, _: Seen) -> None:
        await peer.send(STREAM_HEAD + b"".join(chunk(piece) for piece in pieces))
        peer.writer.close()
        raise ConnectionResetError

    edge.router.answer = answer
    more: dict[str, Any] = {} if surface.streams else {"stream": True}
    response = await edge.open("POST", surface.target(), key=key, body=surface.body(**more))
    assert response.status == 200
    received: list[bytes] = []
    with pytest.raises(ResponseBroken):
        await collect(response, received, idle_timeout_s=5)
    return b"".join(received)


@pytest.mark.parametrize("surface", [s for s in PAID if not s.name.startswith("generate")], ids=str)
async def test_a_stream_that_breaks_says_so_where_it_can(
    edge: EdgeUnderTest, surface: Surface
) -> None:
    whole_frame, half = streamed(surface)
    said = await broken(edge, surface, whole_frame)
    assert said.startswith(whole_frame)
    words = said.removeprefix(whole_frame)
    assert b"broke off inside the gateway" in words
    if surface.framing == "array":
        with pytest.raises(msgspec.DecodeError):
            msgspec.json.decode(said)
        assert "error" in msgspec.json.decode(said + b"]")[-1]
    else:
        has_event_line = surface.dialect in (Dialect.ANTHROPIC, Dialect.OPENAI_RESPONSES)
        assert words.startswith(b"event: error\n" if has_event_line else b'data: {"error":')
    # Within a frame there is nothing to be said, and what the service said is enough.
    assert await broken(edge, surface, whole_frame, half) == whole_frame + half
    assert await broken(edge, surface, whole_frame, words) == whole_frame + words


async def test_a_gemini_client_that_leaves_an_array_is_gone_for_the_router_too(
    edge: EdgeUnderTest,
) -> None:
    key, _ = await edge.ledger.key()
    (surface,) = (s for s in PAID if s.framing == "array")
    left = asyncio.Event()

    async def answer(peer: Peer, _: Seen) -> None:
        await peer.send(STREAM_HEAD + chunk(b'[{"a":1}'))
        await peer.hang_up_seen()
        left.set()

    edge.router.answer = answer
    response = await edge.open("POST", surface.target(), key=key, body=surface.body())
    assert await response.chunk(idle_timeout_s=5) == b'[{"a":1}'
    response.abort()
    async with asyncio.timeout(5):
        await left.wait()
