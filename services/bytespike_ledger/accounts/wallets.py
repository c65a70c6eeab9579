"""Wallets: money that comes in, and corrections. Usage is the consumer's business alone."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from bytespike_contracts.money import format_usd
from bytespike_ledger.accounts.actors import Operator
from bytespike_ledger.accounts.audit_log import Action
from bytespike_ledger.accounts.bonus import bonus_uusd
from bytespike_ledger.accounts.debits import NotAvailable, debiting, not_available
from bytespike_ledger.accounts.events import EventType, emit
from bytespike_ledger.accounts.movements import (
    ITSELF,
    Movement,
    effective_at,
    input_hash_of,
    move,
    recorded,
)
from bytespike_ledger.accounts.orgs import find_account
from bytespike_ledger.books import Books
from bytespike_ledger.carryover import carry_account
from bytespike_ledger.payments.manual import received
from bytespike_ledger.payments.port import Receipt
from bytespike_ledger.store import Connection, connection, payments
from bytespike_ledger.store.accounts import lock_balance
from bytespike_ledger.store.transfers import Line, NewTransfer, TransferRow

__all__ = ["BonusChoice", "adjust", "credit_payment", "paid_in", "top_up"]

BonusChoice = Literal["none", "ladder"]


async def top_up(
    books: Books,
    account_id: str,
    *,
    amount_uusd: int,
    idempotency_key: str | None,
    note: str,
    bonus: BonusChoice = "none",
    effective_ms: int | None = None,
    who: Operator = ITSELF,
) -> Movement:
    """Book money that an operator received. Raises ``GatewayError``."""
    account = await find_account(books, account_id)
    said: list[object] = [account_id, amount_uusd, note]
    if bonus != "none" or effective_ms is not None:
        said += [bonus, effective_ms]
    new = paid_in(
        account_id,
        amount_uusd,
        bonus_uusd(amount_uusd, account.tier) if bonus == "ladder" else 0,
        name=f"topup:{account_id}:{idempotency_key or books.mint('once')}",
        payment_id=books.mint("pay"),
        input_hash=input_hash_of(said),
        who=who,
        note=note,
        at=effective_at(books, effective_ms),
    )
    async with connection(books.pool) as conn, conn.transaction():
        # The balance row is locked first: two calls with one key meet here, and the second finds
        # the first one's transfer.
        posted = await lock_balance(conn, account_id)
        done = await recorded(conn, new.idempotency_key, new.input_hash, posted_uusd=posted)
        if done is None:
            done = await _receive(conn, books, new, posted, who)
    await carry_account(books, account_id)
    return done


async def _receive(
    conn: Connection, books: Books, new: NewTransfer, posted_uusd: int, who: Operator
) -> Movement:
    receipt = received(new.idempotency_key)
    await payments.insert_payment(
        conn,
        str(new.payment_id),
        account_id=new.account_id,
        provider=receipt.provider,
        provider_ref=receipt.provider_ref,
        amount_uusd=new.lines[0].amount_uusd,
        actor=who.id,
    )
    transfer = await credit_payment(conn, books, new, receipt, posted_uusd=posted_uusd, who=who)
    return _first_time(transfer)


def paid_in(  # noqa: PLR0913 - everything a credited payment is
    account_id: str,
    amount_uusd: int,
    bonus: int,
    *,
    name: str,
    payment_id: str,
    input_hash: bytes,
    who: Operator,
    note: str,
    at: datetime,
) -> NewTransfer:
    """The transfer of a payment: what was paid, and the bonus as a line of its own."""
    lines = [Line("principal", "house_funding", amount_uusd)]
    if bonus:
        lines.append(Line("bonus", "house_bonus", bonus))
    return NewTransfer(
        kind="topup",
        account_id=account_id,
        lines=lines,
        idempotency_key=name,
        input_hash=input_hash,
        actor=who.id,
        note=note,
        effective_at=at,
        payment_id=payment_id,
    )


async def credit_payment(
    conn: Connection,
    books: Books,
    new: NewTransfer,
    receipt: Receipt,
    *,
    posted_uusd: int,
    who: Operator,
) -> TransferRow:
    """Credit a payment that is known, inside the transaction that holds the balance row."""
    paid_uusd = new.lines[0].amount_uusd
    amounts: dict[str, object] = {
        "payment_id": new.payment_id,
        "provider": receipt.provider,
        "amount_usd": format_usd(paid_uusd),
        "bonus_usd": format_usd(sum(line.amount_uusd for line in new.lines[1:])),
    }
    transfer = await move(
        conn, new, posted_uusd=posted_uusd, who=who, action=Action.WALLET_TOP_UP, facts=amounts
    )
    await payments.mark_succeeded(
        conn,
        str(new.payment_id),
        transfer_id=transfer.id,
        provider_ref=receipt.provider_ref,
        amount_uusd=paid_uusd,
        receipt_id=receipt.receipt_id,
        method=receipt.method,
    )
    body = {"transfer_id": transfer.id, **amounts, "balance_usd": _after(transfer)}
    await emit(conn, books, new.account_id, EventType.PAYMENT_RECEIVED, body)
    return transfer


async def adjust(
    books: Books,
    account_id: str,
    *,
    amount_uusd: int,
    reason: str,
    idempotency_key: str | None = None,
    effective_ms: int | None = None,
    who: Operator = ITSELF,
) -> Movement:
    """Correct a wallet by a signed amount.

    Raises ``GatewayError``: 409 if less than the amount of a debit is available, and as above.
    """
    await find_account(books, account_id)
    new = NewTransfer(
        kind="adjust",
        account_id=account_id,
        lines=[Line("adjustment", "house_adjustment", amount_uusd)],
        idempotency_key=f"adjust:{account_id}:{idempotency_key or books.mint('once')}",
        input_hash=input_hash_of([account_id, amount_uusd, reason, effective_ms]),
        actor=who.id,
        note=reason,
        effective_at=effective_at(books, effective_ms),
    )
    if amount_uusd > 0:
        async with connection(books.pool) as conn:
            done = await _adjust(conn, books, new, who)
        await carry_account(books, account_id)
        return done
    async with connection(books.pool) as conn, conn.transaction():
        # A replay is answered even when the wallet is empty by now.
        posted = await lock_balance(conn, account_id)
        known = await recorded(conn, new.idempotency_key, new.input_hash, posted_uusd=posted)
    if known is not None:
        return known
    try:
        async with debiting(books, account_id, -amount_uusd) as conn:
            return await _adjust(conn, books, new, who)
    except NotAvailable as error:
        raise not_available(error) from error


async def _adjust(conn: Connection, books: Books, new: NewTransfer, who: Operator) -> Movement:
    amounts: dict[str, object] = {
        "amount_usd": format_usd(new.lines[0].amount_uusd),
        "reason": new.note,
    }
    async with conn.transaction():
        posted = await lock_balance(conn, new.account_id)
        known = await recorded(conn, new.idempotency_key, new.input_hash, posted_uusd=posted)
        if known is not None:
            return known
        transfer = await move(
            conn, new, posted_uusd=posted, who=who, action=Action.WALLET_ADJUST, facts=amounts
        )
        body = {"transfer_id": transfer.id, **amounts, "balance_usd": _after(transfer)}
        await emit(conn, books, new.account_id, EventType.BALANCE_ADJUST, body)
    return _first_time(transfer)


def _first_time(transfer: TransferRow) -> Movement:
    return Movement(
        transfer=transfer, balance_uusd=transfer.balance_after_uusd or 0, replayed=False
    )


def _after(transfer: TransferRow) -> str:
    return format_usd(transfer.balance_after_uusd or 0)
