"""Pulling from a JetStream stream, in batches, with explicit acknowledgement.

Pull requests are written here rather than taken from nats-py: its fetch waits the whole timeout to
fill a batch, and when the connection closes it looks to the caller as if his task were cancelled.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from nats.aio.msg import Msg

from bytespike_runtime.bus_link import BusUnavailable, Link

__all__ = ["BusMessage", "PullConsumer"]

_NANOSECONDS = 1_000_000_000
#: The server ends a pull by itself; this is how much later than asked we stop believing it will.
_GRACE_S = 1.0
#: Statuses that end a pull with nothing wrong: 404 no messages, 408 the pull expired.
_NOTHING_MORE = frozenset({"404", "408"})


class BusMessage:
    """One delivery of a message. Exactly one of :meth:`ack`, :meth:`nak`, :meth:`term` ends it.

    They raise ``BusUnavailable`` when NATS is away; the message then comes again, so whatever it
    causes must bear repetition anyway.
    """

    __slots__ = ("_link", "_message", "body", "deliveries", "subject")

    def __init__(self, link: Callable[[], Link], message: Msg) -> None:
        self._link = link
        self._message = message
        self.body: bytes = message.data
        self.subject: str = message.subject
        self.deliveries = _deliveries(message.reply)

    async def ack(self) -> None:
        """Done with it: JetStream may forget it."""
        await self._answer(b"+ACK")

    async def nak(self, delay_s: float) -> None:
        """Not now: deliver it again after ``delay_s``."""
        delay = msgspec.json.encode({"delay": int(delay_s * _NANOSECONDS)})
        await self._answer(b"-NAK " + delay)

    async def term(self) -> None:
        """Never again: it cannot be handled."""
        await self._answer(b"+TERM")

    async def _answer(self, word: bytes) -> None:
        await self._link().send(self._message.reply, word)


class PullConsumer:
    """A durable consumer, pulled by one task at a time. Made by :meth:`Bus.pull_consumer`."""

    def __init__(
        self,
        current_link: Callable[[], Link],
        stream: str,
        durable: str,
        config: Mapping[str, Any],
    ) -> None:
        self._current_link = current_link
        self._stream = stream
        self._durable = durable
        self._create = msgspec.json.encode({"stream_name": stream, "config": config, "action": ""})
        self._link: Link | None = None
        self._inbox = ""
        self._pulls = itertools.count()
        #: Bounded by what was asked for; None says that the connection is gone.
        self._arrived: asyncio.Queue[Msg | None] = asyncio.Queue()

    async def fetch(self, batch: int, timeout_s: float) -> list[BusMessage]:
        """Up to ``batch`` messages, as soon as there is one; an empty list after ``timeout_s``.

        Raises ``BusUnavailable`` when NATS is away or the consumer had to be given up; the next
        call makes it anew.
        """
        link = await self._bound()
        messages = self._left_over(batch)
        try:
            if not messages:
                messages = await self._pull(link, batch=1, wait_s=timeout_s)
            if messages and len(messages) < batch:
                messages += await self._pull(link, batch=batch - len(messages), wait_s=0.0)
        except BusUnavailable:
            self._link = None
            if not messages:
                raise
        return [BusMessage(self._current_link, message) for message in messages]

    async def pending(self) -> int:
        """Messages in the stream that are not acknowledged, delivered or not.

        The stream is asked: it keeps exactly these, and has a message from the moment it is
        acknowledged to its publisher. A consumer hears of it a little later.
        """
        link = await self._bound()
        info = await link.api(f"STREAM.INFO.{self._stream}", b"")
        return info.state.messages

    async def _bound(self) -> Link:
        """The current connection, on which the consumer is known to exist and we listen."""
        link = self._current_link()
        if link is not self._link:
            await link.api(f"CONSUMER.CREATE.{self._stream}.{self._durable}", self._create)
            # What an earlier connection left is unacknowledged and will be delivered again.
            arrived = self._arrived = asyncio.Queue()
            link.on_lost.append(lambda: arrived.put_nowait(None))
            self._inbox = link.new_inbox()
            await link.listen(f"{self._inbox}.*", arrived.put)
            self._link = link
        return link

    def _left_over(self, batch: int) -> list[Msg]:
        """Messages that came for an earlier pull after we had stopped waiting for it."""
        messages: list[Msg] = []
        while len(messages) < batch and not self._arrived.empty():
            message = self._arrived.get_nowait()
            if message is not None and _status(message) is None:
                messages.append(message)
        return messages

    async def _pull(self, link: Link, *, batch: int, wait_s: float) -> list[Msg]:
        """One pull request: all its messages until it is full, or ended by the server or time."""
        inbox = f"{self._inbox}.{next(self._pulls)}"
        wish: dict[str, int | bool] = {"batch": batch}
        if wait_s > 0:
            wish["expires"] = int(wait_s * _NANOSECONDS)
        else:
            wish["no_wait"] = True
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._durable}"
        await link.send(subject, msgspec.json.encode(wish), reply=inbox)
        messages: list[Msg] = []
        try:
            async with asyncio.timeout(wait_s + _GRACE_S):
                while len(messages) < batch:
                    message = await self._arrived.get()
                    if message is None:
                        raise BusUnavailable("the connection to NATS was lost")
                    status = _status(message)
                    if status is None:
                        messages.append(message)
                    elif message.subject == inbox and _ends(status):
                        break  # a status of an older pull says nothing about this one
        except TimeoutError as error:
            if not messages:
                raise BusUnavailable("JetStream does not answer a pull") from error
        return messages


def _status(message: Msg) -> str | None:
    """The status code of a control message; None for a message of the stream."""
    return message.headers.get("Status") if message.headers and not message.data else None


def _ends(status: str) -> bool:
    """True if the pull is over with nothing wrong; raises if the consumer cannot go on."""
    if status in _NOTHING_MORE:
        return True
    raise BusUnavailable(f"JetStream ended the consumer's pull with status {status}")


def _deliveries(reply: str) -> int:
    """How often the message was delivered, this time included: a field of its ack subject.

    ``$JS.ACK.<stream>.<consumer>.<deliveries>...`` or, since NATS 2.4 with domains, the same with
    domain and account before the stream.
    """
    tokens = reply.split(".")
    return int(tokens[4] if len(tokens) < 11 else tokens[6])
