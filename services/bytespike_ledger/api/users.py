"""Routes of users and individuals: operators' business."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_ledger.accounts import users
from bytespike_ledger.api.call import Call, Reply
from bytespike_ledger.api.members import Email, read_email
from bytespike_ledger.api.orgs import Concurrency
from bytespike_ledger.api.route import Access, Route
from bytespike_ledger.api.wire import Name, PageQuery, Request, Timestamp, next_cursor, timestamp_of
from bytespike_ledger.books import Books
from bytespike_ledger.store.accounts import Tier
from bytespike_ledger.store.people import UserRow, UserStatus

__all__ = ["UserApi"]


class UserQuery(PageQuery, frozen=True, kw_only=True):
    """``email`` finds the one user with this address."""

    email: Annotated[str, Meta(max_length=254)] | None = None


class UserRequest(Request, frozen=True, kw_only=True):
    """A new user. An ``individual`` has an account of their own, of this ``tier`` (default: free);
    without ``concurrency`` the tier's own number counts.
    """

    email: Email
    name: Name
    individual: bool = False
    tier: Tier | None = None
    concurrency: Concurrency | None = None


class UserChanges(Request, frozen=True, kw_only=True):
    """What is left out stays as it is. A ``tier`` makes a user an individual; without
    ``concurrency`` it brings its own. The keys of a disabled user are refused.
    """

    email: Email | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    status: UserStatus | UnsetType = UNSET
    tier: Tier | UnsetType = UNSET
    concurrency: Concurrency | UnsetType = UNSET


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A user; account, tier and concurrency are null unless they are an individual."""

    id: str
    email: str
    name: str
    status: UserStatus
    account_id: str | None
    tier: Tier | None
    concurrency: int | None
    created_at: Timestamp
    updated_at: Timestamp


class UserPage(msgspec.Struct, frozen=True, kw_only=True):
    """``next_cursor`` is null on the last page."""

    items: list[User]
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True)
class UserApi:
    """The handlers."""

    books: Books

    def routes(self) -> list[Route]:
        """Paths below ``/api/v1/admin/users``."""
        every, one = "/api/v1/admin/users", "/api/v1/admin/users/{user}"

        def at(method: str, path: str, **more: Any) -> Route:
            defaults = {"tag": "users", "access": Access.OPERATOR, "reply": User}
            return Route(method=method, path=path, **{**defaults, **more})

        return [
            at(
                "POST",
                every,
                handler=self.create,
                summary="Make a user, or an individual with an empty wallet",
                body=UserRequest,
                status=201,
            ),
            at(
                "GET",
                every,
                handler=self.list,
                summary="Users, oldest first",
                query=UserQuery,
                reply=UserPage,
            ),
            at("GET", one, handler=self.get, summary="One user"),
            at(
                "PATCH",
                one,
                handler=self.change,
                summary="Change, disable or enable a user",
                body=UserChanges,
            ),
        ]

    async def create(self, call: Call) -> Reply:
        asked: UserRequest = call.body
        for field in ("tier", "concurrency"):
            if getattr(asked, field) is not None and not asked.individual:
                raise GatewayError(
                    ErrorCode.INVALID_REQUEST, "only individuals have one", param=field
                )
        user = await users.create_user(
            self.books,
            call.operator,
            email=read_email(asked.email),
            name=asked.name,
            tier=(asked.tier or "free") if asked.individual else None,
            concurrency=asked.concurrency,
        )
        return Reply(_user(user))

    async def list(self, call: Call) -> Reply:
        asked: UserQuery = call.query
        found = await users.list_users(
            self.books,
            email=None if asked.email is None else read_email(asked.email),
            after=asked.cursor,
            limit=asked.limit,
        )
        return Reply(
            UserPage(
                items=[_user(user) for user in found], next_cursor=next_cursor(found, asked.limit)
            )
        )

    async def get(self, call: Call) -> Reply:
        return Reply(_user(await users.find_user(self.books, call.ids["user"])))

    async def change(self, call: Call) -> Reply:
        asked: UserChanges = call.body
        changes = {
            field: value
            for field in asked.__struct_fields__
            if (value := getattr(asked, field)) is not UNSET
        }
        if "email" in changes:
            changes["email"] = read_email(changes["email"])
        return Reply(
            _user(await users.change_user(self.books, call.operator, call.ids["user"], changes))
        )


def _user(user: UserRow) -> User:
    return User(
        id=user.id,
        email=user.email,
        name=user.name,
        status=user.status,
        account_id=user.account_id,
        tier=user.tier,
        concurrency=user.concurrency,
        created_at=timestamp_of(user.created_at),
        updated_at=timestamp_of(user.updated_at),
    )
