"""Movements of money that are not usage: top-ups, adjustments, refunds; written and listed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from bytespike_ledger.store import Connection

__all__ = [
    "Line",
    "NewTransfer",
    "TransferFilter",
    "TransferKind",
    "TransferRow",
    "count_transfers",
    "effective_between",
    "find_transfer",
    "insert_transfer",
    "list_transfers",
    "read_transfer",
    "sum_before",
]

TransferKind = Literal["topup", "adjust", "refund"]
Item = Literal["principal", "bonus", "adjustment"]


@dataclass(frozen=True, slots=True)
class Line:
    """One part of a movement: micro-USD the customer gets (or gives, below zero) from ``against``,
    a house account.
    """

    item: Item
    against: str
    amount_uusd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTransfer:
    """A movement to be recorded."""

    kind: TransferKind
    account_id: str
    lines: Sequence[Line]
    idempotency_key: str
    input_hash: bytes
    actor: str
    note: str
    effective_at: datetime
    refers_to: int | None = None
    payment_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferRow:
    """A movement as recorded, with its payment if there is one. ``amount_uusd`` is signed and
    includes ``bonus_uusd``, the part of it that is bonus.
    """

    id: int
    kind: TransferKind
    account_id: str
    amount_uusd: int
    bonus_uusd: int
    balance_after_uusd: int | None
    input_hash: bytes
    actor: str
    note: str
    refers_to: int | None
    effective_at: datetime
    created_at: datetime
    payment_id: str | None
    provider: str | None
    receipt_id: str | None
    method: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferFilter:
    """Which movements of an account; ``sign`` tells credits (1) from debits (-1), 0 = both.
    ``since`` is inclusive, ``until`` exclusive, both of the recording.
    """

    account_id: str
    kind: TransferKind | None = None
    sign: int = 0
    since: datetime | None = None
    until: datetime | None = None


_ROWS = """
    select transfers.id, kind, transfers.account_id, moved.amount_uusd, moved.bonus_uusd,
           balance_after_uusd, input_hash, transfers.actor, note, refers_to, effective_at,
           transfers.created_at, payments.id as payment_id, provider, receipt_id, method
    from transfers
    cross join lateral (
        select sum(amount_uusd)::bigint as amount_uusd,
               coalesce(sum(amount_uusd) filter (where item = 'bonus'), 0)::bigint as bonus_uusd
        from entries
        where entries.transfer_id = transfers.id and entries.account_id = transfers.account_id
    ) as moved
    left join payments on payments.id = coalesce(
        transfers.payment_id,
        (select id from payments as behind where behind.transfer_id = transfers.id)
    )
"""
_WANTED = """
    where transfers.account_id = $1 and kind <> 'settle'
      and ($2::text is null or kind = $2)
      and ($3::integer = 0 or sign(moved.amount_uusd) = $3::integer)
      and ($4::timestamptz is null or transfers.created_at >= $4)
      and ($5::timestamptz is null or transfers.created_at < $5)
"""


async def insert_transfer(conn: Connection, new: NewTransfer, *, balance_after_uusd: int) -> None:
    """Record a movement, two entries per line. ``balance_after_uusd`` is that of the locked row."""
    await conn.execute(
        """with made as (
               insert into transfers (kind, account_id, idempotency_key, input_hash, actor, note,
                                      effective_at, balance_after_uusd, refers_to, payment_id)
               values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) returning id
           ), lines as (
               select * from unnest($11::text[], $12::text[], $13::bigint[])
                   with ordinality as lines (item, against, amount_uusd, number)
           )
           insert into entries (transfer_id, line, account_id, amount_uusd, item)
           select id, 2 * number - side, case side when 1 then $2 else against end,
                  case side when 1 then amount_uusd else -amount_uusd end, item
           from made, lines, generate_series(0, 1) as side""",
        new.kind,
        new.account_id,
        new.idempotency_key,
        new.input_hash,
        new.actor,
        new.note,
        new.effective_at,
        balance_after_uusd,
        new.refers_to,
        new.payment_id,
        [line.item for line in new.lines],
        [line.against for line in new.lines],
        [line.amount_uusd for line in new.lines],
    )


async def find_transfer(conn: Connection, idempotency_key: str) -> TransferRow | None:
    """The movement recorded under a key, or None."""
    row = await conn.fetchrow(f"{_ROWS} where idempotency_key = $1", idempotency_key)
    return None if row is None else TransferRow(**row)


async def read_transfer(conn: Connection, account_id: str, number: int) -> TransferRow | None:
    """One movement of an account that is not usage, or None."""
    row = await conn.fetchrow(
        f"{_ROWS} where transfers.id = $2 and transfers.account_id = $1 and kind <> 'settle'",
        account_id,
        number,
    )
    return None if row is None else TransferRow(**row)


async def list_transfers(
    conn: Connection, wanted: TransferFilter, *, offset: int, limit: int
) -> list[TransferRow]:
    """A page, newest first."""
    rows = await conn.fetch(
        f"{_ROWS} {_WANTED} order by transfers.id desc offset $6 limit $7",
        *_arguments(wanted),
        offset,
        limit,
    )
    return [TransferRow(**row) for row in rows]


async def count_transfers(conn: Connection, wanted: TransferFilter) -> int:
    """How many there are on all pages together."""
    total: int = await conn.fetchval(
        # The rows are the constant above.
        f"select count(*) from ({_ROWS} {_WANTED}) as found",  # noqa: S608
        *_arguments(wanted),
    )
    return total


async def effective_between(
    conn: Connection, account_id: str, since: datetime, until: datetime, *, limit: int
) -> list[TransferRow]:
    """Movements that count for ``since`` <= t < ``until``, in that order."""
    rows = await conn.fetch(
        f"""{_ROWS} where transfers.account_id = $1 and kind <> 'settle'
                      and effective_at >= $2 and effective_at < $3
            order by effective_at, transfers.id limit $4""",
        account_id,
        since,
        until,
        limit,
    )
    return [TransferRow(**row) for row in rows]


async def sum_before(conn: Connection, account_id: str, until: datetime) -> int:
    """Micro-USD moved, usage aside, by everything that counts for before ``until``."""
    total: int = await conn.fetchval(
        """select coalesce(sum(amount_uusd), 0)::bigint
           from transfers join entries on entries.transfer_id = transfers.id
                                      and entries.account_id = transfers.account_id
           where transfers.account_id = $1 and kind <> 'settle' and effective_at < $2""",
        account_id,
        until,
    )
    return total


def _arguments(wanted: TransferFilter) -> tuple[object, ...]:
    return (wanted.account_id, wanted.kind, wanted.sign, wanted.since, wanted.until)
