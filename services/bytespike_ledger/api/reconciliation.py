"""Reconciliation: what vendors will bill us beside what customers paid, for operators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_ledger.accounts.csv_text import csv_bytes
from bytespike_ledger.api.call import Call, Reply, csv_reply
from bytespike_ledger.api.route import Access, Route
from bytespike_ledger.api.wire import Request, Usd
from bytespike_ledger.books import Books
from bytespike_ledger.store import connection
from bytespike_ledger.store.reconciliation import ChannelDay, reconcile_day

__all__ = ["ReconciliationApi"]

#: A quarter with its longest months; each day is one query.
_MOST_DAYS = 92
_DEFAULT_DAYS = 31


class ReconciliationQuery(Request, frozen=True, kw_only=True):
    """UTC days of the request ids, ``since_day`` inclusive, ``until_day`` exclusive; without them
    the last 31 days up to today.
    """

    since_day: date | None = None
    until_day: date | None = None
    channel: Annotated[str, Meta(max_length=100)] | None = None


class ReconciliationLine(msgspec.Struct, frozen=True, kw_only=True):
    """One channel, model and day. ``calls`` and ``revenue_usd`` are of calls it answered last, the
    rest of all attempts at it. Requests that reached no channel stand under the empty name.
    """

    day: date
    channel: str
    model: str
    calls: int
    attempts: int
    input_tokens: int
    cache_write_tokens: int
    cache_read_tokens: int
    output_tokens: int
    reasoning_tokens: int
    web_searches: int
    cost_usd: Usd
    revenue_usd: Usd
    margin_usd: Usd


class ReconciliationTotals(msgspec.Struct, frozen=True, kw_only=True):
    """Sums of all lines."""

    calls: int
    attempts: int
    cost_usd: Usd
    revenue_usd: Usd
    margin_usd: Usd


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """By day, channel and model."""

    since_day: date
    until_day: date
    items: list[ReconciliationLine]
    totals: ReconciliationTotals


@dataclass(frozen=True, kw_only=True)
class ReconciliationApi:
    """The handler."""

    books: Books

    def routes(self) -> list[Route]:
        """``/api/v1/admin/reconciliation``."""
        return [
            Route(
                method="GET",
                path="/api/v1/admin/reconciliation",
                handler=self.reconcile,
                summary="What channels cost beside what customers paid, by day, channel and model",
                tag="usage",
                access=Access.OPERATOR,
                query=ReconciliationQuery,
                reply=Reconciliation,
            ),
            Route(
                method="GET",
                path="/api/v1/admin/reconciliation.csv",
                handler=self.reconcile_csv,
                summary="The same lines as CSV",
                tag="usage",
                access=Access.OPERATOR,
                query=ReconciliationQuery,
                content_type="text/csv; charset=utf-8",
            ),
        ]

    async def reconcile_csv(self, call: Call) -> Reply:
        asked: ReconciliationQuery = call.query
        found = await self._lines(asked, *self._days(asked))
        return csv_reply(_as_csv(found), "reconciliation.csv")

    async def _lines(
        self, asked: ReconciliationQuery, since: date, until: date
    ) -> list[ChannelDay]:
        found: list[ChannelDay] = []
        async with connection(self.books.pool) as conn:
            for number in range((until - since).days):
                found += await reconcile_day(
                    conn, since + timedelta(days=number), channel=asked.channel
                )
        return found

    async def reconcile(self, call: Call) -> Reply:
        asked: ReconciliationQuery = call.query
        since, until = self._days(asked)
        found = await self._lines(asked, since, until)
        cost = sum(line.cost_uusd for line in found)
        revenue = sum(line.revenue_uusd for line in found)
        return Reply(
            Reconciliation(
                since_day=since,
                until_day=until,
                items=[ReconciliationLine(**_fields(line)) for line in found],
                totals=ReconciliationTotals(
                    calls=sum(line.calls for line in found),
                    attempts=sum(line.attempts for line in found),
                    cost_usd=Usd(cost),
                    revenue_usd=Usd(revenue),
                    margin_usd=Usd(revenue - cost),
                ),
            )
        )

    def _days(self, asked: ReconciliationQuery) -> tuple[date, date]:
        today = datetime.fromtimestamp(self.books.now_ms() / 1000, UTC).date()
        until = asked.until_day or today + timedelta(days=1)
        since = asked.since_day
        if since is None:
            since = date.fromordinal(max(1, until.toordinal() - _DEFAULT_DAYS))
        if not 0 < (until - since).days <= _MOST_DAYS:
            raise GatewayError(
                ErrorCode.INVALID_REQUEST,
                f"expected 1 to {_MOST_DAYS} days from since_day up to until_day",
                param="since_day",
            )
        return since, until


def _fields(line: ChannelDay) -> dict[str, Any]:
    """Values of :class:`ReconciliationLine`."""
    plain = asdict(line)
    cost, revenue = plain.pop("cost_uusd"), plain.pop("revenue_uusd")
    return plain | {
        "cost_usd": Usd(cost),
        "revenue_usd": Usd(revenue),
        "margin_usd": Usd(revenue - cost),
    }


def _as_csv(lines: Sequence[ChannelDay]) -> bytes:
    """With the names of :class:`ReconciliationLine` on top."""
    rows = (
        [value.uusd if isinstance(value, Usd) else str(value) for value in _fields(line).values()]
        for line in lines
    )
    return csv_bytes(ReconciliationLine.__struct_fields__, rows)
