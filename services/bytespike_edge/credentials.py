"""Where a client may put its key, and which place wins. Pure: headers and query in, text out.

The first place that holds anything decides, whatever it holds: a request with an empty
``x-api-key`` and a good bearer token is refused, because guessing which of two credentials a
client meant is how the wrong account gets charged. The body is never looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote_plus

from multidict import istr

__all__ = ["presented_key", "without_key"]

_X_API_KEY = istr("x-api-key")
_X_GOOG_API_KEY = istr("x-goog-api-key")
_AUTHORIZATION = istr("authorization")
_QUERY_NAME = "key"


def presented_key(headers: Mapping[str, str], query: str) -> str | None:
    """The key the client presents, or None if it presents nothing usable.

    ``headers`` must look names up without regard to case; ``query`` is the raw query string.
    """
    for name in (_X_API_KEY, _X_GOOG_API_KEY):
        value = headers.get(name)
        if value is not None:
            return value.strip() or None
    authorization = headers.get(_AUTHORIZATION)
    if authorization is not None:
        scheme, _, token = authorization.strip().partition(" ")
        return (token.strip() or None) if scheme.lower() == "bearer" else None
    for parameter, text in parse_qsl(query, keep_blank_values=True) if query else ():
        if parameter == _QUERY_NAME:
            return text or None
    return None


def without_key(query: str) -> str:
    """``query`` without the credential; every other byte stays as it came."""
    if _QUERY_NAME not in query and "%" not in query:
        return query
    return "&".join(
        part for part in query.split("&") if unquote_plus(part.partition("=")[0]) != _QUERY_NAME
    )
