"""Shapes on the wire: amounts, times, pages, and how bodies are read and written.

Amounts are USD decimals, read from a JSON number or string by their text and written as JSON
numbers with exact digits, so no float ever comes near them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Protocol, TypeVar
from urllib.parse import parse_qsl

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_contracts.money import MAX_UUSD, format_usd, parse_usd

__all__ = [
    "LAST_MS",
    "UNSET",
    "Amount",
    "Days",
    "Moment",
    "Name",
    "Networks",
    "PageQuery",
    "Request",
    "ScopeName",
    "Scopes",
    "Timestamp",
    "UnsetType",
    "Usd",
    "decode",
    "decode_query",
    "encode",
    "next_cursor",
    "read_time_ms",
    "read_usd",
    "schema_hook",
    "timestamp",
    "timestamp_of",
]

#: How an amount is sent to us; :func:`read_usd` reads it.
Amount = Annotated[
    Raw,
    Meta(
        description="USD with at most 6 decimal places, as a number or a string",
        extra_json_schema={
            "anyOf": [
                {"type": "number"},
                {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,6})?$"},
            ]
        },
    ),
]
#: RFC 3339 in UTC with milliseconds; :func:`timestamp` makes one.
Timestamp = Annotated[
    str, Meta(description="RFC 3339, UTC", extra_json_schema={"format": "date-time"})
]
#: A moment a caller names; :func:`read_time_ms` reads it.
Moment = Annotated[str, Meta(description="RFC 3339 or Unix seconds", max_length=40)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
#: Fractions are allowed: half a day is a fair wish.
Days = Annotated[float, Meta(gt=0, le=3650)]
Networks = list[Annotated[str, Meta(max_length=64)]]
ScopeName = Literal["inference", "manage"]
Scopes = Annotated[list[ScopeName], Meta(min_length=1, max_length=2)]

LAST_MS = 253_402_300_799_999  # the end of year 9999, where dates end
#: More than any call has parameters.
_MAX_PAIRS = 50
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What bodies and queries of calls are made of: a field nobody knows is a typo, and refused."""


class PageQuery(Request, frozen=True, kw_only=True):
    """A slice of a list: after ``cursor`` (from the page before), at most ``limit`` items."""

    cursor: Annotated[str, Meta(max_length=100, description="next_cursor of the page before")] = ""
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class _Numbered(Protocol):
    @property
    def id(self) -> str | int: ...


def next_cursor(rows: Sequence[_Numbered], limit: int) -> str | None:
    """Where the page after these rows begins; None if they were the last."""
    return str(rows[-1].id) if len(rows) == limit else None


class Usd:
    """An amount on its way out; in micro-USD inside, a JSON number such as ``192.40`` outside."""

    __slots__ = ("uusd",)

    def __init__(self, uusd: int) -> None:
        self.uusd = uusd

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Usd) and self.uusd == other.uusd

    def __hash__(self) -> int:
        return hash(self.uusd)

    def __repr__(self) -> str:
        return f"Usd({format_usd(self.uusd)})"


T = TypeVar("T")


def encode(value: object) -> bytes:
    """A reply as JSON."""
    return _encoder.encode(value)


def schema_hook(kind: type) -> dict[str, Any]:
    """JSON schema of the types that are ours."""
    if kind is Usd:
        return {"type": "number", "description": "USD, 2 to 6 decimal places, exact"}
    raise NotImplementedError(kind)


def decode(body: bytes, kind: type[T]) -> T:
    """Decode a request body. Raises ``GatewayError`` 400 with the JSON path of what is wrong."""
    try:
        # Texts that are not looked into here (amounts) would carry broken bytes on.
        body.decode()
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise _invalid(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _refused(f"the body is not valid JSON: {error}") from error
    except RecursionError:
        raise _refused("the body is nested too deeply") from None


def decode_query(query: str, kind: type[T]) -> T:
    """The raw query string as a struct; words become numbers where fields are. Raises as above,
    and for a name that comes twice: which of the two counts would be a guess.
    """
    if not query.isascii():
        raise _refused("the query string must be percent-encoded")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=_MAX_PAIRS)
    except ValueError as error:
        raise _refused("the query string cannot be read") from error
    words = dict(pairs)
    if len(words) < len(pairs):
        raise _refused("a parameter was given twice")
    try:
        return msgspec.convert(words, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _invalid(error) from error


def read_usd(value: Raw, *, param: str, least_uusd: int = 0) -> int:
    """Micro-USD of a JSON number or string. Raises ``GatewayError`` 400 naming ``param``."""
    text = bytes(value).decode()
    if text.startswith('"'):
        text = msgspec.json.decode(text, type=str)
    try:
        amount_uusd = int(parse_usd(text))
    except ValueError:
        amount_uusd = least_uusd - 1
    if not least_uusd <= amount_uusd <= MAX_UUSD:
        least = "0" if least_uusd == 0 else format_usd(least_uusd)
        raise GatewayError(
            ErrorCode.INVALID_REQUEST,
            f"expected an amount in USD from {least} to {format_usd(MAX_UUSD)}"
            " with at most 6 decimal places",
            param=param,
        )
    return amount_uusd


def read_time_ms(text: str | None, *, param: str) -> int | None:
    """Unix seconds or RFC 3339 (without an offset: UTC) as Unix milliseconds; None stays None."""
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) <= 12 and int(text) * 1000 <= LAST_MS:
        return int(text) * 1000
    try:
        at = datetime.fromisoformat(text)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise GatewayError(
            ErrorCode.INVALID_REQUEST, "expected a time: RFC 3339 or Unix seconds", param=param
        ) from error
    return int((at - _EPOCH) / timedelta(milliseconds=1))


def timestamp(at_ms: int) -> str:
    """RFC 3339 in UTC with milliseconds."""
    at = datetime.fromtimestamp(at_ms // 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"


def timestamp_of(at: datetime) -> str:
    """The same from what Postgres gives."""
    return timestamp(int(at.timestamp() * 1000))


def _refused(reason: str) -> GatewayError:
    return GatewayError(ErrorCode.INVALID_REQUEST, reason)


def _invalid(error: msgspec.ValidationError) -> GatewayError:
    reason, _, path = str(error).partition(" - at `$.")
    return GatewayError(ErrorCode.INVALID_REQUEST, reason, param=path.rstrip("`") or None)


def _outgoing(value: object) -> Raw:
    if isinstance(value, Usd):
        return Raw(format_usd(value.uusd).encode())
    raise NotImplementedError(f"not for the wire: {type(value).__name__}")


_encoder = msgspec.json.Encoder(enc_hook=_outgoing)
