"""Moments between two bytes that a real network cannot be asked to produce."""

from __future__ import annotations

import asyncio

import pytest

from bytespike_runtime.http_client import HttpResponse, RequestBroken, ResponseBroken
from bytespike_runtime.http_client.connection import Connection
from bytespike_runtime.http_client.deadline import Deadline
from tests.support.wire import Owner, Wire

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
BODY = bytes(1 << 20)


class Setup:
    """One connection with an exchange under way."""

    def __init__(self, body: bytes = b"") -> None:
        self.owner = Owner()
        self.wire = Wire()
        loop = asyncio.get_running_loop()
        self.connection = Connection(self.owner, loop)
        self.connection.connection_made(self.wire)
        self.exchange: asyncio.Task[HttpResponse] = loop.create_task(
            self.connection.exchange(b"HEAD", body, first_byte_timeout_s=60, is_head_request=False)
        )

    async def sent_until_full(self) -> None:
        """Let the exchange write until the socket is (said to be) full."""
        self.connection.pause_writing()
        await asyncio.sleep(0)


async def test_an_answer_before_the_last_byte_was_sent_costs_the_connection() -> None:
    setup = Setup(BODY)
    await setup.sent_until_full()
    written = len(setup.wire.written)
    assert written < len(BODY)
    setup.connection.resume_writing()  # the writer will go on, but the answer is faster
    setup.connection.data_received(HELLO)
    response = await setup.exchange
    assert await response.read(limit_bytes=5, idle_timeout_s=None) == b"hello"
    assert len(setup.wire.written) == written
    assert setup.owner.events == []
    assert setup.wire.closed


async def test_an_answer_over_a_full_socket_costs_the_connection() -> None:
    setup = Setup()
    await asyncio.sleep(0)
    setup.wire.unsent_bytes = 1
    setup.connection.data_received(HELLO)
    await setup.exchange
    assert setup.owner.events == []
    assert setup.wire.closed


async def test_a_connection_lost_while_sending_ends_the_request() -> None:
    setup = Setup(BODY)
    await setup.sent_until_full()
    setup.connection.connection_lost(ConnectionResetError())
    async with asyncio.timeout(1):
        with pytest.raises(RequestBroken):
            await setup.exchange
    assert setup.owner.events == ["lost"]


@pytest.mark.parametrize(("answer", "kept"), [(HELLO, True), (HELLO[:-1], False)])
async def test_cancelled_in_the_turn_of_the_answer(answer: bytes, kept: bool) -> None:
    setup = Setup()
    await asyncio.sleep(0)
    setup.connection.data_received(answer)
    setup.exchange.cancel()
    with pytest.raises(asyncio.CancelledError):
        await setup.exchange
    assert (setup.owner.events, setup.wire.closed) == (["released"] if kept else [], not kept)


async def test_a_sink_that_aborts_at_the_last_byte_leaves_no_connection_behind() -> None:
    setup = Setup()
    await asyncio.sleep(0)
    setup.connection.data_received(HELLO[:-5])
    response = await setup.exchange

    def sink(data: bytes) -> bool:
        response.abort()
        return True

    pump = asyncio.create_task(response.pump(sink))
    await asyncio.sleep(0)
    setup.connection.data_received(b"hello")
    with pytest.raises(ResponseBroken, match="aborted"):
        await pump
    assert setup.owner.events == []


async def test_what_comes_in_spite_of_a_pause_waits_for_the_resume() -> None:
    """TLS may have decrypted more than was asked for."""
    setup = Setup()
    await asyncio.sleep(0)
    setup.connection.data_received(HELLO[:-5])
    response = await setup.exchange
    received: list[bytes] = []

    def sink(data: bytes) -> bool:
        received.append(data)
        return len(received) > 1

    pump = asyncio.create_task(response.pump(sink))
    await asyncio.sleep(0)
    setup.connection.data_received(b"he")
    setup.connection.data_received(b"l")
    setup.connection.data_received(b"lo")
    await asyncio.sleep(0)
    assert (received, pump.done()) == ([b"he"], False)
    response.resume()
    async with asyncio.timeout(1):
        await pump
    assert received == [b"he", b"llo"]
    assert setup.owner.events == ["released"]


async def test_a_deadline_can_move_both_ways_and_be_cleared() -> None:
    loop = asyncio.get_running_loop()
    expired = asyncio.Event()
    deadline = Deadline(loop, expired.set)
    deadline.set(60)
    deadline.set(0.01)
    async with asyncio.timeout(1):
        await expired.wait()
    expired.clear()
    deadline.set(0.01)
    deadline.set(0.05)
    began = loop.time()
    async with asyncio.timeout(1):
        await expired.wait()
    assert loop.time() - began >= 0.04
    expired.clear()
    deadline.set(0.01)
    deadline.clear()
    await asyncio.sleep(0.03)
    assert not expired.is_set()
    deadline.cancel()
