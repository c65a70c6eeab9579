"""Deliveries: the queue the courier works on and the log customers read, in one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    "waiting_webhooks",
]

#: A queue longer than this is reported as this long.
_COUNTED = 5_000


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


async def waiting_webhooks(conn: Connection, *, after: str, limit: int) -> list[str]:
    """Webhooks with deliveries that are not over, in order of id; jumps from one to the next, so
    the length of their queues does not matter.
    """
    rows = await conn.fetch(
        """with recursive waiting (webhook_id, place) as (
               select min(webhook_id), 1 from webhook_deliveries
               where status = 'pending' and webhook_id > $1
               union all
               select (select min(webhook_id) from webhook_deliveries
                       where status = 'pending' and webhook_id > waiting.webhook_id), place + 1
               from waiting where webhook_id is not null and place < $2
           )
           select webhook_id from waiting where webhook_id is not null""",
        after,
        limit,
    )
    return [row["webhook_id"] for row in rows]


async def claim_deliveries(
    conn: Connection,
    webhook_ids: Sequence[str],
    *,
    now: datetime,
    lease_until: datetime,
    limit: int,
    per_webhook: int,
    per_account: int,
    under_way: Mapping[str, int],
) -> list[Parcelled]:
    """Lease up to ``limit`` due deliveries of these webhooks, at most so many of each, and of each
    account together with those ``under_way`` for it. Nobody else gets them before the lease ends.
    """
    rows = await conn.fetch(
        """with heads as (
               select head.* from unnest($6::text[]) as asked (webhook_id)
               cross join lateral (
                   select id, account_id, next_attempt_at from webhook_deliveries
                   where status = 'pending' and webhook_deliveries.webhook_id = asked.webhook_id
                     and next_attempt_at <= $1 and (leased_until is null or leased_until <= $1)
                   order by next_attempt_at limit $4
               ) as head
           ), ranked as (
               select id, account_id, next_attempt_at,
                      row_number() over (partition by account_id order by next_attempt_at, id)
                          as of_account
               from heads
           ), chosen as (
               select ranked.id from ranked
               left join unnest($7::text[], $8::integer[]) as busy (account_id, number)
                   on busy.account_id = ranked.account_id
               where of_account + coalesce(busy.number, 0) <= $5
               order by next_attempt_at limit $3
           ), picked as (
               -- An array, so that rows are looked up by key whatever the planner guesses.
               select id, webhook_id from webhook_deliveries
               where id = any(array(select id from chosen)) and status = 'pending'
                 and (leased_until is null or leased_until <= $1)
               for update skip locked
           )
           update webhook_deliveries as deliveries
           set leased_until = $2
           from picked, webhooks
           where deliveries.id = picked.id and webhooks.id = picked.webhook_id
           returning deliveries.id, deliveries.account_id, deliveries.webhook_id,
                     deliveries.event_id, deliveries.event_type, deliveries.payload,
                     deliveries.attempt, deliveries.leased_until, deliveries.created_at,
                     webhooks.member_id, webhooks.url, webhooks.status as webhook_status""",
        now,
        lease_until,
        limit,
        per_webhook,
        per_account,
        webhook_ids,
        list(under_way),
        list(under_way.values()),
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
    """Deliveries that could be attempted now, up to a number that says enough."""
    count: int = await conn.fetchval(
        """select count(*) from (
               select from webhook_deliveries
               where status = 'pending' and next_attempt_at <= $1
                 and (leased_until is null or leased_until <= $1)
               limit $2
           ) as due""",
        now,
        _COUNTED,
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
