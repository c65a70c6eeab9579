"""Routes of usage: one row per answered request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_contracts.ids import mint_id, request_time_ms
from bytespike_contracts.money import Rates, TokenUsage, split_charge
from bytespike_ledger.accounts import orgs
from bytespike_ledger.accounts.actors import Permission
from bytespike_ledger.accounts.usage import keys_in_account, keys_in_sight
from bytespike_ledger.api.call import Call, Reply
from bytespike_ledger.api.route import Access, Route
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
from bytespike_ledger.rollups import DAY_MS, HOUR_MS
from bytespike_ledger.store import connection, tenant
from bytespike_ledger.store.prices import read_rates
from bytespike_ledger.store.usage import UsageFilter, list_usage

__all__ = ["UsageApi", "UsageCost"]

#: Without ``since`` the list goes back this far; a cursor may walk further by giving ``since``.
_DEFAULT_SPAN_MS = 31 * DAY_MS
#: Rows are found by the time in their ids and filtered by their admission. An id is minted before
#: the body is read, so minutes before at most; the rest is for clocks.
_SLACK_MS = HOUR_MS


class UsageQuery(PageQuery, frozen=True, kw_only=True):
    """``since`` is inclusive, ``until`` exclusive; both mean the admission of the request."""

    model: Annotated[str, Meta(max_length=100)] | None = None
    request_id: Annotated[str, Meta(max_length=64)] | None = None
    since: Moment | None = None
    until: Moment | None = None


class AccountUsageQuery(UsageQuery, frozen=True, kw_only=True):
    """The same over several keys; ``api_key_id`` is an id or the masked form of a key."""

    api_key_id: Annotated[str, Meta(max_length=100)] | None = None


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """One answered request. ``prompt_tokens`` is everything read, cached or not; counts are null
    where the vendor reported none.
    """

    request_id: str
    api_key_id: str
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


class UsageCost(msgspec.Struct, frozen=True, kw_only=True):
    """An amount by what it was charged for; the parts sum to the whole."""

    input: Usd
    cache_write: Usd
    cache_read: Usd
    output: Usd
    web_search: Usd


class UsageRates(msgspec.Struct, frozen=True, kw_only=True):
    """Prices in force then: USD per million tokens and per thousand searches, before the group's
    multiplier in parts per million.
    """

    input: Usd
    cache_write_5m: Usd
    cache_write_1h: Usd
    cache_read: Usd
    output: Usd
    web_search: Usd
    multiplier_ppm: int


class UsageDetail(UsageRow, frozen=True, kw_only=True):
    """A request with what it was charged for. ``rates`` is null if its prices are not known."""

    cost: UsageCost
    rates: UsageRates | None


class UsagePage(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first; ``next_cursor`` is null on the last page."""

    items: list[UsageRow]
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True)
class UsageApi:
    """The handlers."""

    books: Books

    def routes(self) -> list[Route]:
        """``/v1/usage`` of one key; rows of an account for its people and for operators."""
        return [
            Route(
                method="GET",
                path="/v1/usage",
                handler=self.list_own,
                summary="Answered requests of the asking key, newest first",
                tag="usage",
                access=Permission.READ_SELF,
                query=UsageQuery,
                reply=UsagePage,
            ),
            Route(
                method="GET",
                path="/api/v1/usage",
                handler=self.list_visible,
                summary="Answered requests of all keys the caller may see, newest first",
                tag="usage",
                access=Permission.READ_SELF,
                query=AccountUsageQuery,
                reply=UsagePage,
                also=(404,),
            ),
            Route(
                method="GET",
                path="/api/v1/usage/{request}",
                handler=self.get,
                summary="One answered request, with what it was charged for",
                tag="usage",
                access=Permission.READ_SELF,
                reply=UsageDetail,
            ),
            Route(
                method="GET",
                path="/api/v1/admin/accounts/{account}/usage",
                handler=self.list_account,
                summary="Answered requests of an account, newest first",
                tag="usage",
                access=Access.OPERATOR,
                query=AccountUsageQuery,
                reply=UsagePage,
            ),
        ]

    async def list_own(self, call: Call) -> Reply:
        asked: UsageQuery = call.query
        wanted = self._filter(asked, call.actor.account_id, [call.actor.key_id])
        async with tenant(self.books.pool, call.actor.account_id) as conn:
            rows = await list_usage(conn, wanted, limit=asked.limit)
        return Reply(_page(rows, asked.limit))

    async def list_visible(self, call: Call) -> Reply:
        asked: AccountUsageQuery = call.query
        async with tenant(self.books.pool, call.actor.account_id) as conn:
            keys = await keys_in_sight(conn, call.actor, asked.api_key_id)
            wanted = self._filter(asked, call.actor.account_id, keys)
            rows = await list_usage(conn, wanted, limit=asked.limit)
        return Reply(_page(rows, asked.limit))

    async def list_account(self, call: Call) -> Reply:
        asked: AccountUsageQuery = call.query
        account = await orgs.find_account(self.books, call.ids["account"])
        async with connection(self.books.pool) as conn:
            keys = await keys_in_account(conn, account.id, asked.api_key_id)
            wanted = self._filter(asked, account.id, keys)
            rows = await list_usage(conn, wanted, limit=asked.limit)
        return Reply(_page(rows, asked.limit))

    async def get(self, call: Call) -> Reply:
        request_id = call.ids["request"]
        try:
            after, before = _around(request_id, "request")
        except GatewayError as error:
            raise _not_found(request_id) from error
        async with tenant(self.books.pool, call.actor.account_id) as conn:
            wanted = UsageFilter(
                account_id=call.actor.account_id,
                key_ids=await keys_in_sight(conn, call.actor, None),
                after=after,
                before=before,
                request_id=request_id,
            )
            rows: Sequence[Mapping[str, Any]] = await list_usage(conn, wanted, limit=1)
            if not rows:
                raise _not_found(request_id)
            row = rows[0]
            rates = await read_rates(
                conn, row["price_revision"], group=row["routing_group"], model=row["model"]
            )
        return Reply(_detail(row, rates))

    def _filter(
        self, asked: UsageQuery, account_id: str, key_ids: Sequence[str] | None
    ) -> UsageFilter:
        since_ms = read_time_ms(asked.since, param="since")
        until_ms = read_time_ms(asked.until, param="until")
        now_ms = self.books.now_ms()
        after = _mark((now_ms - _DEFAULT_SPAN_MS if since_ms is None else since_ms) - _SLACK_MS)
        before = _mark((now_ms + DAY_MS if until_ms is None else until_ms) + _SLACK_MS)
        if asked.request_id:
            after, before = _around(asked.request_id, "request_id")
        if asked.cursor:
            before = min(before, (_day_of_id(asked.cursor, "cursor"), asked.cursor))
        return UsageFilter(
            account_id=account_id,
            key_ids=key_ids,
            after=after,
            before=before,
            model=asked.model,
            request_id=asked.request_id,
            since_ms=since_ms,
            until_ms=until_ms,
        )


