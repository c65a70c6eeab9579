"""A stream on its way: the vendor's reads in, the client's bytes out, a tap reading along.

Up to the first whole event everything is held back, so that a stream which begins with an error can
still become another channel or an honest status. From then on what is to be said of each network
read goes out in one write, straight from the socket's callback.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from bytespike_protocols.errors import BadUpstreamMessage
from bytespike_protocols.json_array import ArraySplitter
from bytespike_protocols.sse import Frame
from bytespike_protocols.tap import Tap
from bytespike_runtime.http_client import ClientError, HttpResponse
from bytespike_text.attempts import (
    AttemptFailed,
    CallersFault,
    Failure,
    FailureKind,
    judge_status,
)
from bytespike_text.client import ClientStream
from bytespike_text.errors import Words
from bytespike_text.passage import Passage
from bytespike_text.upstream import failure_of

__all__ = ["StreamRelay"]

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
        tap: Tap,
        passage: Passage,
        on_finished: Callable[[], None],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self.tap = tap
        self._response = response
        self._client = client
        self._on_finished = on_finished
        self._spawn = spawn
        self._splitter = passage.splitter()
        self._wording = passage.wording()
        self._relaying = False
        self._senseless = False
        self._error_body = b""
        self._held = b""

    @property
    def at_boundary(self) -> bool:
        """Whether bytes of our own may be put in: what the client has got ends a frame."""
        return not self._relaying or self._wording.at_boundary(self._splitter)

    async def first_event(self, *, idle_timeout_s: float) -> None:
        """Wait for the first whole event, and hold back what is to be sent for it.

        Raises :class:`AttemptFailed`, or :class:`CallersFault` if the stream begins with an error
        (unless the client has its headers already: then the error is relayed like any event).
        """
        while True:
            chunk = await self._pull(idle_timeout_s)
            try:
                frames = self._splitter.feed(chunk)
                for frame in frames:
                    self._observe(frame)
                if not self._client.committed:
                    self._refuse_error()
                self._held += self._wording.pass_on(chunk, frames)
            except BadUpstreamMessage as error:
                raise AttemptFailed(Failure(FailureKind.BAD_RESPONSE, status=200)) from error
            if frames:
                return

    async def relay(self, *, idle_timeout_s: float) -> None:
        """Send what was held back, then everything that comes, to the vendor's clean end.

        Raises :class:`AttemptFailed` if that end does not come, or comes without a terminal event.
        """
        self._relaying = True
        all_taken, self._held = self._client.send(self._held), b""
        if not all_taken and not await self._client.caught_up(_CLIENT_STALL_S):
            self._client.drop()
        try:
            await self._response.pump(self._sink, idle_timeout_s=idle_timeout_s)
        except ClientError as error:
            if not self.tap.finished:
                raise AttemptFailed(self._judge(error)) from error
            return  # the message is complete; only its envelope was torn
        self._end()
        if not self.tap.finished and self.tap.error is None:
            raise AttemptFailed(Failure(FailureKind.TRUNCATED, status=200))

    def break_off(self, words: Words) -> None:
        """The stream cannot be brought to its end: say so where the framing allows it."""
        self._client.send(self._wording.failure(words, self.tap, self._splitter))

    def _end(self) -> None:
        splitter = self._splitter
        last = splitter.close()
        if last is not None:
            self._observe(last)
        finished = self.tap.finished
        if isinstance(splitter, ArraySplitter) and not splitter.ended:
            return  # the connection ended cleanly, but not what it carried
        self.tap.close()
        if self.tap.finished and not finished and self.tap.error is None:
            self._on_finished()
        try:
            self._client.send(self._wording.close(last))
        except BadUpstreamMessage as error:
            if not finished:
                raise AttemptFailed(Failure(FailureKind.TRUNCATED, status=200)) from error

    async def _pull(self, idle_timeout_s: float) -> bytes:
        try:
            chunk = await self._response.chunk(idle_timeout_s=idle_timeout_s)
        except ClientError as error:
            raise AttemptFailed(failure_of(error, status=200)) from error
        if not chunk:
            raise AttemptFailed(Failure(FailureKind.TRUNCATED, status=200))
        return chunk

    def _sink(self, chunk: bytes) -> bool:
        """The hot path: once per network read of a running stream."""
        try:
            frames = self._splitter.feed(chunk)
            for frame in frames:
                self._observe(frame)
            words = self._wording.pass_on(chunk, frames)
        except BadUpstreamMessage:
            self._senseless = True
            raise
        if self._client.send(words):
            return True
        self._spawn(self._wait_for_client())
        return False

    def _observe(self, frame: Frame) -> None:
        tap = self.tap
        finished = tap.finished
        tap.feed(frame)
        if tap.error is not None:
            self._error_body = self._error_body or frame.data
        elif tap.finished and not finished:
            self._on_finished()

    def _refuse_error(self) -> None:
        """An error before anything else can still become another channel, or an honest status."""
        said = self.tap.error
        if said is None or self.tap.started:
            return
        failure = judge_status(said.status)
        if failure is None:
            raise CallersFault(said.status, self._error_body)
        raise AttemptFailed(failure)

    def _judge(self, error: ClientError) -> Failure:
        if self._senseless:
            return Failure(FailureKind.BAD_RESPONSE, status=200)
        return failure_of(error, status=200)

    async def _wait_for_client(self) -> None:
        if not await self._client.caught_up(_CLIENT_STALL_S):
            self._client.drop()
        self._response.resume()
