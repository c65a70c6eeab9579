"""Routes of usage: one row per answered request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_contracts.ids import request_time_ms
from bytespike_ledger.accounts.actors import Permission
from bytespike_ledger.api.call import Call, Reply
from bytespike_ledger.api.route import Route
from bytespike_ledger.api.wire import (
    LAST_MS,
    Moment,
    PageQuery,
    Timestamp,
    Usd,
    read_time_ms,
    timestamp,
)
from bytespike_ledger.books import Books
from bytespike_ledger.store import tenant
from bytespike_ledger.store.usage import UsageFilter, list_usage

__all__ = ["UsageApi"]

_DAY_MS = 86_400_000
#: Without ``since`` the list goes back this far; a cursor may walk further by giving ``since``.
_DEFAULT_SPAN = timedelta(days=31)


class UsageQuery(PageQuery, frozen=True, kw_only=True):
    """``since`` is inclusive, ``until`` exclusive; both mean the admission of the request."""

    model: Annotated[str, Meta(max_length=100)] | None = None
    request_id: Annotated[str, Meta(max_length=64)] | None = None
    since: Moment | None = None
    until: Moment | None = None


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """One answered request. ``prompt_tokens`` is everything read, cached or not; counts are null
    where the vendor reported none.
    """

    request_id: str
    model: str
    dialect: str
    stream: bool
    status: int
    outcome: str
    estimated: bool
    first_byte_ms: int | None
    input_tokens: int | None
    cache_write_5m_tokens: int | None
    cache_write_1h_tokens: int | None
    cache_read_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None
    web_searches: int | None
    price_revision: str
    prompt_tokens: int | None
    completion_tokens: int | None
    credits: Usd
    created_at: Timestamp
    finished_at: Timestamp
    duration_ms: int


class UsagePage(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first; ``next_cursor`` is null on the last page."""

    items: list[UsageRow]
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True)
class UsageApi:
    """The handlers."""

    books: Books

    def routes(self) -> list[Route]:
        """``/v1/usage``."""
        return [
            Route(
                method="GET",
                path="/v1/usage",
                handler=self.list,
                summary="Answered requests of the asking key, newest first",
                tag="usage",
                access=Permission.READ_SELF,
                query=UsageQuery,
                reply=UsagePage,
            )
        ]

    async def list(self, call: Call) -> Reply:
        asked: UsageQuery = call.query
        wanted = self._filter(call.actor.key_id, asked)
        async with tenant(self.books.pool, call.actor.account_id) as conn:
            rows = await list_usage(conn, wanted, limit=asked.limit)
        more = len(rows) == asked.limit
        return Reply(
            UsagePage(
                items=[_row(row) for row in rows],
                next_cursor=str(rows[-1]["request_id"]) if more else None,
            )
        )

    def _filter(self, key_id: str, asked: UsageQuery) -> UsageFilter:
        since_ms = read_time_ms(asked.since, param="since")
        until_ms = read_time_ms(asked.until, param="until")
        now = datetime.fromtimestamp(self.books.now_ms() / 1000, UTC).date()
        # A day more on both ends: ids are minted a moment before the admission that is filtered.
        first = _day(since_ms) - timedelta(days=1) if since_ms is not None else now - _DEFAULT_SPAN
        last = _day(until_ms) + timedelta(days=1) if until_ms is not None else now + timedelta(1)
        if asked.request_id:
            first = last = _day_of_id(asked.request_id, "request_id")
        if asked.cursor:
            last = min(last, _day_of_id(asked.cursor, "cursor"))
        return UsageFilter(
            key_id=key_id,
            first_day=first,
            last_day=last,
            model=asked.model,
            request_id=asked.request_id,
            before=asked.cursor or None,
            since_ms=since_ms,
            until_ms=until_ms,
        )


def _row(row: Mapping[str, Any]) -> UsageRow:
    read = (
        row["input_tokens"],
        row["cache_write_5m_tokens"],
        row["cache_write_1h_tokens"],
        row["cache_read_tokens"],
    )
    known = [part for part in read if part is not None]
    plain = {name: row[name] for name in UsageRow.__struct_fields__ if name in row}
    return UsageRow(
        **plain,
        prompt_tokens=sum(known) if known else None,
        completion_tokens=row["output_tokens"],
        credits=Usd(row["charge_uusd"]),
        created_at=timestamp(row["admitted_ms"]),
        finished_at=timestamp(row["finished_ms"]),
        duration_ms=row["finished_ms"] - row["admitted_ms"],
    )


def _day(at_ms: int) -> date:
    """The day, kept a year from where dates end so that neighbours exist."""
    return datetime.fromtimestamp(min(max(at_ms, 0), LAST_MS - 366 * _DAY_MS) // 1000, UTC).date()


def _day_of_id(request_id: str, name: str) -> date:
    try:
        return _day(request_time_ms(request_id))
    except ValueError as error:
        raise GatewayError(ErrorCode.INVALID_REQUEST, "not a request id", param=name) from error
