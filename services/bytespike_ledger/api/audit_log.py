"""The route of the audit log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta, Raw

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_ledger.accounts import audit_log
from bytespike_ledger.accounts.audit_log import Action
from bytespike_ledger.api.call import Call, Reply
from bytespike_ledger.api.route import Access, Route
from bytespike_ledger.api.wire import (
    Moment,
    PageQuery,
    Timestamp,
    next_cursor,
    read_time_ms,
    timestamp_of,
)
from bytespike_ledger.books import Books
from bytespike_ledger.store.audit_log import AuditLogFilter, AuditLogRow

__all__ = ["AuditLogApi"]

_LAST_ID = 2**63 - 1

_Wanted = Annotated[str, Meta(max_length=100)]
_Fields = Annotated[
    Raw,
    Meta(
        description="the fields that changed; amounts are decimal USD texts",
        extra_json_schema={"type": ["object", "null"]},
    ),
]


class AuditLogQuery(PageQuery, frozen=True, kw_only=True):
    """``actor`` is ``root``, the id of an operator or of a key; ``account`` and ``target`` are ids.
    ``since`` is inclusive, ``until`` exclusive.
    """

    actor: _Wanted | None = None
    action: Action | None = None
    account: _Wanted | None = None
    target: _Wanted | None = None
    since: Moment | None = None
    until: Moment | None = None


class AuditLogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Who changed what, from where. ``account_id`` is null where no account is concerned,
    ``before`` where something was made.
    """

    id: int
    at: Timestamp
    actor: str
    address: str
    request_id: str
    action: Action
    account_id: str | None
    target: str
    before: _Fields
    after: _Fields


class AuditLogPage(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first; ``next_cursor`` is null on the last page."""

    items: list[AuditLogEntry]
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True)
class AuditLogApi:
    """The handler."""

    books: Books

    def routes(self) -> list[Route]:
        """``/api/v1/admin/audit-log``."""
        return [
            Route(
                method="GET",
                path="/api/v1/admin/audit-log",
                handler=self.list,
                summary="Who changed what, newest first",
                tag="office",
                access=Access.OPERATOR,
                query=AuditLogQuery,
                reply=AuditLogPage,
            )
        ]

    async def list(self, call: Call) -> Reply:
        asked: AuditLogQuery = call.query
        wanted = AuditLogFilter(
            actor=asked.actor,
            action=asked.action,
            account_id=asked.account,
            target=asked.target,
            since_ms=read_time_ms(asked.since, param="since"),
            until_ms=read_time_ms(asked.until, param="until"),
            before=_entry_id(asked.cursor),
        )
        rows = await audit_log.list_entries(self.books, wanted, limit=asked.limit)
        return Reply(
            AuditLogPage(
                items=[_entry(row) for row in rows], next_cursor=next_cursor(rows, asked.limit)
            )
        )


def _entry_id(cursor: str) -> int | None:
    if not cursor:
        return None
    if not (cursor.isascii() and cursor.isdigit() and int(cursor) <= _LAST_ID):
        raise GatewayError(ErrorCode.INVALID_REQUEST, "not a cursor of this list", param="cursor")
    return int(cursor)


def _entry(row: AuditLogRow) -> AuditLogEntry:
    return AuditLogEntry(
        id=row.id,
        at=timestamp_of(row.at),
        actor=row.actor,
        address=row.address,
        request_id=row.request_id,
        action=Action(row.action),
        account_id=row.account_id,
        target=row.target,
        before=Raw(b"null" if row.before is None else row.before.encode()),
        after=Raw(b"null" if row.after is None else row.after.encode()),
    )
