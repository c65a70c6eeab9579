"""Webhooks of an account: who may subscribe to what, and everything done to one by hand."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

import msgspec
from yarl import URL

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_contracts.webhooks import check_secret, mint_secret
from bytespike_ledger.accounts.acting import acting
from bytespike_ledger.accounts.actors import Actor, Operator, Role
from bytespike_ledger.accounts.audit_log import Action, record
from bytespike_ledger.accounts.events import EventType, emit
from bytespike_ledger.accounts.orgs import find_account
from bytespike_ledger.books import Books
from bytespike_ledger.courier.guard import UrlRefused
from bytespike_ledger.courier.payloads import render
from bytespike_ledger.sealing import Purpose
from bytespike_ledger.store import Connection
from bytespike_ledger.store import deliveries as log
from bytespike_ledger.store import webhooks as store
from bytespike_ledger.store.deliveries import DeliveryRow, NewDelivery
from bytespike_ledger.store.events import EventRow, insert_event
from bytespike_ledger.store.secrets import delete_secret, put_secret
from bytespike_ledger.store.webhooks import DuplicateUrl, WebhookRow

__all__ = [
    "MAX_WEBHOOKS",
    "PERSONAL",
    "TEST_EVENT",
    "NewWebhook",
    "change_webhook",
    "create_webhook",
    "delete_webhook",
    "describe_webhook",
    "find_webhook",
    "list_deliveries",
    "list_webhooks",
    "redeliver",
    "send_test",
]

MAX_WEBHOOKS = 20
#: What :func:`send_test` sends; nobody can subscribe to it.
TEST_EVENT = "webhook.test"
#: What a member may subscribe to: events that can concern one member in person, of which they get
#: those that concern themselves. All else is for whoever runs the account.
PERSONAL = frozenset(
    {
        EventType.USER_WEBHOOK_CREATE,
        EventType.USER_WEBHOOK_UPDATE,
        EventType.USER_WEBHOOK_DELETE,
        EventType.ORG_KEY_CREATE,
        EventType.ORG_KEY_REVOKE,
        EventType.KEY_REVOKE,
        EventType.MEMBER_ADD,
        EventType.MEMBER_ROLE,
        EventType.MEMBER_REMOVE,
        EventType.MEMBER_ALLOTMENT,
    }
)
#: Deliveries by hand are refused beyond it: a queue that long has another cause.
_MAX_WAITING = 1_000
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class NewWebhook:
    """A webhook that was just made: the only moment its secret is shown."""

    secret: str
    row: WebhookRow


async def create_webhook(
    books: Books, actor: Actor, *, url: str, event_types: Sequence[EventType], secret: str | None
) -> NewWebhook:
    """Subscribe a URL. Raises ``GatewayError``: 400 bad URL or secret, 403 an event is not for the
    caller's role, 409 too many, URL known, or nothing to encrypt secrets with.
    """
    if not books.sealer.enabled:
        raise GatewayError(
            ErrorCode.CONFLICT,
            "webhooks are not possible here: their secrets are kept encrypted, and no encryption"
            " key is configured",
        )
    address = _checked_url(books, url)
    _check_events(actor, event_types)
    secret = mint_secret(secrets.token_bytes(_SECRET_BYTES)) if secret is None else secret
    try:
        check_secret(secret)
    except ValueError as error:
        raise GatewayError(ErrorCode.INVALID_REQUEST, str(error), param="secret") from error
    webhook_id = books.mint("wh")
    sealed = books.sealer.seal(Purpose.WEBHOOK, webhook_id, secret.encode())
    async with acting(books, actor) as conn:
        await store.lock_webhooks(conn, actor.account_id)
        if await store.count_webhooks(conn, actor.account_id) >= MAX_WEBHOOKS:
            raise GatewayError(
                ErrorCode.CONFLICT, f"an account has at most {MAX_WEBHOOKS} webhooks"
            )
        with _one_url():
            await store.insert_webhook(
                conn,
                webhook_id,
                account_id=actor.account_id,
                member_id=actor.member_id,
                url=address,
                event_types=_names(event_types),
            )
        await put_secret(conn, webhook_id, actor.account_id, Purpose.WEBHOOK, sealed)
        row = await _find(conn, actor, webhook_id)
        await _tell(conn, books, actor, Action.WEBHOOK_CREATE, after=row)
    return NewWebhook(secret, row)


async def list_webhooks(books: Books, who: Actor | Operator, account_id: str) -> list[WebhookRow]:
    """What the caller may see of an account's webhooks; 404 if there is no such account."""
    if isinstance(who, Operator):
        await find_account(books, account_id)
    own = who.member_id if isinstance(who, Actor) and who.role is Role.MEMBER else None
    async with acting(books, who) as conn:
        return await store.list_webhooks(conn, account_id, member_id=own)


