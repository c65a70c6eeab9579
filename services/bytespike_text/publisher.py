"""From the spool to JetStream: batches, in order, again and again until the bus has them.

Nobody waits for this: requests end when their event is on disk. The published position moves only
after the acknowledgement, so a crash repeats a batch rather than losing one; the message id makes
the bus drop an exact repeat, and the ledger's unique request id makes any other harmless.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bytespike_contracts.usage import join_batch
from bytespike_runtime.backoff import Backoff
from bytespike_runtime.bus import Bus, BusUnavailable
from bytespike_runtime.logs import get_logger
from bytespike_text.metrics import TextMetrics
from bytespike_text.spool import Batch, Journal, Orphan, Spool

__all__ = ["Publisher"]

#: One message carries at most this many events, gathered for at most this long: the ledger's work
#: per event falls with the batch, and nobody notices 5 ms.
_BATCH_EVENTS = 64
_GATHER_S = 0.005

_log = get_logger()


class Publisher:
    """Publishes this process's spool and those it adopted."""

    def __init__(
        self, bus: Bus, spool: Spool, orphans: Sequence[Orphan], *, metrics: TextMetrics
    ) -> None:
        self._bus = bus
        self._spool = spool
        self._orphans = orphans
        self._metrics = metrics
        self._wake = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    def notify(self) -> None:
        """An event was released."""
        self._empty.clear()
        self._wake.set()

    async def run(self) -> None:
        """Publish until cancelled."""
        async with asyncio.TaskGroup() as group:
            for orphan in self._orphans:
                group.create_task(self._publish_orphan(orphan))
            group.create_task(self._publish_spool())

    async def drained(self, timeout_s: float) -> bool:
        """Wait until the spool is published; False = the time was up (the next start adopts it)."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._spool.pending_events:  # the last ones may still wait for their holds
                    self._empty.clear()
                    await self._empty.wait()
        except TimeoutError:
            return False
        return True

    async def _publish_spool(self) -> None:
        while True:
            batch = self._spool.read_released(_BATCH_EVENTS)
            if batch.end == batch.start:
                self._empty.set()
                self._wake.clear()
                await self._wake.wait()
                await asyncio.sleep(_GATHER_S)
                continue
            await self._publish(self._spool, batch)
            self._spool.settle_batch(batch)
            if len(batch.lines) < _BATCH_EVENTS:
                # Under load events end while a batch is away: without this each acknowledgement
                # would send off the few of a moment, and every message costs bus and ledger.
                await asyncio.sleep(_GATHER_S)

    async def _publish_orphan(self, orphan: Orphan) -> None:
        published = 0
        while (batch := orphan.read(_BATCH_EVENTS)).end != batch.start:
            await self._publish(orphan, batch)
            orphan.acknowledge(batch.end)
            published += len(batch.lines)
        orphan.remove()
        _log.info("adopted spool published", spool=orphan.name, events=published)

    async def _publish(self, journal: Journal, batch: Batch) -> None:
        """Return once the bus has all events of the batch, however long that takes."""
        if batch.torn:
            self._metrics.spool_torn.inc(batch.torn)
            _log.error("unreadable lines in spool", spool=journal.name, lines=batch.torn)
        async with asyncio.TaskGroup() as group:
            for subject, events in _by_subject(batch).items():
                message_id = _message_id(journal.name, batch, subject)
                group.create_task(self._publish_message(subject, events, message_id))

    async def _publish_message(self, subject: str, events: list[bytes], message_id: str) -> None:
        body = join_batch(events)
        backoff = Backoff()
        while True:
            try:
                await self._bus.publish(subject, body, message_id=message_id)
                break
            except BusUnavailable:
                self._metrics.publish_failures.inc()
                await backoff.wait()
        self._metrics.published.inc(len(events))


def _by_subject(batch: Batch) -> dict[str, list[bytes]]:
    groups: dict[str, list[bytes]] = {}
    for subject, event in batch.lines:
        groups.setdefault(subject, []).append(event)
    return groups


def _message_id(journal: str, batch: Batch, subject: str) -> str:
    """Names exactly these events: after a crash the same place may be cut into other batches, and
    a bus that took those for repeats would lose what is new in them.
    """
    start, end = batch.start, batch.end
    return f"{journal}.{start.segment}.{start.offset}-{end.offset}.{subject.rpartition('.')[2]}"
