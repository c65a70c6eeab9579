"""Handlers of ``/api/v1/admin``: organisations, wallets, keys, audit, rebuild."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET

from bytespike_ledger.accounts import keys, orgs, wallets
from bytespike_ledger.api.call import Call, Reply, page_of
from bytespike_ledger.api.views import key_view, org_view, top_up_view
from bytespike_ledger.api.wire import (
    KeyChanges,
    KeyRequest,
    OrgRequest,
    TopUpRequest,
    decode,
    read_usd,
)
from bytespike_ledger.audit import AuditReport
from bytespike_ledger.books import Books
from bytespike_ledger.catalogue import CatalogueWatch

__all__ = ["AdminApi"]

_DAY_MS = 86_400_000
_PAGE = 100

#: Field of the request -> column of the key, where they differ.
_COLUMN = {
    "quota": "quota_uusd",
    "rate_limit_5h": "window_5h_uusd",
    "rate_limit_1d": "window_1d_uusd",
    "rate_limit_7d": "window_7d_uusd",
    "group": "routing_group",
    "expires_in_days": "expires_ms",
}


@dataclass(frozen=True, kw_only=True)
class AdminApi:
    """The handlers; ``audit`` and ``rebuild`` are the upkeep's own functions."""

    books: Books
    catalogue: CatalogueWatch
    audit: Callable[[], Awaitable[AuditReport]]
    rebuild: Callable[[], Awaitable[None]]

    async def create_org(self, call: Call) -> Reply:
        """POST orgs"""
        asked = decode(call.body, OrgRequest)
        org = await orgs.create_org(
            self.books, name=asked.name, tier=asked.tier, concurrency=asked.concurrency
        )
        return Reply(org_view(org), 201)

    async def list_orgs(self, call: Call) -> Reply:
        """GET orgs"""
        page = page_of(call.query, default_limit=_PAGE)
        found = await orgs.list_orgs(self.books, after=page.cursor, limit=page.limit)
        return _list([org_view(org) for org in found], page.limit)

    async def get_org(self, call: Call) -> Reply:
        """GET orgs/{org}"""
        return Reply(org_view(await orgs.find_org(self.books, call.ids[0])))

    async def top_up(self, call: Call) -> Reply:
        """POST orgs/{org}/top-ups"""
        asked = decode(call.body, TopUpRequest)
        done = await wallets.top_up(
            self.books,
            call.ids[0],
            amount_uusd=read_usd(asked.usd, param="usd", least_uusd=1),
            idempotency_key=asked.idempotency_key,
            note=asked.note,
        )
        return Reply(top_up_view(done), 200 if done.replayed else 201)

    async def create_key(self, call: Call) -> Reply:
        """POST orgs/{org}/keys: the only reply that shows the key"""
        asked = decode(call.body, KeyRequest)
        made = await keys.create_key(
            self.books,
            self.catalogue.current,
            call.ids[0],
            custom_key=asked.custom_key,
            controls=self._columns(asked),
        )
        return Reply({"key": made.secret, **key_view(made.row)}, 201)

    async def list_keys(self, call: Call) -> Reply:
        """GET orgs/{org}/keys"""
        page = page_of(call.query, default_limit=_PAGE)
        rows = await keys.list_keys(self.books, call.ids[0], after=page.cursor, limit=page.limit)
        return _list([key_view(row) for row in rows], page.limit)

    async def get_key(self, call: Call) -> Reply:
        """GET keys/{key}"""
        return Reply(key_view(await keys.find_key(self.books, call.ids[0])))

    async def change_key(self, call: Call) -> Reply:
        """PATCH keys/{key}"""
        return await self._change(call, self._columns(decode(call.body, KeyChanges)))

    async def disable_key(self, call: Call) -> Reply:
        """POST keys/{key}/disable"""
        return await self._change(call, {"status": "disabled"})

    async def delete_key(self, call: Call) -> Reply:
        """DELETE keys/{key}"""
        return await self._change(call, {"status": "deleted"})

    async def run_audit(self, _call: Call) -> Reply:
        """GET audit"""
        return Reply((await self.audit()).view())

    async def run_rebuild(self, _call: Call) -> Reply:
        """POST rebuild: answers when Redis has been loaded anew"""
        await self.rebuild()
        return Reply({"rebuilt": True})

    async def _change(self, call: Call, changes: Mapping[str, object]) -> Reply:
        row = await keys.change_key(self.books, self.catalogue.current, call.ids[0], changes)
        return Reply(key_view(row))

    def _columns(self, asked: KeyRequest | KeyChanges) -> dict[str, object]:
        """The columns a request sets, checked and in the ledger's units."""
        columns: dict[str, object] = {}
        for field in asked.__struct_fields__:
            value = getattr(asked, field)
            if value is not UNSET and field != "custom_key":
                columns[_COLUMN.get(field, field)] = self._column_value(field, value)
        return columns

    def _column_value(self, field: str, value: Any) -> object:
        match field:
            case "quota" | "rate_limit_5h" | "rate_limit_1d" | "rate_limit_7d":
                return read_usd(value, param=field)
            case "ip_allow" | "ip_deny":
                return keys.normalise_networks(value, param=field)
            case "scopes":
                return sorted(set(value))
            case "expires_in_days":
                return self._expiry_ms(value)
        return value

    def _expiry_ms(self, days: float | None) -> int | None:
        return None if days is None else self.books.now_ms() + int(days * _DAY_MS)


def _list(items: list[dict[str, object]], limit: int) -> Reply:
    """A page; ``next_cursor`` is null on the last one."""
    return Reply({"items": items, "next_cursor": items[-1]["id"] if len(items) == limit else None})