async def find_webhook(books: Books, who: Actor | Operator, webhook_id: str) -> WebhookRow:
    """One webhook; 404 if there is none, or none of the caller's."""
    async with acting(books, who) as conn:
        return await _find(conn, who, webhook_id)


async def change_webhook(
    books: Books,
    who: Actor | Operator,
    webhook_id: str,
    *,
    url: str | None = None,
    event_types: Sequence[EventType] | None = None,
    status: str | None = None,
) -> WebhookRow:
    """Change what is not None. Another URL, and enabling, let failures be counted from nothing.
    Raises as :func:`create_webhook` does.
    """
    address = None if url is None else _checked_url(books, url)
    if event_types is not None and isinstance(who, Actor):
        _check_events(who, event_types)
    async with acting(books, who) as conn:
        before = await _find(conn, who, webhook_id, for_update=True)
        wanted = msgspec.structs.replace(
            before,
            url=address or before.url,
            event_types=before.event_types if event_types is None else _names(event_types),
            status=status or before.status,
        )
        if status == "active" or wanted.url != before.url:
            wanted = msgspec.structs.replace(wanted, fail_count=0)
        if wanted == before:
            return before
        with _one_url():
            await store.update_webhook(conn, wanted)
        after = await _find(conn, who, webhook_id)
        await _tell(conn, books, who, Action.WEBHOOK_UPDATE, before=before, after=after)
    return after


async def delete_webhook(books: Books, who: Actor | Operator, webhook_id: str) -> None:
    """End it for good; its secret is forgotten at once, its log when its time has come."""
    async with acting(books, who) as conn:
        row = await _find(conn, who, webhook_id, for_update=True)
        await store.update_webhook(conn, msgspec.structs.replace(row, status="deleted"))
        await delete_secret(conn, webhook_id)
        await _tell(conn, books, who, Action.WEBHOOK_DELETE, before=row)


async def list_deliveries(
    books: Books, who: Actor | Operator, webhook_id: str, *, offset: int, limit: int
) -> tuple[list[DeliveryRow], int]:
    """A page of a webhook's log, newest first, and the number of all lines."""
    async with acting(books, who) as conn:
        await _find(conn, who, webhook_id)
        return await log.list_deliveries(conn, webhook_id, offset=offset, limit=limit)


async def redeliver(
    books: Books, who: Actor | Operator, webhook_id: str, delivery_id: str
) -> DeliveryRow:
    """Send the same event with the same bytes once more, as a new line of the log."""
    async with acting(books, who) as conn:
        webhook = await _find_active(conn, who, webhook_id)
        old = await log.read_delivery(conn, webhook_id, delivery_id)
        if old is None:
            raise GatewayError(ErrorCode.NOT_FOUND, f"no delivery {delivery_id!r}")
        return await _queue(
            conn,
            books,
            who,
            webhook,
            Action.WEBHOOK_REDELIVER,
            event_id=old.event_id,
            event_type=old.event_type,
            payload=old.payload,
        )


async def send_test(books: Books, who: Actor, webhook_id: str) -> DeliveryRow:
    """Send a test event to this webhook alone, the way every other event goes."""
    async with acting(books, who) as conn:
        webhook = await _find_active(conn, who, webhook_id)
        event = EventRow(
            id=books.mint("evt"),
            account_id=webhook.account_id,
            member_id=webhook.member_id,
            type=TEST_EVENT,
            body='{"message":"This is a test."}',
            created_at=books.now(),
        )
        await insert_event(
            conn,
            event.id,
            account_id=event.account_id,
            member_id=event.member_id,
            kind=event.type,
            body=event.body,
            due=False,
        )
        return await _queue(
            conn,
            books,
            who,
            webhook,
            Action.WEBHOOK_TEST,
            event_id=event.id,
            event_type=event.type,
            payload=render(event),
        )


