"""Streams as the client's connection feels them: silence, slow readers, big and small pieces."""

from __future__ import annotations

import asyncio
import socket
from typing import Any
from urllib.parse import urlsplit

from tests.support.anthropic_grammar import check_stream
from tests.support.gateway import Customer, Gateway, eventually

STREAM: dict[str, Any] = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 5_000_000,
    "stream": True,
    "messages": [{"role": "user", "content": "Tell me of rivers."}],
}
PING = b'event: ping\ndata: {"type": "ping"}\n\n'


async def test_silence_before_the_first_byte_is_filled(
    gateway: Gateway, customer: Customer
) -> None:
    """Headers and a ping after a while; afterwards the vendor's own bytes, untouched."""
    answer = await customer.post(STREAM, faults="stall-before=5")
    sent = (await gateway.simulator.last()).sent
    assert answer.status == 200
    assert answer.body == PING + sent
    assert check_stream(answer.body).end == "stop"


async def test_silence_in_the_middle_is_filled_between_events(
    gateway: Gateway, customer: Customer
) -> None:
    answer = await customer.post(STREAM, faults="events=10,stall-after=5@6")
    sent = (await gateway.simulator.last()).sent
    before = b"".join(event + b"\n\n" for event in sent.split(b"\n\n")[:6])
    assert answer.body == before + PING + sent[len(before) :]
    assert check_stream(answer.body).end == "stop"


async def test_a_failure_after_the_first_ping_is_an_error_event(
    gateway: Gateway, customer: Customer
) -> None:
    body = {**STREAM, "model": "sim-fails"}
    answer = await customer.post(body, faults="stall-before=5,status=500")
    assert (answer.status, answer.headers["content-type"][:17]) == (200, "text/event-stream")
    checked = check_stream(answer.body)
    assert (checked.end, checked.pings) == ("error", 1)
    usage = await gateway.usage(answer.request_id)
    assert usage["charge_uusd"] == 0


async def test_a_reader_who_does_not_read_holds_the_vendor_back(
    gateway: Gateway, customer: Customer
) -> None:
    """Back-pressure reaches the vendor: what lies on the way is bounded (the kernel's buffers of
    three connections, some 10 MB each at most, and little of ours), and not a byte is lost.
    """
    size = 39_000_000
    address = urlsplit(gateway.urls[0])
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (address.hostname, address.port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=65_536)
    body = (
        b'{"model":"claude-sonnet-4-6","max_tokens":9999999,"stream":true,'
        b'"messages":[{"role":"user","content":"x"}]}'
    )
    head = [
        "POST /v1/messages HTTP/1.1",
        f"Host: {address.netloc}",
        f"x-api-key: {customer.key}",
        f"x-simulator-fault: text-bytes={size},events=6000,output-tokens=9",
        "content-type: application/json",
        f"content-length: {len(body)}",
        "connection: close",
    ]
    writer.write("\r\n".join([*head, "", ""]).encode() + body)
    stood_still = await _stands_still(gateway)
    assert stood_still < size * 3 // 4
    got = 0
    while piece := await reader.read(65_536):
        got += len(piece)
    writer.close()
    seen = await gateway.simulator.last()
    assert (seen.state, seen.events_sent) == ("completed", seen.events_total)
    assert got > size


async def _stands_still(gateway: Gateway) -> int:
    """Bytes the vendor has sent when it cannot send more: the same number three looks in a row."""
    looks: list[int] = []

    async def still() -> bool:
        looks.extend(seen.sent_bytes for seen in await gateway.simulator.requests(limit=1))
        await asyncio.sleep(0.1)
        return len(looks) >= 3 and len(set(looks[-3:])) == 1 and looks[-1] > 0

    await eventually(still)
    return looks[-1]


async def test_one_very_large_event(gateway: Gateway, customer: Customer) -> None:
    answer = await customer.post(STREAM, faults="text-bytes=900000,events=1,output-tokens=9")
    assert answer.body == (await gateway.simulator.last()).sent
    assert len(check_stream(answer.body).blocks[0]["text"]) == 900_000


async def test_many_streams_at_once_do_not_mix(gateway: Gateway, customer: Customer) -> None:
    """A hundred different streams, cut at odd places: each client gets its own, whole."""

    async def one(number: int) -> None:
        text = f"Stream {number} speaking. " * 3
        messages = [{"role": "user", "content": text}]
        body = {**STREAM, "max_tokens": 1000, "messages": messages}
        faults = f"split={number % 17 + 5},text-bytes={500 + number}"
        answer = await customer.post(body, faults=faults, edge=number % 2)
        checked = check_stream(answer.body)
        assert checked.end == "stop"
        assert len(checked.blocks[0]["text"]) == 500 + number

    await asyncio.gather(*(one(number) for number in range(100)))
