"""Routes of payments: customers begin them, providers report them, operators list them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_ledger.accounts.actors import Permission
from bytespike_ledger.accounts.payments import open_checkout, take_report
from bytespike_ledger.api.call import Call, Reply
from bytespike_ledger.api.route import Access, Route
from bytespike_ledger.api.wallet_settings import read_purchase
from bytespike_ledger.api.wire import (
    Amount,
    PageQuery,
    Request,
    Timestamp,
    Usd,
    next_cursor,
    timestamp_of,
)
from bytespike_ledger.books import Books
from bytespike_ledger.payments.port import BadEvent, PaymentProvider
from bytespike_ledger.store import connection
from bytespike_ledger.store.payments import PaymentRow, list_payments

__all__ = ["PaymentApi"]


class CheckoutRequest(Request, frozen=True, kw_only=True):
    """From 5 to 1,250 USD in whole cents."""

    usd: Amount


class CheckoutView(msgspec.Struct, frozen=True, kw_only=True):
    """``id`` of the payment, and the page to pay on."""

    id: str
    url: str


class PaymentEventTaken(msgspec.Struct, frozen=True, kw_only=True):
    """The report is understood and need not be sent again."""

    result: Literal["credited", "failed", "refunded", "duplicate", "ignored"]


class PaymentQuery(PageQuery, frozen=True, kw_only=True):
    """Of one account, or of all."""

    account: Annotated[str, Meta(max_length=100)] | None = None
    status: Literal["pending", "succeeded", "failed", "refunded"] | None = None


class PaymentView(msgspec.Struct, frozen=True, kw_only=True):
    """A payment. ``shortfall_usd`` is what the provider gave back after it had been spent, bonus
    included; ``provider_ref`` and ``receipt_id`` are the provider's names.
    """

    id: str
    account_id: str
    provider: str
    provider_ref: str
    receipt_id: str | None
    method: str | None
    amount_usd: Usd
    refunded_usd: Usd
    shortfall_usd: Usd
    status: Literal["pending", "succeeded", "failed", "refunded"]
    failure: str | None
    actor: str
    transfer_id: int | None
    created_at: Timestamp
    updated_at: Timestamp


class PaymentPage(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first; ``next_cursor`` is null on the last page."""

    items: list[PaymentView]
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True)
class PaymentApi:
    """The handlers. ``providers`` by name; the first one is where checkouts are opened."""

    books: Books
    providers: Mapping[str, PaymentProvider]

    def routes(self) -> list[Route]:
        """Checkouts, providers' events, operators' list."""
        return [
            Route(
                method="POST",
                path="/api/v1/me/billing/checkouts",
                handler=self.open_checkout,
                summary="Begin a payment; the wallet is credited when it arrives",
                tag="billing",
                access=Permission.WRITE_BILLING,
                body=CheckoutRequest,
                reply=CheckoutView,
                status=201,
            ),
            Route(
                method="POST",
                path="/api/v1/payments/{provider}/events",
                handler=self.take_event,
                summary="For payment providers: a signed report",
                tag="billing",
                access=Access.PUBLIC,
                reply=PaymentEventTaken,
            ),
            Route(
                method="GET",
                path="/api/v1/admin/payments",
                handler=self.list,
                summary="Payments of all accounts",
                tag="wallets",
                access=Access.OPERATOR,
                query=PaymentQuery,
                reply=PaymentPage,
            ),
        ]

    async def open_checkout(self, call: Call) -> Reply:
        asked: CheckoutRequest = call.body
        amount_uusd = read_purchase(asked.usd, param="usd")
        provider = next(iter(self.providers.values()), None)
        if provider is None:
            raise GatewayError(
                ErrorCode.CONFLICT, "no payment provider is set up here: ask the operators"
            )
        opened = await open_checkout(self.books, provider, call.actor, amount_uusd=amount_uusd)
        return Reply(CheckoutView(id=opened.payment_id, url=opened.url))

    async def take_event(self, call: Call) -> Reply:
        provider = self.providers.get(call.ids["provider"])
        if provider is None:
            raise GatewayError(ErrorCode.NOT_FOUND, "no such payment provider")
        try:
            event = provider.read_event(call.raw, call.headers, now_ms=self.books.now_ms())
        except BadEvent as error:
            raise GatewayError(ErrorCode.INVALID_REQUEST, str(error)) from error
        result = await take_report(self.books, provider, event, call.raw)
        return Reply(PaymentEventTaken(result=result.value))

    async def list(self, call: Call) -> Reply:
        asked: PaymentQuery = call.query
        async with connection(self.books.pool) as conn:
            rows = await list_payments(
                conn,
                account_id=asked.account,
                status=asked.status,
                before=asked.cursor or None,
                limit=asked.limit,
            )
        return Reply(
            PaymentPage(
                items=[_payment(row) for row in rows], next_cursor=next_cursor(rows, asked.limit)
            )
        )


def _payment(row: PaymentRow) -> PaymentView:
    return PaymentView(
        id=row.id,
        account_id=row.account_id,
        provider=row.provider,
        provider_ref=row.provider_ref,
        receipt_id=row.receipt_id,
        method=row.method,
        amount_usd=Usd(row.amount_uusd),
        refunded_usd=Usd(row.refunded_uusd),
        shortfall_usd=Usd(row.shortfall_uusd),
        status=row.status,
        failure=row.failure,
        actor=row.actor,
        transfer_id=row.transfer_id,
        created_at=timestamp_of(row.created_at),
        updated_at=timestamp_of(row.updated_at),
    )
