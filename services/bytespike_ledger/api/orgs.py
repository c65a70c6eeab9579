"""Routes of organisations: all of them for operators, their own for customers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_ledger.accounts import orgs
from bytespike_ledger.accounts.acting import acting
from bytespike_ledger.accounts.actors import Actor, Permission
from bytespike_ledger.api.call import Call, Reply
from bytespike_ledger.api.caps import CapRequest, Caps, cap_fields, columns_of
from bytespike_ledger.api.route import Access, Route
from bytespike_ledger.api.wire import (
    Name,
    PageQuery,
    Request,
    Timestamp,
    Usd,
    next_cursor,
    timestamp_of,
)
from bytespike_ledger.books import Books
from bytespike_ledger.store.accounts import OrgRow, OrgStatus, Tier

__all__ = ["Concurrency", "Org", "OrgApi", "org_of", "org_view"]

Concurrency = Annotated[int, Meta(ge=1, le=100_000, description="requests in flight at once")]


class OrgRequest(Request, frozen=True, kw_only=True):
    """A new organisation. Without ``concurrency`` the tier's own number counts."""

    name: Name
    tier: Tier = "enterprise"
    concurrency: Concurrency | None = None


class OrgChanges(CapRequest, frozen=True, kw_only=True):
    """What is left out stays as it is; a ``tier`` without ``concurrency`` brings its own. The keys
    of a paused organisation are refused.
    """

    name: Name | UnsetType = UNSET
    tier: Tier | UnsetType = UNSET
    concurrency: Concurrency | UnsetType = UNSET
    status: OrgStatus | UnsetType = UNSET


class OwnOrgChanges(CapRequest, frozen=True, kw_only=True):
    """What is left out stays as it is. Limits are over all keys of the organisation."""

    name: Name | UnsetType = UNSET


class OwnOrg(Caps, frozen=True, kw_only=True):
    """The caller's organisation."""

    id: str
    name: str
    account_id: str
    status: OrgStatus
    tier: Tier
    concurrency: int
    created_at: Timestamp
    updated_at: Timestamp


class Org(OwnOrg, frozen=True, kw_only=True):
    """An organisation; the balance is the settled one."""

    balance_usd: Usd


class OrgPage(msgspec.Struct, frozen=True, kw_only=True):
    """``next_cursor`` is null on the last page."""

    items: list[Org]
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True)
class OrgApi:
    """The handlers."""

    books: Books

    def routes(self) -> list[Route]:
        """Paths below ``/api/v1/admin/orgs``, and ``/api/v1/org``."""
        every, one, own = "/api/v1/admin/orgs", "/api/v1/admin/orgs/{org}", "/api/v1/org"

        def at(method: str, path: str, **more: Any) -> Route:
            defaults = {"tag": "organisations", "access": Access.OPERATOR, "reply": Org}
            return Route(method=method, path=path, **{**defaults, **more})

        return [
            at(
                "POST",
                every,
                handler=self.create,
                summary="Create an organisation with an empty wallet",
                body=OrgRequest,
                status=201,
            ),
            at(
                "GET",
                every,
                handler=self.list,
                summary="Organisations, oldest first",
                query=PageQuery,
                reply=OrgPage,
            ),
            at("GET", one, handler=self.get, summary="One organisation"),
            at(
                "PATCH",
                one,
                handler=self.change,
                summary="Change, pause or resume an organisation",
                body=OrgChanges,
            ),
            at(
                "GET",
                own,
                handler=self.get_own,
                summary="Your organisation",
                access=Permission.READ_ORG,
                reply=OwnOrg,
            ),
            at(
                "PATCH",
                own,
                handler=self.change_own,
                summary="Rename your organisation, limit what it spends",
                access=Permission.WRITE_ORG,
                body=OwnOrgChanges,
                reply=OwnOrg,
            ),
        ]

    async def create(self, call: Call) -> Reply:
        asked: OrgRequest = call.body
        org = await orgs.create_org(
            self.books,
            call.operator,
            name=asked.name,
            tier=asked.tier,
            concurrency=asked.concurrency,
        )
        return Reply(org_view(org))

    async def list(self, call: Call) -> Reply:
        page: PageQuery = call.query
        found = await orgs.list_orgs(self.books, after=page.cursor, limit=page.limit)
        return Reply(
            OrgPage(
                items=[org_view(org) for org in found], next_cursor=next_cursor(found, page.limit)
            )
        )

    async def get(self, call: Call) -> Reply:
        return Reply(org_view(await orgs.find_org(self.books, call.ids["org"])))

    async def change(self, call: Call) -> Reply:
        changes = columns_of(call.body)
        return Reply(
            org_view(await orgs.change_org(self.books, call.operator, call.ids["org"], changes))
        )

    async def get_own(self, call: Call) -> Reply:
        org_id = org_of(call.actor)
        async with acting(self.books, call.actor) as conn:
            return Reply(_own(await orgs.read_org(conn, org_id)))

    async def change_own(self, call: Call) -> Reply:
        org_id, changes = org_of(call.actor), columns_of(call.body)
        return Reply(_own(await orgs.change_org(self.books, call.actor, org_id, changes)))


def org_of(actor: Actor) -> str:
    """The organisation a customer's call is about; individuals have none (404)."""
    if actor.org_id is None:
        raise GatewayError(ErrorCode.NOT_FOUND, "individuals have no organisation")
    return actor.org_id


def org_view(org: OrgRow) -> Org:
    """An organisation as operators see it."""
    return Org(**_fields(org), balance_usd=Usd(org.balance_uusd))


def _own(org: OrgRow) -> OwnOrg:
    return OwnOrg(**_fields(org))


def _fields(org: OrgRow) -> dict[str, Any]:
    return {
        "id": org.id,
        "name": org.name,
        "account_id": org.account_id,
        "status": org.status,
        "tier": org.tier,
        "concurrency": org.concurrency,
        "created_at": timestamp_of(org.created_at),
        "updated_at": timestamp_of(org.updated_at),
        **cap_fields(org),
    }
