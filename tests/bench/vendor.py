"""A vendor that is never the bottleneck: canned answers from a bare asyncio.Protocol.

Run as a process of its own: ``python -m tests.bench.vendor PORT``. It reads no more of a request
than it must: the path, where the body ends and whether it asks for a stream. ``GET /bench/seen``
tells how many requests were answered, ``GET /bench/pace/EVENTS/INTERVAL_MS`` sets the rhythm of
streams.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop

from bytespike_protocols.ir import Dialect
from tests.bench.canned import CANNED, Canned

__all__ = ["main"]

_JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nRequest-Id: req_bench\r\n"
_SSE_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    b"Cache-Control: no-cache\r\nRequest-Id: req_bench\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def _json(body: bytes) -> bytes:
    return _JSON_HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def _chunk(event: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(event), event)


class _Answers:
    """What one dialect's paths are answered with, ready for the wire."""

    def __init__(self, canned: Canned) -> None:
        self.whole = _json(canned.whole)
        self.opening = _SSE_HEAD + b"".join(map(_chunk, canned.opening))
        self.delta = _chunk(canned.delta)
        self.closing = b"".join(map(_chunk, canned.closing)) + b"0\r\n\r\n"


_ANSWERS = {dialect: _Answers(canned) for dialect, canned in CANNED.items()}
_PATHS = (
    (b"/v1/messages ", _ANSWERS[Dialect.ANTHROPIC]),
    (b"/chat/completions ", _ANSWERS[Dialect.OPENAI_CHAT]),
    (b"/responses ", _ANSWERS[Dialect.OPENAI_RESPONSES]),
    (b"enerateContent", _ANSWERS[Dialect.GEMINI]),
)


class _State:
    """Shared by all connections of the process."""

    def __init__(self) -> None:
        self.seen = 0
        self.events = 20
        self.interval_s = 0.0


class _Vendor(asyncio.Protocol):
    """One connection; requests come one at a time (clients do not pipeline)."""

    def __init__(self, state: _State, loop: asyncio.AbstractEventLoop) -> None:
        self._state = state
        self._loop = loop
        self._head = b""
        self._missing = 0
        self._streamed = False
        self._answers = _ANSWERS[Dialect.ANTHROPIC]
        self._timer: asyncio.TimerHandle | None = None
        self._left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._missing > 0:
            self._missing -= len(data)
        else:
            self._head += data
            end = self._head.find(b"\r\n\r\n") + 4
            if end < 4:
                return
            self._begin(end)
        if self._missing <= 0:
            self._answer()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _begin(self, end: int) -> None:
        data = self._head
        head = data[:end].lower()
        at = head.find(b"\r\ncontent-length:")
        length = int(head[at + 17 : head.index(b"\r\n", at + 2)]) if at >= 0 else 0
        self._missing = length - (len(data) - end)
        target = data[: data.index(b"\r\n")]
        self._answers = next((answers for path, answers in _PATHS if path in target), self._answers)
        # Clients of the bench write "stream" first and our codecs last in a small body, so it is
        # in the first packet.
        self._streamed = b":stream" in target or b'"stream":true' in data[end:]

    def _answer(self) -> None:
        head, self._head = self._head, b""
        self._missing = 0
        if head.startswith(b"GET /bench/"):
            self._control(head)
            return
        self._state.seen += 1
        if not self._streamed:
            self._transport.write(self._answers.whole)
            return
        self._transport.write(self._answers.opening)
        self._left = self._state.events
        if self._state.interval_s > 0:
            self._timer = self._loop.call_later(self._state.interval_s, self._tick)
        else:
            self._loop.call_soon(self._burst)

    def _tick(self) -> None:
        self._left -= 1
        if self._left < 0:
            self._transport.write(self._answers.closing)
            return
        self._transport.write(self._answers.delta)
        self._timer = self._loop.call_later(self._state.interval_s, self._tick)

    def _burst(self) -> None:
        """One event for each turn of the loop: separate writes, as fast as they go."""
        self._left -= 1
        if self._left < 0:
            self._transport.write(self._answers.closing)
        elif not self._transport.is_closing():
            self._transport.write(self._answers.delta)
            self._loop.call_soon(self._burst)

    def _control(self, head: bytes) -> None:
        path = head.split(b" ", 2)[1].decode()
        if path.startswith("/bench/pace/"):
            _, _, _, events, interval_ms = path.split("/")
            self._state.events = int(events)
            self._state.interval_s = float(interval_ms) / 1000
        self._transport.write(_json(b"%d" % self._state.seen))


async def _serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    state = _State()
    server = await loop.create_server(lambda: _Vendor(state, loop), "127.0.0.1", port, backlog=4096)
    async with server:
        await server.serve_forever()


def main() -> None:
    uvloop.run(_serve(int(sys.argv[1])))


if __name__ == "__main__":
    main()
