"""Whatever a client sends, it gets a clear answer in its dialect, and the edge stays up."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from pathlib import Path

import msgspec
import pytest

from tests.integration.edge.surroundings import EdgeUnderTest, Reply, message, running_edge

MIB = 1_048_576


async def exchange(edge: EdgeUnderTest, raw: bytes, *, then_close: bool = False) -> bytes:
    """Send bytes as they are; everything that comes back until the edge closes or falls silent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    try:
        writer.write(raw)
        if then_close:
            writer.write_eof()
        async with asyncio.timeout(10):
            return await read_answer(reader)
    finally:
        writer.transport.abort()


async def read_answer(reader: asyncio.StreamReader) -> bytes:
    """One response with its body, or what there was of it."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as cut:
        return cut.partial
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return head + await reader.readexactly(length)


@pytest.mark.parametrize(
    ("body", "message_part"),
    [
        (b"{", "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b"", "not valid JSON"),
        (b'{"model":"claude-sonnet-4-5","messages":[{}]}', "max_tokens: field required"),
        (b'{"max_tokens":1,"messages":[{}]}', "model: field required"),
        (b'{"model":3,"max_tokens":1,"messages":[{}]}', "model: must be a string"),
        (
            b'{"model":"claude-sonnet-4-5","max_tokens":"1","messages":[{}]}',
            "max_tokens: must be an integer",
        ),
        (b'{"model":"claude-sonnet-4-5","max_tokens":-1,"messages":[{}]}', "max_tokens: must be"),
        (b'{"model":"claude-sonnet-4-5","max_tokens":1,"messages":{}}', "messages: must be"),
        (
            b'{"model":"claude-sonnet-4-5","model":"x","max_tokens":1,"messages":[{}]}',
            "repeats a top-level key",
        ),
    ],
)
async def test_bad_bodies_are_400s_with_the_path(
    edge: EdgeUnderTest, body: bytes, message_part: str
) -> None:
    key, record = await edge.ledger.key()
    reply = await edge.call("POST", "/v1/messages", key=key, body=body)
    assert reply.status == 400
    assert reply.error["type"] == "invalid_request_error"
    assert message_part in reply.error["message"]
    assert reply.json()["request_id"] == reply.headers["x-request-id"]
    assert edge.router.seen == []
    assert (await edge.ledger.state(record)).slots_in_use == 0


@pytest.mark.parametrize("declared", ["text/plain", "multipart/form-data; boundary=x", "json"])
async def test_another_content_type_is_a_415(edge: EdgeUnderTest, declared: str) -> None:
    key, _ = await edge.ledger.key()
    reply = await edge.messages(key, content_type=declared)
    assert reply.status == 415


async def test_json_with_a_charset_or_undeclared_is_json(edge: EdgeUnderTest) -> None:
    key, _ = await edge.ledger.key()
    reply = await edge.messages(key, content_type="Application/JSON; charset=utf-8")
    assert reply.status == 200
    raw = (
        f"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\n"
        f"content-length: {len(message())}\r\n\r\n"
    ).encode() + message()
    assert b"HTTP/1.1 200" in await exchange(edge, raw)


async def test_33_mib_are_a_413_that_names_the_limit(edge: EdgeUnderTest) -> None:
    key, _ = await edge.ledger.key()
    reply = await edge.messages(key, b" " * (33 * MIB))
    assert reply.status == 413
    assert reply.error["type"] == "request_too_large"
    assert "32 MiB" in reply.error["message"]


async def test_31_mib_pass(edge: EdgeUnderTest) -> None:
    key, _ = await edge.ledger.key()
    body = message(metadata={"user_id": "x" * (31 * MIB)})
    reply = await edge.messages(key, body)
    assert reply.status == 200
    assert edge.router.last.body == body


async def test_a_chunked_body_is_capped_as_it_comes(edge: EdgeUnderTest) -> None:
    key, _ = await edge.ledger.key()
    head = (
        f"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\n"
        "transfer-encoding: chunked\r\n\r\n"
    ).encode()
    piece = b"%x\r\n%s\r\n" % (MIB, b" " * MIB)
    answer = await exchange(edge, head + piece * 33 + b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413")


async def test_a_chunked_body_is_read(edge: EdgeUnderTest) -> None:
    key, _ = await edge.ledger.key()
    head = (
        f"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\n"
        "transfer-encoding: chunked\r\n\r\n"
    ).encode()
    half = len(message()) // 2
    pieces = b"".join(
        b"%x\r\n%s\r\n" % (len(part), part) for part in (message()[:half], message()[half:])
    )
    assert b"HTTP/1.1 200" in await exchange(edge, head + pieces + b"0\r\n\r\n")
    assert edge.router.last.body == message()


async def test_a_zip_bomb_is_a_413(edge: EdgeUnderTest) -> None:
    key, _ = await edge.ledger.key()
    bomb = gzip.compress(b" " * (40 * MIB))
    reply = await edge.messages(key, bomb, content_encoding="gzip")
    assert reply.status == 413


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (b"no gzip at all", "gzip", 400),
        (gzip.compress(message(), mtime=0)[:-4], "gzip", 400),
        (gzip.compress(message(), mtime=0) + b"tail", "gzip", 400),
        (message(), "br", 415),
        (zlib.compress(message()), "deflate", 200),
        (message(), "identity", 200),
    ],
)
async def test_content_encodings(
    edge: EdgeUnderTest, body: bytes, encoding: str, status: int
) -> None:
    key, _ = await edge.ledger.key()
    assert (await edge.messages(key, body, content_encoding=encoding)).status == status


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        ("/v1/messages/batches", "anthropic"),
        ("/v1/v1/messagesx", "anthropic"),
        ("/v1beta/nothing", "gemini"),
        ("/v1/models/gemini-x:embedContent", "gemini"),
        ("/v1/models/gemini-x%3AembedContent", "gemini"),
        ("/v1/nothing", "openai"),
        ("/", "openai"),
        ("/v1/messages/../balance", "anthropic"),
        ("/api/v1/admin/../../v1/balance", "openai"),
    ],
)
async def test_unknown_paths_are_404s_in_the_dialect_of_the_prefix(
    edge: EdgeUnderTest, path: str, dialect: str
) -> None:
    reply = await edge.call("POST", path, body=b"{}")
    assert reply.status == 404
    assert dialect_of_error(reply) == dialect
    assert reply.headers["x-request-id"].startswith("req_")


def dialect_of_error(reply: Reply) -> str:
    if reply.json().get("type") == "error":
        return "anthropic"
    return "gemini" if "status" in reply.error else "openai"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/messages", "POST"),
        ("HEAD", "/v1/messages", "POST"),
        ("OPTIONS", "/v1/v1/messages", "POST"),
        ("POST", "/v1/balance", "GET"),
        ("HEAD", "/api/v1/admin/orgs", "DELETE, GET, OPTIONS, PATCH, POST, PUT"),
    ],
)
async def test_a_wrong_method_is_a_405_that_says_which_is_right(
    edge: EdgeUnderTest, method: str, path: str, allowed: str
) -> None:
    reply = await edge.call(method, path)
    assert reply.status == 405
    assert reply.headers["allow"] == allowed


@pytest.mark.parametrize("header", ["x_bytespike_dry_run", "x_bytespike_strict"])
async def test_a_misspelt_switch_is_refused_rather_than_charged(
    edge: EdgeUnderTest, header: str
) -> None:
    key, _ = await edge.ledger.key()
    reply = await edge.messages(key, None, **{header: "yes"})
    assert reply.status == 400
    assert edge.router.seen == []


@pytest.mark.parametrize(
    "raw",
    [
        b"nonsense\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n"
        b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n",
        b"GET /v1/balance HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 40_000 + b"\r\n\r\n",
    ],
)
async def test_malformed_http_is_a_400_with_an_id(edge: EdgeUnderTest, raw: bytes) -> None:
    answer = await exchange(edge, raw)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 400")
    assert b"x-request-id: req_" in head.lower()
    assert msgspec.json.decode(body)["error"]["type"] == "invalid_request_error"
    assert edge.router.seen == []


async def test_a_bad_chunk_in_a_body_is_a_400(edge: EdgeUnderTest) -> None:
    key, _ = await edge.ledger.key()
    raw = (
        f"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\n"
        "transfer-encoding: chunked\r\n\r\n"
    ).encode()
    assert b" 400 " in await exchange(edge, raw + b"5\r\n{}xyz\r\nnonsense\r\n")


async def test_expect_continue_is_answered_before_the_body(edge: EdgeUnderTest) -> None:
    key, _ = await edge.ledger.key()
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    head = (
        f"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\nexpect: 100-continue\r\n"
        f"content-length: {len(message())}\r\n\r\n"
    )
    try:
        writer.write(head.encode())
        async with asyncio.timeout(5):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
            writer.write(message())
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    finally:
        writer.transport.abort()


async def test_a_body_that_trickles_is_a_408(redis_url: str, nats_url: str, tmp_path: Path) -> None:
    async with running_edge(redis_url, nats_url, tmp_path, body_timeout_s=0.3) as edge:
        key, _ = await edge.ledger.key()
        raw = f"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\ncontent-length: 99\r\n"
        answer = await exchange(edge, raw.encode() + b"\r\n{")
        assert answer.startswith(b"HTTP/1.1 408")
        assert b'"timeout_error"' in answer


async def test_bodies_over_the_budget_of_the_process_are_a_503(
    redis_url: str, nats_url: str, tmp_path: Path
) -> None:
    async with running_edge(redis_url, nats_url, tmp_path, in_flight_bytes=2 * MIB) as edge:
        key, _ = await edge.ledger.key()
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        head = f"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\n"
        writer.write(f"{head}content-length: {2 * MIB - 10}\r\n\r\n".encode())
        try:
            async with asyncio.timeout(5):
                while (reply := await edge.messages(key)).status == 200:
                    pass
            assert reply.status == 503
            assert reply.headers["retry-after"] == "1"
        finally:
            writer.transport.abort()
        async with asyncio.timeout(5):
            while (await edge.messages(key)).status != 200:
                pass
        del reader
