"""The path table: what each path speaks, who serves it, who may call it and how large it may be.

One dictionary look-up decides, but for the few paths that contain a model's name. Adding an
endpoint is adding a row; nothing here knows how a request is served.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import unquote

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_contracts.keys import Scope
from bytespike_protocols.ir import Dialect

__all__ = ["Kind", "Match", "Route", "Upstream", "dialect_of", "find_route"]

_MIB = 1_048_576


class Upstream(StrEnum):
    """The service behind the edge that answers a route."""

    TEXT = "text"
    MEDIA = "media"
    LEDGER = "ledger"
    #: Nobody behind: the edge knows the answer.
    EDGE = "edge"


class Kind(StrEnum):
    """How a route is served (see ``handlers``)."""

    #: Reserve the worst case, forward, report the cost.
    METERED = "metered"
    #: Names a model like a metered call but costs nothing.
    COUNTED = "counted"
    #: What models there are, from the catalogue.
    MODELS = "models"
    #: The caller's account, seen or changed by the ledger; nothing reserved.
    ACCOUNT = "account"
    #: Not judged here: the ledger checks the operator's token, or needs none.
    UNJUDGED = "unjudged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One row. ``template`` names the route in logs and metrics (a closed set); ``sent_path`` is
    where the service behind has it. ``dialect`` is the one errors are written in.
    """

    template: str
    sent_path: str
    dialect: Dialect
    upstream: Upstream
    kind: Kind
    methods: frozenset[str]
    #: None: any scope will do, as for the caller's own data.
    scope: Scope | None = None
    max_body_bytes: int = 0
    #: The path itself asks for a stream; elsewhere the body does.
    streams: bool = False


class Match(NamedTuple):
    """A row and the model that the path names, decoded; empty if it names none."""

    route: Route
    model: str = ""


def _text(
    template: str,
    dialect: Dialect,
    kind: Kind = Kind.METERED,
    *,
    sent_path: str | None = None,
    streams: bool = False,
) -> Route:
    return Route(
        template=template,
        sent_path=sent_path or template,
        dialect=dialect,
        upstream=Upstream.TEXT,
        kind=kind,
        methods=frozenset({"POST"}),
        scope=Scope.INFERENCE,
        max_body_bytes=32 * _MIB,
        streams=streams,
    )


def _read_only(template: str, dialect: Dialect, upstream: Upstream, kind: Kind) -> Route:
    return Route(
        template=template,
        sent_path=template,
        dialect=dialect,
        upstream=upstream,
        kind=kind,
        methods=frozenset({"GET"}),
    )


_ROUTES = (
    _text("/v1/messages", Dialect.ANTHROPIC),
    _text("/v1/messages/count_tokens", Dialect.ANTHROPIC, Kind.COUNTED),
    _text("/v1/chat/completions", Dialect.OPENAI_CHAT),
    _text("/v1/responses", Dialect.OPENAI_RESPONSES),
    # Whose list it is, the headers of a call can say otherwise: see ``model_lists``.
    _read_only("/v1/models", Dialect.OPENAI_CHAT, Upstream.EDGE, Kind.MODELS),
    _read_only("/v1beta/models", Dialect.GEMINI, Upstream.EDGE, Kind.MODELS),
    _read_only("/v1/balance", Dialect.OPENAI_CHAT, Upstream.LEDGER, Kind.ACCOUNT),
    _read_only("/v1/usage", Dialect.OPENAI_CHAT, Upstream.LEDGER, Kind.ACCOUNT),
)

_ONE_MODEL = {
    "/v1/models/": _read_only(
        "/v1/models/{model}", Dialect.OPENAI_CHAT, Upstream.EDGE, Kind.MODELS
    ),
    "/v1beta/models/": _read_only(
        "/v1beta/models/{model}", Dialect.GEMINI, Upstream.EDGE, Kind.MODELS
    ),
}

#: Google's methods. Its SDK calls them under ``/v1`` since 3.0, so both prefixes are one route.
_BY_VERB: Mapping[str, Route] = {
    verb: _text(
        f"/v1beta/models/{{model}}:{verb}",
        Dialect.GEMINI,
        kind,
        sent_path=f"/v1beta/{verb}",
        streams=streams,
    )
    for verb, kind, streams in (
        ("generateContent", Kind.METERED, False),
        ("streamGenerateContent", Kind.METERED, True),
        ("countTokens", Kind.COUNTED, False),
    )
}

