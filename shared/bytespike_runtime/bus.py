"""NATS: broadcasts over core NATS, and what must not be lost over JetStream.

The connection is kept up in the background for ever; meanwhile nothing is buffered: a publish
either has the server's acknowledgement or fails at once with :class:`BusUnavailable`, and the
caller keeps the message. Subscriptions and streams asked for once are made again on every
connection, so a NATS that lost its disk is put right without a restart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from bytespike_runtime.backoff import Backoff
from bytespike_runtime.bus_consumer import BusMessage, PullConsumer
from bytespike_runtime.bus_link import (
    CONNECT_TIMEOUT_S,
    BusError,
    BusUnavailable,
    Link,
    NatsError,
    decode_answer,
)
from bytespike_runtime.logs import get_logger

__all__ = ["Bus", "BusError", "BusMessage", "BusUnavailable", "PullConsumer"]

_NANOSECONDS = 1_000_000_000
_CANCEL_AGAIN_S = 1.0

_log = get_logger()


class Bus:
    """One NATS connection with everything a service does over it.

    ``url`` may list several servers, separated by commas. ``on_reconnect`` callbacks run after each
    connection but the first: broadcasts sent in between were missed.
    """

    def __init__(self, url: str, *, name: str = "bytespike") -> None:
        self._urls = [part.strip() for part in url.split(",")]
        self._name = name
        self._address = ",".join(urlsplit(part).netloc.rpartition("@")[2] for part in self._urls)
        self._link: Link | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()
        self._subscriptions: list[tuple[str, Callable[[bytes], None]]] = []
        self._streams: dict[str, dict[str, Any]] = {}
        self.on_reconnect: list[Callable[[], None]] = []

    @property
    def connected(self) -> bool:
        """Whether messages can be sent right now."""
        return self._link is not None and self._link.alive

    async def start(self) -> None:
        """Begin to connect, and wait until the first attempt has ended either way."""
        self._keeper = asyncio.get_running_loop().create_task(self._keep_connected())
        await self._tried.wait()

    async def close(self) -> None:
        """Disconnect; requests without an answer fail."""
        while self._keeper is not None and not self._keeper.done():
            self._keeper.cancel()
            # Again if it was lost: the driver swallows one that comes while it connects.
            await asyncio.wait([self._keeper], timeout=_CANCEL_AGAIN_S)

    async def ping(self) -> None:
        """Raises :class:`BusUnavailable` unless NATS answers."""
        await self.link().ping()

    async def broadcast(self, subject: str, body: bytes) -> None:
        """Send to whoever listens now; at most once. Raises :class:`BusUnavailable` if not sent."""
        await self.link().send(subject, body)

    async def subscribe(self, subject: str, on_message: Callable[[bytes], None]) -> None:
        """Call ``on_message`` with the body of every broadcast, now and after reconnects."""
        self._subscriptions.append((subject, on_message))
        if self._link is not None:
            await self._link.subscribe(subject, on_message)

    async def ensure_stream(
        self,
        name: str,
        subjects: list[str],
        *,
        max_bytes: int,
        max_age_s: float,
        duplicate_window_s: float,
        replicas: int = 1,
    ) -> None:
        """Create or update a stream whose messages stay until one consumer acknowledged them.

        A full stream refuses new messages rather than dropping old ones. ``max_age_s`` 0 = no age
        limit. Raises :class:`BusUnavailable` (the stream will be made on connecting) or
        :class:`BusError` (JetStream will not have it so).
        """
        config = {
            "name": name,
            "subjects": subjects,
            "retention": "workqueue",
            "discard": "new",
            "storage": "file",
            "max_bytes": max_bytes,
            "max_age": int(max_age_s * _NANOSECONDS),
            "duplicate_window": int(duplicate_window_s * _NANOSECONDS),
            "num_replicas": replicas,
        }
        self._streams[name] = config
        await self.link().ensure_stream(config)

    async def publish(
        self, subject: str, body: bytes, *, message_id: str, timeout_s: float = 5.0
    ) -> None:
        """Store a message in the stream that takes ``subject``; returns when JetStream has it.

        The same ``message_id`` within the stream's duplicate window is stored once. Raises
        :class:`BusUnavailable` if that is not known to have happened: keep the message and repeat.
        """
        headers = {"Nats-Msg-Id": message_id}
        reply = await self.link().request(subject, body, timeout_s=timeout_s, headers=headers)
        answer = decode_answer(reply.data)
        if answer.error is not None:
            raise BusUnavailable(f"{subject} was not stored: {answer.error.description}")

    async def pull_consumer(
        self, stream: str, durable: str, *, ack_wait_s: float, max_ack_pending: int
    ) -> PullConsumer:
        """A durable consumer shared by all who name it; it is made (again) whenever it is missing.

        A message not acknowledged within ``ack_wait_s`` is delivered again, without end.
        """
        config = {
            "durable_name": durable,
            "name": durable,
            "ack_policy": "explicit",
            "ack_wait": int(ack_wait_s * _NANOSECONDS),
            "max_ack_pending": max_ack_pending,
            "max_deliver": -1,
        }
        return PullConsumer(self.link, stream, durable, config)

    def link(self) -> Link:
        """The connection of this moment; raises :class:`BusUnavailable` if there is none."""
        if self._link is None or not self._link.alive:
            raise BusUnavailable("NATS is not connected")
        return self._link

    async def _keep_connected(self) -> None:
        backoff = Backoff()
        reported = False
        first = True
        while True:
            link = Link()
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    await link.open(self._urls, self._name)
                await self._restore(link)
                self._link = link
                _log.info("nats connected", address=self._address)
                self._tried.set()
                if not first:
                    for callback in self.on_reconnect:
                        callback()
                first, reported = False, False
                backoff.reset()
                await link.lost.wait()
                _log.warning("nats connection lost", address=self._address)
            except (OSError, TimeoutError, NatsError, BusUnavailable, BusError) as error:
                if not reported:  # once per outage, however many attempts it takes
                    reason = str(error) or type(error).__name__
                    _log.warning("nats unreachable", address=self._address, error=reason)
                    reported = True
            finally:
                self._link = None
                await link.close()
                self._tried.set()
            await backoff.wait()

    async def _restore(self, link: Link) -> None:
        for subject, on_message in self._subscriptions:
            await link.subscribe(subject, on_message)
        for config in self._streams.values():
            await link.ensure_stream(config)
