"""Routes of webhooks: an account's own, and what operators see and do of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bytespike_ledger.accounts import webhooks
from bytespike_ledger.accounts.actors import Permission
from bytespike_ledger.accounts.events import EventType
from bytespike_ledger.api.call import Call, Reply
from bytespike_ledger.api.numbered import NumberedPageQuery
from bytespike_ledger.api.route import Access, CallHandler, Route
from bytespike_ledger.api.wire import Request, Timestamp, timestamp_of
from bytespike_ledger.books import Books
from bytespike_ledger.store.deliveries import DeliveryRow
from bytespike_ledger.store.webhooks import WebhookRow

__all__ = ["WebhookApi"]

_OWN = "/api/v1/me/webhooks"
_ONE = f"{_OWN}/{{webhook}}"
_ADMIN = "/api/v1/admin/webhooks/{webhook}"

_WebhookUrl = Annotated[
    str, Meta(min_length=1, max_length=2048, description="https; a public host on 443 or 8443")
]
_EventTypes = Annotated[list[EventType], Meta(min_length=1, max_length=50)]


class WebhookRequest(Request, frozen=True, kw_only=True):
    """A new webhook. ``secret`` is ``whsec_`` and the base64 of 24 to 64 bytes, or 24 to 64
    printable ASCII characters; left out, one is made.
    """

    url: _WebhookUrl
    event_types: _EventTypes
    secret: Annotated[str, Meta(max_length=200)] | None = None


class WebhookChanges(Request, frozen=True, kw_only=True):
    """What is left out stays as it is; ``event_types`` replaces all. The secret cannot be changed:
    make another webhook and delete this one.
    """

    url: _WebhookUrl | UnsetType = UNSET
    event_types: _EventTypes | UnsetType = UNSET
    status: Literal["active", "disabled"] | UnsetType = UNSET


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook without its secret. ``fail_count`` counts deliveries that failed for good since the
    last success; at 50 the webhook is disabled.
    """

    id: str
    owner_user_id: str | None
    url: str
    event_types: list[str]
    status: str
    fail_count: int
    created_at: Timestamp
    updated_at: Timestamp


class NewWebhook(Webhook, frozen=True, kw_only=True):
    """A webhook that was just made: the only reply that shows its secret."""

    secret: str


class WebhookList(msgspec.Struct, frozen=True, kw_only=True):
    """All there are; an account has at most 20."""

    items: list[Webhook]
    total: int


class WebhookDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """One event on its way to one webhook. ``attempt`` counts the attempts made, the fields after
    it are about the last one; ``response_status`` 0 = no answer came. ``payload`` is what is sent,
    byte for byte, at every attempt.
    """

    id: str
    webhook_id: str
    event_id: str
    event_type: str
    status: str
    attempt: int
    response_status: int | None
    error: str | None
    duration_ms: int | None
    next_attempt_at: Timestamp | None
    delivered_at: Timestamp | None
    created_at: Timestamp
    payload: str


