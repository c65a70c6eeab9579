"""The path table: what each path speaks, who serves it, who may call it and how large it may be.

One dictionary look-up decides. Adding an endpoint is adding a row; nothing here knows how a request
is served.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_contracts.keys import Scope

__all__ = ["Dialect", "Kind", "Route", "Upstream", "dialect_of", "find_route"]

_MIB = 1_048_576


class Dialect(StrEnum):
    """The API an error has to be written in."""

    ANTHROPIC = "anthropic"
    OPENAI = "openai_chat"
    GEMINI = "gemini"


class Upstream(StrEnum):
    """The service behind the edge that answers a route."""

    TEXT = "text"
    MEDIA = "media"
    LEDGER = "ledger"


class Kind(StrEnum):
    """How a route is served (see ``handlers``)."""

    #: Reserve the worst case, forward, report the cost.
    METERED = "metered"
    #: Names a model like a metered call but costs nothing.
    COUNTED = "counted"
    #: The caller's own account data; no body, nothing reserved.
    OWN_DATA = "own_data"
    #: Not judged here: the ledger checks the administrator's token.
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One row. ``template`` names the route in logs and metrics (a closed set) and is the path sent
    on, except under a prefix.
    """

    template: str
    dialect: Dialect
    upstream: Upstream
    kind: Kind
    methods: frozenset[str]
    #: None: any scope will do, as for the caller's own data.
    scope: Scope | None = None
    max_body_bytes: int = 0


_ROUTES = (
    Route(
        template="/v1/messages",
        dialect=Dialect.ANTHROPIC,
        upstream=Upstream.TEXT,
        kind=Kind.METERED,
        methods=frozenset({"POST"}),
        scope=Scope.INFERENCE,
        max_body_bytes=32 * _MIB,
    ),
    Route(
        template="/v1/messages/count_tokens",
        dialect=Dialect.ANTHROPIC,
        upstream=Upstream.TEXT,
        kind=Kind.COUNTED,
        methods=frozenset({"POST"}),
        scope=Scope.INFERENCE,
        max_body_bytes=32 * _MIB,
    ),
    Route(
        template="/v1/balance",
        dialect=Dialect.OPENAI,
        upstream=Upstream.LEDGER,
        kind=Kind.OWN_DATA,
        methods=frozenset({"GET"}),
    ),
    Route(
        template="/v1/usage",
        dialect=Dialect.OPENAI,
        upstream=Upstream.LEDGER,
        kind=Kind.OWN_DATA,
        methods=frozenset({"GET"}),
    ),
)

_ADMIN_PREFIX = "/api/v1/admin/"
_ADMIN = Route(
    template=_ADMIN_PREFIX + "*",
    dialect=Dialect.OPENAI,
    upstream=Upstream.LEDGER,
    kind=Kind.ADMIN,
    methods=frozenset({"GET", "POST", "PATCH", "PUT", "DELETE"}),
    max_body_bytes=_MIB,
)

#: SDKs append ``/v1/...`` to whatever base URL they are given, so a base that already ends in
#: ``/v1`` doubles the prefix. Both spellings are the same route.
_BY_PATH: Mapping[str, Route] = {
    path: route for route in _ROUTES for path in (route.template, "/v1" + route.template)
}


def find_route(method: str, path: str) -> Route:
    """The row that serves ``method path``.

    Raises :class:`GatewayError`: not_found for an unknown path, method_not_allowed (with ``Allow``)
    for a known one.
    """
    route = _BY_PATH.get(path)
    if route is None:
        route = _admin_route(path)
    if route is None:
        raise GatewayError(ErrorCode.NOT_FOUND, f"there is no {method} {path[:200]}")
    if method not in route.methods:
        allowed = ", ".join(sorted(route.methods))
        raise GatewayError(
            ErrorCode.METHOD_NOT_ALLOWED,
            f"{path[:200]} answers {allowed} only",
            headers={"Allow": allowed},
        )
    return route


def dialect_of(path: str) -> Dialect:
    """The dialect to refuse in when no row matches: that of the path's prefix."""
    if path.startswith("/v1/v1"):
        path = path[3:]
    if path.startswith("/v1/messages"):
        return Dialect.ANTHROPIC
    if path.startswith("/v1beta") or _has_verb(path):
        return Dialect.GEMINI
    return Dialect.OPENAI


def _has_verb(path: str) -> bool:
    """Google's methods end in ``:verb``; some clients escape the colon."""
    last = path.rpartition("/")[2]
    return ":" in last or "%3a" in last.lower()


def _admin_route(path: str) -> Route | None:
    # Dots are refused because a server behind might resolve them to a path outside the prefix.
    if not path.startswith(_ADMIN_PREFIX) or ".." in path or "%2e" in path.lower():
        return None
    return _ADMIN
