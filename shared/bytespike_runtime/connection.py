"""Server-side HTTP connections: aiohttp's low-level server with the guards it lacks.

Adds to ``aiohttp.web.Server``: a deadline for request heads (slow-loris), malformed requests and
crashes answered in the service's own words, a sign when the client goes away, a synchronous body
writer for streams, and a drain that never cuts a request short. Knows nothing of paths or dialects.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from aiohttp import http_exceptions, web
from aiohttp.http import StreamWriter

from bytespike_runtime.logs import get_logger

__all__ = [
    "BodyWriter",
    "ClientGone",
    "Handler",
    "HttpServer",
    "OnBadRequest",
    "client_gone",
    "cut_off",
    "unless_gone",
]

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
#: ``(status, reason)`` -> the answer: 400 for malformed HTTP, 500 for a crash of the handler.
OnBadRequest = Callable[[int, str], web.StreamResponse]

#: Longest request line and longest single header. SDKs send a few hundred bytes; traces and long
#: beta lists a few thousand.
MAX_HEADER_BYTES = 32_768
#: All of a request head that arrives in pieces, so that 128 headers of 32 KiB are not 4 MiB held.
MAX_HEAD_BYTES = 131_072
#: Longer than the usual idle timeout (60 s) of load balancers, so that they are the ones to close.
KEEPALIVE_S = 75.0

_DRAIN_POLL_S = 0.05
#: What a handler gets to hear of its cancellation after the drain (aiohttp takes 0 for "ever").
_CUT_S = 0.1

_log = get_logger()

T = TypeVar("T")

_REASONS: dict[type[http_exceptions.HttpProcessingError], str] = {
    http_exceptions.BadHttpMethod: "not an HTTP request",
    http_exceptions.BadStatusLine: "malformed request line",
    http_exceptions.InvalidURLError: "malformed request target",
    http_exceptions.LineTooLong: f"request line or header longer than {MAX_HEADER_BYTES} bytes",
    http_exceptions.InvalidHeader: "malformed header",
    http_exceptions.ContentLengthError: "body does not match its content-length",
    http_exceptions.TransferEncodingError: "malformed chunked body",
}


class _Connection(web.RequestHandler):
    """One client connection. ``gone`` is made only if somebody asks for it."""

    __slots__ = ("_head_bytes", "_server", "gone")

    def __init__(self, server: HttpServer, **kwargs: Any) -> None:
        super().__init__(server, **kwargs)
        self._server = server
        self._head_bytes = 0
        self.gone: asyncio.Future[None] | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop it runs in: asking asyncio for it costs a system call (before Python 3.12)."""
        return self._loop

    @property
    def idle(self) -> bool:
        """Whether it waits for a request (perhaps for the rest of a head) and works on none."""
        return self._waiter is not None and not self._waiter.done() and not self._messages

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._server.heads[self] = self._loop.time()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._server.heads.pop(self, None)
        super().connection_lost(exc)
        if self.gone is not None and not self.gone.done():
            self.gone.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Feed the parser and keep the clock of an unfinished request head."""
        seen = self._request_count
        super().data_received(data)
        if self._request_count != seen:
            self._head_bytes = 0
            self._server.heads.pop(self, None)
        elif data and self.idle:
            self._server.heads.setdefault(self, self._loop.time())
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.force_close()

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Go on reading if that was paused: aiohttp asks after every body it has handed out, and
        then runs its parser on nothing.
        """
        if self._reading_paused:
            super().resume_reading(resume_parser)

    async def _handle_request(
        self, request: web.BaseRequest, start_time: float | None, request_handler: Handler
    ) -> tuple[web.StreamResponse, bool]:
        server = self._server
        server.in_flight += 1
        try:
            return await super()._handle_request(request, start_time, request_handler)
        finally:
            server.in_flight -= 1
            self.gone = None

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send what is left of the answer; while draining it is the connection's last one."""
        if self._server.draining:
            resp.force_close()
        return await super().finish_response(request, resp, start_time)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer malformed HTTP and handler crashes; aiohttp's own text never reaches a client."""
        if isinstance(exc, ConnectionError):
            raise exc  # the client left while its body was read: nobody to answer, nothing to log
        malformed = isinstance(exc, http_exceptions.HttpProcessingError | web.RequestPayloadError)
        if malformed:
            # The parser's message quotes the request, so only the kind of fault is logged.
            _log.info("malformed request", fault=type(exc).__name__, remote=request.remote)
        else:
            _log.error("request handler failed", exc_info=exc or True)
        if request.writer.output_size > 0:
            raise ConnectionResetError("the answer had begun; it can only be cut off")
        reason = _reason(exc) if malformed else "internal error"
        answer = self._server.on_bad_request(400 if malformed else 500, reason)
        answer.force_close()
        return answer


