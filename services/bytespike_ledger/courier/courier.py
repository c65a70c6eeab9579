"""The courier: takes what is due, posts it, writes down how that went, and comes back later.

Any number of ledgers run one. A delivery is leased before it is posted and finished under that
lease, so two couriers do not post the same one; if a process dies in between, the lease ends and
the delivery is posted again: receivers are told at least once, and can tell repetitions apart by
the event's id. No database connection is held while a receiver thinks.

Nobody waits for a slow receiver but itself: a webhook gets its next deliveries when the ones before
are over, and an account has a share of the whole.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

from bytespike_ledger.accounts.actors import Operator
from bytespike_ledger.accounts.audit_log import Action, record
from bytespike_ledger.accounts.events import EventType, emit
from bytespike_ledger.accounts.webhooks import describe_webhook
from bytespike_ledger.books import Books
from bytespike_ledger.courier.fan_out import fan_out_some
from bytespike_ledger.courier.results import RETRY_DELAYS_S, Attempt, Result
from bytespike_ledger.courier.sender import Parcel, Sender
from bytespike_ledger.sealing import BrokenSeal, Purpose, UnknownKek
from bytespike_ledger.store import Connection, Lock, connection, deliveries, try_lock
from bytespike_ledger.store.deliveries import Parcelled
from bytespike_ledger.store.events import forget_events
from bytespike_ledger.store.notifications import forget_notifications
from bytespike_ledger.store.secrets import read_secret
from bytespike_ledger.store.webhooks import count_failure, count_success, read_webhook
from bytespike_runtime.logs import get_logger
from bytespike_runtime.unavailable import Unavailable

__all__ = ["DISABLE_AT", "Courier"]

#: Failed deliveries in a row after which a webhook is given up.
DISABLE_AT = 50

_EVERY_S = 0.5
#: Deliveries under way per process: sockets that wait, mostly.
_MAX_UNDER_WAY = 64
_PER_WEBHOOK = 4
_PER_ACCOUNT = 12
#: Webhooks per look at the queue.
_LOOK = 1_000
#: Well beyond what a call may take, so that a lease ends only when its courier is gone.
_LEASE_S = 60.0
#: Retries of one outage must not come back in step.
_JITTER = 0.1

_FORGET_EVERY_S = 600.0
_KEEP_DELIVERIES = timedelta(days=30)
_KEEP_NOTIFICATIONS = timedelta(days=365)
#: Rows per table and round: at most some three million a day, in short transactions.
_FORGET_LIMIT = 20_000

_log = get_logger()


class Courier:
    """``sender`` must be open; ``jitter`` gives numbers from 0 to 1 (tests pass their own)."""

    def __init__(
        self, books: Books, sender: Sender, *, jitter: Callable[[], float] = random.random
    ) -> None:
        self._books = books
        self._sender = sender
        self._jitter = jitter
        #: What is under way, by webhook and by account.
        self._webhooks: Counter[str] = Counter()
        self._accounts: Counter[str] = Counter()
        self._after = ""
        self._forgot_at = float("-inf")

    async def run(self) -> None:
        """Work until cancelled. What is under way then is repeated by whoever comes next."""
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    await self.turn(group)
                    await self._keep_house()
                except Unavailable as error:
                    _log.warning("courier waits", error=str(error))
                await asyncio.sleep(_EVERY_S)

    async def step(self) -> int:
        """One turn, to the end of what it took on; how many deliveries were attempted."""
        async with asyncio.TaskGroup() as group:
            return await self.turn(group)

    async def turn(self, group: asyncio.TaskGroup) -> int:
        """Fan out what is due, then start what can be delivered, in ``group``; how many."""
        await fan_out_some(self._books)
        claimed = await self._claim()
        for delivery in claimed:
            self._webhooks[delivery.webhook_id] += 1
            self._accounts[delivery.account_id] += 1
            group.create_task(self._deliver(delivery))
        return len(claimed)

    async def forget(self) -> None:
        """Delete what has been kept long enough, a bounded number of rows."""
        now = self._books.now()
        async with connection(self._books.pool) as conn:
            await deliveries.forget_deliveries(
                conn, before=now - _KEEP_DELIVERIES, limit=_FORGET_LIMIT
            )
            await forget_notifications(conn, before=now - _KEEP_NOTIFICATIONS, limit=_FORGET_LIMIT)
            await forget_events(conn, before=now - _KEEP_DELIVERIES, limit=_FORGET_LIMIT)

    async def _keep_house(self) -> None:
        async with connection(self._books.pool) as conn:
            self._books.metrics.webhooks_due.set(
                await deliveries.count_due(conn, self._books.now())
            )
            if time.monotonic() - self._forgot_at < _FORGET_EVERY_S:
                return
            async with try_lock(conn, Lock.UPKEEP) as mine:
                if mine:
                    await self.forget()
                    self._forgot_at = time.monotonic()

    async def _claim(self) -> list[Parcelled]:
        """Due deliveries of webhooks that have none under way. A look goes over some of the
        webhooks and the next one goes on from there, so none is overlooked.
        """
        free = _MAX_UNDER_WAY - self._webhooks.total()
        if free <= 0:
            return []
        now = self._books.now()
        async with connection(self._books.pool) as conn:
            waiting = await deliveries.waiting_webhooks(conn, after=self._after, limit=_LOOK)
            self._after = waiting[-1] if len(waiting) == _LOOK else ""
            return await deliveries.claim_deliveries(
                conn,
                [webhook_id for webhook_id in waiting if webhook_id not in self._webhooks],
                now=now,
                lease_until=now + timedelta(seconds=_LEASE_S),
                limit=free,
                per_webhook=_PER_WEBHOOK,
                per_account=_PER_ACCOUNT,
                under_way=self._accounts,
            )

    async def _deliver(self, delivery: Parcelled) -> None:
        """Everything about one delivery; a failure of ours leaves it to the end of its lease."""
        started = time.perf_counter()
        try:
            attempt = await self._attempt(delivery)
            duration_ms = round((time.perf_counter() - started) * 1000)
            await self._finish(delivery, attempt, duration_ms)
        except Unavailable as error:
            _log.warning("delivery waits", delivery_id=delivery.id, error=str(error))
        except Exception:  # noqa: BLE001 - a defect in one delivery must not end the ledger
            _log.exception("delivery broke", delivery_id=delivery.id)
        finally:
            _give_back(self._webhooks, delivery.webhook_id)
            _give_back(self._accounts, delivery.account_id)

    async def _attempt(self, delivery: Parcelled) -> Attempt:
        if delivery.webhook_status != "active":
            return Attempt(Result.CANCELLED, error=f"the webhook is {delivery.webhook_status}")
        async with connection(self._books.pool) as conn:
            sealed = await read_secret(conn, delivery.webhook_id)
        try:
            if sealed is None:
                raise BrokenSeal
            secret = self._books.sealer.open(Purpose.WEBHOOK, delivery.webhook_id, sealed)
        except (UnknownKek, BrokenSeal) as error:
            _log.error("webhook secret unusable", webhook_id=delivery.webhook_id, error=str(error))
            return Attempt(Result.UNSIGNED, error="the secret cannot be read at the moment")
        return await self._sender.send(
            Parcel(
                url=delivery.url,
                secret=secret.decode(),
                message_id=delivery.event_id,
                timestamp_s=self._books.now_ms() // 1000,
                payload=delivery.payload.encode(),
            )
        )

    async def _finish(self, delivery: Parcelled, attempt: Attempt, duration_ms: int) -> None:
        now, metrics = self._books.now(), self._books.metrics
        again = self._next_attempt_at(delivery, attempt, now)
        delivered = attempt.result is Result.DELIVERED
        async with connection(self._books.pool) as conn, conn.transaction():
            mine = await deliveries.finish_attempt(
                conn,
                delivery,
                status="delivered" if delivered else "failed" if again is None else "pending",
                response_status=attempt.status,
                error=attempt.error,
                duration_ms=duration_ms,
                next_attempt_at=again,
                delivered_at=now if delivered else None,
            )
            if mine and delivered:
                await count_success(conn, delivery.webhook_id)
            elif mine and again is None and attempt.result is not Result.CANCELLED:
                await self._count_failure(conn, delivery)
        metrics.webhook_attempts.labels(attempt.result.value).inc()
        if delivery.attempt == 0:
            lag_s = now.timestamp() - delivery.created_at.timestamp()
            metrics.webhook_lag.observe(max(0.0, lag_s))
        _log.info(
            "webhook attempt",
            delivery_id=delivery.id,
            webhook_id=delivery.webhook_id,
            event_type=delivery.event_type,
            attempt=delivery.attempt + 1,
            result=attempt.result.value,
            status=attempt.status,
            duration_ms=duration_ms,
        )

    def _next_attempt_at(
        self, delivery: Parcelled, attempt: Attempt, now: datetime
    ) -> datetime | None:
        if not attempt.result.retried or delivery.attempt >= len(RETRY_DELAYS_S):
            return None
        delay_s = RETRY_DELAYS_S[delivery.attempt] * (1 + _JITTER * self._jitter())
        return now + timedelta(seconds=delay_s)

    async def _count_failure(self, conn: Connection, delivery: Parcelled) -> None:
        """A delivery is lost; the one too many ends the webhook and says so."""
        if not await count_failure(conn, delivery.webhook_id, disable_at=DISABLE_AT):
            return
        webhook = await read_webhook(conn, delivery.webhook_id)
        if webhook is None:
            return
        told = describe_webhook(webhook)
        await record(
            conn,
            Operator(id="courier", address="none", request_id=delivery.id),
            Action.WEBHOOK_UPDATE,
            target=webhook.id,
            account_id=webhook.account_id,
            before={**told, "status": "active"},
            after=told,
        )
        await emit(
            conn,
            self._books,
            webhook.account_id,
            EventType.USER_WEBHOOK_UPDATE,
            {**told, "reason": f"{webhook.fail_count} deliveries in a row failed"},
            member_id=webhook.member_id,
        )
        self._books.metrics.webhooks_disabled.inc()
        _log.warning("webhook disabled", webhook_id=webhook.id, fail_count=webhook.fail_count)


def _give_back(counts: Counter[str], name: str) -> None:
    counts[name] -= 1
    if counts[name] <= 0:
        del counts[name]
