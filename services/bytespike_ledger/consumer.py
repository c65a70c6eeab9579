"""The consumer: pulls usage events in batches, has them settled, and acknowledges.

A message is acknowledged only when every event in it is committed and carried to Redis (or parked),
so a crash anywhere means a redelivery, and a redelivery is a no-op plus the projection that may
have been missed. While Redis is away messages are put back rather than acknowledged: what is
settled would otherwise stay pending in a Redis that comes back with its memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256

import msgspec

from bytespike_contracts.subjects import PARKED_SUBJECT, usage_subject
from bytespike_contracts.usage import UsageEvent, decode_batch
from bytespike_ledger.books import Books
from bytespike_ledger.settle import ParkReason, PricedEvent, Rejected, price_event
from bytespike_ledger.settling import Settler
from bytespike_ledger.store import connection, upkeep
from bytespike_runtime.bus import Bus, BusMessage, BusUnavailable, PullConsumer
from bytespike_runtime.logs import get_logger
from bytespike_runtime.unavailable import Unavailable

__all__ = ["Consumer"]

#: Up to 64 events each, so a transaction has at most about a thousand rows (some 100 ms).
_MESSAGES_PER_BATCH = 16
_FETCH_WAIT_S = 5.0
#: How long a message rests before it is tried again, and how often that is done for an event whose
#: prices nobody has: half a minute covers ledgers that read the new catalogue a little later.
_RETRY_S = 1.0
_PRICE_RETRY_S = 3.0
_PRICE_TRIES = 10
#: An event has a few hundred bytes; of what is not one, the beginning tells enough.
_MAX_PARKED_BYTES = 16_384
#: After a failure nobody foresaw.
_STUMBLE_S = 1.0

_log = get_logger()


@dataclass(slots=True)
class _Delivery:
    """One message and what became of its events."""

    message: BusMessage
    events: list[UsageEvent]
    refused: list[tuple[UsageEvent, ParkReason]] = field(default_factory=list)
    deferred: bool = False


class Consumer:
    """Settles what arrives. Run :meth:`run` in one task; :meth:`drain_some` is one turn of it."""

    def __init__(self, books: Books, bus: Bus, pull: PullConsumer) -> None:
        self._books = books
        self._bus = bus
        self._pull = pull
        self._settler = Settler(books)

    async def run(self) -> None:
        """Settle until cancelled, whatever happens to Postgres, Redis or NATS meanwhile."""
        while True:
            try:
                await self.drain_some()
            except Unavailable as error:
                _log.warning("settlement waits", error=str(error))
                await asyncio.sleep(_STUMBLE_S)
            except Exception:  # noqa: BLE001 - the consumer loop
                # The messages were not acknowledged, so nothing is lost by going on.
                _log.exception("settlement failed")
                await asyncio.sleep(_STUMBLE_S)

    async def put_back(self, body: bytes) -> None:
        """Store a message on the stream again, whatever was there before (an id of its own keeps
        JetStream from taking it for a duplicate). Raises ``BusUnavailable``.
        """
        subject = usage_subject(decode_batch(body)[0].account_id)
        await self._bus.publish(subject, body, message_id=self._books.mint("retry"))

    async def drain_some(self, wait_s: float = _FETCH_WAIT_S) -> int:
        """Fetch and settle one batch; returns the number of messages, 0 if none came."""
        messages = await self._pull.fetch(_MESSAGES_PER_BATCH, wait_s)
        if messages:
            with self._books.metrics.batch_seconds.time():
                await self._handle(messages)
        return len(messages)

    async def _handle(self, messages: list[BusMessage]) -> None:
        try:
            deliveries = [await self._decode(message) for message in messages]
            await self._settle(deliveries)
        except Unavailable as error:
            _log.warning("events put back", messages=len(messages), error=str(error))
            for message in messages:
                await message.nak(_RETRY_S)
            return
        for delivery in deliveries:
            if delivery.deferred:
                await delivery.message.nak(_PRICE_RETRY_S)
            else:
                await delivery.message.ack()

    async def _decode(self, message: BusMessage) -> _Delivery:
        """The events of a message; what cannot be read is parked, and only that."""
        try:
            return _Delivery(message, decode_batch(message.body))
        except msgspec.DecodeError as error:
            _log.error("undecodable usage message", error=str(error))
        events: list[UsageEvent] = []
        for part in _parts(message.body):
            try:
                events += decode_batch(b"[%b]" % part)
            except msgspec.DecodeError:
                await self._park(ParkReason.UNDECODABLE, None, part)
        return _Delivery(message, events)

    async def _settle(self, deliveries: list[_Delivery]) -> None:
        priced: list[PricedEvent] = []
        for delivery in deliveries:
            for event in delivery.events:
                one = await self._price(delivery, event)
                if one is not None:
                    priced.append(one)
        refused = await self._settler.settle(priced)
        for event, reason in _all_refusals(deliveries, refused):
            _log.error("usage event parked", request_id=event.request_id, reason=reason.value)
            await self._park(reason, event.request_id, msgspec.json.encode(event))

    async def _price(self, delivery: _Delivery, event: UsageEvent) -> PricedEvent | None:
        """Price by the ledger's own table, or say in ``delivery`` why not."""
        prices = self._books.prices
        where = (event.price_revision, event.group, event.model)
        rates = prices.rates(*where)
        if rates is None:
            await prices.learn(event.price_revision)
            rates = prices.rates(*where)
        if rates is None:
            if delivery.message.deliveries >= _PRICE_TRIES:
                delivery.refused.append((event, ParkReason.UNKNOWN_PRICE))
            else:
                self._books.metrics.deferred.inc()
                delivery.deferred = True
            return None
        try:
            priced = price_event(
                event,
                rates,
                self._books.now_ms(),
                retention_days=self._books.usage_retention_days,
            )
        except Rejected as rejected:
            delivery.refused.append((event, rejected.reason))
            return None
        if priced.price_uusd != event.charge_uusd:
            self._books.metrics.price_differences.inc()
            _log.error(
                "the router priced differently",
                request_id=event.request_id,
                router_uusd=event.charge_uusd,
                ledger_uusd=priced.price_uusd,
            )
        return priced

    async def _park(self, reason: ParkReason, request_id: str | None, body: bytes) -> None:
        """Put an event aside in Postgres and announce it. Repeating it changes nothing."""
        body = body[:_MAX_PARKED_BYTES]
        async with connection(self._books.pool) as conn:
            new = await upkeep.park(conn, reason, request_id, body)
        if new:
            self._books.metrics.parked.labels(reason.value).inc()
        message_id = sha256(reason.value.encode() + body).hexdigest()
        try:
            await self._bus.publish(PARKED_SUBJECT, body, message_id=message_id)
        except BusUnavailable as error:
            # The row above is the record. A stream that is full of parked events must not keep
            # the good ones from being settled.
            _log.warning("parked event not announced", request_id=request_id, error=str(error))


def _parts(body: bytes) -> list[bytes]:
    """The elements of a JSON array as they came, or the whole body if it is not even that."""
    try:
        return [bytes(part) for part in msgspec.json.decode(body, type=list[msgspec.Raw])]
    except msgspec.DecodeError:
        return [body]


def _all_refusals(
    deliveries: Iterable[_Delivery], by_settlement: list[tuple[UsageEvent, ParkReason]]
) -> list[tuple[UsageEvent, ParkReason]]:
    return [*(refusal for delivery in deliveries for refusal in delivery.refused), *by_settlement]
