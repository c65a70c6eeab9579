"""Payments that customers make by themselves: begun here, reported by their provider.

A report is taken once by its id, and a payment is credited once whatever reports say of it. Money
that a provider gives back is taken from the wallet as far as it is still there; the rest is our
loss and stays written on the payment.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_contracts.money import format_usd
from bytespike_ledger.accounts.actors import Actor, Operator
from bytespike_ledger.accounts.audit_log import Action, record
from bytespike_ledger.accounts.bonus import bonus_uusd
from bytespike_ledger.accounts.debits import NotAvailable, debiting
from bytespike_ledger.accounts.events import EventType, emit
from bytespike_ledger.accounts.movements import effective_at, input_hash_of
from bytespike_ledger.accounts.orgs import find_account
from bytespike_ledger.accounts.refunds import (
    Order,
    Overtaken,
    Share,
    give_back,
    share_of,
    take_back,
)
from bytespike_ledger.accounts.wallets import credit_payment, paid_in
from bytespike_ledger.books import Books
from bytespike_ledger.carryover import carry_account
from bytespike_ledger.metrics import PaymentReport
from bytespike_ledger.payments.port import (
    CheckoutOrder,
    Paid,
    PaymentFailed,
    PaymentProvider,
    ProviderEvent,
    Refunded,
)
from bytespike_ledger.store import Connection, connection
from bytespike_ledger.store import payments as store
from bytespike_ledger.store.accounts import lock_balance
from bytespike_ledger.store.payments import PaymentRow
from bytespike_ledger.store.transfers import TransferRow, read_transfer
from bytespike_runtime.logs import get_logger

__all__ = ["OpenCheckout", "open_checkout", "take_report"]

#: Checkouts that were begun and not paid; more within the time is a script, not a customer.
_MOST_BEGUN = 30
_BEGUN_WITHIN = timedelta(hours=1)
#: Each try ends early only because something else moved on this very payment or wallet.
_TRIES = 5

_log = get_logger()


@dataclass(frozen=True, slots=True)
class OpenCheckout:
    """A payment that was begun, and where to make it."""

    payment_id: str
    url: str


async def open_checkout(
    books: Books, provider: PaymentProvider, actor: Actor, *, amount_uusd: int
) -> OpenCheckout:
    """Begin a payment into the actor's wallet.

    Raises ``GatewayError``: 429 too many begun, and what the provider's port says.
    """
    payment_id, account_id = books.mint("pay"), actor.account_id
    async with connection(books.pool) as conn, conn.transaction():
        await lock_balance(conn, account_id)
        since = effective_at(books, None) - _BEGUN_WITHIN
        begun = await store.count_begun(conn, account_id, since=since, limit=_MOST_BEGUN)
        if begun >= _MOST_BEGUN:
            raise GatewayError(
                ErrorCode.RATE_LIMIT_EXCEEDED,
                "too many checkouts were opened and not paid: wait an hour",
                headers={"retry-after": "3600"},
            )
        await store.insert_payment(
            conn,
            payment_id,
            account_id=account_id,
            provider=provider.name,
            provider_ref=payment_id,
            amount_uusd=amount_uusd,
            actor=actor.id,
        )
        await record(
            conn,
            actor,
            Action.PAYMENT_CHECKOUT,
            target=payment_id,
            account_id=account_id,
            after={"provider": provider.name, "amount_usd": format_usd(amount_uusd)},
        )
    order = CheckoutOrder(payment_id=payment_id, account_id=account_id, amount_uusd=amount_uusd)
    try:
        checkout = await provider.open_checkout(order)
    except GatewayError as error:
        async with connection(books.pool) as conn:
            await store.mark_failed(conn, payment_id, error.code.value)
        raise
    async with connection(books.pool) as conn:
        await store.name_payment(conn, payment_id, checkout.provider_ref)
    return OpenCheckout(payment_id, checkout.url)


async def take_report(
    books: Books, provider: PaymentProvider, event: ProviderEvent, body: bytes
) -> PaymentReport:
    """Do what a provider's report says, once. Returns what came of it.

    Raises ``GatewayError`` 409 for a report that came before another it needs: it must be sent
    again. ``Unavailable`` likewise.
    """
    desk = _Desk(books, provider.name, event, hashlib.sha256(body).digest())
    match event.says:
        case Paid():
            result = await desk.paid(event.says)
        case PaymentFailed():
            result = await desk.failed(event.says)
        case Refunded():
            result = await desk.refunded(event.says)
        case _:
            _log.info("payment event ignored", kind=event.kind, reason=event.says.reason)
            result = await desk.ignored()
    books.metrics.payment_reports.labels(result.value).inc()
    return result


@dataclass(frozen=True, slots=True)
class _Desk:
    """One report being worked on."""

    books: Books
    provider: str
    event: ProviderEvent
    body_hash: bytes

    @property
    def _who(self) -> Operator:
        """The provider moves money by its own word; the audit log names it and its event."""
        return Operator(id=self.provider, address="-", request_id=self.event.id)

    async def ignored(self) -> PaymentReport:
        async with connection(self.books.pool) as conn:
            new = await self._take(conn)
        return PaymentReport.IGNORED if new else PaymentReport.DUPLICATE

    async def paid(self, says: Paid) -> PaymentReport:
        receipt = says.receipt
        payment = await self._find(says.payment_id, ref=receipt.provider_ref)
        if payment is None:
            return await self._foreign()
        account = await find_account(self.books, payment.account_id)
        new = paid_in(
            account.id,
            says.amount_uusd,
            bonus_uusd(says.amount_uusd, account.tier),
            name=f"payment:{payment.id}",
            payment_id=payment.id,
            input_hash=input_hash_of([payment.id]),
            who=self._who,
            note="",
            at=effective_at(self.books, None),
        )
        async with connection(self.books.pool) as conn, conn.transaction():
            posted = await lock_balance(conn, account.id)
            if not await self._take(conn):
                return PaymentReport.DUPLICATE
            now = await store.read_payment(conn, payment.id, for_update=True)
            if now is None or now.transfer_id is not None:
                return PaymentReport.DUPLICATE
            await credit_payment(conn, self.books, new, receipt, posted_uusd=posted, who=self._who)
        await carry_account(self.books, account.id)
        return PaymentReport.CREDITED

    async def failed(self, says: PaymentFailed) -> PaymentReport:
        payment = await self._find(says.payment_id, ref=says.provider_ref)
        if payment is None:
            return await self._foreign()
        async with connection(self.books.pool) as conn, conn.transaction():
            if not await self._take(conn):
                return PaymentReport.DUPLICATE
            changed = await store.mark_failed(conn, payment.id, says.failure)
        return PaymentReport.FAILED if changed else PaymentReport.DUPLICATE

    async def refunded(self, says: Refunded) -> PaymentReport:
        taken_uusd: int | None = None
        for _ in range(_TRIES):
            payment = await self._find(says.payment_id, receipt=says.receipt_id)
            if payment is None:
                return await self._foreign()
            top_up = await self._top_up(payment)
            due_uusd = min(says.total_uusd, payment.amount_uusd) - payment.refunded_uusd
            if due_uusd <= 0:
                # Recorded by an operator, or by a later report that came first.
                await self.ignored()
                return PaymentReport.DUPLICATE
            share = share_of(top_up, payment, due_uusd)
            wanted_uusd = share.total_uusd if taken_uusd is None else taken_uusd
            try:
                return await self._refund(
                    top_up, payment, share, min(wanted_uusd, share.total_uusd)
                )
            except NotAvailable as error:
                taken_uusd = error.available_uusd
            except Overtaken:
                taken_uusd = None
        raise GatewayError(ErrorCode.CONFLICT, "the wallet is busy: send it again")

    async def _refund(
        self, top_up: TransferRow, payment: PaymentRow, share: Share, taken_uusd: int
    ) -> PaymentReport:
        if taken_uusd:
            async with debiting(self.books, payment.account_id, taken_uusd) as conn:
                new = await self._commit_refund(conn, top_up, payment, share, taken_uusd)
        else:
            async with connection(self.books.pool) as conn:
                new = await self._commit_refund(conn, top_up, payment, share, 0)
        if not new:
            return PaymentReport.DUPLICATE
        lost_uusd = share.total_uusd - taken_uusd
        if lost_uusd:
            self.books.metrics.payment_shortfall.inc(lost_uusd)
            _log.error(
                "refunded money was spent already",
                account_id=payment.account_id,
                payment_id=payment.id,
                shortfall_usd=format_usd(lost_uusd),
            )
        return PaymentReport.REFUNDED

    async def _commit_refund(
        self,
        conn: Connection,
        top_up: TransferRow,
        payment: PaymentRow,
        share: Share,
        taken_uusd: int,
    ) -> bool:
        """False if the report was taken before."""
        async with conn.transaction():
            posted = await lock_balance(conn, payment.account_id)
            if not await self._take(conn):
                return False
            total_uusd = payment.refunded_uusd + share.principal_uusd
            order = Order(
                name=f"payment:{payment.id}:refunded:{total_uusd}",
                input_hash=input_hash_of([payment.id, total_uusd]),
                who=self._who,
                reason=f"given back by {self.provider}",
                at=effective_at(self.books, None),
            )
            if taken_uusd:
                await take_back(
                    conn,
                    self.books,
                    order,
                    top_up,
                    payment,
                    share,
                    taken_uusd=taken_uusd,
                    posted_uusd=posted,
                )
            else:
                await self._lose(conn, payment, share)
        return True

    async def _lose(self, conn: Connection, payment: PaymentRow, share: Share) -> None:
        """Nothing is left to take: no money moves, and still it must be known."""
        await give_back(conn, payment, share, taken_uusd=0)
        facts = {
            "payment_id": payment.id,
            "amount_usd": format_usd(share.principal_uusd),
            "bonus_usd": format_usd(share.bonus_uusd),
            "shortfall_usd": format_usd(share.total_uusd),
        }
        await record(
            conn,
            self._who,
            Action.WALLET_REFUND,
            target=payment.id,
            account_id=payment.account_id,
            after=facts,
        )
        await emit(conn, self.books, payment.account_id, EventType.PAYMENT_REFUNDED, facts)

    async def _top_up(self, payment: PaymentRow) -> TransferRow:
        if payment.transfer_id is None:
            raise GatewayError(
                ErrorCode.CONFLICT, "this payment is not known to have been made yet"
            )
        async with connection(self.books.pool) as conn:
            found = await read_transfer(conn, payment.account_id, payment.transfer_id)
        if found is None:
            raise ValueError("a payment without its transfer")
        return found

    async def _find(
        self, payment_id: str | None, *, ref: str | None = None, receipt: str | None = None
    ) -> PaymentRow | None:
        """By the provider's name of it, else by ours; never another provider's payment."""
        async with connection(self.books.pool) as conn:
            found = None
            if ref is not None:
                found = await store.find_by_ref(conn, self.provider, ref)
            if found is None and receipt is not None:
                found = await store.find_by_receipt(conn, self.provider, receipt)
            if found is None and payment_id is not None:
                found = await store.read_payment(conn, payment_id)
        return found if found is not None and found.provider == self.provider else None

    async def _foreign(self) -> PaymentReport:
        """The provider's account serves other shops too."""
        _log.warning("payment event about no payment of ours", kind=self.event.kind)
        return await self.ignored()

    async def _take(self, conn: Connection) -> bool:
        return await store.take_event(
            conn, self.provider, self.event.id, kind=self.event.kind, body_hash=self.body_hash
        )
