"""One connection: bytes on the wire to one exchange after another.

The parser (llhttp) is strict and stays strict. On top of its checks this module refuses what a
gateway must not guess about: foreign transfer codings, protocol switches, heads without end, and
any byte that belongs to no exchange. A connection serves the next request only if the last response
ended exactly where it said it would.
"""

from __future__ import annotations

import asyncio
import socket
from functools import lru_cache
from typing import Protocol, cast

import httptools

from bytespike_runtime.http_client.deadline import Deadline
from bytespike_runtime.http_client.errors import (
    BadResponse,
    ClientError,
    FirstByteTimeout,
    IdleTimeout,
    RequestBroken,
    ResponseBroken,
)
from bytespike_runtime.http_client.response import Headers, HttpResponse

__all__ = ["Connection", "ConnectionOwner"]

#: Real heads are a few KiB. The same bound covers whatever else a server can send without making
#: progress: interim responses, chunk extensions, trailers.
_MAX_BARREN_BYTES = 64 * 1024
_MAX_HEADERS = 256
#: Up to here head and body leave as one buffer: copying is cheaper than a second system call.
_JOINED_BODY_BYTES = 16 * 1024
#: Larger bodies leave in slices, each after the socket has taken the last: memory stays bounded
#: under TLS, and an early refusal is noticed before everything was sent.
_SLICE_BYTES = 256 * 1024


class ConnectionOwner(Protocol):
    """The pool, as a connection sees it. Each exchange ends in exactly one of these calls."""

    def released(self, connection: Connection) -> None:
        """The exchange ended cleanly; the connection can take another."""

    def lost(self, connection: Connection) -> None:
        """The connection is gone, in use or not."""


