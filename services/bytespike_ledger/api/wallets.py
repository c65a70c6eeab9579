"""Operators' routes of wallets: money in and out, and everything that was moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_contracts.money import MAX_UUSD
from bytespike_ledger.accounts import wallets
from bytespike_ledger.accounts.movements import Movement
from bytespike_ledger.accounts.orgs import find_account
from bytespike_ledger.accounts.refunds import refund
from bytespike_ledger.accounts.statements import Statement, read_statement, statement_csv
from bytespike_ledger.accounts.wallet_settings import change_settings
from bytespike_ledger.api.call import Call, Reply, csv_reply
from bytespike_ledger.api.route import Access, CallHandler, Route
from bytespike_ledger.api.transactions import (
    CSV,
    StatementView,
    TransactionLine,
    TransactionPage,
    TransactionQuery,
    statement_view,
    transaction_lines,
    transactions_page,
)
from bytespike_ledger.api.wallet_settings import (
    WalletSettingsRequest,
    WalletSettingsView,
    settings_view,
)
from bytespike_ledger.api.wire import (
    UNSET,
    Amount,
    Moment,
    Request,
    Timestamp,
    UnsetType,
    Usd,
    read_time_ms,
    read_usd,
    timestamp_of,
)
from bytespike_ledger.books import Books
from bytespike_ledger.store import connection
from bytespike_ledger.store.wallet_settings import read_settings

__all__ = ["WalletApi"]

IdempotencyKey = Annotated[str, Meta(min_length=1, max_length=200)]
Reason = Annotated[str, Meta(min_length=1, max_length=500)]


class TopUpRequest(Request, frozen=True, kw_only=True):
    """Money an operator has received. The same ``idempotency_key`` again moves nothing again.
    ``bonus`` = ladder adds what a customer's own payment would bring; ``effective_at`` (not in the
    future) is the moment it counts for in statements.
    """

    usd: Amount
    idempotency_key: IdempotencyKey | None = None
    note: Annotated[str, Meta(max_length=500)] = ""
    bonus: Literal["none", "ladder"] = "none"
    effective_at: Moment | None = None


class AdjustmentRequest(Request, frozen=True, kw_only=True):
    """A correction; below zero it takes money out, as far as it is not held by requests."""

    usd: Amount
    reason: Reason
    idempotency_key: IdempotencyKey | None = None
    effective_at: Moment | None = None


class RefundRequest(Request, frozen=True, kw_only=True):
    """Gives back ``usd`` of a top-up's principal, with its part of the bonus; left out = all
    that is left of it.
    """

    transfer_id: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    usd: Amount | UnsetType = UNSET
    reason: Reason
    idempotency_key: IdempotencyKey | None = None
    effective_at: Moment | None = None


class MovementView(msgspec.Struct, frozen=True, kw_only=True):
    """What was moved, signed, and the wallet now; ``replayed`` says that this idempotency key had
    done it before.
    """

    transfer_id: int
    account_id: str
    kind: Literal["topup", "adjust", "refund"]
    amount_usd: Usd
    lines: list[TransactionLine]
    balance_usd: Usd
    payment_id: str | None
    refers_to: int | None
    created_at: Timestamp
    effective_at: Timestamp
    replayed: bool


def _at(method: str, path: str, handler: CallHandler, summary: str, **more: Any) -> Route:
    return Route(
        method=method,
        path="/api/v1/admin/accounts/{account}" + path,
        handler=handler,
        summary=summary,
        tag="wallets",
        access=Access.OPERATOR,
        **more,
    )


@dataclass(frozen=True, kw_only=True)
class WalletApi:
    """The handlers."""

    books: Books

    def routes(self) -> list[Route]:
        """Paths below ``/api/v1/admin/accounts/{account}``."""
        return [*self._movements(), *self._views(), *self._settings()]

    def _movements(self) -> list[Route]:
        moved: dict[str, Any] = {"reply": MovementView, "status": 201, "also": (200,)}
        return [
            _at("POST", path, handler, summary, body=body, **moved)
            for path, handler, summary, body in (
                ("/top-ups", self.top_up, "Put money in, with or without a bonus", TopUpRequest),
                (
                    "/adjustments",
                    self.adjust,
                    "Correct a balance, with a reason",
                    AdjustmentRequest,
                ),
                (
                    "/refunds",
                    self.refund,
                    "Give a top-up back, with its share of the bonus",
                    RefundRequest,
                ),
            )
        ]

    def _views(self) -> list[Route]:
        return [
            _at(
                "GET",
                "/transactions",
                self.transactions,
                "Everything but usage, newest first",
                query=TransactionQuery,
                reply=TransactionPage,
            ),
            _at(
                "GET",
                "/statements/{month}",
                self.statement,
                "A month that adds up",
                reply=StatementView,
            ),
            _at(
                "GET",
                "/statements/{month}.csv",
                self.statement_csv,
                "A month as CSV; its amounts add up to the closing balance",
                content_type=CSV,
            ),
        ]

    def _settings(self) -> list[Route]:
        path, shown = "/wallet-settings", WalletSettingsView
        return [
            _at("GET", path, self.settings, "When to warn and to top up", reply=shown),
            _at(
                "PUT",
                path,
                self.change_settings,
                "Say when to warn and to top up",
                body=WalletSettingsRequest,
                reply=shown,
            ),
        ]

    async def top_up(self, call: Call) -> Reply:
        asked: TopUpRequest = call.body
        done = await wallets.top_up(
            self.books,
            call.ids["account"],
            amount_uusd=read_usd(asked.usd, param="usd", least_uusd=1),
            idempotency_key=asked.idempotency_key,
            note=asked.note,
            bonus=asked.bonus,
            effective_ms=read_time_ms(asked.effective_at, param="effective_at"),
            who=call.operator,
        )
        return _moved(done)

    async def adjust(self, call: Call) -> Reply:
        asked: AdjustmentRequest = call.body
        amount_uusd = read_usd(asked.usd, param="usd", least_uusd=-MAX_UUSD)
        if amount_uusd == 0:
            raise GatewayError(ErrorCode.INVALID_REQUEST, "must not be zero", param="usd")
        done = await wallets.adjust(
            self.books,
            call.ids["account"],
            amount_uusd=amount_uusd,
            reason=asked.reason,
            idempotency_key=asked.idempotency_key,
            effective_ms=read_time_ms(asked.effective_at, param="effective_at"),
            who=call.operator,
        )
        return _moved(done)

    async def refund(self, call: Call) -> Reply:
        asked: RefundRequest = call.body
        done = await refund(
            self.books,
            call.ids["account"],
            transfer_id=asked.transfer_id,
            amount_uusd=None
            if asked.usd is UNSET
            else read_usd(asked.usd, param="usd", least_uusd=1),
            reason=asked.reason,
            idempotency_key=asked.idempotency_key,
            effective_ms=read_time_ms(asked.effective_at, param="effective_at"),
            who=call.operator,
        )
        return _moved(done)

    async def transactions(self, call: Call) -> Reply:
        account = await find_account(self.books, call.ids["account"])
        async with connection(self.books.pool) as conn:
            return Reply(await transactions_page(conn, account.id, call.query))

    async def statement(self, call: Call) -> Reply:
        return Reply(statement_view(await self._statement(call)))

    async def statement_csv(self, call: Call) -> Reply:
        statement = await self._statement(call)
        return csv_reply(statement_csv(statement), f"statement-{statement.month}.csv")

    async def settings(self, call: Call) -> Reply:
        account = await find_account(self.books, call.ids["account"])
        async with connection(self.books.pool) as conn:
            return Reply(settings_view(await read_settings(conn, account.id)))

    async def change_settings(self, call: Call) -> Reply:
        asked: WalletSettingsRequest = call.body
        wanted = asked.read()
        account = await find_account(self.books, call.ids["account"])
        async with connection(self.books.pool) as conn, conn.transaction():
            made = await change_settings(conn, account.id, wanted, who=call.operator)
        return Reply(settings_view(made))

    async def _statement(self, call: Call) -> Statement:
        account = await find_account(self.books, call.ids["account"])
        async with (
            connection(self.books.pool) as conn,
            conn.transaction(isolation="repeatable_read", readonly=True),
        ):
            return await read_statement(
                conn, account.id, call.ids["month"], now_ms=self.books.now_ms()
            )


def _moved(done: Movement) -> Reply:
    transfer = done.transfer
    view = MovementView(
        transfer_id=transfer.id,
        account_id=transfer.account_id,
        kind=transfer.kind,
        amount_usd=Usd(transfer.amount_uusd),
        lines=transaction_lines(transfer),
        balance_usd=Usd(done.balance_uusd),
        payment_id=transfer.payment_id,
        refers_to=transfer.refers_to,
        created_at=timestamp_of(transfer.created_at),
        effective_at=timestamp_of(transfer.effective_at),
        replayed=done.replayed,
    )
    return Reply(view, 200 if done.replayed else None)