#: What the ledger is asked; of OPTIONS it knows as well as of the others that it has none, and can
#: name those it has.
_ANY_METHOD = frozenset({"GET", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"})


def _of_ledger(prefix: str, kind: Kind, methods: frozenset[str] = _ANY_METHOD) -> Match:
    return Match(
        Route(
            template=f"{prefix}*" if prefix.endswith("/") else prefix,
            sent_path=prefix,
            dialect=Dialect.OPENAI_CHAT,
            upstream=Upstream.LEDGER,
            kind=kind,
            methods=methods,
            max_body_bytes=_MIB,
        )
    )


#: The ledger's own paths, the longest prefix first; which of them exist is the ledger's to say.
_LEDGER = {
    prefix: _of_ledger(prefix, kind)
    for prefix, kind in (
        ("/api/v1/admin/", Kind.UNJUDGED),
        ("/api/v1/payments/", Kind.UNJUDGED),
        ("/api/v1/", Kind.ACCOUNT),
    )
}
_PUBLIC = {
    path: _of_ledger(path, Kind.UNJUDGED, frozenset({"GET"}))
    for path in ("/api/pricing", "/api/openapi.json", "/api/reference")
}

#: SDKs append ``/v1/...`` to whatever base URL they are given, so a base that already ends in
#: ``/v1`` doubles the prefix. Both spellings are the same route.
_DOUBLED = "/v1/v1"
_BY_PATH: Mapping[str, Match] = {
    path: Match(route) for route in _ROUTES for path in (route.template, "/v1" + route.template)
}


def find_route(method: str, path: str) -> Match:
    """The row that serves ``method path``.

    Raises :class:`GatewayError`: not_found for an unknown path, method_not_allowed (with ``Allow``)
    for a known one.
    """
    match = _BY_PATH.get(path)
    if match is None:
        match = _model_match(path) or _ledger_match(path)
    if match is None:
        raise GatewayError(ErrorCode.NOT_FOUND, _why_not_found(method, path))
    if method not in match.route.methods:
        allowed = ", ".join(sorted(match.route.methods))
        raise GatewayError(
            ErrorCode.METHOD_NOT_ALLOWED,
            f"{path[:200]} answers {allowed} only",
            headers={"Allow": allowed},
        )
    return match


def dialect_of(path: str) -> Dialect:
    """The dialect to refuse in when no row matches: that of the path's prefix."""
    path = _undoubled(path)
    if path.startswith("/v1/messages"):
        return Dialect.ANTHROPIC
    if path.startswith("/v1beta") or _has_verb(path):
        return Dialect.GEMINI
    return Dialect.OPENAI_CHAT


def _undoubled(path: str) -> str:
    return path[3:] if path.startswith(_DOUBLED) else path


def _has_verb(path: str) -> bool:
    """Google's methods end in ``:verb``; some clients escape the colon."""
    last = path.rpartition("/")[2]
    return ":" in last or "%3a" in last.lower()


def _model_match(path: str) -> Match | None:
    """A path with a model's name in it, which may contain slashes and escapes."""
    path = _undoubled(path)
    for prefix, shown in _ONE_MODEL.items():
        if not path.startswith(prefix):
            continue
        name = unquote(path[len(prefix) :])
        model, colon, verb = name.rpartition(":")
        route = _BY_VERB.get(verb) if colon else shown
        # The resource name that Google's clients may give in full.
        model = model.removeprefix("models/") if colon else name
        return Match(route, model) if route is not None and model else None
    return None


def _ledger_match(path: str) -> Match | None:
    # Dots are refused because a server behind might resolve them to a path outside the prefix.
    if not path.startswith("/api/") or ".." in path or "%2e" in path.lower():
        return None
    if path in _PUBLIC:
        return _PUBLIC[path]
    if path.startswith("/api/pricing/"):
        return _PUBLIC["/api/pricing"]
    return next((match for prefix, match in _LEDGER.items() if path.startswith(prefix)), None)


def _why_not_found(method: str, path: str) -> str:
    if _undoubled(path).startswith("/v1/responses/"):
        return (
            "responses are not kept here, so there is none to fetch, continue, cancel or delete; "
            "POST /v1/responses makes new ones"
        )
    return f"there is no {method} {path[:200]}"
