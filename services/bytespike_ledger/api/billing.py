"""Customers' routes of money: what was moved, statements, thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bytespike_ledger.accounts.actors import Permission
from bytespike_ledger.accounts.statements import Statement, read_statement, statement_csv
from bytespike_ledger.accounts.wallet_settings import change_settings
from bytespike_ledger.api.call import Call, Reply, csv_reply
from bytespike_ledger.api.route import Route
from bytespike_ledger.api.transactions import (
    CSV,
    StatementView,
    TransactionFilterQuery,
    TransactionPage,
    TransactionQuery,
    statement_view,
    transactions_document,
    transactions_page,
)
from bytespike_ledger.api.wallet_settings import (
    WalletSettingsRequest,
    WalletSettingsView,
    settings_view,
)
from bytespike_ledger.books import Books
from bytespike_ledger.store import tenant
from bytespike_ledger.store.wallet_settings import read_settings

__all__ = ["BillingApi"]


@dataclass(frozen=True, kw_only=True)
class BillingApi:
    """The handlers."""

    books: Books

    def routes(self) -> list[Route]:
        """Paths below ``/api/v1/me/billing``, checkouts aside."""

        def at(method: str, path: str, handler: Any, summary: str, **more: Any) -> Route:
            return Route(
                method=method,
                path="/api/v1/me/billing" + path,
                handler=handler,
                summary=summary,
                tag="billing",
                **{"access": Permission.READ_BILLING, **more},
            )

        return [
            at(
                "GET",
                "/transactions",
                self.transactions,
                "Everything but usage, newest first",
                query=TransactionQuery,
                reply=TransactionPage,
            ),
            at(
                "GET",
                "/transactions.csv",
                self.transactions_csv,
                "The same as CSV",
                query=TransactionFilterQuery,
                content_type=CSV,
            ),
            at("GET", "/statements/{month}", self.statement, "A month", reply=StatementView),
            at(
                "GET",
                "/statements/{month}.csv",
                self.statement_csv,
                "A month as CSV; its amounts add up to the closing balance",
                content_type=CSV,
            ),
            at("GET", "/settings", self.settings, "Thresholds", reply=WalletSettingsView),
            at(
                "PUT",
                "/settings",
                self.change_settings,
                "Set thresholds",
                access=Permission.WRITE_BILLING,
                body=WalletSettingsRequest,
                reply=WalletSettingsView,
            ),
        ]

    async def transactions(self, call: Call) -> Reply:
        account_id = call.actor.account_id
        async with tenant(self.books.pool, account_id, snapshot=True) as conn:
            return Reply(await transactions_page(conn, account_id, call.query))

    async def transactions_csv(self, call: Call) -> Reply:
        account_id = call.actor.account_id
        async with tenant(self.books.pool, account_id, snapshot=True) as conn:
            document = await transactions_document(conn, account_id, call.query)
        return csv_reply(document, "transactions.csv")

    async def statement(self, call: Call) -> Reply:
        return Reply(statement_view(await self._statement(call)))

    async def statement_csv(self, call: Call) -> Reply:
        statement = await self._statement(call)
        return csv_reply(statement_csv(statement), f"statement-{statement.month}.csv")

    async def settings(self, call: Call) -> Reply:
        account_id = call.actor.account_id
        async with tenant(self.books.pool, account_id) as conn:
            return Reply(settings_view(await read_settings(conn, account_id)))

    async def change_settings(self, call: Call) -> Reply:
        asked: WalletSettingsRequest = call.body
        wanted, account_id = asked.read(), call.actor.account_id
        async with tenant(self.books.pool, account_id) as conn:
            made = await change_settings(conn, account_id, wanted, who=call.actor)
        return Reply(settings_view(made))

    async def _statement(self, call: Call) -> Statement:
        account_id = call.actor.account_id
        async with tenant(self.books.pool, account_id, snapshot=True) as conn:
            return await read_statement(
                conn, account_id, call.ids["month"], now_ms=self.books.now_ms()
            )
