"""A vendor that answers by script, and the bytes real ones send."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from tests.support.raw_http import Peer, Received, answer_bytes, chunk

__all__ = [
    "BLOCK",
    "DELTA",
    "ENDING",
    "MESSAGE",
    "OVERLOADED",
    "START",
    "STOP",
    "WHOLE_COST_UUSD",
    "WHOLE_STREAM",
    "Ask",
    "Peer",
    "Reply",
    "Vendor",
    "event",
    "message_delta",
    "paused_stream",
    "silent",
    "stream",
    "whole",
]


def event(name: str, data: Mapping[str, Any]) -> bytes:
    """One event as the vendor writes it."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(data))


START = event(
    "message_start",
    {
        "type": "message_start",
        "message": {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "content": [],
            "stop_reason": None,
            "usage": {"input_tokens": 100, "output_tokens": 1},
        },
    },
)
BLOCK = event(
    "content_block_start",
    {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "text", "text": ""},
    },
)
DELTA = event(
    "content_block_delta",
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": "twelve bytes"},
    },
)


def message_delta(stop_reason: str = "end_turn", output_tokens: int | None = 20) -> bytes:
    """The event that reports the end and the usage."""
    usage = {} if output_tokens is None else {"usage": {"output_tokens": output_tokens}}
    data = {"type": "message_delta", "delta": {"stop_reason": stop_reason}, **usage}
    return event("message_delta", data)


STOP = event("message_stop", {"type": "message_stop"})
OVERLOADED = event(
    "error", {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
)
ENDING = (message_delta(), STOP)
WHOLE_STREAM = START + BLOCK + DELTA + message_delta() + STOP
#: 100 input and 20 output tokens at the rates above.
WHOLE_COST_UUSD = 600

MESSAGE = msgspec.json.encode(
    {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "content": [{"type": "text", "text": "hi"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 100, "output_tokens": 20},
    }
)


@dataclass(frozen=True)
class Ask(Received):
    """One request as a vendor got it."""

    @property
    def target(self) -> str:
        return self.head.split(b" ")[1].decode()


Reply = Callable[["Vendor", Peer], Awaitable[None]]


def whole(
    body: bytes = MESSAGE,
    *,
    status: int = 200,
    content_type: str = "application/json",
    **headers: str,
) -> Reply:
    """A complete body; ``x_name`` becomes the header ``x-name``."""
    raw = answer_bytes(body, status=status, content_type=content_type, headers=headers)

    async def reply(_: Vendor, peer: Peer) -> None:
        await peer.send(raw)

    return reply


STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)


def stream(*parts: bytes, end: bool = True) -> Reply:
    """Send these parts, each by itself; without ``end`` the connection drops after the last."""

    async def reply(vendor: Vendor, peer: Peer) -> None:
        await peer.send(STREAM_HEAD)
        for part in parts:
            await peer.send(chunk(part))
        if not end:
            raise ConnectionError
        await peer.send(chunk(b""))

    return reply


def paused_stream(*parts: bytes) -> Reply:
    """Wait for :meth:`Vendor.next` before each part but the first, and before the end."""

    async def reply(vendor: Vendor, peer: Peer) -> None:
        await peer.send(STREAM_HEAD)
        for n, part in enumerate(parts):
            if n:
                await vendor.word(peer)
            await peer.send(chunk(part))
        await vendor.word(peer)
        await peer.send(chunk(b""))

    return reply


async def silent(vendor: Vendor, peer: Peer) -> None:
    """Never answer."""
    await peer.hang_up_seen()
    vendor.hang_ups += 1


class Vendor:
    """Answers by script: ``replies`` in order, then the last one for ever."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.replies: list[Reply] = [whole()]
        self.asks: list[Ask] = []
        self.hang_ups = 0
        self.url = ""
        self._words: asyncio.Queue[None] = asyncio.Queue()

    async def word(self, peer: Peer) -> None:
        """Wait for :meth:`next`, or end the script when the router hangs up."""
        word = asyncio.create_task(self._words.get())
        hang_up = asyncio.create_task(peer.hang_up_seen())
        await asyncio.wait({word, hang_up}, return_when=asyncio.FIRST_COMPLETED)
        left = hang_up.done()
        word.cancel()
        hang_up.cancel()
        if left:
            raise ConnectionError

    def next(self) -> None:
        self._words.put_nowait(None)

    async def serve(self, peer: Peer) -> None:
        while True:
            head, body = await peer.request()
            reply = self.replies[min(len(self.asks), len(self.replies) - 1)]
            self.asks.append(Ask(head, body))
            await reply(self, peer)

    def answer(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.asks.clear()
        self._words = asyncio.Queue()
