"""The audit log: who changed what, from where, what it was before and is now. Append-only.

An entry is written in the transaction of the change itself, so there is no change without one and
none without a change. Values come from rows, never from requests, and no secret is among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from bytespike_ledger.accounts.actors import Actor, Operator
from bytespike_ledger.books import Books
from bytespike_ledger.store import Connection, connection
from bytespike_ledger.store import audit_log as store
from bytespike_ledger.store.audit_log import AuditLogFilter, AuditLogRow

__all__ = ["Action", "list_entries", "record"]


class Action(StrEnum):
    """What was done (closed set; a change that is none of these does not exist yet)."""

    ORG_CREATE = "org.create"
    ORG_UPDATE = "org.update"
    USER_CREATE = "user.create"
    USER_UPDATE = "user.update"
    MEMBER_ADD = "member.add"
    MEMBER_UPDATE = "member.update"
    MEMBER_REMOVE = "member.remove"
    KEY_CREATE = "key.create"
    KEY_UPDATE = "key.update"
    KEY_ROTATE = "key.rotate"
    KEY_REVEAL = "key.reveal"
    KEY_DELETE = "key.delete"
    GROUP_GRANT = "group.grant"
    GROUP_REVOKE = "group.revoke"
    WALLET_TOP_UP = "wallet.top_up"
    WALLET_ADJUST = "wallet.adjust"
    WALLET_REFUND = "wallet.refund"
    WALLET_SETTINGS = "wallet.settings"
    PAYMENT_CHECKOUT = "payment.checkout"
    WEBHOOK_CREATE = "webhook.create"
    WEBHOOK_UPDATE = "webhook.update"
    WEBHOOK_DELETE = "webhook.delete"
    WEBHOOK_REDELIVER = "webhook.redeliver"
    WEBHOOK_TEST = "webhook.test"
    CHANNEL_STATE = "channel.state"
    OPERATOR_CREATE = "operator.create"
    OPERATOR_UPDATE = "operator.update"
    SECRETS_REWRAP = "secrets.rewrap"
    BOOKS_REBUILD = "books.rebuild"
    EVENT_RETRY = "event.retry"


async def record(
    conn: Connection,
    who: Actor | Operator,
    action: Action,
    *,
    target: str,
    account_id: str | None = None,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> None:
    """Write one entry. ``target`` is the id of what changed; ``before`` and ``after`` hold the
    fields that changed, as JSON-ready values.
    """
    await store.insert(
        conn,
        actor=who.id,
        address=who.address,
        request_id=who.request_id,
        action=action.value,
        account_id=account_id,
        target=target,
        before=None if before is None else msgspec.json.encode(before).decode(),
        after=None if after is None else msgspec.json.encode(after).decode(),
    )


async def list_entries(books: Books, wanted: AuditLogFilter, *, limit: int) -> list[AuditLogRow]:
    """A page of entries, newest first."""
    async with connection(books.pool) as conn:
        return await store.list_entries(conn, wanted, limit=limit)
