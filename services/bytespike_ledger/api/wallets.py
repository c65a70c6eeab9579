"""Routes of wallets: money coming in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from bytespike_ledger.accounts import wallets
from bytespike_ledger.accounts.wallets import TopUp
from bytespike_ledger.api.call import Call, Reply
from bytespike_ledger.api.route import Access, Route
from bytespike_ledger.api.wire import Amount, Request, Timestamp, Usd, read_usd, timestamp_of
from bytespike_ledger.books import Books

__all__ = ["WalletApi"]


class TopUpRequest(Request, frozen=True, kw_only=True):
    """Money an operator has received. The same ``idempotency_key`` again moves nothing again."""

    usd: Amount
    idempotency_key: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    note: Annotated[str, Meta(max_length=500)] = ""


class TopUpView(msgspec.Struct, frozen=True, kw_only=True):
    """A top-up; ``replayed`` says that this idempotency key had brought the money before."""

    transfer_id: int
    account_id: str
    amount_usd: Usd
    balance_usd: Usd
    created_at: Timestamp
    replayed: bool


@dataclass(frozen=True, kw_only=True)
class WalletApi:
    """The handlers."""

    books: Books

    def routes(self) -> list[Route]:
        """Paths below ``/api/v1/admin/accounts/{account}``."""
        return [
            Route(
                method="POST",
                path="/api/v1/admin/accounts/{account}/top-ups",
                handler=self.top_up,
                summary="Put money into a wallet",
                tag="wallets",
                access=Access.OPERATOR,
                body=TopUpRequest,
                reply=TopUpView,
                status=201,
                also=(200,),
            )
        ]

    async def top_up(self, call: Call) -> Reply:
        asked: TopUpRequest = call.body
        done = await wallets.top_up(
            self.books,
            call.ids["account"],
            amount_uusd=read_usd(asked.usd, param="usd", least_uusd=1),
            idempotency_key=asked.idempotency_key,
            note=asked.note,
        )
        return Reply(_top_up(done), 200 if done.replayed else None)


def _top_up(done: TopUp) -> TopUpView:
    return TopUpView(
        transfer_id=done.transfer_id,
        account_id=done.account_id,
        amount_usd=Usd(done.amount_uusd),
        balance_usd=Usd(done.balance_uusd),
        created_at=timestamp_of(done.created_at),
        replayed=done.replayed,
    )
