"""Where a request goes, and the bytes of its head.

Pure: values in, bytes out. Everything a caller could use to smuggle a second request (line breaks,
framing headers of its own) is refused here, before a connection is taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

__all__ = ["Origin", "encode_head"]

_DEFAULT_PORTS = {"http": 80, "https": 443}

#: RFC 9110 token: methods and header names.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: Origin-form targets: visible ASCII, already percent-encoded by the caller.
_TARGET = re.compile(r"/[!-~]*")
#: The client frames messages and manages connections itself; a caller's word on either is a bug.
_OWN_HEADERS = frozenset({"connection", "content-length", "host", "transfer-encoding", "upgrade"})
#: Methods whose empty body is still announced (RFC 9110 section 8.6).
_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port: connections are shared by requests with equal origins."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> tuple[Origin, str]:
        """Split a base URL into its origin and its path without a trailing slash.

        Raises ``ValueError`` for anything but ``http(s)://host[:port][/path]``.
        """
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        if parts.scheme not in _DEFAULT_PORTS or not host or not host.isascii() or port == 0:
            raise ValueError(f"not an http(s) base URL: {url!r}")
        if parts.query or parts.fragment or "@" in parts.netloc:
            raise ValueError(f"base URL with credentials, query or fragment: {url!r}")
        path = parts.path.rstrip("/")
        if path and _TARGET.fullmatch(path) is None:
            raise ValueError(f"base URL with an unencoded path: {url!r}")
        return cls(parts.scheme, host, port or _DEFAULT_PORTS[parts.scheme]), path

    @property
    def authority(self) -> str:
        """The ``Host`` header: brackets around IPv6, no default port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def encode_head(
    method: str,
    target: str,
    authority: str,
    headers: Iterable[tuple[str, str]],
    *,
    body_bytes: int,
) -> bytes:
    """Request line and headers up to the empty line. Raises ``ValueError`` on unsendable parts.

    Text is UTF-8 with surrogate escapes, as aiohttp decodes it: header bytes pass unchanged.
    """
    if not _is_token(method) or _TARGET.fullmatch(target) is None:
        raise ValueError(f"unsendable request line: {method!r} {target!r}")
    lines = [f"{method} {target} HTTP/1.1\r\nhost: {authority}"]
    for name, value in headers:
        if not _is_forwardable(name):
            raise ValueError(f"unsendable header name: {name!r}")
        lines.append(f"{name}: {value}")
    if body_bytes or method in _BODY_METHODS:
        lines.append(f"content-length: {body_bytes}")
    text = "\r\n".join(lines)
    # One look at the whole head instead of one at each value: the only line breaks are ours.
    if not text.count("\n") == text.count("\r") == len(lines) or "\0" in text:
        raise ValueError("line break or NUL in a header value")
    return f"{text}\r\n\r\n".encode("utf-8", "surrogateescape")


# Header names repeat on every request; the bound only matters if names come from strangers.
@lru_cache(maxsize=1024)
def _is_forwardable(name: str) -> bool:
    return _TOKEN.fullmatch(name) is not None and name.lower() not in _OWN_HEADERS


@lru_cache(maxsize=64)
def _is_token(text: str) -> bool:
    return _TOKEN.fullmatch(text) is not None
