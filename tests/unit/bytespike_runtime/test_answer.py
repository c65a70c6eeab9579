"""The whole answer as it appears on a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from aiohttp import web

from bytespike_runtime.answer import WholeAnswer
from bytespike_runtime.connection import HttpServer

HEADERS = {"X-Request-Id": "req_1", "Content-Type": "application/json"}


async def exchange(
    request: bytes, headers: Mapping[str, str] = HEADERS, body: bytes = b'{"ok":true}'
) -> bytes:
    """Everything a server that gives this answer sends for ``request`` until it closes."""

    async def handler(_: web.BaseRequest) -> web.StreamResponse:
        return WholeAnswer(status=201, headers=headers, body=body)

    server = HttpServer(
        handler,
        on_bad_request=lambda status, reason: web.Response(status=status, text=reason),
        header_timeout_s=5,
    )
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*listener.sockets[0].getsockname())
    writer.write(request)
    received = await reader.read()
    writer.close()
    listener.close()
    return received


def split(received: bytes) -> tuple[list[str], bytes]:
    head, _, body = received.partition(b"\r\n\r\n")
    return head.decode().split("\r\n"), body


async def test_head_and_body_as_given() -> None:
    lines, body = split(await exchange(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
    assert lines[0] == "HTTP/1.1 201 Created"
    assert lines[1:4] == [
        "X-Request-Id: req_1",
        "Content-Type: application/json",
        "Content-Length: 11",
    ]
    assert lines[4].startswith("Date: ")
    assert lines[4].endswith(" GMT")
    assert lines[5:] == ["Connection: close"]
    assert body == b'{"ok":true}'


async def test_a_connection_serves_several_answers() -> None:
    first = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    received = await exchange(first + last)
    assert received.count(b"HTTP/1.1 201") == 2
    assert received.count(b"Connection: close") == 1


async def test_http_1_0_is_told_that_the_connection_stays() -> None:
    received = await exchange(
        b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n"
    )
    assert received.count(b"Connection: keep-alive") == 1
    assert received.count(b'{"ok":true}') == 2


async def test_head_gets_the_length_and_no_body() -> None:
    lines, body = split(await exchange(b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
    assert "Content-Length: 11" in lines
    assert body == b""


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "a\nb", "a\rb", "a\0b"])
async def test_a_value_cannot_smuggle_in_a_line(value: str) -> None:
    received = await exchange(
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", {**HEADERS, "X-Note": value}
    )
    assert received.startswith(b"HTTP/1.1 500 ")
    assert b"Set-Cookie" not in received


async def test_bytes_beyond_ascii_survive() -> None:
    received = await exchange(
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        {"X-Note": b"caf\xc3\xa9 \xff".decode("utf-8", "surrogateescape")},
    )
    assert b"X-Note: caf\xc3\xa9 \xff\r\n" in received


async def test_a_large_body_arrives_whole() -> None:
    body = bytes(range(256)) * 8192
    _, received = split(
        await exchange(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", HEADERS, body)
    )
    assert received == body
