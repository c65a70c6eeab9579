"""The client's side of a stream: open it once, write to it from callbacks, keep it alive, end it.

Writing is synchronous, because the bytes come straight from the upstream's socket callback. A
client that has left is not an error here: writing to it does nothing, and who cares asks whether it
has left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from aiohttp import web

from bytespike_runtime.connection import BodyWriter, client_gone, cut_off

__all__ = ["ClientStream", "KeepAlive"]


class ClientStream:
    """One answer on its way to one client.

    ``committed``: the response head is out, so nothing can be tried again. ``last_sent`` is loop
    time.
    """

    __slots__ = ("_gone", "_loop", "_request", "_writer", "committed", "last_sent", "response")

    def __init__(self, request: web.BaseRequest) -> None:
        self._request = request
        self._gone = client_gone(request)
        self._loop = self._gone.get_loop()
        self._writer: BodyWriter | None = None
        self.response: web.StreamResponse | None = None
        self.committed = False
        self.last_sent = self._loop.time()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop of the client's connection."""
        return self._loop

    @property
    def left(self) -> bool:
        """Whether the client's connection is lost."""
        return self._gone.done()

    async def open(self, headers: Mapping[str, str]) -> None:
        """Send a 200 with these headers. Does nothing if that has happened."""
        if self.committed:
            return
        self.committed = True
        self.response = web.StreamResponse(status=200, headers=headers)
        try:
            await self.response.prepare(self._request)
        except ConnectionError:
            return  # it left just now; the connection's loss is reported by itself
        self.response.headers.clear()  # they are out; a stream lives for minutes
        self._writer = BodyWriter(self._request)

    def send(self, data: bytes) -> bool:
        """Write now. False = the client is slower than the upstream: see :meth:`caught_up`."""
        if self._writer is None or not data:
            return True
        self.last_sent = self._loop.time()
        try:
            return self._writer.write(data)
        except ConnectionError:
            return True

    async def caught_up(self, timeout_s: float) -> bool:
        """Wait until a slow client has read what was sent; False if it did not, or has left."""
        if self._writer is None:
            return False
        try:
            async with asyncio.timeout(timeout_s):
                await self._writer.drained()
        except (ConnectionError, TimeoutError):
            return False
        return True

    def cut(self) -> None:
        """Close without a clean end, so that the client knows the answer is not complete."""
        cut_off(self._request)

    def drop(self) -> None:
        """Give up on a client that does not read: what it has not taken is thrown away."""
        transport = self._request.transport
        if transport is not None:
            transport.abort()

    def when_left(self, callback: Callable[[], object]) -> None:
        """Call back when the client leaves (at once if it has)."""
        self._gone.add_done_callback(lambda _: callback())


class KeepAlive:
    """Calls ``fill`` whenever a stream has been silent for ``interval_s``.

    One timer per stream and interval: it is not moved by each write, but looks when the last one
    was.
    """

    __slots__ = ("_fill", "_interval_s", "_loop", "_stream", "_timer")

    def __init__(self, stream: ClientStream, interval_s: float, fill: Callable[[], None]) -> None:
        self._stream = stream
        self._interval_s = interval_s
        self._fill = fill
        self._loop = stream.loop
        self._timer = self._loop.call_later(interval_s, self._check)

    def stop(self) -> None:
        """No more keep-alives."""
        self._timer.cancel()

    def _check(self) -> None:
        due = self._stream.last_sent + self._interval_s
        if due <= self._loop.time():
            self._fill()
            due = self._loop.time() + self._interval_s
        self._timer = self._loop.call_at(due, self._check)
