"""One NATS connection, from open to lost, with requests that fail when it does.

Built on a nats-py client that is never reused and never reconnects by itself: that client's own
reconnecting replays half-sent buffers, leaves requests hanging until they time out, and ends for
good on errors such as a changed password. :mod:`bytespike_runtime.bus` opens the next one.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError

from bytespike_runtime.unavailable import Unavailable

__all__ = ["CONNECT_TIMEOUT_S", "BusError", "BusUnavailable", "Link", "NatsError", "decode_answer"]

CONNECT_TIMEOUT_S = 2.0
_API_TIMEOUT_S = 5.0
_PING_TIMEOUT_S = 1.0
#: A half-dead connection (no FIN, no RST) is noticed after two of these.
_PING_INTERVAL_S = 5
#: What may wait for the socket; publishers are held back beyond it.
_PENDING_BYTES = 2 * 1024 * 1024
#: Requests without an answer yet; batches of events need one each, so this is far above real use.
_MAX_WAITING = 1024
#: Messages not handled yet per subscription. Beyond it broadcasts are dropped (a TTL repairs what
#: they do) and stream messages come again.
_MAX_UNHANDLED = 10_000

_STREAM_EXISTS_OTHERWISE = 10058  # JetStream: "stream name already in use with a different config"
_NO_RESPONDERS = "503"


class BusUnavailable(Unavailable):
    """NATS is away or did not confirm in time: the message may or may not have been stored."""


class BusError(Exception):
    """JetStream refuses what we ask for (a configuration that cannot be), now and later."""


class ApiError(msgspec.Struct):
    """Why JetStream said no."""

    code: int = 0
    err_code: int = 0
    description: str = ""


class StreamState(msgspec.Struct):
    """What a stream holds."""

    messages: int = 0


class ApiAnswer(msgspec.Struct):
    """What every JetStream answer may hold, for the parts this module acts on."""

    error: ApiError | None = None
    state: StreamState = msgspec.field(default_factory=StreamState)


decode_answer = msgspec.json.Decoder(ApiAnswer).decode


class Link:
    """One connection, from open to lost; never reused."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self.on_lost: list[Callable[[], None]] = []
        self._client = Client()
        self._inbox = ""
        self._tokens = itertools.count()
        self._waiting: dict[str, asyncio.Future[Msg]] = {}

    @property
    def alive(self) -> bool:
        """Whether the server is there, as far as we know."""
        return self._client.is_connected and not self.lost.is_set()

    async def open(self, urls: list[str], name: str) -> None:
        """Connect once. Raises what nats-py raises."""
        await self._client.connect(
            servers=urls,
            name=name,
            allow_reconnect=False,
            reconnect_time_wait=0,
            ping_interval=_PING_INTERVAL_S,
            pending_size=_PENDING_BYTES,
            error_cb=_ignore,
            closed_cb=self._on_closed,
        )
        self._inbox = self._client.new_inbox()
        await self._client.subscribe(f"{self._inbox}.*", cb=self._on_reply)

    async def close(self) -> None:
        """Disconnect if connected. Never raises: the connection is being given up."""
        await self._on_closed()
        # A task of its own: whoever is cancelled while he waits here leaves no socket behind.
        closing = asyncio.get_running_loop().create_task(self._close_client())
        await asyncio.wait([closing], timeout=CONNECT_TIMEOUT_S)

    async def _close_client(self) -> None:
        try:
            await self._client.close()
        except (OSError, NatsError, AssertionError):
            return  # AssertionError: nats-py's way to say that connect() never got anywhere

    async def ping(self) -> None:
        """Round trip to the server, by a message to ourselves.

        Not by nats-py's flush: a PONG that comes after its timeout ends that client's read loop.
        """
        await self._exchange(None, b"", timeout_s=_PING_TIMEOUT_S, headers=None)

    async def send(
        self,
        subject: str,
        body: bytes,
        *,
        reply: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Publish without waiting for anyone."""
        if not self.alive:
            raise BusUnavailable("NATS is not connected")
        try:
            await self._client.publish(
                subject, body, reply=reply, headers=dict(headers) if headers else None
            )
        except MaxPayloadError as error:
            raise BusError(f"{len(body)} bytes are more than NATS takes in a message") from error
        except (NatsError, OSError) as error:
            raise BusUnavailable(f"not sent: {type(error).__name__}") from error

    async def request(
        self,
        subject: str,
        body: bytes,
        *,
        timeout_s: float = _API_TIMEOUT_S,
        headers: Mapping[str, str] | None = None,
    ) -> Msg:
        """Publish and wait for the answer; fails at once when the connection goes."""
        message = await self._exchange(subject, body, timeout_s=timeout_s, headers=headers)
        if message.headers and message.headers.get("Status") == _NO_RESPONDERS:
            raise BusUnavailable(f"nobody answers {subject}: no such stream, or JetStream starts")
        return message

    async def subscribe(self, subject: str, on_message: Callable[[bytes], None]) -> None:
        """Deliver broadcasts to a plain callback."""

        async def deliver(message: Msg) -> None:
            on_message(message.data)

        await self.listen(subject, deliver)

    async def listen(self, subject: str, on_message: Callable[[Msg], Awaitable[None]]) -> None:
        """Deliver whole messages to a coroutine function."""
        try:
            await self._client.subscribe(subject, cb=on_message, pending_msgs_limit=_MAX_UNHANDLED)
        except (NatsError, OSError) as error:
            raise BusUnavailable(f"not subscribed: {type(error).__name__}") from error

    def new_inbox(self) -> str:
        """A subject of our own, for answers."""
        return self._client.new_inbox()

    async def ensure_stream(self, config: Mapping[str, Any]) -> None:
        """Create the stream, or update it if it exists with another configuration."""
        name, body = config["name"], msgspec.json.encode(config)
        try:
            await self.api(f"STREAM.CREATE.{name}", body)
        except BusError as error:
            if error.args[1:] != (_STREAM_EXISTS_OTHERWISE,):
                raise
            await self.api(f"STREAM.UPDATE.{name}", body)

    async def api(self, verb: str, body: bytes) -> ApiAnswer:
        """Call the JetStream API. Raises :class:`BusError` for a 4xx answer with its error code."""
        reply = await self.request(f"$JS.API.{verb}", body)
        answer = decode_answer(reply.data)
        if answer.error is None:
            return answer
        if answer.error.code >= 500:
            raise BusUnavailable(f"{verb}: {answer.error.description}")
        raise BusError(f"{verb}: {answer.error.description}", answer.error.err_code)

    async def _exchange(
        self,
        subject: str | None,
        body: bytes,
        *,
        timeout_s: float,
        headers: Mapping[str, str] | None,
    ) -> Msg:
        """Send and wait for what comes to a fresh reply subject; no subject = send to that."""
        if len(self._waiting) >= _MAX_WAITING:
            raise BusUnavailable("too many requests wait for NATS")
        token = str(next(self._tokens))
        reply = f"{self._inbox}.{token}"
        answer: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        self._waiting[token] = answer
        try:
            async with asyncio.timeout(timeout_s):
                if subject is None:
                    await self.send(reply, body)
                else:
                    await self.send(subject, body, reply=reply, headers=headers)
                return await answer
        except TimeoutError as error:
            what = subject or "a ping"
            raise BusUnavailable(f"no answer to {what} within {timeout_s:g} s") from error
        finally:
            del self._waiting[token]

    async def _on_reply(self, message: Msg) -> None:
        answer = self._waiting.get(message.subject.rpartition(".")[2])
        if answer is not None and not answer.done():
            answer.set_result(message)

    async def _on_closed(self) -> None:
        if self.lost.is_set():
            return
        self.lost.set()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(BusUnavailable("the connection to NATS was lost"))
        for callback in self.on_lost:
            callback()


async def _ignore(_error: Exception) -> None:
    """nats-py reports here what it also raises or closes for; the keeper logs it once."""