def _reason(fault: BaseException | None) -> str:
    for kind, words in _REASONS.items():
        if isinstance(fault, kind):
            return words
    return "malformed HTTP request"


class HttpServer(web.Server):
    """The protocol factory of a listening socket, and the keeper of its connections."""

    def __init__(
        self, handler: Handler, *, on_bad_request: OnBadRequest, header_timeout_s: float
    ) -> None:
        super().__init__(handler, handler_cancellation=False)
        self.on_bad_request = on_bad_request
        self.in_flight = 0
        self.draining = False
        #: Connections whose request head is not complete, oldest first, with the time it began.
        self.heads: dict[_Connection, float] = {}
        self._header_timeout_s = header_timeout_s

    def __call__(self) -> _Connection:
        return _Connection(
            self,
            loop=self._loop,
            keepalive_timeout=KEEPALIVE_S,
            access_log=None,
            auto_decompress=False,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
        )

    async def watch_heads(self) -> None:
        """Close connections that take too long over a request head. Runs until cancelled."""
        while True:
            await asyncio.sleep(self._header_timeout_s / 10)
            overdue = self._loop.time() - self._header_timeout_s
            for connection, since in list(self.heads.items()):
                if since > overdue:
                    break
                del self.heads[connection]
                connection.force_close()

    async def drain(self, timeout_s: float) -> bool:
        """Close idle connections at once and the others after their answer; False = some were cut.

        Waits for bytes to leave too: an answer in a socket buffer is not delivered yet.
        """
        self.draining = True
        deadline = self._loop.time() + timeout_s
        while self.connections and self._loop.time() < deadline:
            for connection in self.connections:
                if isinstance(connection, _Connection) and connection.idle:
                    connection.force_close()
            await asyncio.sleep(_DRAIN_POLL_S)
        complete = not self.connections
        await self.shutdown(timeout=_CUT_S)
        return complete


def client_gone(request: web.BaseRequest) -> asyncio.Future[None]:
    """Resolved when the client's connection is lost before this request was answered in full.

    Handlers are not cancelled by a leaving client; those that care watch this (``asyncio.wait`` or
    a done callback). One future per request: do not cancel it, and do not await it unshielded.
    """
    connection = _connection(request)
    if connection.gone is None:
        connection.gone = connection.loop.create_future()
        if connection.transport is None:
            connection.gone.set_result(None)
    return connection.gone


class ClientGone(Exception):
    """The client's connection was lost before it had its answer."""


async def unless_gone(request: web.BaseRequest, work: Awaitable[T]) -> T:
    """The result of ``work``, which is cancelled when the client leaves: :class:`ClientGone`.

    This is what ``asyncio.timeout`` does on a deadline, without its timer: it runs for every
    request, and nearly all clients stay.
    """
    gone = client_gone(request)
    task = asyncio.current_task(gone.get_loop())
    if task is None:
        raise RuntimeError("must run in a task")
    left, working = False, True

    def leave(_: asyncio.Future[None]) -> None:
        nonlocal left
        if working:  # a callback that is already on its way cannot be removed
            left = True
            task.cancel()

    gone.add_done_callback(leave)
    try:
        return await work
    except asyncio.CancelledError:
        if left and task.uncancel() == 0:
            raise ClientGone from None
        raise  # somebody else cancelled, too
    finally:
        working = False
        gone.remove_done_callback(leave)


def cut_off(request: web.BaseRequest) -> None:
    """End a begun answer so that the client can tell it is not complete.

    What was written still leaves; then the connection closes without the end-of-body marker.
    """
    _connection(request).force_close()


class BodyWriter:
    """Writes a prepared streamed response from plain callbacks: one socket write per call.

    The first write also carries the response head. Raises ``ConnectionError`` once the client has
    gone. :meth:`write` says whether to go on; after False, :meth:`drained` says when.
    """

    __slots__ = ("_connection", "_writer")

    def __init__(self, request: web.BaseRequest) -> None:
        self._connection = _connection(request)
        if not isinstance(request.writer, StreamWriter):
            raise TypeError("the request did not come through HttpServer")
        self._writer = request.writer

    def write(self, data: bytes) -> bool:
        """Send ``data`` (not empty) now; False if the client is slower than we are."""
        step = self._writer.write(data, drain=False)
        try:
            step.send(None)
        except StopIteration:
            return not self._connection.writing_paused
        raise RuntimeError("aiohttp suspended in a write that must not wait")

    async def drained(self) -> None:
        """Wait until the client has caught up (or left: then ``ConnectionError``)."""
        await self._writer.drain()


def _connection(request: web.BaseRequest) -> _Connection:
    connection = request.protocol
    if not isinstance(connection, _Connection):
        raise TypeError("the request did not come through HttpServer")
    return connection
