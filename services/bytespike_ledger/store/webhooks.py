"""Webhooks: who wants to be told what, where."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import asyncpg
import msgspec

from bytespike_ledger.store import Connection

__all__ = [
    "DuplicateUrl",
    "Subscriber",
    "WebhookRow",
    "count_failure",
    "count_success",
    "count_webhooks",
    "insert_webhook",
    "list_webhooks",
    "lock_webhooks",
    "read_webhook",
    "subscribers",
    "update_webhook",
]

#: First half of the advisory lock of an account's webhooks ("wh" in ASCII).
_LOCK = 0x7768

_SELECT = """
    select webhooks.*, coalesce(members.user_id, individuals.id) as owner_user_id
    from webhooks
    left join members on members.id = webhooks.member_id
    left join users as individuals on individuals.account_id = webhooks.account_id
"""


class DuplicateUrl(Exception):
    """The account has a webhook with this URL."""


class WebhookRow(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook as stored (never its secret). ``owner_user_id`` is None if it was made with a key
    of no member.
    """

    id: str
    account_id: str
    member_id: str | None
    owner_user_id: str | None
    url: str
    event_types: list[str]
    status: str
    fail_count: int
    created_at: datetime
    updated_at: datetime


class Subscriber(msgspec.Struct, frozen=True, kw_only=True):
    """An active webhook as fan-out sees it. ``role`` is the owner's now, None = no member's."""

    id: str
    account_id: str
    member_id: str | None
    role: str | None
    event_types: list[str]


async def lock_webhooks(conn: Connection, account_id: str) -> None:
    """Until the transaction ends nobody else adds webhooks to the account, so a count holds."""
    await conn.execute("select pg_advisory_xact_lock($1, hashtext($2))", _LOCK, account_id)


async def count_webhooks(conn: Connection, account_id: str) -> int:
    """How many the account has."""
    count: int = await conn.fetchval(
        "select count(*) from webhooks where account_id = $1 and status <> 'deleted'", account_id
    )
    return count


async def insert_webhook(
    conn: Connection,
    webhook_id: str,
    *,
    account_id: str,
    member_id: str | None,
    url: str,
    event_types: Sequence[str],
) -> None:
    """Insert an active one. Raises :class:`DuplicateUrl`."""
    try:
        await conn.execute(
            """insert into webhooks (id, account_id, member_id, url, event_types)
               values ($1, $2, $3, $4, $5)""",
            webhook_id,
            account_id,
            member_id,
            url,
            event_types,
        )
    except asyncpg.UniqueViolationError as error:
        raise DuplicateUrl from error


async def read_webhook(
    conn: Connection, webhook_id: str, *, for_update: bool = False
) -> WebhookRow | None:
    """One webhook, deleted ones included, or None; locked if it is to be changed."""
    locked = " for update of webhooks" if for_update else ""
    row = await conn.fetchrow(f"{_SELECT} where webhooks.id = $1{locked}", webhook_id)
    return None if row is None else _row(row)


async def list_webhooks(
    conn: Connection, account_id: str, *, member_id: str | None
) -> list[WebhookRow]:
    """The account's (with ``member_id``: one member's), oldest first; their number is bounded."""
    rows = await conn.fetch(
        f"""{_SELECT} where webhooks.account_id = $1 and webhooks.status <> 'deleted'
              and ($2::text is null or webhooks.member_id = $2)
            order by webhooks.id""",
        account_id,
        member_id,
    )
    return [_row(row) for row in rows]


async def update_webhook(conn: Connection, wanted: WebhookRow) -> None:
    """Set what can change of it: URL, event types, status, failures. Raises
    :class:`DuplicateUrl`.
    """
    try:
        await conn.execute(
            """update webhooks set url = $2, event_types = $3, status = $4, fail_count = $5,
                                   updated_at = now()
               where id = $1""",
            wanted.id,
            wanted.url,
            wanted.event_types,
            wanted.status,
            wanted.fail_count,
        )
    except asyncpg.UniqueViolationError as error:
        raise DuplicateUrl from error


async def subscribers(conn: Connection, account_ids: Sequence[str]) -> list[Subscriber]:
    """Active webhooks of the accounts, but for those of people who are not active any more."""
    rows = await conn.fetch(
        """select webhooks.id, webhooks.account_id, member_id, members.role, event_types
           from webhooks
           left join members on members.id = webhooks.member_id
           left join users as people on people.id = members.user_id
           left join users as individuals on individuals.account_id = webhooks.account_id
           where webhooks.account_id = any($1) and webhooks.status = 'active'
             and coalesce(members.status, 'active') = 'active'
             and coalesce(people.status, 'active') = 'active'
             and coalesce(individuals.status, 'active') = 'active'""",
        account_ids,
    )
    return [Subscriber(**row) for row in rows]


async def count_success(conn: Connection, webhook_id: str) -> None:
    """A delivery arrived: failures are counted from nothing again."""
    await conn.execute(
        "update webhooks set fail_count = 0 where id = $1 and fail_count > 0", webhook_id
    )


async def count_failure(conn: Connection, webhook_id: str, *, disable_at: int) -> bool:
    """A delivery failed for good; True if that was one too many and the webhook is disabled now."""
    disabled = await conn.fetchval(
        """update webhooks
           set fail_count = fail_count + 1,
               status = case when fail_count + 1 >= $2 then 'disabled' else status end,
               updated_at = case when fail_count + 1 >= $2 then now() else updated_at end
           where id = $1 and status = 'active'
           returning status = 'disabled'""",
        webhook_id,
        disable_at,
    )
    return bool(disabled)


def _row(row: asyncpg.Record) -> WebhookRow:
    return WebhookRow(**{name: row[name] for name in WebhookRow.__struct_fields__})