def _page(rows: Sequence[Mapping[str, Any]], limit: int) -> UsagePage:
    more = len(rows) == limit
    return UsagePage(
        items=[UsageRow(**_fields(row)) for row in rows],
        next_cursor=rows[-1]["request_id"] if more else None,
    )


def _detail(row: Mapping[str, Any], rates: Rates | None) -> UsageDetail:
    charge_uusd = row["charge_uusd"]
    counts = {name: row[name] or 0 for name in TokenUsage.__struct_fields__}
    # Nothing is charged without prices, and a charge of nothing needs none to be split.
    parts = split_charge(charge_uusd, TokenUsage(**counts), rates or _NO_RATES)
    return UsageDetail(
        **_fields(row),
        cost=UsageCost(
            input=Usd(parts.input_uusd),
            cache_write=Usd(parts.cache_write_uusd),
            cache_read=Usd(parts.cache_read_uusd),
            output=Usd(parts.output_uusd),
            web_search=Usd(parts.web_search_uusd),
        ),
        rates=None if rates is None else _rates(rates),
    )


_NO_RATES = Rates(
    input_uusd=0, output_uusd=0, cache_read_uusd=0, cache_write_5m_uusd=0, cache_write_1h_uusd=0
)


def _rates(rates: Rates) -> UsageRates:
    return UsageRates(
        input=Usd(rates.input_uusd),
        cache_write_5m=Usd(rates.cache_write_5m_uusd),
        cache_write_1h=Usd(rates.cache_write_1h_uusd),
        cache_read=Usd(rates.cache_read_uusd),
        output=Usd(rates.output_uusd),
        web_search=Usd(rates.web_search_uusd),
        multiplier_ppm=rates.multiplier_ppm,
    )


def _fields(row: Mapping[str, Any]) -> dict[str, Any]:
    """Values of :class:`UsageRow`."""
    read = (
        row["input_tokens"],
        row["cache_write_5m_tokens"],
        row["cache_write_1h_tokens"],
        row["cache_read_tokens"],
    )
    known = [part for part in read if part is not None]
    plain = {name: row[name] for name in UsageRow.__struct_fields__ if name in row}
    return plain | {
        "api_key_id": row["key_id"],
        "prompt_tokens": sum(known) if known else None,
        "completion_tokens": row["output_tokens"],
        "credits": Usd(row["charge_uusd"]),
        "created_at": timestamp(row["admitted_ms"]),
        "finished_at": timestamp(row["finished_ms"]),
        "duration_ms": row["finished_ms"] - row["admitted_ms"],
    }


def _not_found(request_id: str) -> GatewayError:
    return GatewayError(ErrorCode.NOT_FOUND, f"no request {request_id[:64]!r}")


def _day(at_ms: int) -> date:
    """The day, kept a year from where dates end so that neighbours exist."""
    return datetime.fromtimestamp(min(max(at_ms, 0), LAST_MS - 366 * DAY_MS) // 1000, UTC).date()


def _mark(at_ms: int) -> tuple[date, str]:
    """Where ids of a moment begin in the order of rows."""
    at_ms = min(max(at_ms, 0), LAST_MS - 366 * DAY_MS)
    return _day(at_ms), mint_id("req", at_ms, bytes(10))


def _around(request_id: str, name: str) -> tuple[tuple[date, str], tuple[date, str]]:
    """Marks with nothing but this request between them. Raises ``GatewayError`` 400."""
    day = _day_of_id(request_id, name)
    return (day, request_id[:-1]), (day, f"{request_id}0")


def _day_of_id(request_id: str, name: str) -> date:
    try:
        return _day(request_time_ms(request_id))
    except ValueError as error:
        raise GatewayError(ErrorCode.INVALID_REQUEST, "not a request id", param=name) from error
