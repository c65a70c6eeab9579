"""Routes of operators, for the admin token of the settings alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from bytespike_ledger.accounts import operators
from bytespike_ledger.api.call import Call, Reply
from bytespike_ledger.api.route import Access, Route
from bytespike_ledger.api.wire import Name, PageQuery, Request, Timestamp, next_cursor, timestamp_of
from bytespike_ledger.books import Books
from bytespike_ledger.store.operators import OperatorRow, OperatorStatus

__all__ = ["OperatorApi"]


class OperatorRequest(Request, frozen=True, kw_only=True):
    """A new operator; no two have one name."""

    name: Name


class OperatorChanges(Request, frozen=True, kw_only=True):
    """What is left out stays as it is. The token of a disabled operator is refused."""

    name: Name | UnsetType = UNSET
    status: OperatorStatus | UnsetType = UNSET


class OperatorView(msgspec.Struct, frozen=True, kw_only=True):
    """An operator without their token. The audit log calls them by ``id``."""

    id: str
    name: str
    hint: str
    status: OperatorStatus
    created_at: Timestamp
    updated_at: Timestamp


class NewOperatorView(OperatorView, frozen=True, kw_only=True):
    """An operator just made: the only reply that shows the token."""

    token: str


class OperatorPage(msgspec.Struct, frozen=True, kw_only=True):
    """``next_cursor`` is null on the last page."""

    items: list[OperatorView]
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True)
class OperatorApi:
    """The handlers."""

    books: Books

    def routes(self) -> list[Route]:
        """Paths below ``/api/v1/admin/operators``."""
        every = "/api/v1/admin/operators"

        def at(method: str, path: str, **more: Any) -> Route:
            defaults = {"tag": "operators", "access": Access.OPERATOR, "reply": OperatorView}
            return Route(method=method, path=path, **{**defaults, **more})

        return [
            at(
                "POST",
                every,
                handler=self.create,
                summary="Make an operator; the token is shown this once (root only)",
                body=OperatorRequest,
                reply=NewOperatorView,
                status=201,
            ),
            at(
                "GET",
                every,
                handler=self.list,
                summary="Operators, oldest first (root only)",
                query=PageQuery,
                reply=OperatorPage,
            ),
            at(
                "PATCH",
                every + "/{operator}",
                handler=self.change,
                summary="Rename, disable or enable an operator (root only)",
                body=OperatorChanges,
            ),
        ]

    async def create(self, call: Call) -> Reply:
        asked: OperatorRequest = call.body
        made = await operators.create_operator(self.books, call.operator, name=asked.name)
        return Reply(NewOperatorView(token=made.token, **_fields(made.row)))

    async def list(self, call: Call) -> Reply:
        page: PageQuery = call.query
        found = await operators.list_operators(
            self.books, call.operator, after=page.cursor, limit=page.limit
        )
        return Reply(
            OperatorPage(
                items=[OperatorView(**_fields(row)) for row in found],
                next_cursor=next_cursor(found, page.limit),
            )
        )

    async def change(self, call: Call) -> Reply:
        asked: OperatorChanges = call.body
        changes = {
            field: value
            for field in asked.__struct_fields__
            if (value := getattr(asked, field)) is not UNSET
        }
        row = await operators.change_operator(
            self.books, call.operator, call.ids["operator"], changes
        )
        return Reply(OperatorView(**_fields(row)))


def _fields(row: OperatorRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "hint": row.hint,
        "status": row.status,
        "created_at": timestamp_of(row.created_at),
        "updated_at": timestamp_of(row.updated_at),
    }
