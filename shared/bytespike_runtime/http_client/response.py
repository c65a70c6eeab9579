"""A response as its reader sees it: a head, then body bytes pulled or pushed.

The response owns what has arrived and has not been read; the connection behind it owns the socket.
Once the body has ended, well or badly, the two are parted, so that a forgotten response can never
disturb the next request on the same connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from bytespike_runtime.http_client.errors import BodyTooLarge, ClientError, ResponseBroken

__all__ = ["BodySource", "Headers", "HttpResponse", "Sink"]

#: Reading from the socket stops here until the reader has caught up: enough for a full TCP window
#: on a fast link, little enough to hold thousands of slow readers.
_HIGH_WATER_BYTES = 64 * 1024

#: Takes the next body bytes; False asks for silence until :meth:`HttpResponse.resume`.
Sink = Callable[[bytes], bool]


class BodySource(Protocol):
    """What a response needs from its connection."""

    def pause_body(self) -> None:
        """Stop reading from the socket."""

    def resume_body(self) -> None:
        """Read again."""

    def expect_body(self, within_s: float | None) -> None:
        """Fail with ``IdleTimeout`` unless bytes arrive in time; None = expect nothing."""

    def abort(self) -> None:
        """Drop the connection."""


class Headers:
    """Response headers in order of arrival, names in lower case, repeated ones kept apart."""

    __slots__ = ("_pairs",)

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs

    def get(self, name: str) -> str | None:
        """The first value of ``name`` (any case), or None."""
        name = name.lower()
        for known, value in self._pairs:
            if known == name:
                return value
        return None

    def items(self) -> list[tuple[str, str]]:
        """All pairs; the caller may keep the list but not change it."""
        return self._pairs


class HttpResponse:
    """Status, headers and a body that is still on its way. One reader at a time.

    ``reused``: the connection had served an earlier request. ``close_delimited``: the server
    declared no length, so the end of the connection is the end of the body and a truncation cannot
    be told from it.
    """

    __slots__ = (
        "_buffer",
        "_buffered_bytes",
        "_ended",
        "_error",
        "_idle_timeout_s",
        "_paused",
        "_sink",
        "_source",
        "_waiter",
        "close_delimited",
        "headers",
        "reason",
        "reused",
        "status",
    )

    def __init__(
        self,
        source: BodySource,
        status: int,
        reason: str,
        headers: Headers,
        *,
        reused: bool,
        close_delimited: bool,
    ) -> None:
        self.status = status
        self.reason = reason
        self.headers = headers
        self.reused = reused
        self.close_delimited = close_delimited
        self._source: BodySource | None = source
        self._buffer: list[bytes] = []
        self._buffered_bytes = 0
        self._ended = False
        self._error: ClientError | None = None
        self._paused = False
        self._sink: Sink | None = None
        self._idle_timeout_s: float | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def chunk(self, *, idle_timeout_s: float | None = None) -> bytes:
        """All body bytes that have arrived and were not read yet, waiting for the first of them;
        ``b""`` at the clean end.

        Safe to cancel: no byte is lost. Bytes that arrived before a failure are delivered before
        it. Raises :class:`ResponseBroken` or :class:`IdleTimeout`.
        """
        while not self._buffer:
            if self._error is not None:
                raise self._error
            if self._ended:
                return b""
            await self._wait(idle_timeout_s)
        return self._take()

    async def read(self, *, limit_bytes: int, idle_timeout_s: float | None) -> bytes:
        """The whole body. Raises :class:`BodyTooLarge` (and drops the connection) as soon as the
        limit is known to be passed, else what :meth:`chunk` raises.
        """
        declared = self.headers.get("content-length")
        fits = self._ended or declared is None or int(declared) <= limit_bytes
        pieces: list[bytes] = []
        total_bytes = 0
        while fits:
            piece = await self.chunk(idle_timeout_s=idle_timeout_s)
            if not piece:
                return pieces[0] if len(pieces) == 1 else b"".join(pieces)
            pieces.append(piece)
            total_bytes += len(piece)
            fits = total_bytes <= limit_bytes
        self.abort()
        raise BodyTooLarge(f"response body over {limit_bytes} bytes")

    async def pump(self, sink: Sink, *, idle_timeout_s: float | None = None) -> None:
        """Push the body into ``sink`` and return at its clean end.

        ``sink`` is called straight from the socket's callback, once per network read and without a
        task switch, starting with what is already buffered. It must be quick and must not raise
        (raising drops the connection and ends as :class:`ResponseBroken`). When it returns False,
        nothing more is delivered until :meth:`resume`; the idle clock stands still meanwhile.
        Cancelling stops the pushing and keeps what arrives for the next reader. Raises
        :class:`ResponseBroken` or :class:`IdleTimeout`, after everything that came before it.
        """
        self._sink = sink
        self._idle_timeout_s = idle_timeout_s
        try:
            self.resume()
            while self._buffer or not (self._ended or self._error):
                await self._wait(None if self._paused else idle_timeout_s)
        finally:
            self._sink = None
            self._idle_timeout_s = None
            if not self._buffer:
                self._unpause()  # whoever reads next has no sink to ask for it
        if self._error is not None:
            raise self._error

    def resume(self) -> None:
        """Continue a pump that its sink has paused. Harmless at any other time."""
        sink = self._sink
        if sink is None:
            return
        if self._buffer and not sink(self._drain()):
            self._pause()
            return
        self._unpause()
        if self._source is not None:
            self._source.expect_body(self._idle_timeout_s)
        elif self._waiter is not None:
            self._wake()  # the end was waiting behind the pause

    def abort(self) -> None:
        """Drop the connection unless the body has already ended. A reader that waits gets
        :class:`ResponseBroken`.
        """
        source = self._source
        if source is not None:
            self.fail(ResponseBroken("aborted before its end"))
            source.abort()

    # Called by the connection.

    def feed(self, data: bytes) -> None:
        """Body bytes of one network read."""
        sink = self._sink
        if sink is not None and not self._paused:
            if not sink(data):
                self._pause()
            elif self._idle_timeout_s is not None and self._source is not None:
                self._source.expect_body(self._idle_timeout_s)
            return
        self._buffer.append(data)
        self._buffered_bytes += len(data)
        if self._buffered_bytes >= _HIGH_WATER_BYTES:
            self._pause()
        if sink is None:
            self._wake()

    def finish(self) -> None:
        """The body is complete; the connection goes its own way."""
        self._ended = True
        self._source = None
        self._wake()

    def fail(self, error: ClientError) -> None:
        """The body will not become complete."""
        self._error = error
        self._source = None
        self._wake()

    # The rest is between the methods above.

    async def _wait(self, idle_timeout_s: float | None) -> None:
        if self._waiter is not None:
            raise RuntimeError("the response already has a reader")
        if self._source is not None:
            self._source.expect_body(idle_timeout_s)
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
            if self._source is not None:
                self._source.expect_body(None)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _take(self) -> bytes:
        data = self._drain()
        self._unpause()
        return data

    def _drain(self) -> bytes:
        buffer = self._buffer
        data = buffer[0] if len(buffer) == 1 else b"".join(buffer)
        buffer.clear()
        self._buffered_bytes = 0
        return data

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            if self._source is not None:
                self._source.expect_body(None)
                self._source.pause_body()

    def _unpause(self) -> None:
        if self._paused:
            self._paused = False
            if self._source is not None:
                self._source.resume_body()
