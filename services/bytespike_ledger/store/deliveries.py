"""Deliveries: the queue the courier works on and the log customers read, in one table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import asyncpg
import msgspec

from bytespike_ledger.store import Connection

__all__ = [
    "DeliveryRow",
    "NewDelivery",
    "Parcelled",
    "claim_deliveries",
    "count_due",
    "count_waiting",
    "finish_attempt",
    "forget_deliveries",
    "insert_deliveries",
    "list_deliveries",
    "read_delivery",
]

#: How far a look at the queue goes. Beyond it deliveries wait for those before them; what is
#: excluded (receivers that are busy) does not count, so one receiver cannot fill the view.
_VIEW = 5_000


class NewDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """One event for one webhook, with the bytes that will be sent at every attempt."""

    id: str
    account_id: str
    webhook_id: str
    event_id: str
    event_type: str
    payload: str


class DeliveryRow(NewDelivery, frozen=True, kw_only=True):
    """A line of the delivery log. ``attempt`` counts those made; ``response_status`` is that of the
    last one, 0 = no answer came.
    """

    status: str
    attempt: int
    response_status: int | None
    error: str | None
    duration_ms: int | None
    next_attempt_at: datetime | None
    delivered_at: datetime | None
    created_at: datetime


class Parcelled(NewDelivery, frozen=True, kw_only=True):
    """A delivery that this process may attempt until ``leased_until``; with it what became of its
    webhook meanwhile.
    """

    attempt: int
    leased_until: datetime
    created_at: datetime
    member_id: str | None
    url: str
    webhook_status: str


async def insert_deliveries(
    conn: Connection, deliveries: Sequence[NewDelivery], *, now: datetime
) -> None:
    """Queue them, due at once."""
    await conn.executemany(
        """insert into webhook_deliveries
               (id, account_id, webhook_id, event_id, event_type, payload, next_attempt_at,
                created_at)
           values ($1, $2, $3, $4, $5, $6, $7, $7)""",
        [(*msgspec.structs.astuple(delivery), now) for delivery in deliveries],
    )


async def claim_deliveries(
    conn: Connection,
    *,
    now: datetime,
    lease_until: datetime,
    limit: int,
    per_webhook: int,
    per_account: int,
    busy_webhooks: Sequence[str],
    busy_accounts: Sequence[str],
) -> list[Parcelled]:
    """Lease up to ``limit`` due deliveries, fairly: at most so many of a webhook and an account,
    none of those who are busy. Nobody else gets them before the lease ends.
    """
    rows = await conn.fetch(
        """with seen as (
               select id, account_id, webhook_id, next_attempt_at
               from webhook_deliveries
               where status = 'pending' and next_attempt_at <= $1
                 and (leased_until is null or leased_until <= $1)
                 and webhook_id <> all($6::text[]) and account_id <> all($7::text[])
               order by next_attempt_at limit $8
           ), ranked as (
               select id, next_attempt_at,
                      row_number() over (partition by webhook_id order by next_attempt_at, id)
                          as of_webhook,
                      row_number() over (partition by account_id order by next_attempt_at, id)
                          as of_account
               from seen
           ), picked as (
               select deliveries.id
               from webhook_deliveries as deliveries join ranked on ranked.id = deliveries.id
               where of_webhook <= $4 and of_account <= $5
                 and deliveries.status = 'pending'
                 and (deliveries.leased_until is null or deliveries.leased_until <= $1)
               order by ranked.next_attempt_at limit $3
               for update of deliveries skip locked
           )
           update webhook_deliveries as deliveries
           set leased_until = $2
           from picked, webhooks
           where deliveries.id = picked.id and webhooks.id = deliveries.webhook_id
           returning deliveries.id, deliveries.account_id, deliveries.webhook_id,
                     deliveries.event_id, deliveries.event_type, deliveries.payload,
                     deliveries.attempt, deliveries.leased_until, deliveries.created_at,
                     webhooks.member_id, webhooks.url, webhooks.status as webhook_status""",
        now,
        lease_until,
        limit,
        per_webhook,
        per_account,
        busy_webhooks,
        busy_accounts,
        _VIEW,
    )
    return [Parcelled(**row) for row in rows]


async def finish_attempt(
    conn: Connection,
    claimed: Parcelled,
    *,
    status: str,
    response_status: int,
    error: str | None,
    duration_ms: int,
    next_attempt_at: datetime | None,
    delivered_at: datetime | None,
) -> bool:
    """Write down how an attempt ended; False if the lease was lost and somebody else has it."""
    done = await conn.execute(
        """update webhook_deliveries
           set status = $3, attempt = attempt + 1, response_status = $4, error = $5,
               duration_ms = $6, next_attempt_at = $7, delivered_at = $8, leased_until = null
           where id = $1 and status = 'pending' and leased_until = $2""",
        claimed.id,
        claimed.leased_until,
        status,
        response_status,
        error,
        duration_ms,
        next_attempt_at,
        delivered_at,
    )
    return bool(done == "UPDATE 1")


async def count_due(conn: Connection, now: datetime) -> int:
    """Deliveries that could be attempted now; counts no further than the courier looks."""
    count: int = await conn.fetchval(
        """select count(*) from (
               select from webhook_deliveries
               where status = 'pending' and next_attempt_at <= $1
                 and (leased_until is null or leased_until <= $1)
               limit $2
           ) as due""",
        now,
        _VIEW,
    )
    return count


async def count_waiting(conn: Connection, webhook_id: str) -> int:
    """Deliveries of a webhook that are not over."""
    count: int = await conn.fetchval(
        "select count(*) from webhook_deliveries where webhook_id = $1 and status = 'pending'",
        webhook_id,
    )
    return count


async def list_deliveries(
    conn: Connection, webhook_id: str, *, offset: int, limit: int
) -> tuple[list[DeliveryRow], int]:
    """A page of a webhook's log, newest first, and how many lines there are."""
    rows = await conn.fetch(
        """select * from webhook_deliveries where webhook_id = $1
           order by id desc offset $2 limit $3""",
        webhook_id,
        offset,
        limit,
    )
    total: int = await conn.fetchval(
        "select count(*) from webhook_deliveries where webhook_id = $1", webhook_id
    )
    return [_row(row) for row in rows], total


async def read_delivery(conn: Connection, webhook_id: str, delivery_id: str) -> DeliveryRow | None:
    """One delivery of a webhook, or None."""
    row = await conn.fetchrow(
        "select * from webhook_deliveries where id = $1 and webhook_id = $2",
        delivery_id,
        webhook_id,
    )
    return None if row is None else _row(row)


async def forget_deliveries(conn: Connection, *, before: datetime, limit: int) -> int:
    """Delete up to ``limit`` finished ones made before; returns how many."""
    status = await conn.execute(
        """delete from webhook_deliveries where ctid = any(array(
               select ctid from webhook_deliveries
               where created_at < $1 and status <> 'pending' order by created_at limit $2))""",
        before,
        limit,
    )
    return int(status.removeprefix("DELETE "))


def _row(row: asyncpg.Record) -> DeliveryRow:
    return DeliveryRow(**{name: row[name] for name in DeliveryRow.__struct_fields__})
