"""Giving payments back: the principal, and the part of the bonus that came with it.

Refunds are counted on the payment. What has been given back of it so far decides how much bonus is
gone, so partial refunds add up to exactly the whole, and a report that says "so much in total" can
be compared with what the books say.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_contracts.money import format_usd
from bytespike_ledger.accounts.actors import Operator
from bytespike_ledger.accounts.audit_log import Action
from bytespike_ledger.accounts.bonus import bonus_share
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
from bytespike_ledger.store import Connection, connection, payments
from bytespike_ledger.store.accounts import lock_balance
from bytespike_ledger.store.payments import PaymentRow
from bytespike_ledger.store.transfers import Line, NewTransfer, TransferRow, read_transfer

__all__ = ["Order", "Overtaken", "Share", "give_back", "refund", "share_of", "take_back"]

#: Another refund of the same payment can come between our look and our lock; one such at a time.
_TRIES = 3


class Overtaken(Exception):
    """The payment changed between the look and the lock; look again."""


@dataclass(frozen=True, slots=True)
class Share:
    """What a refund takes: of the principal and of the bonus, micro-USD."""

    principal_uusd: int
    bonus_uusd: int

    @property
    def total_uusd(self) -> int:
        """Both."""
        return self.principal_uusd + self.bonus_uusd


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Who wants a refund and why; ``name`` makes it happen once, ``at`` is when it counts for."""

    name: str
    input_hash: bytes
    who: Operator
    reason: str
    at: datetime


async def refund(
    books: Books,
    account_id: str,
    *,
    transfer_id: int,
    amount_uusd: int | None,
    reason: str,
    idempotency_key: str | None = None,
    effective_ms: int | None = None,
    who: Operator = ITSELF,
) -> Movement:
    """Give back ``amount_uusd`` of a top-up's principal (None = all that is left of it).

    Raises ``GatewayError``: 404 no such top-up, 409 more than is left of it or than is available.
    """
    await find_account(books, account_id)
    order = Order(
        name=f"refund:{account_id}:{idempotency_key or books.mint('once')}",
        input_hash=input_hash_of([account_id, transfer_id, amount_uusd, reason, effective_ms]),
        who=who,
        reason=reason,
        at=effective_at(books, effective_ms),
    )
    for _ in range(_TRIES):
        async with connection(books.pool) as conn, conn.transaction():
            posted = await lock_balance(conn, account_id)
            known = await recorded(conn, order.name, order.input_hash, posted_uusd=posted)
            top_up, payment = await _find(conn, account_id, transfer_id)
        if known is not None:
            return known
        share = _wanted(top_up, payment, amount_uusd)
        try:
            return await _refund(books, order, top_up, payment, share)
        except NotAvailable as error:
            raise not_available(error) from error
        except Overtaken:
            continue
    raise GatewayError(ErrorCode.CONFLICT, "other refunds of this top-up are under way")


async def _refund(
    books: Books, order: Order, top_up: TransferRow, payment: PaymentRow, share: Share
) -> Movement:
    async with debiting(books, top_up.account_id, share.total_uusd) as conn, conn.transaction():
        posted = await lock_balance(conn, top_up.account_id)
        known = await recorded(conn, order.name, order.input_hash, posted_uusd=posted)
        if known is not None:
            return known
        return await take_back(
            conn,
            books,
            order,
            top_up,
            payment,
            share,
            taken_uusd=share.total_uusd,
            posted_uusd=posted,
        )


async def take_back(
    conn: Connection,
    books: Books,
    order: Order,
    top_up: TransferRow,
    payment: PaymentRow,
    share: Share,
    *,
    taken_uusd: int,
    posted_uusd: int,
) -> Movement:
    """Record a refund whose ``share`` follows from ``payment`` as it was read before, and of which
    the wallet can give ``taken_uusd``.

    Inside the transaction that holds the balance row. Raises :class:`Overtaken`.
    """
    await give_back(conn, payment, share, taken_uusd=taken_uusd)
    facts: dict[str, object] = {
        "payment_id": payment.id,
        "amount_usd": format_usd(share.principal_uusd),
        "bonus_usd": format_usd(share.bonus_uusd),
        "shortfall_usd": format_usd(share.total_uusd - taken_uusd),
        "reason": order.reason,
    }
    new = NewTransfer(
        kind="refund",
        account_id=top_up.account_id,
        lines=_lines(share, taken_uusd),
        idempotency_key=order.name,
        input_hash=order.input_hash,
        actor=order.who.id,
        note=order.reason,
        effective_at=order.at,
        refers_to=top_up.id,
        payment_id=payment.id,
    )
    transfer = await move(
        conn,
        new,
        posted_uusd=posted_uusd,
        who=order.who,
        action=Action.WALLET_REFUND,
        facts=facts,
    )
    after_uusd = transfer.balance_after_uusd or 0
    body = {"transfer_id": transfer.id, **facts, "balance_usd": format_usd(after_uusd)}
    await emit(conn, books, new.account_id, EventType.PAYMENT_REFUNDED, body)
    return Movement(transfer=transfer, balance_uusd=after_uusd, replayed=False)


async def give_back(
    conn: Connection, payment: PaymentRow, share: Share, *, taken_uusd: int
) -> None:
    """Count a refund on its payment; what was not taken from the wallet is our loss."""
    now = await payments.read_payment(conn, payment.id, for_update=True)
    if now is None or now.refunded_uusd != payment.refunded_uusd:
        raise Overtaken
    await payments.add_refund(
        conn,
        payment.id,
        refunded_uusd=share.principal_uusd,
        shortfall_uusd=share.total_uusd - taken_uusd,
    )


def share_of(top_up: TransferRow, payment: PaymentRow, refunded_uusd: int) -> Share:
    """What a refund of ``refunded_uusd`` more takes from the wallet."""

    def gone(total_uusd: int) -> int:
        return bonus_share(
            top_up.bonus_uusd, amount_uusd=payment.amount_uusd, refunded_uusd=total_uusd
        )

    already = payment.refunded_uusd
    return Share(refunded_uusd, gone(already + refunded_uusd) - gone(already))


def _wanted(top_up: TransferRow, payment: PaymentRow, amount_uusd: int | None) -> Share:
    left_uusd = payment.amount_uusd - payment.refunded_uusd
    asked_uusd = left_uusd if amount_uusd is None else amount_uusd
    if asked_uusd > left_uusd or left_uusd == 0:
        raise GatewayError(
            ErrorCode.CONFLICT,
            f"only {format_usd(left_uusd)} USD of this top-up are left to give back",
            param="usd",
        )
    return share_of(top_up, payment, asked_uusd)


async def _find(
    conn: Connection, account_id: str, transfer_id: int
) -> tuple[TransferRow, PaymentRow]:
    top_up = await read_transfer(conn, account_id, transfer_id)
    payment = None
    if top_up is not None and top_up.kind == "topup":
        payment = await payments.find_by_transfer(conn, transfer_id)
    if top_up is None or payment is None:
        raise GatewayError(
            ErrorCode.NOT_FOUND, f"no top-up {transfer_id} of this account", param="transfer_id"
        )
    return top_up, payment


def _lines(share: Share, taken_uusd: int) -> list[Line]:
    """Principal first: what is missing is missing from the bonus."""
    principal = min(share.principal_uusd, taken_uusd)
    lines = [
        Line("principal", "house_funding", -principal),
        Line("bonus", "house_bonus", principal - taken_uusd),
    ]
    return [line for line in lines if line.amount_uusd]
