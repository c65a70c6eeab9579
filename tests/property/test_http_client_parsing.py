"""Whatever a server sends and wherever the network cuts it, the client reads what aiohttp reads.

The connection is driven through an in-memory transport, so that every cut is exactly where the
example says.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import pairwise

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_parser import HttpResponseParser
from hypothesis import given
from hypothesis import strategies as st

from bytespike_runtime.http_client import ClientError, HttpResponse, RequestBroken, ResponseBroken
from bytespike_runtime.http_client.connection import Connection
from tests.support.wire import Owner, Wire


@dataclass(frozen=True)
class Example:
    """A response as a server writes it. ``framed``: it says where it ends."""

    raw: bytes
    head_bytes: int
    framed: bool
    keep_alive: bool


TOKEN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~"
names = st.text(TOKEN, min_size=1, max_size=12).filter(
    lambda name: (
        name.lower()
        not in {"connection", "content-length", "transfer-encoding", "upgrade", "content-encoding"}
    )
)
values = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x2FF, exclude_categories=["Cc"]), max_size=30
).map(lambda text: text.strip())
header_lists = st.lists(st.tuples(names, values), max_size=8)
bodies = st.lists(st.binary(max_size=300), max_size=6)
statuses = st.integers(200, 599).filter(lambda status: status not in (204, 304))


@st.composite
def responses(draw: st.DrawFn) -> Example:
    status = draw(statuses)
    reason = draw(st.text("OKabc ", max_size=8)).strip()
    pieces = draw(bodies)
    framing = draw(st.sampled_from(["length", "chunked", "close"]))
    lines = [f"{name}: {value}".encode() for name, value in draw(header_lists)]
    body = b"".join(pieces)
    if framing == "length":
        lines.append(b"Content-Length: %d" % len(body))
    elif framing == "chunked":
        lines.append(b"Transfer-Encoding: chunked")
        extension = draw(st.sampled_from([b"", b";a=b"]))
        trailer = draw(st.sampled_from([b"", b"X-Trailer: 1\r\n"]))
        chunks = [b"%x%b\r\n%b\r\n" % (len(p), extension, p) for p in pieces if p]
        body = b"".join(chunks) + b"0\r\n" + trailer + b"\r\n"
    close = draw(st.booleans())
    if close:
        lines.append(b"Connection: close")
    lines = draw(st.permutations(lines))
    head = b"\r\n".join([f"HTTP/1.1 {status} {reason}".encode(), *lines]) + b"\r\n\r\n"
    return Example(head + body, len(head), framing != "close", framing != "close" and not close)


def cut(raw: bytes, places: list[int]) -> list[bytes]:
    """``raw`` in pieces that end at ``places`` (taken modulo its length)."""
    ends = sorted({place % (len(raw) + 1) for place in places} | {0, len(raw)})
    return [raw[a:b] for a, b in pairwise(ends)]


async def ours(pieces: list[bytes], owner: Owner) -> tuple[HttpResponse, bytes]:
    """One exchange in which the server sends ``pieces`` and then closes."""
    loop = asyncio.get_running_loop()
    connection = Connection(owner, loop)
    wire = Wire()
    connection.connection_made(wire)
    exchange = loop.create_task(
        connection.exchange(b"", b"", first_byte_timeout_s=60, is_head_request=False)
    )
    await asyncio.sleep(0)
    for piece in pieces:
        if not wire.closed:
            connection.data_received(piece)
            await asyncio.sleep(0)
    connection.connection_lost(None)
    response = await exchange
    return response, await response.read(limit_bytes=1 << 20, idle_timeout_s=1)


async def theirs(raw: bytes) -> tuple[int, str, list[tuple[str, str]], bytes]:
    """The same bytes, whole, through aiohttp's parser."""
    loop = asyncio.get_running_loop()
    parser = HttpResponseParser(
        BaseProtocol(loop), loop, 2**16, read_until_eof=True, auto_decompress=False
    )
    ((message, payload),) = parser.feed_data(raw)[0]
    if not payload.is_eof():
        parser.feed_eof()
    headers = [(name.lower(), value) for name, value in message.headers.items()]
    return message.code, message.reason, headers, await payload.read()


@given(responses(), st.lists(st.integers(0, 5000), max_size=12))
async def test_any_cut_reads_as_aiohttp_reads_the_whole(
    example: Example, places: list[int]
) -> None:
    owner = Owner()
    response, body = await ours(cut(example.raw, places), owner)
    status, reason, headers, expected = await theirs(example.raw)
    assert (response.status, response.reason, body) == (status, reason, expected)
    assert response.headers.items() == headers
    assert response.close_delimited is not example.framed
    assert owner.events == (["released", "lost"] if example.keep_alive else ["lost"])


@given(responses().filter(lambda example: example.framed), st.data())
async def test_no_truncation_of_a_framed_response_passes(
    example: Example, data: st.DataObject
) -> None:
    end = data.draw(st.integers(0, len(example.raw) - 1))
    expected = RequestBroken if end < example.head_bytes else ResponseBroken
    owner = Owner()
    with pytest.raises(expected):
        await ours(cut(example.raw[:end], data.draw(st.lists(st.integers(0, 5000)))), owner)
    assert owner.events == ["lost"]


@given(st.binary(max_size=600), responses(), st.lists(st.integers(0, 5000), max_size=12))
async def test_garbage_ends_in_a_client_error_or_a_response(
    garbage: bytes, example: Example, places: list[int]
) -> None:
    """Random bytes, and random bytes spliced into a response: no other exception, no hang."""
    at = places[0] % (len(example.raw) + 1) if places else 0
    for raw in (garbage, example.raw[:at] + garbage + example.raw[at:]):
        async with asyncio.timeout(5):
            try:
                await ours(cut(raw, places), Owner())
            except ClientError:
                continue
