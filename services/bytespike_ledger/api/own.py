"""Handlers of what a key may see of itself: ``/v1/balance`` and ``/v1/usage``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_contracts.holds import WINDOWS, ScopeState, WindowState
from bytespike_contracts.ids import request_time_ms
from bytespike_contracts.principal import Principal
from bytespike_ledger.accounts import keys, orgs
from bytespike_ledger.api.call import Call, Reply, page_of
from bytespike_ledger.api.views import usage_view
from bytespike_ledger.api.wire import timestamp, usd
from bytespike_ledger.books import Books
from bytespike_ledger.store import connection
from bytespike_ledger.store.keys import KeyRow
from bytespike_ledger.store.usage import UsageFilter, list_usage

__all__ = ["OwnApi"]

_PAGE = 50
_DAY_MS = 86_400_000
#: Without ``since`` the list goes back this far; a cursor may walk further by giving ``since``.
_DEFAULT_SPAN = timedelta(days=31)
_LAST_MS = 253_402_300_799_999  # the end of year 9999, where dates end


@dataclass(frozen=True, kw_only=True)
class OwnApi:
    """The handlers; each needs a principal."""

    books: Books

    async def balance(self, call: Call) -> Reply:
        """GET /v1/balance: the wallet now, holds apart, and the key's own limits"""
        principal = _principal(call)
        key = await keys.find_key(self.books, principal.key_id)
        state = await self.books.projector.look(principal.account_id, principal.key_id)
        org = None
        if key.org_id is not None:
            found = await orgs.find_org(self.books, key.org_id)
            org = {"id": found.id, "name": found.name}
        return Reply(
            {
                "balance": {
                    # A request that cost more than its hold may leave less than nothing pending.
                    "available_usd": usd(max(0, state.balance_uusd - state.pending_uusd)),
                    "held_usd": usd(state.pending_uusd),
                    "balance_usd": usd(state.balance_uusd),
                },
                "key": _key_limits(key, state.scopes[0]),
                "org": org,
            }
        )

    async def usage(self, call: Call) -> Reply:
        """GET /v1/usage: one row per answered request of this key, newest first"""
        page = page_of(call.query, default_limit=_PAGE)
        wanted = self._filter(_principal(call).key_id, call.query, page.cursor)
        async with connection(self.books.pool) as conn:
            rows = await list_usage(conn, wanted, limit=page.limit)
        more = len(rows) == page.limit
        return Reply(
            {
                "items": [usage_view(row) for row in rows],
                "next_cursor": rows[-1]["request_id"] if more else None,
            }
        )

    def _filter(self, key_id: str, query: Mapping[str, str], cursor: str) -> UsageFilter:
        since_ms = _read_time(query, "since")
        until_ms = _read_time(query, "until")
        request_id = query.get("request_id")
        now = datetime.fromtimestamp(self.books.now_ms() / 1000, UTC).date()
        # A day more on both ends: ids are minted a moment before the admission that is filtered.
        first = _day(since_ms) - timedelta(days=1) if since_ms is not None else now - _DEFAULT_SPAN
        last = _day(until_ms) + timedelta(days=1) if until_ms is not None else now + timedelta(1)
        if request_id:
            first = last = _day_of_id(request_id, "request_id")
        if cursor:
            last = min(last, _day_of_id(cursor, "cursor"))
        return UsageFilter(
            key_id=key_id,
            first_day=first,
            last_day=last,
            model=query.get("model"),
            request_id=request_id,
            before=cursor or None,
            since_ms=since_ms,
            until_ms=until_ms,
        )


def _key_limits(key: KeyRow, scope: ScopeState) -> dict[str, object]:
    caps = (key.window_5h_uusd, key.window_1d_uusd, key.window_7d_uusd)
    return {
        "id": key.id,
        "name": key.name,
        "hint": key.hint,
        "quota": _limit(key.quota_uusd, scope.spent_uusd, scope.pending_uusd),
        "windows": [
            {
                "name": window.name,
                **_limit(cap, state.settled_uusd, state.pending_uusd),
                "resets_at": _reset(state),
            }
            for window, cap, state in zip(WINDOWS, caps, scope.windows, strict=True)
        ],
        "expires_at": None if key.expires_ms is None else timestamp(key.expires_ms),
    }


def _limit(cap_uusd: int, used_uusd: int, held_uusd: int) -> dict[str, object]:
    """A limit of 0 is none: its ``limit_usd`` and ``remaining_usd`` are null."""
    return {
        "limit_usd": usd(cap_uusd) if cap_uusd else None,
        "used_usd": usd(used_uusd),
        "held_usd": usd(held_uusd),
        "remaining_usd": usd(max(0, cap_uusd - used_uusd)) if cap_uusd else None,
    }


def _reset(state: WindowState) -> str | None:
    return timestamp(state.reset_ms) if state.reset_ms else None


def _principal(call: Call) -> Principal:
    if call.principal is None:
        raise GatewayError(ErrorCode.INVALID_API_KEY, "this route needs an API key")
    return call.principal


def _read_time(query: Mapping[str, str], name: str) -> int | None:
    """Unix seconds or RFC 3339 (without an offset: UTC) as Unix milliseconds."""
    text = query.get(name)
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) <= 12 and int(text) * 1000 <= _LAST_MS:
        return int(text) * 1000
    try:
        at = datetime.fromisoformat(text)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise GatewayError(
            ErrorCode.INVALID_REQUEST, "expected a time: RFC 3339 or Unix seconds", param=name
        ) from error
    return int((at - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1))


def _day(at_ms: int) -> date:
    """The day, kept a year from where dates end so that neighbours exist."""
    return datetime.fromtimestamp(min(max(at_ms, 0), _LAST_MS - 366 * _DAY_MS) // 1000, UTC).date()


def _day_of_id(request_id: str, name: str) -> date:
    try:
        return _day(request_time_ms(request_id))
    except ValueError as error:
        raise GatewayError(ErrorCode.INVALID_REQUEST, "not a request id", param=name) from error
