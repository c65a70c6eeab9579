"""Statements: a month of a wallet, in UTC, from its opening balance to its closing one.

Opening, every movement, usage per day and closing come from one moment of the books and add up to
the micro-USD. A month that is not over is shown as it is so far; one that is over changes only by
usage that arrives late and by movements that operators date back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_ledger.accounts.csv_text import csv_bytes
from bytespike_ledger.store import Connection
from bytespike_ledger.store.transfers import TransferRow, effective_between, sum_before
from bytespike_ledger.store.usage_days import DayUsage, usage_before, usage_per_day

__all__ = [
    "MAX_LINES",
    "PublicKind",
    "Statement",
    "public_kind",
    "read_month",
    "read_statement",
    "statement_csv",
    "transactions_csv",
]

PublicKind = Literal["topup", "refund", "admin_credit", "admin_debit"]
#: Movements of one document; thousands of top-ups in a month are no statement any more.
MAX_LINES = 10_000

_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
_STATEMENT_HEADER = ("date", "kind", "id", "note", "amount_usd", "balance_usd")
_TRANSACTIONS_HEADER = (
    "id",
    "created_at",
    "effective_at",
    "kind",
    "principal_usd",
    "bonus_usd",
    "amount_usd",
    "balance_after_usd",
    "provider",
    "receipt_id",
    "note",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """``closing_uusd`` = ``opening_uusd`` + all lines - all usage."""

    month: str
    first: datetime
    end: datetime
    opening_uusd: int
    lines: Sequence[TransferRow]
    usage: Sequence[DayUsage]

    @property
    def closing_uusd(self) -> int:
        """The balance at the end."""
        moved = sum(line.amount_uusd for line in self.lines)
        return self.opening_uusd + moved - sum(day.charge_uusd for day in self.usage)


def read_month(text: str, *, now_ms: int) -> tuple[datetime, datetime]:
    """First moment and end of ``YYYY-MM``. 400 if it is no month, or one that has not begun."""
    first = None
    if _MONTH.fullmatch(text) and text >= "2000":
        first = datetime(int(text[:4]), int(text[5:]), 1, tzinfo=UTC)
    if first is None or first.timestamp() * 1000 > now_ms:
        raise GatewayError(
            ErrorCode.INVALID_REQUEST,
            "expected a month that has begun, as YYYY-MM",
            param="month",
        )
    # No month is longer than 31 days, and the next one is longer than three.
    end = (first + timedelta(days=32)).replace(day=1)
    return first, end


async def read_statement(
    conn: Connection, account_id: str, month: str, *, now_ms: int
) -> Statement:
    """Put a statement together; ``conn`` must show one moment of the books. 400 as above, or if
    there is more than one document can hold.
    """
    first, end = read_month(month, now_ms=now_ms)
    lines = await effective_between(conn, account_id, first, end, limit=MAX_LINES + 1)
    if len(lines) > MAX_LINES:
        raise GatewayError(
            ErrorCode.INVALID_REQUEST,
            f"more than {MAX_LINES} movements: list the transactions instead",
            param="month",
        )
    opening = await sum_before(conn, account_id, first)
    opening -= await usage_before(conn, account_id, first)
    usage = await usage_per_day(conn, account_id, first, end)
    return Statement(
        month=month, first=first, end=end, opening_uusd=opening, lines=lines, usage=usage
    )


def statement_csv(statement: Statement) -> bytes:
    """The statement as CSV: the amounts of all rows add up to the closing balance."""
    return csv_bytes(_STATEMENT_HEADER, _statement_rows(statement))


def transactions_csv(rows: Sequence[TransferRow]) -> bytes:
    """Movements as CSV, in the order given."""
    return csv_bytes(
        _TRANSACTIONS_HEADER,
        (
            (
                str(row.id),
                _moment(row.created_at),
                _moment(row.effective_at),
                public_kind(row),
                row.amount_uusd - row.bonus_uusd,
                row.bonus_uusd,
                row.amount_uusd,
                row.balance_after_uusd,
                row.provider,
                row.receipt_id,
                row.note,
            )
            for row in rows
        ),
    )


def public_kind(row: TransferRow) -> PublicKind:
    """The public word for a movement."""
    if row.kind != "adjust":
        return row.kind
    return "admin_credit" if row.amount_uusd > 0 else "admin_debit"


def _statement_rows(statement: Statement) -> Iterator[tuple[str | int | None, ...]]:
    balance = statement.opening_uusd
    yield f"{statement.first:%Y-%m-%d}", "opening_balance", None, None, balance, balance
    # The usage of a day comes after its movements: mostly people pay before they spend.
    dated: list[tuple[datetime, str | None, str, str | None, int]] = [
        (line.effective_at, str(line.id), public_kind(line), line.note, line.amount_uusd)
        for line in statement.lines
    ]
    dated += [
        (day.first + timedelta(days=1, microseconds=-1), None, "usage", None, -day.charge_uusd)
        for day in statement.usage
    ]
    for at, number, kind, note, amount in sorted(dated, key=lambda entry: entry[0]):
        balance += amount
        yield f"{at:%Y-%m-%d}", kind, number, note, amount, balance
    last = statement.end - timedelta(days=1)
    yield f"{last:%Y-%m-%d}", "closing_balance", None, None, None, balance


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
