"""Shapes of request and reply bodies, and amounts on the wire.

Amounts are USD decimals, read from a JSON number or string by their text and written as JSON
numbers with exact digits, so no float ever comes near them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_contracts.money import format_usd, parse_usd
from bytespike_ledger.accounts.wallets import MAX_BALANCE_UUSD

__all__ = [
    "KeyChanges",
    "KeyRequest",
    "OrgRequest",
    "TopUpRequest",
    "decode",
    "read_usd",
    "timestamp",
    "usd",
]

Name = Annotated[str, Meta(min_length=1, max_length=200)]
#: Fractions are allowed: half a day is a fair wish.
Days = Annotated[float, Meta(gt=0, le=3650)]
Networks = list[Annotated[str, Meta(max_length=64)]]
ScopeName = Literal["inference", "manage"]
Scopes = Annotated[list[ScopeName], Meta(min_length=1, max_length=2)]
Tier = Literal["free", "pro", "max", "enterprise"]


class OrgRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``POST /api/v1/admin/orgs``. Without ``concurrency`` the tier's own number counts."""

    name: Name
    tier: Tier = "enterprise"
    concurrency: Annotated[int, Meta(ge=1, le=100_000)] | None = None


class TopUpRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``POST /api/v1/admin/orgs/{org}/top-ups``."""

    usd: Raw
    idempotency_key: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    note: Annotated[str, Meta(max_length=500)] = ""


class KeyChanges(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``PATCH /api/v1/admin/keys/{id}``: what is left out stays as it is.

    Amounts are USD, 0 = unlimited. ``expires_in_days`` counts from now, null = never.
    """

    name: Name | UnsetType = UNSET
    quota: Raw | UnsetType = UNSET
    rate_limit_5h: Raw | UnsetType = UNSET
    rate_limit_1d: Raw | UnsetType = UNSET
    rate_limit_7d: Raw | UnsetType = UNSET
    ip_allow: Networks | UnsetType = UNSET
    ip_deny: Networks | UnsetType = UNSET
    expires_in_days: Days | UnsetType | None = UNSET
    group: str | UnsetType = UNSET
    scopes: Scopes | UnsetType = UNSET
    status: Literal["active", "disabled"] | UnsetType = UNSET


class KeyRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``POST /api/v1/admin/orgs/{org}/keys``."""

    name: Name
    quota: Raw = Raw(b"0")
    rate_limit_5h: Raw = Raw(b"0")
    rate_limit_1d: Raw = Raw(b"0")
    rate_limit_7d: Raw = Raw(b"0")
    ip_allow: Networks = []
    ip_deny: Networks = []
    expires_in_days: Days | None = None
    group: str = "default"
    scopes: Scopes = msgspec.field(default_factory=lambda: ["inference"])
    custom_key: str | None = None


T = TypeVar("T")


def decode(body: bytes, kind: type[T]) -> T:
    """Decode a request body. Raises ``GatewayError`` 400 with the JSON path of what is wrong."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        raise GatewayError(
            ErrorCode.INVALID_REQUEST, reason, param=path.rstrip("`") or None
        ) from error
    except msgspec.DecodeError as error:
        raise GatewayError(
            ErrorCode.INVALID_REQUEST, f"the body is not valid JSON: {error}"
        ) from error


def read_usd(value: Raw, *, param: str, least_uusd: int = 0) -> int:
    """Micro-USD of a JSON number or string. Raises ``GatewayError`` 400 naming ``param``."""
    text = bytes(value).decode()
    if text.startswith('"'):
        text = msgspec.json.decode(text, type=str)
    try:
        amount_uusd = int(parse_usd(text))
    except ValueError:
        amount_uusd = -1
    if not least_uusd <= amount_uusd <= MAX_BALANCE_UUSD:
        least = "0" if least_uusd == 0 else format_usd(least_uusd)
        raise GatewayError(
            ErrorCode.INVALID_REQUEST,
            f"expected an amount in USD from {least} to {format_usd(MAX_BALANCE_UUSD)}"
            " with at most 6 decimal places",
            param=param,
        )
    return amount_uusd


def usd(amount_uusd: int) -> Raw:
    """A JSON number with exact digits, such as ``192.40``."""
    return Raw(format_usd(amount_uusd).encode())


def timestamp(at_ms: int) -> str:
    """RFC 3339 in UTC with milliseconds."""
    at = datetime.fromtimestamp(at_ms // 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"