class Connection(asyncio.Protocol):
    """An open connection. ``in_use`` belongs to the owner."""

    __slots__ = (
        "_barren_bytes",
        "_complete",
        "_deadline",
        "_drained",
        "_head",
        "_headers",
        "_interim",
        "_is_head_request",
        "_loop",
        "_owner",
        "_parser",
        "_pieces",
        "_reading_paused",
        "_reason",
        "_response",
        "_reusable",
        "_sending",
        "_served",
        "_transport",
        "_writing_paused",
        "in_use",
    )

    _transport: asyncio.Transport

    def __init__(self, owner: ConnectionOwner, loop: asyncio.AbstractEventLoop) -> None:
        self.in_use = False
        self._owner = owner
        self._loop = loop
        self._parser = httptools.HttpResponseParser(self)
        self._deadline = Deadline(loop, self._expired)
        # One exchange: first a head is awaited, then a response is delivered; neither = idle.
        self._head: asyncio.Future[HttpResponse] | None = None
        self._response: HttpResponse | None = None
        self._is_head_request = False
        self._served = 0
        # What the parser has said about the current message.
        self._reason = b""
        self._headers: list[tuple[str, str]] = []
        self._pieces: list[bytes] = []
        self._interim = False
        self._complete = False
        self._reusable = True
        self._barren_bytes = 0
        # Flow control, both ways.
        self._reading_paused = False
        self._writing_paused = False
        self._sending = False
        self._drained: asyncio.Future[None] | None = None

    @property
    def usable(self) -> bool:
        """Whether a request may be sent (the loop has not yet seen the end of the connection)."""
        return not self._transport.is_closing()

    async def exchange(
        self, head: bytes, body: bytes, *, first_byte_timeout_s: float, is_head_request: bool
    ) -> HttpResponse:
        """Send one request and return when its response head is complete.

        Cancelling drops the connection. Raises :class:`RequestBroken`, :class:`FirstByteTimeout` or
        :class:`BadResponse`.
        """
        self._is_head_request = is_head_request
        self._barren_bytes = 0
        waiter: asyncio.Future[HttpResponse] = self._loop.create_future()
        self._head = waiter
        self._deadline.set(first_byte_timeout_s)
        try:
            if len(body) <= _JOINED_BODY_BYTES:
                self._transport.write(head + body)
            else:
                await self._write_slices(head, body)
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                waiter.result().abort()  # answered while we were being cancelled
            else:
                self.abort()
            raise

    def stay_idle(self, at_most_s: float) -> None:
        """Wait in the pool; close after that time without a request."""
        self._deadline.set(at_most_s)

    def shut_down(self) -> None:
        """The client closes: whoever waits on this connection is told."""
        self._fail(
            RequestBroken("the client is closed", reused=self.reused),
            ResponseBroken("the client is closed"),
        )

    def abort(self) -> None:
        """Drop the connection now, unsent bytes included; the owner learns it through ``lost``."""
        self._head = None
        self._response = None
        self._deadline.clear()
        self._transport.abort()

    # BodySource

    def pause_body(self) -> None:
        if not self._reading_paused and not self._transport.is_closing():
            self._reading_paused = True
            self._transport.pause_reading()

    def resume_body(self) -> None:
        if self._reading_paused:
            self._reading_paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def expect_body(self, within_s: float | None) -> None:
        if within_s is None:
            self._deadline.clear()
        else:
            self._deadline.set(within_s)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # TCP or TLS, as the client asked
        sock = transport.get_extra_info("socket")
        # Nagle and delayed acknowledgements together cost 40 ms on every small write.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        if self._head is None and self._response is None:
            self.abort()  # nobody asked: whatever this is, it must not become an answer
            return
        broken = ""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            broken = str(error.__context__ or error)
            self._reusable = False
        response = self._response
        if self._pieces and response is not None:
            body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
            self._pieces.clear()
            self._barren_bytes = 0
            response.feed(body)
            if self._response is None:
                return  # its sink aborted it
        elif not self._complete:
            self._barren_bytes += len(data)
            if self._barren_bytes > _MAX_BARREN_BYTES and not broken:
                broken = f"no progress in {_MAX_BARREN_BYTES} bytes"
        if self._complete:
            self._conclude()
        elif broken:
            self._fail(BadResponse(broken), ResponseBroken(broken))

    def eof_received(self) -> None:
        """The transport closes itself; connection_lost decides what that means."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.cancel()
        response = self._response
        if response is not None and response.close_delimited and exc is None:
            self._response = None
            response.finish()
        else:
            cause = f": {exc}" if exc else ""
            self._fail(
                RequestBroken(f"connection ended before a response{cause}", reused=self.reused),
                ResponseBroken(f"connection ended within the body{cause}"),
            )
        self.resume_writing()
        self._owner.lost(self)

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        self._wake_writer()

    # httptools

    # A message that begins after the response is complete is one nobody asked for: the response
    # stands, the rest is ignored, and the connection takes no further request.

    def on_message_begin(self) -> None:
        if self._complete:
            self._reusable = False
        else:
            self._reason = b""
            self._headers = []

    def on_status(self, reason: bytes) -> None:
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._response is None:  # trailers carry nothing a relay needs
            self._headers.append((_known_name(name), value.decode("utf-8", "surrogateescape")))

    def on_headers_complete(self) -> None:
        if self._complete:
            return
        status = self._parser.get_status_code()
        self._interim = status < 200
        if not self._interim:
            self._begin_response(status)
        elif status < 100 or status == 101:
            raise BadResponse(f"unexpected status {status}")

    def on_body(self, data: bytes) -> None:
        if not self._complete:
            self._pieces.append(data)

    def on_message_complete(self) -> None:
        if not self._interim and not self._complete:
            self._complete = True
            if not self._parser.should_keep_alive():
                self._reusable = False

    # Steps of an exchange.

    @property
    def reused(self) -> bool:
        """Whether this is not the connection's first exchange."""
        return self._served > 0

    def _begin_response(self, status: int) -> None:
        framed = _check_head(self._reason, self._headers)
        if self._is_head_request:
            # The parser cannot know and may wait for the body that was announced.
            self._complete = framed = True
            self._reusable = False
        response = self._response = HttpResponse(
            self,
            status,
            self._reason.decode("utf-8", "surrogateescape"),
            Headers(self._headers),
            reused=self.reused,
            close_delimited=not framed and status not in (204, 304),
        )
        waiter, self._head = self._head, None
        self._deadline.clear()
        if waiter is not None and not waiter.done():
            waiter.set_result(response)
        self._wake_writer()

    def _conclude(self) -> None:
        response, self._response = self._response, None
        reusable = (
            self._reusable and not self._sending and self._transport.get_write_buffer_size() == 0
        )
        self._complete = False
        self._served += 1
        if response is not None:
            response.finish()
        if reusable:
            self.resume_body()
            self._owner.released(self)
        else:
            self.abort()

    def _fail(self, before_head: ClientError, within_body: ClientError) -> None:
        head, self._head = self._head, None
        response, self._response = self._response, None
        if head is not None and not head.done():
            head.set_exception(before_head)
        if response is not None:
            response.fail(within_body)
        self.abort()

    def _expired(self) -> None:
        self._fail(FirstByteTimeout("no response head in time"), IdleTimeout("the body stalled"))

    async def _write_slices(self, head: bytes, body: bytes) -> None:
        self._sending = True
        rest = memoryview(body)
        # The head does not travel alone: it would wake the server for nothing.
        self._transport.writelines((head, rest[:_SLICE_BYTES]))
        while rest := rest[_SLICE_BYTES:]:
            if self._writing_paused:
                self._drained = self._loop.create_future()
                await self._drained
                self._drained = None
            if self._head is None:
                return  # answered or lost before everything was sent: never to be reused
            self._transport.write(rest[:_SLICE_BYTES])
        self._sending = False

    def _wake_writer(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)


@lru_cache(maxsize=1024)  # the same few on every response; the bound is against strangers' own
def _known_name(name: bytes) -> str:
    return name.decode("ascii").lower()


def _check_head(reason: bytes, headers: list[tuple[str, str]]) -> bool:
    """Refuse what must not be relayed; whether the head declares where its body ends."""
    if len(headers) > _MAX_HEADERS:
        raise BadResponse(f"more than {_MAX_HEADERS} headers")
    framed = False
    size_bytes = len(reason)
    for name, value in headers:
        size_bytes += len(name) + len(value)
        if name == "transfer-encoding":
            framed = True
            if value.strip().lower() != "chunked":
                raise BadResponse("unsupported transfer coding")
        elif name == "content-length":
            framed = True
    if size_bytes > _MAX_BARREN_BYTES:
        raise BadResponse(f"head over {_MAX_BARREN_BYTES} bytes")
    return framed
