"""Routes of usage in sums: by day or hour, model and key, answered from the roll-ups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_ledger.accounts import orgs
from bytespike_ledger.accounts.actors import Permission
from bytespike_ledger.accounts.usage import keys_in_account, keys_in_sight
from bytespike_ledger.api.call import Call, Reply
from bytespike_ledger.api.route import Access, Route
from bytespike_ledger.api.usage import UsageCost
from bytespike_ledger.api.wire import (
    LAST_MS,
    Moment,
    Request,
    Timestamp,
    Usd,
    read_time_ms,
    timestamp,
)
from bytespike_ledger.books import Books
from bytespike_ledger.rollups import DAY_MS, HOUR_MS, Sums
from bytespike_ledger.store import connection, tenant
from bytespike_ledger.store.rollups import SummaryFilter, read_summary

__all__ = ["UsageSummaryApi"]

_LONGEST_DAYS = 90
_DEFAULT_DAYS = 30
#: A month by hour and model of ten; beyond it an answer is more than anybody reads.
_MOST_BUCKETS = 10_000
#: ``group_by`` as callers say it -> as the sums do.
_GROUPS = {"day": "day", "hour": "hour", "model": "model", "api_key": "key_id"}


class UsageSummaryQuery(Request, frozen=True, kw_only=True):
    """At most 90 days; without ``since`` the 30 before ``until``, without ``until`` up to now.

    ``group_by`` is one or several of day, hour, model, api_key, comma-separated. ``api_key`` is an
    id or the masked form of a key.
    """

    since: Moment | None = None
    until: Moment | None = None
    group_by: Annotated[str, Meta(max_length=40, description="day, hour, model, api_key")] = "day"
    model: Annotated[str, Meta(max_length=100)] | None = None
    api_key: Annotated[str, Meta(max_length=100)] | None = None


class UsageTotals(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over answered requests. ``output_tokens`` includes reasoning."""

    total_usd: Usd
    call_count: int
    input_tokens: int
    cache_write_tokens: int
    cache_read_tokens: int
    output_tokens: int
    reasoning_tokens: int
    web_searches: int
    cost: UsageCost


class UsageBucket(UsageTotals, frozen=True, kw_only=True):
    """The sums of one group; what it is not grouped by is null. ``bucket`` is where the UTC day or
    hour begins.
    """

    bucket: Timestamp | None
    model: str | None
    api_key: str | None


class UsageSummary(msgspec.Struct, frozen=True, kw_only=True):
    """``since`` and ``until`` are what was summed: whole UTC hours around what was asked for."""

    since: Timestamp
    until: Timestamp
    group_by: list[str]
    buckets: list[UsageBucket]
    totals: UsageTotals


@dataclass(frozen=True, kw_only=True)
class UsageSummaryApi:
    """The handlers."""

    books: Books

    def routes(self) -> list[Route]:
        """For the account's people and for operators."""
        return [
            Route(
                method="GET",
                path="/api/v1/me/usage",
                handler=self.visible,
                summary="Sums of usage by day or hour, model and key",
                tag="usage",
                access=Permission.READ_SELF,
                query=UsageSummaryQuery,
                reply=UsageSummary,
                also=(404,),
            ),
            Route(
                method="GET",
                path="/api/v1/admin/accounts/{account}/usage/summary",
                handler=self.account,
                summary="Sums of an account's usage by day or hour, model and key",
                tag="usage",
                access=Access.OPERATOR,
                query=UsageSummaryQuery,
                reply=UsageSummary,
            ),
        ]

    async def visible(self, call: Call) -> Reply:
        asked: UsageSummaryQuery = call.query
        actor = call.actor
        span, groups = self._span(asked), _groups(asked.group_by)
        async with tenant(self.books.pool, actor.account_id) as conn:
            keys = await keys_in_sight(conn, actor, asked.api_key)
            wanted = _filter(asked, actor.account_id, keys, span, groups)
            rows = await read_summary(conn, wanted, limit=_MOST_BUCKETS + 1)
        return Reply(_summary(wanted, groups, rows))

    async def account(self, call: Call) -> Reply:
        asked: UsageSummaryQuery = call.query
        span, groups = self._span(asked), _groups(asked.group_by)
        account = await orgs.find_account(self.books, call.ids["account"])
        async with connection(self.books.pool) as conn:
            keys = await keys_in_account(conn, account.id, asked.api_key)
            wanted = _filter(asked, account.id, keys, span, groups)
            rows = await read_summary(conn, wanted, limit=_MOST_BUCKETS + 1)
        return Reply(_summary(wanted, groups, rows))

    def _span(self, asked: UsageSummaryQuery) -> tuple[int, int]:
        """Whole hours around what is asked for, as Unix milliseconds."""
        until_ms = read_time_ms(asked.until, param="until")
        if until_ms is None:
            until_ms = self.books.now_ms()
        since_ms = read_time_ms(asked.since, param="since")
        if since_ms is None:
            since_ms = until_ms - _DEFAULT_DAYS * DAY_MS
        if not 0 <= since_ms < until_ms <= LAST_MS - DAY_MS:
            raise GatewayError(
                ErrorCode.INVALID_REQUEST, "since must come before until", param="since"
            )
        if until_ms - since_ms > _LONGEST_DAYS * DAY_MS:
            raise GatewayError(
                ErrorCode.INVALID_REQUEST,
                f"at most {_LONGEST_DAYS} days can be summed at once",
                param="since",
            )
        return since_ms // HOUR_MS * HOUR_MS, -(-until_ms // HOUR_MS) * HOUR_MS


