"""Routes of API keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from bytespike_ledger.accounts import keys
from bytespike_ledger.api.call import Call, Reply
from bytespike_ledger.api.route import Access, Route
from bytespike_ledger.api.wire import (
    Amount,
    Days,
    Name,
    Networks,
    PageQuery,
    Request,
    Scopes,
    Timestamp,
    Usd,
    read_usd,
    timestamp,
    timestamp_of,
)
from bytespike_ledger.books import Books
from bytespike_ledger.catalogue import CatalogueWatch
from bytespike_ledger.store.keys import KeyRow

__all__ = ["KeyApi"]

_DAY_MS = 86_400_000

#: Field of a request -> column of the key, where they differ.
_COLUMN = {
    "quota": "quota_uusd",
    "rate_limit_5h": "window_5h_uusd",
    "rate_limit_1d": "window_1d_uusd",
    "rate_limit_7d": "window_7d_uusd",
    "group": "routing_group",
    "expires_in_days": "expires_ms",
}


class KeyChanges(Request, frozen=True, kw_only=True):
    """What is left out stays as it is. Amounts are USD, 0 = unlimited; ``expires_in_days`` counts
    from now, null = never.
    """

    name: Name | UnsetType = UNSET
    quota: Amount | UnsetType = UNSET
    rate_limit_5h: Amount | UnsetType = UNSET
    rate_limit_1d: Amount | UnsetType = UNSET
    rate_limit_7d: Amount | UnsetType = UNSET
    ip_allow: Networks | UnsetType = UNSET
    ip_deny: Networks | UnsetType = UNSET
    expires_in_days: Days | UnsetType | None = UNSET
    group: str | UnsetType = UNSET
    scopes: Scopes | UnsetType = UNSET
    status: Literal["active", "disabled"] | UnsetType = UNSET


class KeyRequest(Request, frozen=True, kw_only=True):
    """A new key. Amounts are USD, 0 = unlimited."""

    name: Name
    quota: Amount = msgspec.Raw(b"0")
    rate_limit_5h: Amount = msgspec.Raw(b"0")
    rate_limit_1d: Amount = msgspec.Raw(b"0")
    rate_limit_7d: Amount = msgspec.Raw(b"0")
    ip_allow: Networks = msgspec.field(default_factory=list)
    ip_deny: Networks = msgspec.field(default_factory=list)
    expires_in_days: Days | None = None
    group: str = "default"
    scopes: Scopes = msgspec.field(default_factory=lambda: ["inference"])
    custom_key: str | None = None


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its secret; limits of 0 mean unlimited."""

    id: str
    org_id: str | None
    account_id: str
    name: str
    hint: str
    status: str
    scopes: list[str]
    group: str
    quota: Usd
    rate_limit_5h: Usd
    rate_limit_1d: Usd
    rate_limit_7d: Usd
    ip_allow: list[str]
    ip_deny: list[str]
    expires_at: Timestamp | None
    version: int
    created_at: Timestamp
    updated_at: Timestamp


class NewKey(Key, frozen=True, kw_only=True):
    """A key that was just made: the only reply that shows its secret, as ``key``."""

    key: str


class KeyPage(msgspec.Struct, frozen=True, kw_only=True):
    """``next_cursor`` is null on the last page."""

    items: list[Key]
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True)
class KeyApi:
    """The handlers."""

    books: Books
    catalogue: CatalogueWatch

    def routes(self) -> list[Route]:
        """Operators' paths of keys."""
        of_account = "/api/v1/admin/accounts/{account}/keys"
        one = "/api/v1/admin/keys/{key}"

        def at(method: str, path: str, handler: Any, summary: str, **more: Any) -> Route:
            return Route(
                method=method,
                path=path,
                handler=handler,
                summary=summary,
                tag="keys",
                access=Access.OPERATOR,
                **{"reply": Key, **more},
            )

        return [
            at(
                "POST",
                of_account,
                self.create,
                "Make a key; its secret is shown this once",
                body=KeyRequest,
                reply=NewKey,
                status=201,
            ),
            at(
                "GET",
                of_account,
                self.list,
                "Keys of an account, oldest first",
                query=PageQuery,
                reply=KeyPage,
            ),
            at("GET", one, self.get, "One key"),
            at("PATCH", one, self.change, "Change a key", body=KeyChanges),
            at("POST", one + "/disable", self.disable, "Refuse a key until it is enabled"),
            at("DELETE", one, self.delete, "Refuse a key for good"),
        ]

    async def create(self, call: Call) -> Reply:
        asked: KeyRequest = call.body
        made = await keys.create_key(
            self.books,
            self.catalogue.current,
            call.ids["account"],
            custom_key=asked.custom_key,
            controls=self._columns(asked),
        )
        return Reply(NewKey(key=made.secret, **_fields(made.row)))

    async def list(self, call: Call) -> Reply:
        page: PageQuery = call.query
        rows = await keys.list_keys(
            self.books, call.ids["account"], after=page.cursor, limit=page.limit
        )
        more = len(rows) == page.limit
        return Reply(
            KeyPage(
                items=[Key(**_fields(row)) for row in rows],
                next_cursor=rows[-1].id if more else None,
            )
        )

    async def get(self, call: Call) -> Reply:
        return Reply(Key(**_fields(await keys.find_key(self.books, call.ids["key"]))))

    async def change(self, call: Call) -> Reply:
        return await self._change(call, self._columns(call.body))

    async def disable(self, call: Call) -> Reply:
        return await self._change(call, {"status": "disabled"})

    async def delete(self, call: Call) -> Reply:
        return await self._change(call, {"status": "deleted"})

    async def _change(self, call: Call, changes: Mapping[str, object]) -> Reply:
        row = await keys.change_key(self.books, self.catalogue.current, call.ids["key"], changes)
        return Reply(Key(**_fields(row)))

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


def _fields(row: KeyRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "org_id": row.org_id,
        "account_id": row.account_id,
        "name": row.name,
        "hint": row.hint,
        "status": row.status,
        "scopes": row.scopes,
        "group": row.routing_group,
        "quota": Usd(row.caps.quota_uusd),
        "rate_limit_5h": Usd(row.caps.window_5h_uusd),
        "rate_limit_1d": Usd(row.caps.window_1d_uusd),
        "rate_limit_7d": Usd(row.caps.window_7d_uusd),
        "ip_allow": row.ip_allow,
        "ip_deny": row.ip_deny,
        "expires_at": None if row.expires_ms is None else timestamp(row.expires_ms),
        "version": row.version,
        "created_at": timestamp_of(row.created_at),
        "updated_at": timestamp_of(row.updated_at),
    }