def describe_webhook(row: WebhookRow) -> dict[str, object]:
    """What events and the audit log say of a webhook. A URL may hold a secret anywhere behind the
    host, so that is all they get of it.
    """
    return {
        "webhook_id": row.id,
        "host": URL(row.url).host,
        "event_types": row.event_types,
        "status": row.status,
    }


async def _queue(
    conn: Connection,
    books: Books,
    who: Actor | Operator,
    webhook: WebhookRow,
    action: Action,
    *,
    event_id: str,
    event_type: str,
    payload: str,
) -> DeliveryRow:
    if await log.count_waiting(conn, webhook.id) >= _MAX_WAITING:
        raise GatewayError(
            ErrorCode.CONFLICT, f"{_MAX_WAITING} deliveries of this webhook are waiting already"
        )
    delivery = NewDelivery(
        id=books.mint("dlv"),
        account_id=webhook.account_id,
        webhook_id=webhook.id,
        event_id=event_id,
        event_type=event_type,
        payload=payload,
    )
    await log.insert_deliveries(conn, [delivery], now=books.now())
    await record(
        conn,
        who,
        action,
        target=webhook.id,
        account_id=webhook.account_id,
        after={"delivery_id": delivery.id, "event_id": event_id, "event_type": event_type},
    )
    made = await log.read_delivery(conn, webhook.id, delivery.id)
    if made is None:
        raise RuntimeError("a delivery that was written is not there")
    return made


async def _find(
    conn: Connection, who: Actor | Operator, webhook_id: str, *, for_update: bool = False
) -> WebhookRow:
    row = await store.read_webhook(conn, webhook_id, for_update=for_update)
    if row is None or row.status == "deleted" or not _is_visible(who, row):
        _not_found(webhook_id)
    return row


async def _find_active(conn: Connection, who: Actor | Operator, webhook_id: str) -> WebhookRow:
    row = await _find(conn, who, webhook_id)
    if row.status != "active":
        raise GatewayError(ErrorCode.CONFLICT, "the webhook is disabled: enable it first")
    return row


def _is_visible(who: Actor | Operator, row: WebhookRow) -> bool:
    """Members see what they made, whoever runs or audits the account all of it."""
    if isinstance(who, Operator):
        return True
    if row.account_id != who.account_id:
        return False
    return who.role is not Role.MEMBER or row.member_id == who.member_id


async def _tell(
    conn: Connection,
    books: Books,
    who: Actor | Operator,
    action: Action,
    *,
    before: WebhookRow | None = None,
    after: WebhookRow | None = None,
) -> None:
    """The entry of the audit log and the event of a change."""
    row = after or before
    if row is None:
        raise ValueError("a change has a row before or after")
    await record(
        conn,
        who,
        action,
        target=row.id,
        account_id=row.account_id,
        before=None if before is None else describe_webhook(before),
        after=None if after is None else describe_webhook(after),
    )
    told = describe_webhook(row)
    if isinstance(who, Operator):
        told["reason"] = "an operator disabled it"
    await emit(
        conn,
        books,
        row.account_id,
        EventType(f"user.{action.value}"),
        told,
        member_id=row.member_id,
    )


def _checked_url(books: Books, url: str) -> str:
    try:
        return str(books.webhook_guard.url(url))
    except UrlRefused as error:
        raise GatewayError(ErrorCode.INVALID_REQUEST, str(error), param="url") from error


def _names(event_types: Sequence[EventType]) -> list[str]:
    return sorted({kind.value for kind in event_types})


def _check_events(actor: Actor, event_types: Sequence[EventType]) -> None:
    if actor.role is not Role.MEMBER:
        return
    for number, kind in enumerate(event_types):
        if kind not in PERSONAL:
            raise GatewayError(
                ErrorCode.PERMISSION_DENIED,
                f"the event {kind} is for owners and admins of the organisation",
                param=f"event_types[{number}]",
            )


@contextmanager
def _one_url() -> Iterator[None]:
    """An account has one webhook per URL."""
    try:
        yield
    except DuplicateUrl as error:
        raise GatewayError(
            ErrorCode.CONFLICT, "this URL is subscribed already", param="url"
        ) from error


def _not_found(webhook_id: str) -> NoReturn:
    raise GatewayError(ErrorCode.NOT_FOUND, f"no webhook {webhook_id!r}")