def _groups(group_by: str) -> list[str]:
    """The words of ``group_by`` in the order of :data:`_GROUPS`. Raises ``GatewayError`` 400."""
    words = {word.strip() for word in group_by.split(",")}
    if not words <= _GROUPS.keys() or {"day", "hour"} <= words:
        raise GatewayError(
            ErrorCode.INVALID_REQUEST,
            "expected day or hour, model, api_key, or several of them with commas between",
            param="group_by",
        )
    return [word for word in _GROUPS if word in words]


def _filter(
    asked: UsageSummaryQuery,
    account_id: str,
    keys: Sequence[str] | None,
    span: tuple[int, int],
    groups: Sequence[str],
) -> SummaryFilter:
    return SummaryFilter(
        account_id=account_id,
        key_ids=keys,
        since_ms=span[0],
        until_ms=span[1],
        group_by=[_GROUPS[word] for word in groups],
        model=asked.model,
    )


def _summary(
    wanted: SummaryFilter, groups: list[str], rows: Sequence[Mapping[str, Any]]
) -> UsageSummary:
    if len(rows) > _MOST_BUCKETS:
        raise GatewayError(
            ErrorCode.INVALID_REQUEST,
            f"more than {_MOST_BUCKETS} buckets: ask for a shorter time or group by less",
            param="group_by",
        )
    totals = [sum(row[name] for row in rows) for name in Sums._fields]
    return UsageSummary(
        since=timestamp(wanted.since_ms),
        until=timestamp(wanted.until_ms),
        group_by=groups,
        buckets=[_bucket(row) for row in rows],
        totals=UsageTotals(**_totals(Sums(*totals))),
    )


def _bucket(row: Mapping[str, Any]) -> UsageBucket:
    at_ms = row.get("day", row.get("hour"))
    return UsageBucket(
        bucket=None if at_ms is None else timestamp(at_ms),
        model=row.get("model"),
        api_key=row.get("key_id"),
        **_totals(Sums(*(row[name] for name in Sums._fields))),
    )


def _totals(sums: Sums) -> dict[str, Any]:
    """Values of :class:`UsageTotals`."""
    return {
        "total_usd": Usd(sums.charge_uusd),
        "call_count": sums.calls,
        "input_tokens": sums.input_tokens,
        "cache_write_tokens": sums.cache_write_tokens,
        "cache_read_tokens": sums.cache_read_tokens,
        "output_tokens": sums.output_tokens,
        "reasoning_tokens": sums.reasoning_tokens,
        "web_searches": sums.web_searches,
        "cost": UsageCost(
            input=Usd(sums.input_uusd),
            cache_write=Usd(sums.cache_write_uusd),
            cache_read=Usd(sums.cache_read_uusd),
            output=Usd(sums.output_uusd),
            web_search=Usd(sums.web_search_uusd),
        ),
    }
