"""Routes of members: the same for operators and for an organisation's own people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bytespike_ledger.accounts import members
from bytespike_ledger.accounts.actors import Actor, Operator, Permission, Role
from bytespike_ledger.api.call import Call, Reply
from bytespike_ledger.api.caps import (
    CapRequest,
    Caps,
    cap_columns,
    cap_fields,
    columns_of,
)
from bytespike_ledger.api.orgs import org_of
from bytespike_ledger.api.route import Access, Route
from bytespike_ledger.api.wire import Name, PageQuery, Timestamp, next_cursor, timestamp_of
from bytespike_ledger.books import Books
from bytespike_ledger.store.people import MemberRow, MemberStatus

__all__ = ["Email", "Member", "MemberApi", "member_view", "read_email"]

#: An address of ASCII characters; :func:`read_email` gives it its one spelling.
Email = Annotated[
    str,
    Meta(
        max_length=254,
        pattern=r"^[!-?A-~]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,187}[A-Za-z0-9])?$",
        description="an e-mail address",
    ),
]


class MemberRequest(CapRequest, frozen=True, kw_only=True):
    """Somebody to be a member. Whether we know the address makes no difference to the answer."""

    email: Email
    name: Name
    role: Role = Role.MEMBER


class MemberChanges(CapRequest, frozen=True, kw_only=True):
    """What is left out stays as it is. The keys of a disabled member are refused."""

    name: Name | UnsetType = UNSET
    role: Role | UnsetType = UNSET
    status: Literal["active", "disabled"] | UnsetType = UNSET


class Member(Caps, frozen=True, kw_only=True):
    """A member with the name the organisation gave them; limits are over all their keys."""

    id: str
    org_id: str
    email: str
    name: str
    role: Role
    status: MemberStatus
    created_at: Timestamp
    updated_at: Timestamp


class MemberPage(msgspec.Struct, frozen=True, kw_only=True):
    """``next_cursor`` is null on the last page."""

    items: list[Member]
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True)
class MemberApi:
    """The handlers."""

    books: Books

    def routes(self) -> list[Route]:
        """Paths below ``/api/v1/admin/orgs/{org}/members`` and ``/api/v1/org/members``."""
        read, write = Permission.READ_MEMBERS, Permission.WRITE_MEMBERS
        return [
            *self._routes("/api/v1/admin/orgs/{org}/members", Access.OPERATOR, Access.OPERATOR),
            *self._routes("/api/v1/org/members", read, write),
        ]

    def _routes(
        self, every: str, read: Access | Permission, write: Access | Permission
    ) -> list[Route]:
        one = every + "/{member}"

        def at(method: str, path: str, **more: Any) -> Route:
            access = read if method == "GET" else write
            defaults = {"tag": "members", "access": access, "reply": Member}
            return Route(method=method, path=path, **{**defaults, **more})

        return [
            at(
                "POST",
                every,
                handler=self.add,
                summary="Make somebody a member",
                body=MemberRequest,
                status=201,
            ),
            at(
                "GET",
                every,
                handler=self.list,
                summary="Members, oldest first",
                query=PageQuery,
                reply=MemberPage,
            ),
            at("GET", one, handler=self.get, summary="One member"),
            at(
                "PATCH",
                one,
                handler=self.change,
                summary="Change a member's role, limits or status",
                body=MemberChanges,
            ),
            at(
                "DELETE",
                one,
                handler=self.remove,
                summary="End a membership; the member's keys stop",
            ),
        ]

    async def add(self, call: Call) -> Reply:
        asked: MemberRequest = call.body
        who, org_id = _whose(call)
        member = await members.add_member(
            self.books,
            who,
            org_id,
            email=read_email(asked.email),
            name=asked.name,
            role=asked.role,
            caps=cap_columns(asked),
        )
        return Reply(member_view(member))

    async def list(self, call: Call) -> Reply:
        page: PageQuery = call.query
        who, org_id = _whose(call)
        found = await members.list_members(
            self.books, who, org_id, after=page.cursor, limit=page.limit
        )
        return Reply(
            MemberPage(
                items=[member_view(member) for member in found],
                next_cursor=next_cursor(found, page.limit),
            )
        )

    async def get(self, call: Call) -> Reply:
        who, org_id = _whose(call)
        return Reply(
            member_view(await members.find_member(self.books, who, org_id, call.ids["member"]))
        )

    async def change(self, call: Call) -> Reply:
        who, org_id = _whose(call)
        changes = columns_of(call.body)
        member = await members.change_member(self.books, who, org_id, call.ids["member"], changes)
        return Reply(member_view(member))

    async def remove(self, call: Call) -> Reply:
        who, org_id = _whose(call)
        member = await members.remove_member(self.books, who, org_id, call.ids["member"])
        return Reply(member_view(member))


def read_email(text: str) -> str:
    """The spelling addresses are kept and compared in."""
    return text.strip().lower()


def member_view(member: MemberRow) -> Member:
    """A member as everybody sees them. Nothing of the user behind them is shown, operators'
    answers included: what customers and operators see of a member is one thing.
    """
    return Member(
        id=member.id,
        org_id=member.org_id,
        email=member.email,
        name=member.name,
        role=Role(member.role),
        status=member.status,
        created_at=timestamp_of(member.created_at),
        updated_at=timestamp_of(member.updated_at),
        **cap_fields(member),
    )


def _whose(call: Call) -> tuple[Actor | Operator, str]:
    """Who is asking, and the organisation they may ask about."""
    if isinstance(call.who, Operator):
        return call.who, call.ids["org"]
    return call.actor, org_of(call.actor)
