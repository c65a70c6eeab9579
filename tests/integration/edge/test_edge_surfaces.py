"""Every text surface through a real edge: admitted, forwarded as it came, relayed as it goes."""

from __future__ import annotations

import gzip
from typing import Any

import msgspec
import pytest

from bytespike_contracts.money import format_usd
from bytespike_contracts.principal import Reading
from bytespike_protocols.ir import Dialect
from tests.integration.edge.surfaces import ALIAS, MODEL, PAID, SURFACES, Surface
from tests.integration.edge.surroundings import Answer, EdgeUnderTest, Seen, sse, whole
from tests.support.raw_http import Peer, chunk

all_surfaces = pytest.mark.parametrize("surface", SURFACES, ids=str)
paid_surfaces = pytest.mark.parametrize("surface", PAID, ids=str)
ARRAY_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
    b"x-bytespike-attempts: 1\r\ntransfer-encoding: chunked\r\n\r\n"
)
ELEMENTS = (b'[{"a":"]"}', b',\r\n{"b":2}', b"]")


def array(*pieces: bytes) -> Answer:
    """Stream a JSON array in pieces."""

    async def answer(peer: Peer, _: Seen) -> None:
        await peer.send(ARRAY_HEAD)
        for piece in pieces:
            await peer.send(chunk(piece))
        await peer.send(chunk(b""))

    return answer


@all_surfaces
async def test_the_router_gets_the_bytes_and_what_was_read_in_them(
    edge: EdgeUnderTest, surface: Surface
) -> None:
    key, record = await edge.ledger.key()
    body = surface.body(ALIAS).replace(b":", b" :\t", 1)
    reply = await edge.call("POST", surface.target(ALIAS), key=key, body=body)
    assert (reply.status, reply.body) == (200, b'{"type":"message"}')
    seen = edge.router.last
    assert seen.line == f"POST {surface.sent_path} HTTP/1.1"
    assert seen.body == body
    assert key.encode() not in seen.head
    principal = seen.principal
    assert (principal.key_id, principal.group) == (record.key_id, "default")
    assert principal.reading is not None
    span = principal.reading.model_span
    if "{" in surface.path:
        assert span is None
    else:
        assert span is not None
        assert body[slice(*span)] == f'"{ALIAS}"'.encode()
    assert principal.reading == Reading(
        model=MODEL,
        model_span=span,
        called=ALIAS,
        stream=surface.streams,
        framing=surface.framing,
        text_bytes=len(body),
    )
    if surface.paid:
        assert principal.grant is not None
        assert format_usd(principal.grant.hold_uusd) == reply.headers["x-estimated-credits"]
        assert (await edge.ledger.state(record)).pending_uusd == principal.grant.hold_uusd
    else:
        assert principal.grant is None
        assert "x-estimated-credits" not in reply.headers


@all_surfaces
async def test_the_catalogues_own_name_is_not_repeated(
    edge: EdgeUnderTest, surface: Surface
) -> None:
    key, _ = await edge.ledger.key()
    await edge.call("POST", surface.target(), key=key, body=surface.body())
    reading = edge.router.last.principal.reading
    assert reading is not None
    assert (reading.model, reading.called) == (MODEL, "")


@pytest.mark.parametrize("surface", [s for s in PAID if "{" not in s.path], ids=str)
async def test_a_body_can_ask_for_a_stream(edge: EdgeUnderTest, surface: Surface) -> None:
    key, _ = await edge.ledger.key()
    events = [b'data: {"a":1}\n\n', "data: né\n\n".encode(), b"data: [DONE]\n\n"]
    edge.router.answer = sse(*events)
    reply = await edge.call("POST", surface.target(), key=key, body=surface.body(stream=True))
    assert (reply.status, reply.body) == (200, b"".join(events))
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert reply.headers["x-accel-buffering"] == "no"
    assert "content-length" not in reply.headers
    reading = edge.router.last.principal.reading
    assert reading is not None
    assert (reading.stream, reading.framing) == (True, "sse")


async def test_an_array_is_relayed_as_a_stream_byte_for_byte(edge: EdgeUnderTest) -> None:
    key, _ = await edge.ledger.key()
    edge.router.answer = array(*ELEMENTS)
    (surface,) = (s for s in PAID if s.framing == "array")
    reply = await edge.call("POST", surface.target(), key=key, body=surface.body())
    assert (reply.status, reply.body) == (200, b"".join(ELEMENTS))
    assert reply.headers["content-type"] == "application/json"
    assert "content-length" not in reply.headers


