"""``POST /v1/messages`` through a real edge: what reaches the router, what reaches the client."""

from __future__ import annotations

import gzip

import msgspec
import pytest

from bytespike_contracts.keys import SpendCaps
from bytespike_contracts.money import format_usd
from bytespike_contracts.principal import INTERNAL_TOKEN_HEADER, Reading
from tests.integration.edge.surroundings import (
    INTERNAL_TOKEN,
    EdgeUnderTest,
    message,
    sse,
    whole,
)


async def test_a_message_is_relayed_with_a_principal_and_without_the_credential(
    edge: EdgeUnderTest,
) -> None:
    key, record = await edge.ledger.key()
    body = b'{ "model":"claude-sonnet-4.5", "max_tokens": 10, "messages":[ {"role":"user"} ] }'
    reply = await edge.call(
        "POST",
        "/v1/messages?beta=true&key=stray",
        key=key,
        headers={
            "anthropic-version": "2023-06-01",
            "anthropic-beta": "a-1,b-2",
            "x-simulator-fault": "none",
            "x-bytespike-principal": "forged",
            "cookie": "session=1",
            "user-agent": "sdk/1",
        },
        body=body,
    )
    assert reply.status == 200
    assert reply.body == b'{"type":"message"}'
    seen = edge.router.last
    assert seen.line == "POST /v1/messages?beta=true HTTP/1.1"
    assert seen.body == body
    assert key.encode() not in seen.head
    assert seen.header("anthropic-beta") == "a-1,b-2"
    assert seen.header("x-simulator-fault") == "none"
    assert seen.header("cookie") is None
    assert seen.header("user-agent") is None
    assert seen.header(INTERNAL_TOKEN_HEADER) == INTERNAL_TOKEN
    principal = seen.principal
    assert principal.account_id == record.account_id
    assert principal.request_id == reply.headers["x-request-id"] == reply.headers["request-id"]
    assert principal.grant is not None
    assert principal.reading is not None
    assert (principal.reading.model, principal.reading.stream) == ("claude-sonnet-4-5", False)
    assert principal.reading.model_span is not None
    assert body[slice(*principal.reading.model_span)] == b'"claude-sonnet-4.5"'
    assert principal.grant.scopes == (record.key_id,)
    assert format_usd(principal.grant.hold_uusd) == reply.headers["x-estimated-credits"]


async def test_the_hold_is_taken_and_left_to_the_router(edge: EdgeUnderTest) -> None:
    key, record = await edge.ledger.key()
    reply = await edge.messages(key)
    grant = edge.router.last.principal.grant
    assert grant is not None
    state = await edge.ledger.state(record)
    assert state.pending_uusd == grant.hold_uusd > 0
    assert state.slots_in_use == 1
    await edge.ledger.finish(record, reply.headers["x-request-id"], 0)
    state = await edge.ledger.state(record)
    assert (state.pending_uusd, state.slots_in_use) == (0, 0)


async def test_the_cost_is_reported_and_counted_in_what_is_left(edge: EdgeUnderTest) -> None:
    caps = SpendCaps(quota_uusd=10_000_000, window_5h_uusd=5_000_000, window_1d_uusd=20_000_000)
    key, record = await edge.ledger.key(caps=caps, org_id="org_1")
    await edge.ledger.spent(record, 1_000_000, balance_uusd=50_000_000)
    edge.router.answer = whole(
        x_bytespike_cost_uusd="18", x_bytespike_attempts="2", x_bytespike_dropped="anthropic-beta.x"
    )
    reply = await edge.messages(key)
    headers = reply.headers
    assert headers["x-credits-used"] == "0.000018"
    assert headers["x-ratelimit-limit"] == "5.00"
    assert headers["x-ratelimit-remaining"] == "3.999982"
    assert int(headers["x-ratelimit-reset"]) > 1_700_000_000
    assert headers["x-quota-remaining-credits"] == "8.999982"
    assert headers["x-org-quota-remaining-credits"] == "49.999982"
    assert headers["x-bytespike-attempts"] == "2"
    assert headers["x-bytespike-dropped"] == "anthropic-beta.x"
    assert float(headers["x-bytespike-overhead-ms"]) >= 0
    assert "x-bytespike-cost-uusd" not in headers


