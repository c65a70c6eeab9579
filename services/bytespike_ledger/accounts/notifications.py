"""Notifications of whoever asks: a member reads their own, a key of no member the account's."""

from __future__ import annotations

from datetime import datetime

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_ledger.accounts.actors import Actor
from bytespike_ledger.accounts.events import EventType
from bytespike_ledger.accounts.notices import NOTICES
from bytespike_ledger.books import Books
from bytespike_ledger.store import notifications as store
from bytespike_ledger.store import tenant
from bytespike_ledger.store.notifications import NotificationRow, Reader

__all__ = ["count_unread", "list_notifications", "mark_all_read", "mark_read"]


async def list_notifications(
    books: Books,
    actor: Actor,
    *,
    unread: bool | None,
    kind: EventType | None,
    offset: int,
    limit: int,
) -> tuple[list[NotificationRow], int]:
    """A page, newest first, and the number of all that pass the filters (None = no filter)."""
    if kind is not None and kind not in NOTICES:
        raise GatewayError(ErrorCode.INVALID_REQUEST, f"nobody is notified of {kind}", param="type")
    async with tenant(books.pool, actor.account_id) as conn:
        return await store.list_notifications(
            conn, _reader(actor), unread=unread, kind=kind, offset=offset, limit=limit
        )


async def count_unread(books: Books, actor: Actor) -> int:
    """How many the caller has not read."""
    async with tenant(books.pool, actor.account_id) as conn:
        return await store.count_unread(conn, _reader(actor))


async def mark_read(books: Books, actor: Actor, notification_id: str) -> tuple[str, datetime]:
    """Type and time of reading, that of the first time; 404 if there is none of the caller's."""
    async with tenant(books.pool, actor.account_id) as conn:
        marked = await store.mark_read(conn, _reader(actor), notification_id, now=books.now())
    if marked is None:
        raise GatewayError(ErrorCode.NOT_FOUND, f"no notification {notification_id!r}")
    return marked


async def mark_all_read(books: Books, actor: Actor) -> int:
    """Mark all of the caller's; how many were unread."""
    async with tenant(books.pool, actor.account_id) as conn:
        return await store.mark_all_read(conn, _reader(actor), now=books.now())


def _reader(actor: Actor) -> Reader:
    return Reader(actor.account_id, actor.member_id)
