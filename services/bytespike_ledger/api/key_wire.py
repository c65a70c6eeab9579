"""Shapes of API keys on the wire, and how they become columns and come from rows."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_ledger.accounts.key_rules import NEW_KEY, normalise_networks
from bytespike_ledger.api.wire import (
    UNSET,
    Amount,
    Days,
    Name,
    Networks,
    PageQuery,
    Request,
    Scopes,
    Timestamp,
    UnsetType,
    Usd,
    read_usd,
    timestamp,
    timestamp_of,
)
from bytespike_ledger.store.keys import KeyRow

__all__ = [
    "Key",
    "KeyChanges",
    "KeyControls",
    "KeyPage",
    "KeyQuery",
    "KeyRequest",
    "NewKey",
    "RevealedKey",
    "RotationRequest",
    "columns_of",
    "key_fields",
    "new_columns",
]

_DAY_MS = 86_400_000
#: A day: longer than any deployment takes to pick a new secret up.
_MAX_OVERLAP_S = 86_400

#: Field of a request -> column of the key, where they differ.
_COLUMN = {
    "quota": "quota_uusd",
    "rate_limit_5h": "window_5h_uusd",
    "rate_limit_1d": "window_1d_uusd",
    "rate_limit_7d": "window_7d_uusd",
    "group": "routing_group",
    "expires_in_days": "expires_ms",
}
#: Second name of a field -> its first.
_ALIASES = {"ip_whitelist": "ip_allow", "ip_blacklist": "ip_deny", "group_id": "group"}
#: Fields that are not columns.
_APART = frozenset({"custom_key", "member_id"})

Group = Annotated[str, Meta(min_length=1, max_length=64)]


class KeyControls(Request, frozen=True, kw_only=True):
    """What a key may do. Amounts are USD, 0 = unlimited; ``expires_in_days`` counts from now, null
    = never. ``ip_whitelist``, ``ip_blacklist`` and ``group_id`` (a group's id, a text) are second
    names of ``ip_allow``, ``ip_deny`` and ``group``.
    """

    quota: Amount | UnsetType = UNSET
    rate_limit_5h: Amount | UnsetType = UNSET
    rate_limit_1d: Amount | UnsetType = UNSET
    rate_limit_7d: Amount | UnsetType = UNSET
    ip_allow: Networks | UnsetType = UNSET
    ip_deny: Networks | UnsetType = UNSET
    ip_whitelist: Networks | UnsetType = UNSET
    ip_blacklist: Networks | UnsetType = UNSET
    expires_in_days: Days | UnsetType | None = UNSET
    group: Group | UnsetType = UNSET
    group_id: Group | UnsetType = UNSET
    scopes: Scopes | UnsetType = UNSET


class KeyChanges(KeyControls, frozen=True, kw_only=True):
    """What is left out stays as it is."""

    name: Name | UnsetType = UNSET
    status: Literal["active", "disabled"] | UnsetType = UNSET


class KeyRequest(KeyControls, frozen=True, kw_only=True):
    """A new key. What is left out: no limits, everywhere, for ever, group ``default``, scope
    ``inference``. ``member_id`` is whose key it becomes: left out = the caller's own; null = the
    account's.
    """

    name: Name
    custom_key: str | None = None
    member_id: Annotated[str, Meta(max_length=64)] | UnsetType | None = UNSET


class RotationRequest(Request, frozen=True, kw_only=True):
    """The old secret goes on working for ``overlap_seconds``; 0 = it ends at once."""

    overlap_seconds: Annotated[int, Meta(ge=0, le=_MAX_OVERLAP_S)] = 0


class KeyQuery(PageQuery, frozen=True, kw_only=True):
    """``search`` is a part of the name, in any case."""

    status: Literal["active", "disabled"] | None = None
    group: Group | None = None
    search: Annotated[str, Meta(min_length=1, max_length=200)] | None = None


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its secret; limits of 0 mean unlimited. ``old_secret_expires_at`` is when the
    overlap of a rotation ends, null when none runs.
    """

    id: str
    org_id: str | None
    account_id: str
    member_id: str | None
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
    old_secret_expires_at: Timestamp | None
    last_used_at: Timestamp | None
    last_used_address: str | None
    version: int
    created_at: Timestamp
    updated_at: Timestamp


class NewKey(Key, frozen=True, kw_only=True):
    """A key with its new secret, as ``key``. Null only in the answer to a repeated creation, where
    secrets are not kept to be revealed.
    """

    key: str | None


class RevealedKey(msgspec.Struct, frozen=True, kw_only=True):
    """The secret of a key, as ``key``."""

    id: str
    key: str


class KeyPage(msgspec.Struct, frozen=True, kw_only=True):
    """``next_cursor`` is null on the last page."""

    items: list[Key]
    next_cursor: str | None


def columns_of(asked: KeyControls, *, now_ms: int) -> dict[str, object]:
    """The columns a request sets, checked and in the ledger's units. Raises ``GatewayError`` 400
    naming the field.
    """
    columns: dict[str, object] = {}
    for field in asked.__struct_fields__:
        value = getattr(asked, field)
        if value is UNSET or field in _APART:
            continue
        name = _ALIASES.get(field, field)
        column = _COLUMN.get(name, name)
        if column in columns:
            raise GatewayError(
                ErrorCode.INVALID_REQUEST, f"{name} and {field} are the same field", param=field
            )
        columns[column] = _column_value(field, value, now_ms)
    return columns


def new_columns(asked: KeyRequest, *, now_ms: int) -> dict[str, object]:
    """The same with the defaults of a new key."""
    return {
        **NEW_KEY,
        **columns_of(asked, now_ms=now_ms),
    }


def key_fields(row: KeyRow, *, now_ms: int) -> dict[str, Any]:
    """The fields of :class:`Key`."""
    overlaps = row.old_secret_works(now_ms)
    return {
        "id": row.id,
        "org_id": row.org_id,
        "account_id": row.account_id,
        "member_id": row.member_id,
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
        "expires_at": _moment(row.expires_ms),
        "old_secret_expires_at": _moment(row.old_expires_ms if overlaps else None),
        "last_used_at": _moment(row.last_used_ms),
        "last_used_address": row.last_used_address,
        "version": row.version,
        "created_at": timestamp_of(row.created_at),
        "updated_at": timestamp_of(row.updated_at),
    }


def _column_value(field: str, value: Any, now_ms: int) -> object:
    match field:
        case "quota" | "rate_limit_5h" | "rate_limit_1d" | "rate_limit_7d":
            return read_usd(value, param=field)
        case "ip_allow" | "ip_deny" | "ip_whitelist" | "ip_blacklist":
            return normalise_networks(value, param=field)
        case "scopes":
            return sorted(set(value))
        case "expires_in_days":
            return None if value is None else now_ms + int(value * _DAY_MS)
    return value


def _moment(at_ms: int | None) -> str | None:
    return None if at_ms is None else timestamp(at_ms)
