"""Routes of notifications: what the caller was told, and that they have read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_ledger.accounts import notifications
from bytespike_ledger.accounts.actors import Permission
from bytespike_ledger.accounts.events import EventType
from bytespike_ledger.api.call import Call, Reply
from bytespike_ledger.api.numbered import NumberedPageQuery
from bytespike_ledger.api.route import CallHandler, Route
from bytespike_ledger.api.wire import Timestamp, timestamp_of
from bytespike_ledger.books import Books

__all__ = ["NotificationApi"]

_PATH = "/api/v1/me/notifications"
#: ``?unread`` says as much as ``?unread=true``.
_Flag = Annotated[
    Literal["", "true", "1", "false", "0"], Meta(description="given without a value: true")
]
_SET = frozenset({"", "true", "1"})


class NotificationQuery(NumberedPageQuery, frozen=True, kw_only=True):
    """``unread`` or ``read`` (not both), and one event type."""

    unread: _Flag | UnsetType = UNSET
    read: _Flag | UnsetType = UNSET
    type: EventType | UnsetType = UNSET


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """A text about one event; ``read_at`` null = unread."""

    id: str
    type: str
    title: str
    body: str
    link: str | None
    read_at: Timestamp | None
    created_at: Timestamp


class NotificationPage(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first."""

    items: list[Notification]
    total: int
    page: int
    page_size: int


class UnreadCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many are unread."""

    count: int


class NotificationRead(msgspec.Struct, frozen=True, kw_only=True):
    """``read_at`` is when it was first marked."""

    id: str
    type: str
    read_at: Timestamp


class NotificationsRead(msgspec.Struct, frozen=True, kw_only=True):
    """How many were unread."""

    marked_read: int


@dataclass(frozen=True, kw_only=True)
class NotificationApi:
    """The handlers."""

    books: Books

    def routes(self) -> list[Route]:
        """Paths below ``/api/v1/me/notifications``."""
        return [
            _route(
                "GET",
                _PATH,
                self.list,
                "What happened that you should know",
                Permission.READ_SELF,
                query=NotificationQuery,
                reply=NotificationPage,
            ),
            _route(
                "GET",
                f"{_PATH}/unread-count",
                self.unread_count,
                "How many notifications you have not read",
                Permission.READ_SELF,
                reply=UnreadCount,
            ),
            _route(
                "POST",
                f"{_PATH}/{{notification}}/mark-read",
                self.mark_read,
                "Mark a notification as read",
                Permission.WRITE_SELF,
                reply=NotificationRead,
            ),
            _route(
                "POST",
                f"{_PATH}/mark-all-read",
                self.mark_all_read,
                "Mark all of them as read",
                Permission.WRITE_SELF,
                reply=NotificationsRead,
            ),
        ]

    async def list(self, call: Call) -> Reply:
        asked: NotificationQuery = call.query
        rows, total = await notifications.list_notifications(
            self.books,
            call.actor,
            unread=_unread(asked),
            kind=None if asked.type is UNSET else asked.type,
            offset=asked.offset,
            limit=asked.page_size,
        )
        items = [
            Notification(
                id=row.id,
                type=row.type,
                title=row.title,
                body=row.body,
                link=row.link,
                read_at=None if row.read_at is None else timestamp_of(row.read_at),
                created_at=timestamp_of(row.created_at),
            )
            for row in rows
        ]
        return Reply(
            NotificationPage(items=items, total=total, page=asked.page, page_size=asked.page_size)
        )

    async def unread_count(self, call: Call) -> Reply:
        return Reply(UnreadCount(count=await notifications.count_unread(self.books, call.actor)))

    async def mark_read(self, call: Call) -> Reply:
        notification_id = call.ids["notification"]
        kind, read_at = await notifications.mark_read(self.books, call.actor, notification_id)
        return Reply(NotificationRead(id=notification_id, type=kind, read_at=timestamp_of(read_at)))

    async def mark_all_read(self, call: Call) -> Reply:
        marked = await notifications.mark_all_read(self.books, call.actor)
        return Reply(NotificationsRead(marked_read=marked))


def _unread(asked: NotificationQuery) -> bool | None:
    unread, read = asked.unread in _SET, asked.read in _SET
    if unread and read:
        raise GatewayError(
            ErrorCode.INVALID_REQUEST, "ask for unread ones or for read ones", param="read"
        )
    return unread if unread or read else None


def _route(
    method: str, path: str, handler: CallHandler, summary: str, access: Permission, **more: Any
) -> Route:
    return Route(
        method=method,
        path=path,
        handler=handler,
        summary=summary,
        tag="notifications",
        access=access,
        **more,
    )
