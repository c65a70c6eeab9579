"""One movement of money that is not usage: recorded once, audited, with the balance after it.

Each happens at most once per idempotency key: the same key with the same content is answered with
what was recorded, with other content it is a 409.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_contracts.money import MAX_UUSD, format_usd
from bytespike_ledger.accounts.actors import Operator
from bytespike_ledger.accounts.audit_log import Action, record
from bytespike_ledger.accounts.debits import NotAvailable, not_available
from bytespike_ledger.books import Books
from bytespike_ledger.store import Connection
from bytespike_ledger.store import transfers as store
from bytespike_ledger.store.accounts import credit_balance
from bytespike_ledger.store.transfers import NewTransfer, TransferRow

__all__ = [
    "ITSELF",
    "Movement",
    "effective_at",
    "input_hash_of",
    "move",
    "recorded",
]

#: Who moves money when nobody in particular asks for it.
ITSELF = Operator(id="ledger", address="-", request_id="-")
#: Nobody had a wallet before; dates further back are typing errors.
_EARLIEST_MS = 946_684_800_000  # 2000-01-01

_WORDS = {"topup": "top-up", "adjust": "adjustment", "refund": "refund"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """A transfer as recorded, and the wallet now; ``replayed`` = it had been recorded before."""

    transfer: TransferRow
    balance_uusd: int
    replayed: bool


async def move(
    conn: Connection,
    new: NewTransfer,
    *,
    posted_uusd: int,
    who: Operator,
    action: Action,
    facts: dict[str, object],
) -> TransferRow:
    """Move the locked balance, which is ``posted_uusd`` now, and write down why.

    ``facts`` go into the audit log beside the balances. Raises ``GatewayError`` if the balance
    would be below zero or larger than Redis can count.
    """
    amount_uusd = sum(line.amount_uusd for line in new.lines)
    after_uusd = posted_uusd + amount_uusd
    if after_uusd < 0:
        raise not_available(NotAvailable(posted_uusd))
    if after_uusd > MAX_UUSD:
        raise GatewayError(ErrorCode.INVALID_REQUEST, "the balance would be too large", param="usd")
    await credit_balance(conn, new.account_id, amount_uusd)
    await store.insert_transfer(conn, new, balance_after_uusd=after_uusd)
    transfer = await store.find_transfer(conn, new.idempotency_key)
    if transfer is None:
        raise ValueError("a transfer that was just written is not there")
    await record(
        conn,
        who,
        action,
        target=str(transfer.id),
        account_id=new.account_id,
        before={"balance_usd": format_usd(posted_uusd)},
        after={"balance_usd": format_usd(after_uusd), **facts},
    )
    return transfer


async def recorded(
    conn: Connection, idempotency_key: str, input_hash: bytes, *, posted_uusd: int
) -> Movement | None:
    """What was recorded under this key before, or None. 409 if it was something else."""
    transfer = await store.find_transfer(conn, idempotency_key)
    if transfer is None:
        return None
    if transfer.input_hash != input_hash:
        raise GatewayError(
            ErrorCode.IDEMPOTENCY_CONFLICT,
            f"this idempotency key was used for another {_WORDS[transfer.kind]}",
            param="idempotency_key",
        )
    return Movement(transfer=transfer, balance_uusd=posted_uusd, replayed=True)


def input_hash_of(said: Sequence[object]) -> bytes:
    """What a caller asked for, to recognise the same again."""
    return hashlib.sha256(msgspec.json.encode(said)).digest()


def effective_at(books: Books, effective_ms: int | None) -> datetime:
    """When a movement counts for: now, or the past moment that was named. 400 for the future."""
    now_ms = books.now_ms()
    at_ms = now_ms if effective_ms is None else effective_ms
    if not _EARLIEST_MS <= at_ms <= now_ms:
        raise GatewayError(
            ErrorCode.INVALID_REQUEST,
            "must be after the year 1999 and not in the future",
            param="effective_at",
        )
    return datetime.fromtimestamp(at_ms / 1000, UTC)
