"""A stream relayed as it came: the vendor's bytes to the client, a tap reading along.

Up to the first whole event everything is held back, so that a stream which begins with an error can
still become another channel or an honest status. From then on each network read goes out in one
write, straight from the socket's callback; only the tap looks inside.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from bytespike_protocols.anthropic.tap import MessagesTap
from bytespike_protocols.errors import BadUpstreamMessage
from bytespike_protocols.sse import Frame, FrameSplitter
from bytespike_runtime.http_client import ClientError, HttpResponse
from bytespike_text.attempts import (
    AttemptFailed,
    CallersFault,
    Failure,
    FailureKind,
    judge_status,
)
from bytespike_text.client import ClientStream
from bytespike_text.upstream import failure_of

__all__ = ["StreamRelay"]

#: Search results and encrypted reasoning arrive in one event; the largest seen are below 1 MiB.
_FRAME_LIMIT_BYTES = 8 * 1024 * 1024
#: A client that reads nothing for this long, with its buffers full, is taken to have left.
_CLIENT_STALL_S = 120.0


class StreamRelay:
    """One vendor stream to one client. ``on_finished`` is called once, before the bytes of the
    terminal event leave; ``spawn`` starts work that outlives a callback.
    """

    def __init__(
        self,
        response: HttpResponse,
        client: ClientStream,
        *,
        on_finished: Callable[[], None],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self.tap = MessagesTap()
        self._response = response
        self._client = client
        self._on_finished = on_finished
        self._spawn = spawn
        self._splitter = FrameSplitter(_FRAME_LIMIT_BYTES)
        self._relaying = False

    @property
    def at_boundary(self) -> bool:
        """Whether bytes of our own may be put in: what the client has got ends a frame."""
        return not self._relaying or self._splitter.at_boundary

    async def first_event(self, *, idle_timeout_s: float) -> bytes:
        """Wait for the first whole event; returns all bytes that have come with it.

        Raises :class:`AttemptFailed`, or :class:`CallersFault` if the stream begins with an error
        (unless the client has its headers already: then the error is relayed like any event).
        """
        held = b""
        while True:
            chunk = await self._pull(idle_timeout_s)
            frames = self._split(chunk)
            held += chunk
            if frames:
                if not self._client.committed:
                    _refuse_error(frames[0])
                return held

    async def relay(self, held: bytes, *, idle_timeout_s: float) -> None:
        """Send what was held back, then everything that comes, to the vendor's clean end.

        Raises :class:`AttemptFailed` if that end does not come, or comes without a terminal event.
        """
        self._relaying = True
        if not self._client.send(held) and not await self._client.caught_up(_CLIENT_STALL_S):
            self._client.drop()
        try:
            await self._response.pump(self._sink, idle_timeout_s=idle_timeout_s)
        except ClientError as error:
            if not self.tap.finished:
                raise AttemptFailed(failure_of(error, status=200)) from error
            return  # the message is complete; only its envelope was torn
        self._observe(self._splitter.close())
        if not self.tap.finished and self.tap.error is None:
            raise AttemptFailed(Failure(FailureKind.TRUNCATED, status=200))

    async def _pull(self, idle_timeout_s: float) -> bytes:
        try:
            chunk = await self._response.chunk(idle_timeout_s=idle_timeout_s)
        except ClientError as error:
            raise AttemptFailed(failure_of(error, status=200)) from error
        if not chunk:
            raise AttemptFailed(Failure(FailureKind.TRUNCATED, status=200))
        return chunk

    def _split(self, chunk: bytes) -> list[Frame]:
        try:
            frames = self._splitter.feed(chunk)
        except BadUpstreamMessage as error:
            raise AttemptFailed(Failure(FailureKind.BAD_RESPONSE, status=200)) from error
        for frame in frames:
            self._observe(frame)
        return frames

    def _sink(self, chunk: bytes) -> bool:
        """The hot path: once per network read of a running stream."""
        for frame in self._splitter.feed(chunk):
            self._observe(frame)
        if self._client.send(chunk):
            return True
        self._spawn(self._wait_for_client())
        return False

    def _observe(self, frame: Frame | None) -> None:
        if frame is None:
            return
        tap = self.tap
        finished = tap.finished
        tap.feed(frame)
        if tap.finished and not finished and tap.error is None:
            self._on_finished()

    async def _wait_for_client(self) -> None:
        if not await self._client.caught_up(_CLIENT_STALL_S):
            self._client.drop()
        self._response.resume()


def _refuse_error(first: Frame) -> None:
    tap = MessagesTap()
    tap.feed(first)
    if tap.error is None:
        return
    status = tap.error.status
    failure = judge_status(status)
    if failure is None:
        raise CallersFault(status, first.data)
    raise AttemptFailed(failure)