async def test_a_stream_passes_byte_for_byte_with_its_headers_first(edge: EdgeUnderTest) -> None:
    caps = SpendCaps(quota_uusd=10_000_000)
    key, _ = await edge.ledger.key(caps=caps)
    events = [
        b"event: ping\ndata: {}\n\n",
        b'event: x\ndata: {"a": 1}\n\n',
        "data: né\n\n".encode(),
    ]
    edge.router.answer = sse(*events)
    reply = await edge.messages(key, message(stream=True))
    assert reply.status == 200
    assert reply.body == b"".join(events)
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert reply.headers["x-quota-remaining-credits"] == "10.00"
    assert "x-credits-used" not in reply.headers


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/v1/messages", "/v1/v1/messages?beta=true"])
async def test_the_doubled_prefix_is_the_same_route(edge: EdgeUnderTest, path: str) -> None:
    key, _ = await edge.ledger.key()
    reply = await edge.call("POST", path, key=key, body=message())
    assert reply.status == 200
    assert edge.router.last.line.split()[1].startswith("/v1/messages")


async def test_counting_tokens_holds_nothing_and_works_without_money(edge: EdgeUnderTest) -> None:
    key, record = await edge.ledger.key(balance_uusd=0)
    edge.router.answer = whole(b'{"input_tokens":3}')
    body = b'{"model":"claude-sonnet-4-5","messages":[{"role":"user","content":"x"}]}'
    reply = await edge.call("POST", "/v1/messages/count_tokens", key=key, body=body)
    assert reply.status == 200
    assert reply.json() == {"input_tokens": 3}
    assert edge.router.last.principal.grant is None
    assert edge.router.last.principal.reading == Reading(
        model="claude-sonnet-4-5", model_span=(9, 28), text_bytes=72
    )
    assert "x-estimated-credits" not in reply.headers
    assert (await edge.ledger.state(record)).slots_in_use == 0


async def test_own_data_goes_to_the_ledger_with_the_principal(edge: EdgeUnderTest) -> None:
    key, record = await edge.ledger.key()
    edge.router.answer = whole(b'{"object":"balance"}')
    reply = await edge.call("GET", "/v1/usage?limit=5", key=key)
    assert reply.json() == {"object": "balance"}
    assert edge.router.last.line == "GET /v1/usage?limit=5 HTTP/1.1"
    assert edge.router.last.principal.key_id == record.key_id


async def test_administration_is_forwarded_with_the_callers_own_authorization(
    edge: EdgeUnderTest,
) -> None:
    edge.router.answer = whole(b'{"id":"org_1"}', status=201)
    reply = await edge.call(
        "POST",
        "/api/v1/admin/orgs?x=1",
        headers={"authorization": "Bearer admin"},
        body=b'{"name":"a"}',
    )
    assert reply.status == 201
    seen = edge.router.last
    assert seen.line == "POST /api/v1/admin/orgs?x=1 HTTP/1.1"
    assert seen.header("authorization") == "Bearer admin"
    assert seen.header(INTERNAL_TOKEN_HEADER) == INTERNAL_TOKEN
    assert seen.header("x-bytespike-principal") is None
    assert seen.body == b'{"name":"a"}'


async def test_a_dry_run_prices_without_calling_anybody(edge: EdgeUnderTest) -> None:
    key, record = await edge.ledger.key(balance_uusd=0)
    reply = await edge.messages(key, message(max_tokens=1000), x_bytespike_dry_run="true")
    assert reply.status == 200
    answer = reply.json()
    assert answer["model"] == "claude-sonnet-4-5"
    assert answer["input_tokens"] == -(-len(message(max_tokens=1000)) // 3)
    expected = answer["input_tokens"] * 3 + 1000 * 15
    assert f'"estimated_credits":{format_usd(expected)}'.encode() in reply.body
    assert [part["kind"] for part in answer["breakdown"]] == ["input", "output"]
    assert edge.router.seen == []
    assert (await edge.ledger.state(record)).pending_uusd == 0


async def test_a_gzipped_body_is_accepted_and_forwarded_plain(edge: EdgeUnderTest) -> None:
    key, _ = await edge.ledger.key()
    reply = await edge.messages(key, gzip.compress(message(), mtime=0), content_encoding="gzip")
    assert reply.status == 200
    assert edge.router.last.body == message()
    assert edge.router.last.header("content-encoding") is None


async def test_a_vendors_refusal_passes_with_its_status_and_body(edge: EdgeUnderTest) -> None:
    key, _ = await edge.ledger.key()
    body = msgspec.json.encode({"type": "error", "error": {"type": "invalid_request_error"}})
    edge.router.answer = whole(body, status=400)
    reply = await edge.messages(key)
    assert (reply.status, reply.body) == (400, body)
    assert "x-credits-used" not in reply.headers
