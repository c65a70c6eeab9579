"""Wallets: money coming in. Money going out is the consumer's business alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

import msgspec

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_contracts.money import MAX_UUSD
from bytespike_ledger.accounts.orgs import find_account
from bytespike_ledger.books import Books
from bytespike_ledger.carryover import carry_account
from bytespike_ledger.store import Connection, connection
from bytespike_ledger.store import accounts as store
from bytespike_ledger.store.accounts import TransferRow

__all__ = ["TopUp", "top_up"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUp:
    """A top-up as recorded; ``replayed`` = it had been recorded before."""

    transfer_id: int
    account_id: str
    amount_uusd: int
    balance_uusd: int
    created_at: datetime
    replayed: bool


async def top_up(
    books: Books, account_id: str, *, amount_uusd: int, idempotency_key: str | None, note: str
) -> TopUp:
    """Add money to a wallet, at most once per ``idempotency_key``.

    The same key with other content is a 409. Raises ``GatewayError``.
    """
    await find_account(books, account_id)
    name = f"topup:{account_id}:{idempotency_key or books.mint('once')}"
    input_hash = hashlib.sha256(msgspec.json.encode([account_id, amount_uusd, note])).digest()
    async with connection(books.pool) as conn, conn.transaction():
        # The balance row is locked first: two calls with one key meet here, and the second finds
        # the first one's transfer.
        posted = await store.lock_balance(conn, account_id)
        transfer = await store.find_transfer(conn, name)
        replayed = transfer is not None
        if transfer is None:
            if posted + amount_uusd > MAX_UUSD:
                raise GatewayError(
                    ErrorCode.INVALID_REQUEST, "the balance would be too large", param="usd"
                )
            transfer = await _record(conn, account_id, amount_uusd, name, input_hash, note)
            posted += amount_uusd
    if transfer.input_hash != input_hash:
        raise GatewayError(
            ErrorCode.IDEMPOTENCY_CONFLICT,
            "this idempotency key was used for another top-up",
            param="idempotency_key",
        )
    await carry_account(books, account_id)
    return TopUp(
        transfer_id=transfer.id,
        account_id=account_id,
        amount_uusd=amount_uusd,
        balance_uusd=posted,
        created_at=transfer.created_at,
        replayed=replayed,
    )


async def _record(
    conn: Connection,
    account_id: str,
    amount_uusd: int,
    idempotency_key: str,
    input_hash: bytes,
    note: str,
) -> TransferRow:
    await store.credit_balance(conn, account_id, amount_uusd)
    return await store.insert_transfer(
        conn,
        "topup",
        account_id=account_id,
        against="house_funding",
        amount_uusd=amount_uusd,
        idempotency_key=idempotency_key,
        input_hash=input_hash,
        actor="admin",
        note=note,
    )
