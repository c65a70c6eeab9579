"""One API call as a value: what a handler gets, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_contracts.principal import Principal

__all__ = ["Call", "Page", "Reply", "page_of", "read_int"]

_MAX_PAGE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """``ids`` are the variable parts of the path; ``principal`` is None on admin routes."""

    query: Mapping[str, str]
    body: bytes
    ids: tuple[str, ...]
    principal: Principal | None


@dataclass(frozen=True, slots=True)
class Reply:
    """A JSON answer."""

    body: object
    status: int = 200

    def encode(self) -> bytes:
        """The bytes to send."""
        return msgspec.json.encode(self.body)


@dataclass(frozen=True, slots=True)
class Page:
    """A slice of a list ordered by id: after ``cursor`` (exclusive), at most ``limit``."""

    cursor: str
    limit: int


def page_of(query: Mapping[str, str], *, default_limit: int) -> Page:
    """Read ``limit`` and ``cursor``. Raises ``GatewayError`` 400."""
    limit = read_int(query, "limit", least=1, most=_MAX_PAGE)
    return Page(query.get("cursor", ""), default_limit if limit is None else limit)


def read_int(query: Mapping[str, str], name: str, *, least: int, most: int) -> int | None:
    """An integer of the query, or None if it is not there. Raises ``GatewayError`` 400."""
    text = query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 16 and least <= int(text) <= most):
        raise GatewayError(
            ErrorCode.INVALID_REQUEST, f"expected an integer from {least} to {most}", param=name
        )
    return int(text)
