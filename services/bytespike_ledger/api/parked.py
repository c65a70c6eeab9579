"""Routes of parked usage events: what could not be settled, and another try."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_contracts.usage import decode_batch
from bytespike_ledger.accounts.audit_log import Action, record
from bytespike_ledger.api.call import Call, Reply
from bytespike_ledger.api.route import Access, Route
from bytespike_ledger.api.wire import Request, Timestamp, next_cursor, timestamp_of
from bytespike_ledger.books import Books
from bytespike_ledger.settle import ParkReason
from bytespike_ledger.store import connection
from bytespike_ledger.store.parked import ParkedRow, list_parked, take_parked

__all__ = ["ParkedApi"]

#: A page's ids and those of paths are Postgres bigints.
_MAX_ID = 2**63 - 1


class ParkedQuery(Request, frozen=True, kw_only=True):
    """A slice of the list: after ``cursor`` (from the page before), at most ``limit`` events."""

    cursor: Annotated[int, Meta(ge=0, le=_MAX_ID, description="next_cursor of the page before")] = 0
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class ParkedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A usage event that could not be applied. ``request_id`` is null where it could not be read;
    what the event says is not shown.
    """

    id: str
    reason: ParkReason
    request_id: str | None
    parked_at: Timestamp


class ParkedEventPage(msgspec.Struct, frozen=True, kw_only=True):
    """Oldest first; ``next_cursor`` is null on the last page."""

    items: list[ParkedEvent]
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True)
class ParkedApi:
    """The handlers; ``put_back`` stores the body of a message on the stream of usage events."""

    books: Books
    put_back: Callable[[bytes], Awaitable[None]]

    def routes(self) -> list[Route]:
        """Paths below ``/api/v1/admin/parked-events``."""
        return [
            Route(
                method="GET",
                path="/api/v1/admin/parked-events",
                handler=self.list,
                summary="Usage events that could not be settled, oldest first",
                tag="office",
                access=Access.OPERATOR,
                query=ParkedQuery,
                reply=ParkedEventPage,
            ),
            Route(
                method="POST",
                path="/api/v1/admin/parked-events/{event}/retry",
                handler=self.retry,
                summary="Settle a parked event after all; it is parked anew if that fails again",
                tag="office",
                access=Access.OPERATOR,
                reply=ParkedEvent,
                status=202,
            ),
        ]

    async def list(self, call: Call) -> Reply:
        asked: ParkedQuery = call.query
        async with connection(self.books.pool) as conn:
            rows = await list_parked(conn, after=asked.cursor, limit=asked.limit)
        return Reply(
            ParkedEventPage(
                items=[_view(row) for row in rows],
                next_cursor=next_cursor(rows, asked.limit),
            )
        )

    async def retry(self, call: Call) -> Reply:
        """The event is on the stream before the row's removal is committed: whatever breaks in
        between, it is in at least one of the two, and settling it twice moves nothing twice.
        """
        async with connection(self.books.pool) as conn, conn.transaction():
            taken = await take_parked(conn, _parked_id(call.ids["event"]))
            if taken is None:
                raise _not_found(call.ids["event"])
            row, body = taken
            batch = b"[%b]" % body
            if not _is_readable(batch):
                raise GatewayError(
                    ErrorCode.CONFLICT, "this is not a usage event, so it can never be settled"
                )
            await record(
                conn,
                call.operator,
                Action.EVENT_RETRY,
                target=row.request_id or str(row.id),
                before={"parked_event": str(row.id), "reason": row.reason},
            )
            await self.put_back(batch)
        return Reply(_view(row))


def _view(row: ParkedRow) -> ParkedEvent:
    return ParkedEvent(
        id=str(row.id),
        reason=ParkReason(row.reason),
        request_id=row.request_id,
        parked_at=timestamp_of(row.parked_at),
    )


def _parked_id(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= _MAX_ID):
        raise _not_found(text)
    return int(text)


def _not_found(text: str) -> GatewayError:
    return GatewayError(ErrorCode.NOT_FOUND, f"no parked event {text[:100]!r}")


def _is_readable(batch: bytes) -> bool:
    try:
        return bool(decode_batch(batch))
    except msgspec.DecodeError:
        return False
