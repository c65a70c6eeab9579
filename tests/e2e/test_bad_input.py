"""Bad input gets a clear error in the dialect of its path, and never reaches the vendor or the
wallet.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.gateway import Answer, Customer, Gateway

GOOD: dict[str, Any] = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "Hi"}],
}
MIB = 1024 * 1024

WRONG_FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "no max_tokens": ({"max_tokens": None}, "max_tokens"),
    "max_tokens as text": ({"max_tokens": "64"}, "max_tokens"),
    "max_tokens negative": ({"max_tokens": -1}, "max_tokens"),
    "no model": ({"model": None}, "model"),
    "model as number": ({"model": 4}, "model"),
    "no messages": ({"messages": None}, "messages"),
    "messages as object": ({"messages": {}}, "messages"),
    "stream as text": ({"stream": "yes"}, "stream"),
}
RAW_BODIES = {
    "empty": b"",
    "half": b'{"model":',
    "list": b"[]",
    "text": b'"hello"',
    "latin-1": b'{"model":"\xff"}',
    "tail": json.dumps(GOOD).encode() + b"}",
    "two models": b'{"model":"claude-sonnet-4-6","mod\\u0065l":"claude-opus-4-6","max_tokens":1,'
    b'"messages":[{"role":"user","content":"x"}]}',
    "deep": b'{"model":"claude-sonnet-4-6","max_tokens":1,"messages":' + b"[" * 100_000,
}


async def refused(gateway: Gateway, answer: Answer, status: int, kind: str) -> str:
    """An error of ours, before anything happened; returns its message."""
    assert (answer.status, answer.error["type"]) == (status, kind), answer.body
    assert answer.json()["request_id"] == answer.request_id == answer.headers["request-id"]
    assert await gateway.simulator.requests() == []
    return str(answer.error["message"])


@pytest.mark.parametrize("name", WRONG_FIELDS)
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/v1/messages"])
async def test_a_wrong_field_is_named(
    gateway: Gateway, customer: Customer, name: str, path: str
) -> None:
    change, field = WRONG_FIELDS[name]
    body = {key: value for key, value in {**GOOD, **change}.items() if value is not None}
    answer = await customer.post(body, path=path)
    message = await refused(gateway, answer, 400, "invalid_request_error")
    assert message.startswith(f"{field}")
    assert await gateway.held(customer) == (0, 0)


@pytest.mark.parametrize("name", RAW_BODIES)
async def test_a_broken_body_is_a_400(gateway: Gateway, customer: Customer, name: str) -> None:
    answer = await customer.post(RAW_BODIES[name])
    await refused(gateway, answer, 400, "invalid_request_error")


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data; boundary=x", "text/json"])
async def test_another_content_type_is_a_415(
    gateway: Gateway, customer: Customer, kind: str
) -> None:
    answer = await customer.post(GOOD, content_type=kind)
    message = await refused(gateway, answer, 415, "invalid_request_error")
    assert "application/json" in message


async def test_unknown_models_are_a_404(gateway: Gateway, customer: Customer) -> None:
    for path in ("/v1/messages", "/v1/messages/count_tokens"):
        answer = await customer.post({**GOOD, "model": "gpt-9"}, path=path)
        assert "gpt-9" in await refused(gateway, answer, 404, "not_found_error")


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_compressed_bodies_are_taken(
    gateway: Gateway, customer: Customer, encoding: str
) -> None:
    plain = json.dumps(GOOD).encode()
    packed = gzip.compress(plain, mtime=0) if encoding == "gzip" else zlib.compress(plain)
    answer = await customer.post(packed, content_encoding=encoding)
    assert answer.status == 200
    seen = await gateway.simulator.last()
    assert seen.body == plain
    assert "content-encoding" not in seen.headers


async def test_a_compression_bomb_is_a_413(gateway: Gateway, customer: Customer) -> None:
    bomb = gzip.compress(b" " * (256 * MIB), compresslevel=9)
    assert len(bomb) < MIB
    answer = await customer.post(bomb, content_encoding="gzip")
    await refused(gateway, answer, 413, "request_too_large")


@pytest.mark.parametrize("encoding", ["gzip", "br"])
async def test_a_false_encoding_is_refused(
    gateway: Gateway, customer: Customer, encoding: str
) -> None:
    answer = await customer.post(json.dumps(GOOD).encode(), content_encoding=encoding)
    status = 400 if encoding == "gzip" else 415
    await refused(gateway, answer, status, "invalid_request_error")


async def test_33_mib_are_too_many_and_the_limit_is_named(
    gateway: Gateway, customer: Customer
) -> None:
    answer = await customer.post(b'{"model":"' + b"x" * (33 * MIB))
    assert "32 MiB" in await refused(gateway, answer, 413, "request_too_large")


async def test_31_mib_go_through(gateway: Gateway, customer: Customer) -> None:
    picture = {"type": "base64", "media_type": "image/png", "data": "A" * (31 * MIB)}
    content = [{"type": "image", "source": picture}, {"type": "text", "text": "What is it?"}]
    body = {**GOOD, "messages": [{"role": "user", "content": content}]}
    answer = await customer.post(body)
    assert answer.status == 200
    seen = await gateway.simulator.last()
    assert seen.body == json.dumps(body).encode()


@pytest.mark.parametrize(
    ("method", "path", "dialect"),
    [
        ("GET", "/v1/messages/batches", "anthropic"),
        ("POST", "/v1/messages/nonsense", "anthropic"),
        ("POST", "/v1beta/models/x:embedContent", "google"),
        ("POST", "/v1/models/x%3AbatchGenerateContent", "google"),
        ("POST", "/v1/chat/nonsense", "openai"),
        ("GET", "/", "openai"),
    ],
)
async def test_unknown_paths_answer_in_the_dialect_of_their_prefix(
    gateway: Gateway, method: str, path: str, dialect: str
) -> None:
    answer = await gateway.call(method, path)
    assert answer.status == 404
    assert answer.request_id.startswith("req_")
    if dialect == "anthropic":
        assert answer.json()["type"] == "error"
        assert answer.error["type"] == "not_found_error"
    elif dialect == "google":
        assert (answer.error["code"], answer.error["status"]) == (404, "NOT_FOUND")
    else:
        assert set(answer.error) >= {"message", "type", "param", "code"}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "HEAD", "TRACE"])
async def test_wrong_methods_are_a_405_naming_the_right_one(
    gateway: Gateway, customer: Customer, method: str
) -> None:
    headers = {"x-api-key": customer.key}
    answer = await gateway.call(method, "/v1/messages", headers=headers)
    assert answer.status == 405
    assert answer.headers["allow"] == "POST"


async def raw(gateway: Gateway, data: bytes, *, within_s: float = 5.0) -> bytes:
    """Everything a raw connection answers until the server closes it."""
    address = urlsplit(gateway.urls[0])
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(data)
    try:
        async with asyncio.timeout(within_s):
            return await reader.read()
    finally:
        writer.close()


def _message(customer: Customer, *extra: str, body: bytes = b"") -> bytes:
    head = ["POST /v1/messages HTTP/1.1", "Host: x", f"x-api-key: {customer.key}", *extra]
    return "\r\n".join([*head, "", ""]).encode() + body


SMUGGLED = b"GET /v1/balance HTTP/1.1\r\nHost: x\r\n\r\n"
SMUGGLING: dict[str, tuple[list[str], bytes]] = {
    "length and chunked": (
        ["Content-Length: 6", "Transfer-Encoding: chunked"],
        b"0\r\n\r\n" + SMUGGLED,
    ),
    "two lengths": (["Content-Length: 0", "Content-Length: 38"], SMUGGLED),
    "length list": (["Content-Length: 0, 38"], SMUGGLED),
    "signed length": (["Content-Length: +38"], SMUGGLED),
    "chunked twice": (["Transfer-Encoding: chunked, chunked"], b"0\r\n\r\n" + SMUGGLED),
    "odd chunked": (["Transfer-Encoding: xchunked"], b"0\r\n\r\n" + SMUGGLED),
    "bad chunk size": (["Transfer-Encoding: chunked"], b"0x5\r\nhello\r\n0\r\n\r\n" + SMUGGLED),
    "space before colon": (["Content-Length : 0"], SMUGGLED),
    "folded": (["X-A: b", " Content-Length: 38"], SMUGGLED),
    "bare newline": (["X-A: b\nContent-Length: 38"], SMUGGLED),
    "no colon": (["Content-Length"], SMUGGLED),
    "nul": (["X-A: \x00"], SMUGGLED),
}


@pytest.mark.parametrize("name", SMUGGLING)
async def test_ambiguous_framing_is_a_400_and_the_end(
    gateway: Gateway, customer: Customer, name: str
) -> None:
    extra, body = SMUGGLING[name]
    answer = await raw(gateway, _message(customer, *extra, body=body))
    assert answer.split(b" ")[1] == b"400", answer[:300]
    assert answer.count(b"HTTP/1.") == 1
    assert b"request-id" in answer.lower()
    assert await gateway.simulator.requests() == []


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET\r\n\r\n",
        b"G@T / HTTP/1.1\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_a_400(gateway: Gateway, data: bytes) -> None:
    answer = await raw(gateway, data)
    assert answer.split(b" ")[1] == b"400", answer[:300]
    assert b"python" not in answer.lower()


async def test_a_head_without_end_is_cut_off(gateway: Gateway, customer: Customer) -> None:
    for extra in (["X-A: " + "a" * 70_000], [f"X-{n}: b" for n in range(20_000)]):
        answer = await raw(gateway, _message(customer, *extra))
        assert answer.split(b" ")[1] in {b"400", b"431"}, answer[:300]


async def test_slow_clients_are_shown_the_door(gateway: Gateway, customer: Customer) -> None:
    """Nobody holds a connection by sending nothing, half a head, a head by the byte, or a body by
    the byte; meanwhile others are served.
    """
    head = _message(customer, "Content-Type: application/json", "Content-Length: 9000")
    loris = [b"", _message(customer)[:-4], head]
    async with asyncio.timeout(25):
        drips = asyncio.gather(*(_drip(gateway, data) for data in loris))
        assert (await customer.post(GOOD)).status == 200
        silent, half_a_head, half_a_body = await drips
    assert silent == half_a_head == b""
    assert half_a_body.split(b" ")[1] == b"408", half_a_body[:300]


async def _drip(gateway: Gateway, data: bytes) -> bytes:
    """Send ``data``, then a byte a second until the server has had enough; returns its answer."""
    address = urlsplit(gateway.urls[0])
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(data)
    answering = asyncio.create_task(reader.read())
    try:
        while not answering.done():
            await asyncio.wait([answering], timeout=1.0)
            if data and not answering.done():
                writer.write(b"x")
        return answering.result()
    except ConnectionError:
        return b""
    finally:
        answering.cancel()
        writer.close()


async def test_a_message_is_never_answered_for_somebody_else(
    gateway: Gateway, customer: Customer
) -> None:
    """Two requests on one connection get two answers, in order."""
    body = json.dumps(GOOD).encode()
    first = _message(customer, f"Content-Length: {len(body)}", body=body)
    second = _message(customer, "Content-Length: 2", "Connection: close", body=b"{}")
    answers = await raw(gateway, first + second)
    assert [part[:3] for part in answers.split(b"HTTP/1.1 ")[1:]] == [b"200", b"400"]
