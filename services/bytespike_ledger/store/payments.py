"""Payments and what providers reported about them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from bytespike_ledger.store import Connection

__all__ = [
    "PaymentRow",
    "PaymentStatus",
    "add_refund",
    "count_begun",
    "find_by_receipt",
    "find_by_ref",
    "find_by_transfer",
    "insert_payment",
    "list_payments",
    "mark_failed",
    "mark_succeeded",
    "name_payment",
    "read_payment",
    "take_event",
]

PaymentStatus = Literal["pending", "succeeded", "failed", "refunded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentRow:
    """A payment. ``refunded_uusd`` was given back of it, ``shortfall_uusd`` of that (bonus
    included) was no longer in the wallet.
    """

    id: str
    account_id: str
    provider: str
    provider_ref: str
    amount_uusd: int
    status: PaymentStatus
    refunded_uusd: int
    shortfall_uusd: int
    receipt_id: str | None
    method: str | None
    failure: str | None
    actor: str
    transfer_id: int | None
    created_at: datetime
    updated_at: datetime


_COLUMNS = ", ".join(PaymentRow.__dataclass_fields__)
_ROWS = f"select {_COLUMNS} from payments"  # noqa: S608 - the columns are the fields above


async def insert_payment(
    conn: Connection,
    payment_id: str,
    *,
    account_id: str,
    provider: str,
    provider_ref: str,
    amount_uusd: int,
    actor: str,
) -> None:
    """A payment nobody has confirmed yet."""
    await conn.execute(
        """insert into payments (id, account_id, provider, provider_ref, amount_uusd, status, actor)
           values ($1, $2, $3, $4, $5, 'pending', $6)""",
        payment_id,
        account_id,
        provider,
        provider_ref,
        amount_uusd,
        actor,
    )


async def count_begun(conn: Connection, account_id: str, *, since: datetime, limit: int) -> int:
    """How many payments the account began since then and has not made; counted up to ``limit``."""
    number: int = await conn.fetchval(
        """select count(*) from (
               select from payments
               where account_id = $1 and status in ('pending', 'failed') and created_at >= $2
               limit $3
           ) as begun""",
        account_id,
        since,
        limit,
    )
    return number


async def name_payment(conn: Connection, payment_id: str, provider_ref: str) -> None:
    """The provider's name of a payment that was begun under our own."""
    await conn.execute(
        "update payments set provider_ref = $2, updated_at = now() where id = $1",
        payment_id,
        provider_ref,
    )


async def mark_succeeded(
    conn: Connection,
    payment_id: str,
    *,
    transfer_id: int,
    provider_ref: str,
    amount_uusd: int,
    receipt_id: str | None,
    method: str | None,
) -> None:
    """The money is here, and credited by ``transfer_id``."""
    await conn.execute(
        """update payments set status = 'succeeded', transfer_id = $2, provider_ref = $3,
                               amount_uusd = $4, receipt_id = $5, method = $6, failure = null,
                               updated_at = now()
           where id = $1""",
        payment_id,
        transfer_id,
        provider_ref,
        amount_uusd,
        receipt_id,
        method,
    )


async def mark_failed(conn: Connection, payment_id: str, failure: str) -> bool:
    """It will not come; False if it had come, or failed, before."""
    status = await conn.execute(
        """update payments set status = 'failed', failure = $2, updated_at = now()
           where id = $1 and status = 'pending'""",
        payment_id,
        failure,
    )
    return bool(status == "UPDATE 1")


async def add_refund(
    conn: Connection, payment_id: str, *, refunded_uusd: int, shortfall_uusd: int
) -> None:
    """More of it was given back; ``shortfall_uusd`` of that and its bonus was gone already."""
    await conn.execute(
        """update payments set refunded_uusd = refunded_uusd + $2,
                               shortfall_uusd = shortfall_uusd + $3,
                               status = case when refunded_uusd + $2 = amount_uusd then 'refunded'
                                             else status end,
                               updated_at = now()
           where id = $1""",
        payment_id,
        refunded_uusd,
        shortfall_uusd,
    )


async def read_payment(
    conn: Connection, payment_id: str, *, for_update: bool = False
) -> PaymentRow | None:
    """One payment, locked if wished (its account's balance row must be locked before)."""
    row = await conn.fetchrow(
        f"{_ROWS} where id = $1 {'for update' if for_update else ''}", payment_id
    )
    return None if row is None else PaymentRow(**row)


async def find_by_ref(conn: Connection, provider: str, provider_ref: str) -> PaymentRow | None:
    """The payment a provider calls so, or None."""
    row = await conn.fetchrow(
        f"{_ROWS} where provider = $1 and provider_ref = $2", provider, provider_ref
    )
    return None if row is None else PaymentRow(**row)


async def find_by_receipt(conn: Connection, provider: str, receipt_id: str) -> PaymentRow | None:
    """The payment with this receipt, or None."""
    row = await conn.fetchrow(
        f"{_ROWS} where provider = $1 and receipt_id = $2", provider, receipt_id
    )
    return None if row is None else PaymentRow(**row)


async def find_by_transfer(conn: Connection, transfer_id: int) -> PaymentRow | None:
    """The payment a top-up credited, or None."""
    row = await conn.fetchrow(f"{_ROWS} where transfer_id = $1", transfer_id)
    return None if row is None else PaymentRow(**row)


async def list_payments(
    conn: Connection,
    *,
    account_id: str | None,
    status: str | None,
    before: str | None,
    limit: int,
) -> list[PaymentRow]:
    """A page, newest first (ids sort by time)."""
    rows = await conn.fetch(
        f"""{_ROWS} where ($1::text is null or account_id = $1)
                      and ($2::text is null or status = $2)
                      and ($3::text is null or id < $3)
            order by id desc limit $4""",
        account_id,
        status,
        before,
        limit,
    )
    return [PaymentRow(**row) for row in rows]


async def take_event(
    conn: Connection, provider: str, event_id: str, *, kind: str, body_hash: bytes
) -> bool:
    """Note an event of a provider; False if it was taken before."""
    status = await conn.execute(
        """insert into payment_events (provider, event_id, kind, body_hash)
           values ($1, $2, $3, $4) on conflict do nothing""",
        provider,
        event_id,
        kind,
        body_hash,
    )
    return bool(status == "INSERT 0 1")
