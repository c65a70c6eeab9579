"""Spend limits of organisations and members on the wire."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec
from msgspec import UNSET, UnsetType

from bytespike_ledger.accounts.changes import CAP_FIELDS
from bytespike_ledger.api.wire import Amount, Request, Usd, read_usd

__all__ = ["CapRequest", "Caps", "cap_columns", "cap_fields", "columns_of"]


class CapRequest(Request, frozen=True, kw_only=True):
    """Spend limits in USD, 0 = unlimited; each may be left out."""

    quota: Amount | UnsetType = UNSET
    rate_limit_5h: Amount | UnsetType = UNSET
    rate_limit_1d: Amount | UnsetType = UNSET
    rate_limit_7d: Amount | UnsetType = UNSET


class Caps(msgspec.Struct, frozen=True, kw_only=True):
    """Spend limits, 0 = unlimited: for life, and in any 5 hours, day, week."""

    quota: Usd
    rate_limit_5h: Usd
    rate_limit_1d: Usd
    rate_limit_7d: Usd


class _Row(Protocol):
    @property
    def quota_uusd(self) -> int: ...
    @property
    def window_5h_uusd(self) -> int: ...
    @property
    def window_1d_uusd(self) -> int: ...
    @property
    def window_7d_uusd(self) -> int: ...


def cap_columns(asked: CapRequest) -> dict[str, int]:
    """The columns that were named, in micro-USD. Raises ``GatewayError`` naming the field."""
    return {
        column: read_usd(value, param=field)
        for field, column in CAP_FIELDS.items()
        if (value := getattr(asked, field)) is not UNSET
    }


def columns_of(asked: CapRequest) -> dict[str, object]:
    """Everything that was named: limits in micro-USD, other fields as they are."""
    plain = {
        field: value
        for field in asked.__struct_fields__
        if field not in CAP_FIELDS and (value := getattr(asked, field)) is not UNSET
    }
    return {**plain, **cap_columns(asked)}


def cap_fields(row: _Row) -> dict[str, Any]:
    """The fields of :class:`Caps`."""
    return {field: Usd(getattr(row, column)) for field, column in CAP_FIELDS.items()}