class WebhookDeliveryPage(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first; kept for 30 days."""

    items: list[WebhookDelivery]
    total: int
    page: int
    page_size: int


@dataclass(frozen=True, kw_only=True)
class WebhookApi:
    """The handlers."""

    books: Books

    def routes(self) -> list[Route]:
        """Paths below ``/api/v1/me/webhooks`` and operators' ones."""
        return [*self._own_routes(), *self._operator_routes()]

    def _own_routes(self) -> list[Route]:
        read, write = Permission.READ_WEBHOOKS, Permission.WRITE_WEBHOOKS
        deliveries, delivery = f"{_ONE}/deliveries", f"{_ONE}/deliveries/{{delivery}}"
        return [
            _route("GET", _OWN, self.list_own, "Your webhooks", read, reply=WebhookList),
            _route(
                "POST",
                _OWN,
                self.create,
                "Subscribe a URL to events; its secret is shown this once",
                write,
                body=WebhookRequest,
                reply=NewWebhook,
                status=201,
            ),
            _route("GET", _ONE, self.get, "One webhook", read),
            _route("PUT", _ONE, self.change, "Change a webhook", write, body=WebhookChanges),
            _route(
                "DELETE",
                _ONE,
                self.delete,
                "End a webhook; deliveries that wait are not made",
                write,
                reply=None,
                status=204,
            ),
            _route(
                "GET",
                deliveries,
                self.deliveries,
                "What was sent to a webhook and how that went",
                read,
                query=NumberedPageQuery,
                reply=WebhookDeliveryPage,
            ),
            _route(
                "POST",
                f"{delivery}/redeliver",
                self.redeliver,
                "Send an event once more, with the same id and bytes",
                write,
                reply=WebhookDelivery,
                status=202,
            ),
            _route(
                "POST",
                f"{_ONE}/test",
                self.test,
                "Send a test event",
                write,
                reply=WebhookDelivery,
                status=202,
            ),
        ]

    def _operator_routes(self) -> list[Route]:
        operator = Access.OPERATOR
        return [
            _route(
                "GET",
                "/api/v1/admin/accounts/{account}/webhooks",
                self.list_of_account,
                "Webhooks of an account",
                operator,
                reply=WebhookList,
            ),
            _route(
                "GET",
                f"{_ADMIN}/deliveries",
                self.deliveries,
                "What was sent to a webhook of any account",
                operator,
                query=NumberedPageQuery,
                reply=WebhookDeliveryPage,
            ),
            _route(
                "POST",
                f"{_ADMIN}/deliveries/{{delivery}}/redeliver",
                self.redeliver,
                "Send an event of any account once more",
                operator,
                reply=WebhookDelivery,
                status=202,
            ),
            _route(
                "POST",
                f"{_ADMIN}/disable",
                self.disable,
                "Deliver nothing to a webhook until its owner enables it",
                operator,
            ),
        ]

    async def list_own(self, call: Call) -> Reply:
        rows = await webhooks.list_webhooks(self.books, call.actor, call.actor.account_id)
        return Reply(_list(rows))

    async def list_of_account(self, call: Call) -> Reply:
        rows = await webhooks.list_webhooks(self.books, call.operator, call.ids["account"])
        return Reply(_list(rows))

    async def create(self, call: Call) -> Reply:
        asked: WebhookRequest = call.body
        made = await webhooks.create_webhook(
            self.books,
            call.actor,
            url=asked.url,
            event_types=asked.event_types,
            secret=asked.secret,
        )
        return Reply(NewWebhook(secret=made.secret, **_fields(made.row)))

    async def get(self, call: Call) -> Reply:
        row = await webhooks.find_webhook(self.books, call.actor, call.ids["webhook"])
        return Reply(Webhook(**_fields(row)))

    async def change(self, call: Call) -> Reply:
        asked: WebhookChanges = call.body
        changes = {
            name: value
            for name in asked.__struct_fields__
            if (value := getattr(asked, name)) is not UNSET
        }
        row = await webhooks.change_webhook(self.books, call.actor, call.ids["webhook"], **changes)
        return Reply(Webhook(**_fields(row)))

    async def disable(self, call: Call) -> Reply:
        row = await webhooks.change_webhook(
            self.books, call.operator, call.ids["webhook"], status="disabled"
        )
        return Reply(Webhook(**_fields(row)))

    async def delete(self, call: Call) -> Reply:
        await webhooks.delete_webhook(self.books, call.actor, call.ids["webhook"])
        return Reply(b"")

    async def deliveries(self, call: Call) -> Reply:
        page: NumberedPageQuery = call.query
        rows, total = await webhooks.list_deliveries(
            self.books,
            call.caller,
            call.ids["webhook"],
            offset=page.offset,
            limit=page.page_size,
        )
        return Reply(
            WebhookDeliveryPage(
                items=[_delivery(row) for row in rows],
                total=total,
                page=page.page,
                page_size=page.page_size,
            )
        )

    async def redeliver(self, call: Call) -> Reply:
        row = await webhooks.redeliver(
            self.books, call.caller, call.ids["webhook"], call.ids["delivery"]
        )
        return Reply(_delivery(row))

    async def test(self, call: Call) -> Reply:
        row = await webhooks.send_test(self.books, call.actor, call.ids["webhook"])
        return Reply(_delivery(row))


def _route(
    method: str,
    path: str,
    handler: CallHandler,
    summary: str,
    access: Access | Permission,
    **more: Any,
) -> Route:
    return Route(
        method=method,
        path=path,
        handler=handler,
        summary=summary,
        tag="webhooks",
        access=access,
        **{"reply": Webhook, **more},
    )


def _list(rows: Sequence[WebhookRow]) -> WebhookList:
    return WebhookList(items=[Webhook(**_fields(row)) for row in rows], total=len(rows))


def _fields(row: WebhookRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "owner_user_id": row.owner_user_id,
        "url": row.url,
        "event_types": row.event_types,
        "status": row.status,
        "fail_count": row.fail_count,
        "created_at": timestamp_of(row.created_at),
        "updated_at": timestamp_of(row.updated_at),
    }


def _delivery(row: DeliveryRow) -> WebhookDelivery:
    return WebhookDelivery(
        id=row.id,
        webhook_id=row.webhook_id,
        event_id=row.event_id,
        event_type=row.event_type,
        status=row.status,
        attempt=row.attempt,
        response_status=row.response_status,
        error=row.error,
        duration_ms=row.duration_ms,
        next_attempt_at=_time(row.next_attempt_at),
        delivered_at=_time(row.delivered_at),
        created_at=timestamp_of(row.created_at),
        payload=row.payload,
    )


def _time(at: datetime | None) -> str | None:
    return None if at is None else timestamp_of(at)
