"""From the outbox to those who asked: events become deliveries and notifications, in the
transaction that marks them as done. So each is fanned out exactly once, whoever dies when.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from bytespike_ledger.accounts.actors import Role
from bytespike_ledger.accounts.notices import notice_of
from bytespike_ledger.accounts.webhooks import PERSONAL
from bytespike_ledger.books import Books
from bytespike_ledger.courier.payloads import render
from bytespike_ledger.store import Connection, RefusedByDatabase, connection, savepoint
from bytespike_ledger.store import events as outbox
from bytespike_ledger.store.deliveries import NewDelivery, insert_deliveries
from bytespike_ledger.store.events import EventRow
from bytespike_ledger.store.notifications import (
    NewNotification,
    Reader,
    account_readers,
    insert_notifications,
)
from bytespike_ledger.store.webhooks import Subscriber, subscribers
from bytespike_runtime.logs import get_logger

__all__ = ["concerns", "fan_out_some"]

#: Events per transaction. With a bounded number of webhooks an account, that bounds the rest.
_LIMIT = 100

_log = get_logger()


async def fan_out_some(books: Books) -> int:
    """One batch of due events; how many there were. Any number of ledgers may do so at once.

    An event that cannot be written to those it concerns is reported and left behind: it must not
    hold up all that come after it.
    """
    async with connection(books.pool) as conn, conn.transaction():
        events = await outbox.take_due(conn, limit=_LIMIT)
        accounts = list({event.account_id for event in events})
        known = await subscribers(conn, accounts) if events else []
        readers = await account_readers(conn, accounts) if events else []
        for event in events:
            try:
                async with savepoint(conn):
                    await _queue_deliveries(books, conn, event, known)
                    await _notify(books, conn, event, readers)
            except (RefusedByDatabase, msgspec.MsgspecError) as error:
                _log.error("event not fanned out", event_id=event.id, error=str(error))
        if events:
            await outbox.mark_done(conn, [event.id for event in events])
    for event in events:
        lag_s = books.now().timestamp() - event.created_at.timestamp()
        books.metrics.event_lag.observe(max(0.0, lag_s))
    return len(events)


def concerns(subscriber: Subscriber, event: EventRow) -> bool:
    """Whether a webhook is told of an event, by what its owner may know now: roles change, and a
    webhook does not keep what its owner has lost.
    """
    if subscriber.account_id != event.account_id or event.type not in subscriber.event_types:
        return False
    if subscriber.role in (None, Role.OWNER, Role.ADMIN):
        return True
    return event.type in PERSONAL and event.member_id == subscriber.member_id


async def _queue_deliveries(
    books: Books, conn: Connection, event: EventRow, known: Sequence[Subscriber]
) -> None:
    concerned = [subscriber for subscriber in known if concerns(subscriber, event)]
    if not concerned:
        return
    payload = render(event)
    deliveries = [
        NewDelivery(
            id=books.mint("dlv"),
            account_id=event.account_id,
            webhook_id=subscriber.id,
            event_id=event.id,
            event_type=event.type,
            payload=payload,
        )
        for subscriber in concerned
    ]
    await insert_deliveries(conn, deliveries, now=books.now())


async def _notify(
    books: Books, conn: Connection, event: EventRow, readers: Sequence[Reader]
) -> None:
    notice = notice_of(event.type, msgspec.json.decode(event.body, type=dict[str, object]))
    if notice is None:
        return
    notifications = [
        NewNotification(
            id=books.mint("ntf"),
            account_id=event.account_id,
            member_id=member_id,
            event_id=event.id,
            type=event.type,
            title=notice.title,
            body=notice.body,
            link=None,
        )
        for member_id in _readers(event, readers)
    ]
    await insert_notifications(conn, notifications, now=books.now())


def _readers(event: EventRow, readers: Sequence[Reader]) -> list[str | None]:
    """The member concerned; for the account's own events owners, admins and keys of no member."""
    if event.member_id is not None:
        return [event.member_id]
    return [None, *(r.member_id for r in readers if r.account_id == event.account_id)]
