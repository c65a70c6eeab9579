"""What happens to an account, put where the courier finds it: an outbox in Postgres.

An event is written in the transaction of what it tells about, so none is lost and none is told of a
change that was rolled back. Turning events into webhook calls and notifications happens later and
elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from bytespike_ledger.books import Books
from bytespike_ledger.store import Connection
from bytespike_ledger.store import events as store

__all__ = ["EventType", "emit"]


class EventType(StrEnum):
    """The public names of events (closed set; what a webhook can subscribe to)."""

    USER_WEBHOOK_CREATE = "user.webhook.create"
    USER_WEBHOOK_UPDATE = "user.webhook.update"
    USER_WEBHOOK_DELETE = "user.webhook.delete"
    BALANCE_LOW = "system.balance.notify.dispatched"
    AUTO_TOP_UP_DUE = "system.balance.auto_top_up.due"
    PAYMENT_RECEIVED = "system.payment.received"
    PAYMENT_REFUNDED = "system.payment.refunded"
    ORG_UPDATE = "org.settings.update"
    ORG_KEY_CREATE = "org.api_key.create"
    ORG_KEY_REVOKE = "org.api_key.revoke"
    MEMBER_ADD = "admin.org.member.add"
    MEMBER_ROLE = "admin.org.member.role"
    MEMBER_REMOVE = "admin.org.member.remove"
    MEMBER_ALLOTMENT = "admin.org.member.allotment"
    BALANCE_ADJUST = "admin.balance.adjust"
    KEY_REVOKE = "admin.api_key.revoke"


async def emit(
    conn: Connection,
    books: Books,
    account_id: str,
    kind: EventType,
    body: Mapping[str, object],
    *,
    member_id: str | None = None,
) -> str:
    """Write one event; its id. ``body`` holds ids, names and amounts as JSON-ready values (amounts
    as decimal USD texts), never a secret. ``member_id`` = it concerns that member in person.
    """
    event_id = books.mint("evt")
    await store.insert_event(
        conn,
        event_id,
        account_id=account_id,
        member_id=member_id,
        kind=kind.value,
        body=msgspec.json.encode(body).decode(),
    )
    return event_id
