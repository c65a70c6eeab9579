"""Handing a service's answer to the client: whole, or as it comes.

A stream passes through one callback per network read, written to the client's socket in the same
turn of the loop. A slow client stops the reading; a client that leaves drops the connection behind,
which is how the router learns of it. The end of a stream is only ever passed on if it was a clean
end.
"""

from __future__ import annotations

import asyncio

from aiohttp import web

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_edge.call import Call
from bytespike_edge.idempotency import Recorder
from bytespike_edge.stream_end import stream_end
from bytespike_protocols.codec import Framing
from bytespike_runtime.connection import BodyWriter, client_gone, cut_off
from bytespike_runtime.http_client import BodyTooLarge, ClientError, HttpResponse, IdleTimeout
from bytespike_runtime.logs import get_logger

__all__ = ["StreamRelay", "read_whole"]

#: No text or JSON answer of any vendor comes near; anything larger is a fault behind us.
MAX_ANSWER_BYTES = 32 * 1_048_576
#: A client that takes nothing for this long has left without saying so; it must not keep its
#: concurrency slot. The same patience a vendor is shown between two chunks.
CLIENT_STALL_S = 120.0

_log = get_logger()


async def read_whole(upstream: HttpResponse, *, idle_timeout_s: float) -> bytes:
    """The body of a non-streamed answer. Raises :class:`GatewayError` if it does not come whole."""
    try:
        return await upstream.read(limit_bytes=MAX_ANSWER_BYTES, idle_timeout_s=idle_timeout_s)
    except BodyTooLarge:
        raise GatewayError(ErrorCode.BAD_UPSTREAM, "the answer is larger than 32 MiB") from None
    except ClientError as error:
        raise _broken(error) from error
    except BaseException:
        upstream.abort()
        raise


class StreamRelay:
    """One streamed answer on its way. With a ``recorder`` the service is heard to its end even if
    the client leaves, so that a repeat of the call can be answered.
    """

    __slots__ = (
        "_call",
        "_end",
        "_group",
        "_recorder",
        "_request",
        "_upstream",
        "_writer",
    )

    def __init__(
        self,
        call: Call,
        request: web.BaseRequest,
        upstream: HttpResponse,
        recorder: Recorder | None,
        *,
        framing: Framing,
    ) -> None:
        self._call = call
        self._request = request
        self._upstream = upstream
        self._recorder = recorder
        self._writer = BodyWriter(request)
        self._group = asyncio.TaskGroup()
        self._end = stream_end(call.dialect, framing)

    async def run(self, *, idle_timeout_s: float) -> bool:
        """Relay to the end; True if it was the clean end. The response must be prepared, and its
        own end is the caller's to write.
        """
        gone = client_gone(self._request)
        gone.add_done_callback(self._on_client_gone)
        failure: ClientError | None = None
        try:
            async with self._group:
                try:
                    await self._upstream.pump(self._sink, idle_timeout_s=idle_timeout_s)
                except ClientError as error:
                    failure = error
        finally:
            gone.remove_done_callback(self._on_client_gone)
            self._upstream.abort()
        if failure is not None and not self._call.client_left:
            self._break_off(failure)
        return failure is None

    def _sink(self, data: bytes) -> bool:
        call = self._call
        if self._recorder is not None:
            self._recorder.add(data)
        if call.client_left:
            return True  # heard for the recorder alone, or the end of what was aborted
        call.bytes_out += len(data)
        self._end.note(data)
        try:
            if self._writer.write(data):
                return True
        except ConnectionError:
            self._on_client_gone(None)
            return True
        self._group.create_task(self._resume_when_drained())
        return False

    async def _resume_when_drained(self) -> None:
        try:
            async with asyncio.timeout(CLIENT_STALL_S):
                await self._writer.drained()
        except TimeoutError:
            if self._request.transport is not None:
                self._request.transport.abort()
            self._on_client_gone(None)
        except ConnectionError:
            self._on_client_gone(None)
        self._upstream.resume()

    def _on_client_gone(self, _: object) -> None:
        self._call.client_left = True
        if self._recorder is None:
            self._upstream.abort()

    def _break_off(self, error: BaseException) -> None:
        """The service failed in mid-stream: say so if the client can still parse it and has not
        been told by the service itself, then end without the mark of a clean end.
        """
        call = self._call
        failure = _broken(error)
        call.error_type = failure.code.value
        _log.warning(
            "stream broke behind the edge",
            request_id=call.request_id,
            reason=type(error).__name__,
        )
        last_words = self._end.last_words(failure, request_id=call.request_id)
        if last_words:
            try:
                self._writer.write(last_words)
            except ConnectionError:
                call.client_left = True
        cut_off(self._request)


def _broken(error: BaseException) -> GatewayError:
    code = ErrorCode.UPSTREAM_TIMEOUT if isinstance(error, IdleTimeout) else ErrorCode.UNAVAILABLE
    return GatewayError(
        code,
        "the answer broke off inside the gateway; try again",
        headers={"Retry-After": "1"},
    )
