"""Requests nobody sends by accident: each is refused in the envelope, none is a crash."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.gateway import Answer, Gateway

ORGS = "/api/v1/admin/orgs"


async def post(gateway: Gateway, body: bytes, **headers: str) -> Answer:
    sent = {"authorization": f"Bearer {gateway.stack.admin_token}"}
    sent["content-type"] = "application/json"
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    return await gateway.call("POST", ORGS, data=body, headers=sent)


async def get(gateway: Gateway, path: str) -> Answer:
    headers = {"authorization": f"Bearer {gateway.stack.admin_token}"}
    return await gateway.call("GET", path, headers=headers)


async def raw(gateway: Gateway, head: bytes) -> tuple[int, Any]:
    """Status and body of bytes as no client library would send them."""
    where = urlsplit(gateway.urls[0])
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    try:
        writer.write(head + b"\r\nhost: x\r\nconnection: close\r\n\r\n")
        async with asyncio.timeout(10):
            answer = await reader.read()
    finally:
        writer.close()
    return int(answer.split(b" ", 2)[1]), json.loads(answer.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize(
    "body",
    [
        b'{"name": "a\\u0000b"}',
        b'{"name": "\xff\xfe"}',
        b'{"name": "\\ud800"}',
        b"\xef\xbb\xbf{}",
        '{"name": "x"}'.encode("utf-16"),
        b'{"name": "x", "concurrency": ' + b"9" * 5_000 + b"}",
        b'{"name": "x", "concurrency": 1e999}',
        b'{"name": "x", "concurrency": NaN}',
        b'{"name": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"name": "x", "__proto__": {}}',
        b"",
        b"null",
        b"[]",
        b'{"name": "x"} {"name": "y"}',
        b'{"name": "' + b"x" * 201 + b'"}',
    ],
    ids=lambda body: repr(body[:24]),
)
async def test_a_body_that_cannot_be_is_a_400(gateway: Gateway, body: bytes) -> None:
    answer = await post(gateway, body)
    assert (answer.status, answer.error["code"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    "amount", [b'"\xff"', b'"\\ud800"', b"[[1]]", b"1e3", b"0.0000001", b"9" * 5_000, b'" 1"']
)
async def test_an_amount_that_cannot_be_is_a_400(gateway: Gateway, amount: bytes) -> None:
    org = await gateway.org(usd="0")
    headers = {
        "authorization": f"Bearer {gateway.stack.admin_token}",
        "content-type": "application/json",
    }
    path = f"/api/v1/admin/accounts/{org['account_id']}/top-ups"
    body = b'{"usd": ' + amount + b"}"
    answer = await gateway.call("POST", path, data=body, headers=headers)
    assert (answer.status, answer.error["code"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "json", "é"]
)
async def test_a_body_that_is_not_declared_as_json_is_a_415(gateway: Gateway, kind: str) -> None:
    answer = await post(gateway, b'{"name": "x"}', content_type=kind)
    assert (answer.status, answer.error["code"]) == (415, "unsupported_media_type")


async def test_json_may_name_its_charset(gateway: Gateway) -> None:
    kind = "Application/JSON; charset=utf-8"
    assert (await post(gateway, b'{"name": "x"}', content_type=kind)).status == 201


@pytest.mark.parametrize(
    "query",
    [
        "limit=1&limit=2",
        "cursor=%ff",
        "cursor=%00",
        "limit=" + "9" * 5_000,
        "limit=%D9%A3",
        "limit=1.5",
        "limit[]=1",
        "limit=null",
        "limits=1",
        "&".join(f"x{number}=1" for number in range(60)),
        "cursor=" + "x" * 101,
    ],
    ids=lambda query: query[:24],
)
async def test_a_query_that_cannot_be_is_a_400(gateway: Gateway, query: str) -> None:
    answer = await get(gateway, f"{ORGS}?{query}")
    assert (answer.status, answer.error["code"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    "segment",
    ["%00", "%ff", "%2e%2e", "a%2Fb", "a%20b", "%F0%9F%92%B0", "x" * 129, "-", "a;b", "a'b", "%"],
)
async def test_a_segment_that_is_no_id_is_a_404(gateway: Gateway, segment: str) -> None:
    answer_status, body = await raw(
        gateway,
        f"GET {ORGS}/{segment} HTTP/1.1\r\n"
        f"authorization: Bearer {gateway.stack.admin_token}".encode(),
    )
    assert (answer_status, body["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "head",
    [
        b"GET /api/v1/admin/orgs?cursor=\xff HTTP/1.1",
        b"GET /api/v1/admin/orgs/\xff HTTP/1.1",
        b"GET /v1/balance HTTP/1.1\r\nx-api-key: \xff\xfe",
        b"GET /v1/balance HTTP/1.1\r\nauthorization: Bearer \xff\xfe",
        b"GET /api/v1/admin/orgs HTTP/1.1\r\nauthorization: Bearer \xff\xfe",
        b"GET /api/v1/admin/orgs HTTP/1.1\r\nauthorization: Bearer " + b"x" * 30_000,
        b"GET /api/v1/admin/orgs HTTP/1.1\r\nx-long: " + b"x" * 40_000,
        b"GET /api/v1/keys?key=%ff HTTP/1.1",
    ],
    ids=lambda head: repr(head[:40]),
)
async def test_bytes_that_are_no_text_are_the_callers_fault(gateway: Gateway, head: bytes) -> None:
    status, body = await raw(gateway, head)
    assert 400 <= status < 500
    assert body["error"]["message"]


@pytest.mark.parametrize("path", [ORGS, "/api/v1/admin/audit", "/api/v1/admin/rebuild"])
async def test_a_405_names_what_there_is(gateway: Gateway, path: str) -> None:
    answer = await gateway.call("OPTIONS", path)
    assert answer.status == 405
    allowed = {ORGS: "GET, POST", "/api/v1/admin/audit": "GET", "/api/v1/admin/rebuild": "POST"}
    assert answer.headers["allow"] == allowed[path]
