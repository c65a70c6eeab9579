"""Movements of money and statements as the API shows them, to customers and operators alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_ledger.accounts.statements import (
    MAX_LINES,
    PublicKind,
    Statement,
    public_kind,
    transactions_csv,
)
from bytespike_ledger.api.wire import Moment, Request, Timestamp, Usd, read_time_ms, timestamp_of
from bytespike_ledger.store import Connection
from bytespike_ledger.store.transfers import (
    TransferFilter,
    TransferKind,
    TransferRow,
    count_transfers,
    list_transfers,
)

__all__ = [
    "CSV",
    "StatementView",
    "TransactionFilterQuery",
    "TransactionLine",
    "TransactionPage",
    "TransactionQuery",
    "statement_view",
    "transaction_lines",
    "transactions_document",
    "transactions_page",
]

CSV = "text/csv; charset=utf-8"

#: Public word -> kind and sign of the transfer.
_KINDS: dict[str, tuple[TransferKind, int]] = {
    "topup": ("topup", 0),
    "refund": ("refund", 0),
    "admin_credit": ("adjust", 1),
    "admin_debit": ("adjust", -1),
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class TransactionFilterQuery(Request, frozen=True, kw_only=True):
    """``since`` is inclusive, ``until`` exclusive; both mean when a movement was recorded."""

    kind: PublicKind | None = None
    since: Moment | None = None
    until: Moment | None = None


class TransactionQuery(TransactionFilterQuery, frozen=True, kw_only=True):
    """Pages are counted from 1."""

    page: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    page_size: Annotated[int, Meta(ge=1, le=200)] = 50


class TransactionLine(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a movement, signed like it."""

    item: Literal["principal", "bonus", "adjustment"]
    amount_usd: Usd


class TransactionSource(msgspec.Struct, frozen=True, kw_only=True):
    """Where it came from: a provider's payment, or (``actor``) an operator's decision."""

    provider: str | None
    payment_id: str | None
    receipt_id: str | None
    method: str | None
    actor: str | None


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """A movement that is not usage; ``amount_usd`` is signed and the sum of its lines. It counts
    in the statement of ``effective_at``; ``refers_to`` is the top-up that a refund gives back.
    """

    id: int
    created_at: Timestamp
    effective_at: Timestamp
    kind: PublicKind
    amount_usd: Usd
    lines: list[TransactionLine]
    balance_after_usd: Usd | None
    source: TransactionSource
    refers_to: int | None
    note: str | None


class TransactionPage(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first; ``total`` is the number of movements on all pages."""

    items: list[Transaction]
    total: int
    page: int
    page_size: int


class StatementDay(msgspec.Struct, frozen=True, kw_only=True):
    """Usage of one day (UTC)."""

    date: Annotated[str, Meta(extra_json_schema={"format": "date"})]
    calls: int
    amount_usd: Usd


class StatementView(msgspec.Struct, frozen=True, kw_only=True):
    """A month in UTC: closing balance = opening balance + all lines - ``usage_usd``."""

    month: str
    opening_balance_usd: Usd
    lines: list[Transaction]
    usage: list[StatementDay]
    usage_usd: Usd
    closing_balance_usd: Usd


async def transactions_page(
    conn: Connection, account_id: str, asked: TransactionQuery
) -> TransactionPage:
    """A page of an account's movements."""
    wanted = _filter(account_id, asked)
    rows = await list_transfers(
        conn, wanted, offset=(asked.page - 1) * asked.page_size, limit=asked.page_size
    )
    return TransactionPage(
        items=[_transaction(row) for row in rows],
        total=await count_transfers(conn, wanted),
        page=asked.page,
        page_size=asked.page_size,
    )


async def transactions_document(
    conn: Connection, account_id: str, asked: TransactionFilterQuery
) -> bytes:
    """All movements that were asked for as CSV; 400 if they are too many for a document."""
    rows = await list_transfers(conn, _filter(account_id, asked), offset=0, limit=MAX_LINES + 1)
    if len(rows) > MAX_LINES:
        raise GatewayError(
            ErrorCode.INVALID_REQUEST,
            f"more than {MAX_LINES} movements: narrow them with since and until",
            param="since",
        )
    return transactions_csv(rows)


def statement_view(statement: Statement) -> StatementView:
    """A statement for the wire."""
    return StatementView(
        month=statement.month,
        opening_balance_usd=Usd(statement.opening_uusd),
        lines=[_transaction(row) for row in statement.lines],
        usage=[
            StatementDay(
                date=f"{day.first:%Y-%m-%d}", calls=day.calls, amount_usd=Usd(day.charge_uusd)
            )
            for day in statement.usage
        ],
        usage_usd=Usd(sum(day.charge_uusd for day in statement.usage)),
        closing_balance_usd=Usd(statement.closing_uusd),
    )


def transaction_lines(row: TransferRow) -> list[TransactionLine]:
    """The parts of a movement."""
    if row.kind == "adjust":
        return [TransactionLine(item="adjustment", amount_usd=Usd(row.amount_uusd))]
    principal_uusd = row.amount_uusd - row.bonus_uusd
    lines = []
    if principal_uusd:
        lines.append(TransactionLine(item="principal", amount_usd=Usd(principal_uusd)))
    if row.bonus_uusd:
        lines.append(TransactionLine(item="bonus", amount_usd=Usd(row.bonus_uusd)))
    return lines


def _transaction(row: TransferRow) -> Transaction:
    return Transaction(
        id=row.id,
        created_at=timestamp_of(row.created_at),
        effective_at=timestamp_of(row.effective_at),
        kind=public_kind(row),
        amount_usd=Usd(row.amount_uusd),
        lines=transaction_lines(row),
        balance_after_usd=None if row.balance_after_uusd is None else Usd(row.balance_after_uusd),
        source=_source(row),
        refers_to=row.refers_to,
        note=row.note or None,
    )


def _source(row: TransferRow) -> TransactionSource:
    return TransactionSource(
        provider=row.provider,
        payment_id=row.payment_id,
        receipt_id=row.receipt_id,
        method=row.method,
        actor=row.actor if row.provider is None else None,
    )


def _filter(account_id: str, asked: TransactionFilterQuery) -> TransferFilter:
    kind, sign = (None, 0) if asked.kind is None else _KINDS[asked.kind]
    return TransferFilter(
        account_id=account_id,
        kind=kind,
        sign=sign,
        since=_moment(asked.since, "since"),
        until=_moment(asked.until, "until"),
    )


def _moment(text: str | None, param: str) -> datetime | None:
    at_ms = read_time_ms(text, param=param)
    return None if at_ms is None else _EPOCH + timedelta(milliseconds=at_ms)
