"""Routes of organisations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from bytespike_ledger.accounts import orgs
from bytespike_ledger.api.call import Call, Reply
from bytespike_ledger.api.route import Access, Route
from bytespike_ledger.api.wire import Name, PageQuery, Request, Timestamp, Usd, timestamp_of
from bytespike_ledger.books import Books
from bytespike_ledger.store.accounts import OrgRow, Tier

__all__ = ["OrgApi"]


class OrgRequest(Request, frozen=True, kw_only=True):
    """A new organisation. Without ``concurrency`` the tier's own number counts."""

    name: Name
    tier: Tier = "enterprise"
    concurrency: Annotated[int, Meta(ge=1, le=100_000)] | None = None


class Org(msgspec.Struct, frozen=True, kw_only=True):
    """An organisation; the balance is the settled one."""

    id: str
    name: str
    account_id: str
    tier: Tier
    concurrency: int
    balance_usd: Usd
    created_at: Timestamp


class OrgPage(msgspec.Struct, frozen=True, kw_only=True):
    """``next_cursor`` is null on the last page."""

    items: list[Org]
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True)
class OrgApi:
    """The handlers."""

    books: Books

    def routes(self) -> list[Route]:
        """Paths below ``/api/v1/admin/orgs``."""
        return [
            Route(
                method="POST",
                path="/api/v1/admin/orgs",
                handler=self.create,
                summary="Create an organisation with an empty wallet",
                tag="organisations",
                access=Access.OPERATOR,
                body=OrgRequest,
                reply=Org,
                status=201,
            ),
            Route(
                method="GET",
                path="/api/v1/admin/orgs",
                handler=self.list,
                summary="Organisations, oldest first",
                tag="organisations",
                access=Access.OPERATOR,
                query=PageQuery,
                reply=OrgPage,
            ),
            Route(
                method="GET",
                path="/api/v1/admin/orgs/{org}",
                handler=self.get,
                summary="One organisation",
                tag="organisations",
                access=Access.OPERATOR,
                reply=Org,
            ),
        ]

    async def create(self, call: Call) -> Reply:
        asked: OrgRequest = call.body
        org = await orgs.create_org(
            self.books, name=asked.name, tier=asked.tier, concurrency=asked.concurrency
        )
        return Reply(_org(org))

    async def list(self, call: Call) -> Reply:
        page: PageQuery = call.query
        found = await orgs.list_orgs(self.books, after=page.cursor, limit=page.limit)
        more = len(found) == page.limit
        return Reply(
            OrgPage(items=[_org(org) for org in found], next_cursor=found[-1].id if more else None)
        )

    async def get(self, call: Call) -> Reply:
        return Reply(_org(await orgs.find_org(self.books, call.ids["org"])))


def _org(org: OrgRow) -> Org:
    return Org(
        id=org.id,
        name=org.name,
        account_id=org.account_id,
        tier=org.tier,
        concurrency=org.concurrency,
        balance_usd=Usd(org.balance_uusd),
        created_at=timestamp_of(org.created_at),
    )
