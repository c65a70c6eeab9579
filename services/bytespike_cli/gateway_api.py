"""The ledger's management API as the command line calls it: JSON over HTTP through the edge.

Amounts never become floats here: bodies are handed on as they came, and :func:`decode` keeps every
number with a point as its own text.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import msgspec

from bytespike_runtime.http_client import ClientError, HttpClient, Origin

__all__ = ["ApiError", "GatewayApi", "Probe", "decode"]

_CONNECT_TIMEOUT_S = 5.0
_ANSWER_TIMEOUT_S = 60.0  # an audit walks through all books
_PROBE_TIMEOUT_S = 1.5
_LARGEST_ANSWER_BYTES = 64 * 1_048_576

_decoder = msgspec.json.Decoder(float_hook=str)


class _Page(msgspec.Struct):
    """Items stay as they came: their amounts must not pass through floats."""

    items: list[msgspec.Raw]
    next_cursor: str | None


_page_decoder = msgspec.json.Decoder(_Page)


class ApiError(RuntimeError):
    """The call failed; the message is fit for a terminal. ``status`` is 0 if nobody answered."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class GatewayApi:
    """Calls below one base URL with one bearer token. Use as ``async with``."""

    def __init__(self, base_url: str, token: str) -> None:
        self.base_url = base_url.rstrip("/").removesuffix("/v1")
        self._origin, self._base_path = Origin.parse(self.base_url)
        self._token = token
        self._client = HttpClient()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.close()

    async def every(self, path: str) -> bytes:
        """All pages of a list as one: ``{"items": [...], "next_cursor": null}``."""
        items: list[msgspec.Raw] = []
        cursor: str | None = ""
        while cursor is not None:
            sign = "&" if "?" in path else "?"
            query = f"{sign}cursor={quote(cursor, safe='')}" if cursor else ""
            page = _page_decoder.decode(await self.call("GET", path + query))
            items += page.items
            cursor = page.next_cursor
        return msgspec.json.encode(_Page(items, None))

    async def call(self, method: str, path: str, body: object = None) -> bytes:
        """The body of a 2xx answer, as it came. Raises :class:`ApiError`."""
        headers = [("authorization", f"Bearer {self._token}"), ("accept", "application/json")]
        content = b""
        if body is not None:
            headers.append(("content-type", "application/json"))
            content = msgspec.json.encode(body)
        try:
            response = await self._client.request(
                method,
                self._origin,
                self._base_path.rstrip("/") + path,
                headers,
                content,
                connect_timeout_s=_CONNECT_TIMEOUT_S,
                first_byte_timeout_s=_ANSWER_TIMEOUT_S,
            )
            answer = await response.read(
                limit_bytes=_LARGEST_ANSWER_BYTES, idle_timeout_s=_ANSWER_TIMEOUT_S
            )
        except ClientError as error:
            raise ApiError(0, f"{self.base_url} does not answer: {error}") from error
        if not 200 <= response.status < 300:
            raise ApiError(response.status, _reason(response.status, answer))
        return answer


def decode(body: bytes) -> Any:
    """JSON with exact amounts: ``192.40`` comes out as the text ``"192.40"``."""
    return _decoder.decode(body)


class Probe:
    """Asks processes of ours whether they are ready."""

    def __init__(self) -> None:
        self._client = HttpClient()

    async def is_ready(self, url: str) -> tuple[bool, str]:
        """Whether a GET of ``url`` is a 200 right now, and the words of the answer or failure."""
        origin, path = Origin.parse(url)
        try:
            response = await self._client.request(
                "GET",
                origin,
                path,
                [],
                connect_timeout_s=_PROBE_TIMEOUT_S,
                first_byte_timeout_s=_PROBE_TIMEOUT_S,
            )
            body = await response.read(limit_bytes=65_536, idle_timeout_s=_PROBE_TIMEOUT_S)
        except ClientError as error:
            return False, str(error)
        return response.status == 200, body.decode(errors="replace").strip()

    async def close(self) -> None:
        await self._client.close()


def _reason(status: int, body: bytes) -> str:
    """Field and message of an error envelope (ours always have one), else the status."""
    try:
        error = _decoder.decode(body)["error"]
        field = f"{error['param']}: " if error.get("param") else ""
        return f"{field}{error['message']} (HTTP {status})"
    except (msgspec.DecodeError, AttributeError, KeyError, TypeError):
        return f"HTTP {status}"