@paid_surfaces
async def test_a_dry_run_prices_without_calling_anybody(
    edge: EdgeUnderTest, surface: Surface
) -> None:
    key, record = await edge.ledger.key(balance_uusd=0)
    body = surface.capped(1000)
    reply = await edge.call(
        "POST", surface.target(), key=key, headers={"x-bytespike-dry-run": "true"}, body=body
    )
    expected = -(-len(body) // 3) * 3 + 1000 * 15
    assert reply.status == 200
    assert f'"estimated_credits":{format_usd(expected)}'.encode() in reply.body
    assert reply.json()["model"] == MODEL
    assert edge.router.seen == []
    assert (await edge.ledger.state(record)).pending_uusd == 0


@pytest.mark.parametrize("surface", PAID[1:], ids=str)
async def test_without_a_cap_the_models_own_is_held(edge: EdgeUnderTest, surface: Surface) -> None:
    key, _ = await edge.ledger.key()
    body = surface.body()
    await edge.call("POST", surface.target(), key=key, body=body)
    grant = edge.router.last.principal.grant
    assert grant is not None
    assert grant.hold_uusd == -(-len(body) // 3) * 3 + 64_000 * 15


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("chat", {"n": 4, "max_tokens": 10}),
        ("generate", {"generationConfig": {"candidateCount": 4, "maxOutputTokens": 10}}),
        ("stream-sse", {"generation_config": {"candidate_count": 4, "max_output_tokens": 10}}),
    ],
)
async def test_each_candidate_is_held(edge: EdgeUnderTest, name: str, more: dict[str, Any]) -> None:
    (surface,) = (s for s in PAID if s.name == name)
    key, _ = await edge.ledger.key()
    body = surface.body(**more)
    await edge.call("POST", surface.target(), key=key, body=body)
    grant = edge.router.last.principal.grant
    assert grant is not None
    assert grant.hold_uusd == -(-len(body) // 3) * 3 + 4 * 10 * 15


@all_surfaces
async def test_a_gzipped_body_is_forwarded_plain(edge: EdgeUnderTest, surface: Surface) -> None:
    key, _ = await edge.ledger.key()
    packed = gzip.compress(surface.body(), mtime=0)
    reply = await edge.call(
        "POST", surface.target(), key=key, headers={"content-encoding": "gzip"}, body=packed
    )
    assert reply.status == 200
    assert edge.router.last.body == surface.body()
    assert edge.router.last.header("content-encoding") is None


@all_surfaces
async def test_what_the_router_says_about_its_answer_passes(
    edge: EdgeUnderTest, surface: Surface
) -> None:
    key, _ = await edge.ledger.key()
    edge.router.answer = whole(
        x_bytespike_cost_uusd="18",
        x_bytespike_attempts="2",
        x_bytespike_dropped="seed, logit_bias",
        x_bytespike_estimated="true",
        x_bytespike_secret="no",
    )
    headers = (await edge.call("POST", surface.target(), key=key, body=surface.body())).headers
    assert headers["x-bytespike-attempts"] == "2"
    assert headers["x-bytespike-dropped"] == "seed, logit_bias"
    assert headers["x-bytespike-estimated"] == "true"
    assert headers["x-credits-used"] == "0.000018"
    assert "x-bytespike-secret" not in headers


@paid_surfaces
async def test_a_repeat_with_an_idempotency_key_gets_the_first_answer(
    edge: EdgeUnderTest, surface: Surface
) -> None:
    key, _ = await edge.ledger.key()
    edge.router.answer = array(*ELEMENTS) if surface.streams else whole(b'{"id":1}')
    replies = [
        await edge.call(
            "POST",
            surface.target(),
            key=key,
            headers={"idempotency-key": "k1"},
            body=surface.body(),
        )
        for _ in range(2)
    ]
    assert replies[0].status == replies[1].status == 200
    assert replies[0].body == replies[1].body
    assert replies[1].headers["x-bytespike-replayed"] == "true"
    assert len(edge.router.seen) == 1


async def test_the_same_body_for_another_verb_or_framing_is_another_call(
    edge: EdgeUnderTest,
) -> None:
    key, _ = await edge.ledger.key()
    google = [s for s in PAID if s.dialect is Dialect.GEMINI and s.name != "generate-v1"]
    statuses = [
        (
            await edge.call(
                "POST",
                surface.target(),
                key=key,
                headers={"idempotency-key": "k1"},
                body=surface.body(),
            )
        ).status
        for surface in google
    ]
    assert statuses == [200, 409, 409]


@pytest.mark.parametrize("prefix", ["", "/v1"])
@pytest.mark.parametrize("colon", [":", "%3A", "%3a"])
async def test_every_spelling_of_a_google_path_is_one_route(
    edge: EdgeUnderTest, prefix: str, colon: str
) -> None:
    key, _ = await edge.ledger.key()
    for version in ("v1", "v1beta"):
        for name in (MODEL, f"models/{MODEL}", f"models%2F{MODEL}"):
            path = f"{prefix}/{version}/models/{name}{colon}generateContent?key={key}&x=1"
            body = b'{"contents":[{}]}'
            reply = await edge.call("POST", path, body=body)
            assert reply.status == 200, path
            assert edge.router.last.line == "POST /v1beta/generateContent?x=1 HTTP/1.1"
            read = Reading(model=MODEL, model_span=None, text_bytes=len(body))
            assert edge.router.last.principal.reading == read


@pytest.mark.parametrize("query", ["alt=sse", "x=1&alt=sse", "alt=%73se", "alt=sse&key=stray"])
async def test_googles_events_are_asked_for_in_the_query(edge: EdgeUnderTest, query: str) -> None:
    key, _ = await edge.ledger.key()
    path = f"/v1beta/models/{MODEL}:streamGenerateContent?{query}"
    await edge.call("POST", path, key=key, body=b'{"contents":[{}]}')
    reading = edge.router.last.principal.reading
    assert reading is not None
    assert reading.framing == "sse"


async def test_routes_are_counted_under_their_templates(edge: EdgeUnderTest) -> None:
    key, _ = await edge.ledger.key()
    for surface in SURFACES:
        await edge.call("POST", surface.target(), key=key, body=surface.body())
    await edge.call("POST", "/v1beta/models/no-such:generateContent", key=key, body=b"{}")
    metrics = await edge.metrics()
    assert 'route="/v1beta/models/{model}:generateContent"' in metrics
    assert 'route="/v1/responses"' in metrics
    assert "no-such" not in metrics
    assert msgspec.json.encode(MODEL).decode() not in metrics
