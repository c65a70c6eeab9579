"""HTTP in: who is asking, what for, and is it well-formed enough to start an exchange.

The router answers the edge only. A request proves that by the internal token, and brings its
principal along; everything else the edge has already judged is believed, so that the body is not
decoded a second time.
"""

from __future__ import annotations

import asyncio
from importlib import metadata

import msgspec
from aiohttp import web
from multidict import istr

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_contracts.principal import (
    INTERNAL_TOKEN_HEADER,
    PRINCIPAL_HEADER,
    Principal,
    Reading,
    decode_principal,
)
from bytespike_protocols.ir import Dialect
from bytespike_protocols.splice import is_string
from bytespike_runtime.settings import Secret
from bytespike_text.errors import refusal
from bytespike_text.exchange import Exchange, Means
from bytespike_text.job import SURFACES, Job, Surface
from bytespike_text.token_count import estimated_count

__all__ = ["Handlers"]

#: Where nothing is; whoever asks there is not an SDK.
_NOWHERE = Surface(route="unknown", dialect=Dialect.ANTHROPIC)

#: The edge's own cap for text requests; it has refused larger ones already.
_BODY_LIMIT_BYTES = 32 * 1024 * 1024

# Made once: looking up plain text costs a conversion each time.
_TOKEN, _PRINCIPAL = istr(INTERNAL_TOKEN_HEADER), istr(PRINCIPAL_HEADER)
_ACCEPT, _VERSION, _BETA = istr("accept"), istr("anthropic-version"), istr("anthropic-beta")

#: Versions of the vendor's API whose answers we can read. What a client does not say is the older.
_VERSIONS = ("2023-06-01", "2026-10-21")
#: Beta tokens are short words; nobody combines more of them.
_MAX_BETAS = 64

#: The edge has the whole body before it calls; anything slower than this is not the edge.
_BODY_TIMEOUT_S = 30.0


class Handlers:
    """The path table of the service."""

    def __init__(
        self, means: Means, *, internal_token: Secret, forward_headers: tuple[str, ...]
    ) -> None:
        self._means = means
        self._token = internal_token
        self._forward_headers = tuple((name, istr(name)) for name in forward_headers)
        self._user_agent = ("user-agent", f"bytespike/{_version()}")

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Entry point of the server."""
        request_id = ""
        path, _, query = request.raw_path.partition("?")
        surface = SURFACES.get(path, _NOWHERE)
        try:
            principal = self._authenticate(request)
            request_id = principal.request_id
            job = await self._read_job(request, surface, principal, query)
        except GatewayError as error:
            return refusal(error, request_id, dialect=surface.dialect)
        if surface.counts:
            counted = estimated_count(job, self._means.table())
            if counted is not None:
                return counted
        exchange = Exchange(job, request, self._means)
        await self._means.supervisor.carry(exchange.run())
        return exchange.answer

    def _authenticate(self, request: web.BaseRequest) -> Principal:
        if not self._token.matches(request.headers.get(_TOKEN)):
            raise GatewayError(ErrorCode.PERMISSION_DENIED, "this service answers the edge only")
        try:
            return decode_principal(request.headers.get(_PRINCIPAL, ""))
        except msgspec.DecodeError:
            raise GatewayError(ErrorCode.INVALID_REQUEST, "the principal is malformed") from None

    async def _read_job(
        self, request: web.BaseRequest, surface: Surface, principal: Principal, query: str
    ) -> Job:
        if surface is _NOWHERE:
            raise GatewayError(ErrorCode.NOT_FOUND, "there is nothing at this path")
        if request.method != "POST":
            raise GatewayError(
                ErrorCode.METHOD_NOT_ALLOWED, "use POST here", headers={"allow": "POST"}
            )
        if principal.grant is not None and self._means.books.spool.full:
            raise GatewayError(
                ErrorCode.UNAVAILABLE,
                "paid requests cannot be recorded right now; try again later",
                headers={"retry-after": "5"},
            )
        if principal.grant is None and not surface.counts:
            raise GatewayError(ErrorCode.PERMISSION_DENIED, "a paid call needs a grant")
        reading, body = principal.reading, await _read_body(request)
        if reading is None or not _fits(reading, surface, body):
            raise GatewayError(ErrorCode.INVALID_REQUEST, "the principal does not fit the body")
        anthropic = surface.dialect is Dialect.ANTHROPIC
        return Job(
            surface=surface,
            principal=principal,
            reading=reading,
            query=query,
            headers=self._vendor_headers(request),
            version=_version_asked(request) if anthropic else "",
            betas=_betas(request) if anthropic else (),
            body=body,
        )

    def _vendor_headers(self, request: web.BaseRequest) -> tuple[tuple[str, str], ...]:
        """An allow-list: nothing of a client reaches a vendor that is not named here."""
        given = request.headers
        headers = [
            ("content-type", "application/json"),
            ("accept", given.get(_ACCEPT, "*/*")),
            ("accept-encoding", "identity"),
            self._user_agent,
        ]
        for name, known in self._forward_headers:
            value = given.get(known)
            if value is not None:
                headers.append((name, value))
        return tuple(headers)


def _version_asked(request: web.BaseRequest) -> str:
    version = request.headers.get(_VERSION, _VERSIONS[0])
    if version not in _VERSIONS:
        raise GatewayError(
            ErrorCode.INVALID_REQUEST,
            f"unknown version; known are {' and '.join(_VERSIONS)}",
            param="anthropic-version",
        )
    return version


def _fits(reading: Reading, surface: Surface, body: bytes) -> bool:
    """Whether the edge has spoken of this body: only Gemini's paths name the model."""
    if reading.model_span is None:
        return surface.dialect is Dialect.GEMINI
    return is_string(body, reading.model_span)


async def _read_body(request: web.BaseRequest) -> bytes:
    length = request.content_length
    if length is None:
        raise GatewayError(ErrorCode.INVALID_REQUEST, "the body needs a content-length")
    if length > _BODY_LIMIT_BYTES:
        message = f"the body is larger than {_BODY_LIMIT_BYTES} bytes"
        raise GatewayError(ErrorCode.REQUEST_TOO_LARGE, message)
    if request.content.is_eof():
        return request.content.read_nowait()  # came along with its head, as most bodies do
    try:
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            return await request.content.read()
    except TimeoutError:
        raise GatewayError(ErrorCode.REQUEST_TIMEOUT, "the body did not arrive in time") from None


def _version() -> str:
    try:
        return metadata.version("bytespike")
    except metadata.PackageNotFoundError:  # run from a source tree that was never installed
        return "source"


def _betas(request: web.BaseRequest) -> tuple[str, ...]:
    """The tokens of all ``anthropic-beta`` headers, in order, each once."""
    values = request.headers.getall(_BETA, ())
    if not values:
        return ()
    tokens = dict.fromkeys(token.strip() for value in values for token in value.split(","))
    tokens.pop("", None)
    if len(tokens) > _MAX_BETAS:
        raise GatewayError(
            ErrorCode.INVALID_REQUEST, f"more than {_MAX_BETAS} features", param="anthropic-beta"
        )
    return tuple(tokens)
