"""The front of every call: which route, who is asking, what they sent; errors in their envelope."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping, Sequence
from functools import partial

import msgspec
from aiohttp import web

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_contracts.ids import mint_id
from bytespike_contracts.principal import (
    CLIENT_ADDRESS_HEADER,
    INTERNAL_TOKEN_HEADER,
    PRINCIPAL_HEADER,
    Principal,
    decode_principal,
)
from bytespike_ledger.accounts.actors import Actor, Operator, Permission, Role
from bytespike_ledger.api.admin_tokens import AdminTokens
from bytespike_ledger.api.call import Call, Reply
from bytespike_ledger.api.route import ID_PATTERN, Access, Route
from bytespike_ledger.api.wire import decode, decode_query, encode
from bytespike_ledger.books import Books, wall_clock_ms
from bytespike_ledger.store import RefusedByDatabase, connection
from bytespike_ledger.store.actors import read_actor
from bytespike_protocols.openai_chat.failure import encode_error
from bytespike_runtime.logs import get_logger
from bytespike_runtime.media_type import JSON, may_be_json
from bytespike_runtime.settings import Secret
from bytespike_runtime.unavailable import Unavailable

__all__ = ["Dispatcher", "on_bad_request"]

#: The longest legal body is a payment provider's event; ours are far smaller.
_MAX_BODY_BYTES = 262_144
_IS_ID = re.compile(ID_PATTERN).fullmatch
_RETRY_AFTER = {"retry-after": "1"}

_log = get_logger()


class Dispatcher:
    """The ledger's HTTP face. :meth:`handle` is the server's handler."""

    def __init__(
        self,
        books: Books,
        routes: Sequence[Route],
        *,
        admin_tokens: AdminTokens,
        internal_token: Secret,
    ) -> None:
        self._books = books
        self._admin_tokens = admin_tokens
        self._internal_token = internal_token
        self._routes = _by_shape(routes)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; every failure leaves in the OpenAI envelope."""
        started = time.perf_counter()
        request_id, template, error_type = self._request_id(request), "unknown", ""
        try:
            route, ids = self._match(request)
            template = route.path
            reply = await self._call(request, route, ids, request_id)
            answer = partial(_answer, route, reply)
        except (GatewayError, RefusedByDatabase, Unavailable) as error:
            failure = _as_gateway_error(error)
            error_type = failure.code.value
            answer = partial(_failure, failure)
        response = answer(request_id)
        _log.info(
            "request",
            request_id=request_id,
            method=request.method,
            route=template,
            status=response.status,
            error_type=error_type,
            duration_ms=round((time.perf_counter() - started) * 1000, 1),
        )
        return response

    async def _call(
        self, request: web.BaseRequest, route: Route, ids: Mapping[str, str], request_id: str
    ) -> Reply:
        who = await self._who(request, route.access, request_id)
        if route.body is not None and not may_be_json(request.headers.get("content-type")):
            raise GatewayError(ErrorCode.UNSUPPORTED_MEDIA_TYPE, f"content-type must be {JSON}")
        raw = await _body(request)
        query = request.raw_path.partition("?")[2]
        return await route.handler(
            Call(
                who=who,
                query=None if route.query is None else decode_query(query, route.query),
                body=None if route.body is None else decode(raw or b"{}", route.body),
                ids=ids,
                raw=raw,
                headers=request.headers,
            )
        )

    def _match(self, request: web.BaseRequest) -> tuple[Route, Mapping[str, str]]:
        path = request.raw_path.partition("?")[0]
        segments = tuple(path.split("/"))
        for shape, methods in self._routes.get(len(segments), ()):
            ids = _ids(shape, segments)
            if ids is not None:
                route = methods.get(request.method)
                if route is None:
                    raise GatewayError(
                        ErrorCode.METHOD_NOT_ALLOWED,
                        f"{request.method} is not possible here",
                        headers={"allow": ", ".join(sorted(methods))},
                    )
                return route, ids
        raise GatewayError(ErrorCode.NOT_FOUND, f"no such path: {path[:200]}")

    async def _who(
        self, request: web.BaseRequest, access: Access | Permission, request_id: str
    ) -> Actor | Operator | None:
        match access:
            case Access.PUBLIC:
                return None
            case Access.OPERATOR:
                return await self._operator(request, request_id)
            case _:
                actor = await self._actor(request)
                actor.require(access)
                return actor

    async def _actor(self, request: web.BaseRequest) -> Actor:
        """The edge's word on which key is asking, and the books' on who that is."""
        principal = self._principal(request)
        async with connection(self._books.pool) as conn:
            row = await read_actor(conn, principal.key_id)
        if row is None:
            raise GatewayError(ErrorCode.INVALID_API_KEY, "invalid API key")
        return Actor(
            key_id=row.key_id,
            account_id=row.account_id,
            org_id=row.org_id,
            member_id=row.member_id,
            user_id=row.user_id,
            role=Role.OWNER if row.role is None else Role(row.role),
            manages="manage" in row.scopes,
            group=row.routing_group,
            address=self._address(request),
            request_id=principal.request_id,
        )

    def _principal(self, request: web.BaseRequest) -> Principal:
        """Believed only together with the internal token."""
        if not self._is_internal(request):
            raise GatewayError(ErrorCode.INVALID_API_KEY, "not reachable without the gateway")
        try:
            return decode_principal(request.headers.get(PRINCIPAL_HEADER, ""))
        except msgspec.DecodeError as error:
            raise GatewayError(ErrorCode.INVALID_API_KEY, "no principal") from error

    async def _operator(self, request: web.BaseRequest, request_id: str) -> Operator:
        address = self._address(request)
        operator_id = await self._admin_tokens.operator_id(
            request.headers.get("authorization", ""), address
        )
        return Operator(id=operator_id, address=address, request_id=request_id)

    def _address(self, request: web.BaseRequest) -> str:
        """The client as the edge saw it, else whoever is connected."""
        told = request.headers.get(CLIENT_ADDRESS_HEADER) if self._is_internal(request) else None
        return told or request.remote or "unknown"

    def _request_id(self, request: web.BaseRequest) -> str:
        """The edge's where there is one, so that one id names a call everywhere."""
        try:
            return self._principal(request).request_id
        except GatewayError:
            return _new_request_id()

    def _is_internal(self, request: web.BaseRequest) -> bool:
        return self._internal_token.matches(request.headers.get(INTERNAL_TOKEN_HEADER))


def _ids(shape: Sequence[str], segments: Sequence[str]) -> dict[str, str] | None:
    """The variable parts of a path that has this shape, else None. A variable may have an ending,
    as in ``{month}.csv``.
    """
    ids: dict[str, str] = {}
    for want, got in zip(shape, segments, strict=True):
        name, _, ending = want[1:].partition("}")
        if not want.startswith("{"):
            if want != got:
                return None
        elif not got.endswith(ending) or not _IS_ID(got.removesuffix(ending)):
            return None
        else:
            ids[name] = got.removesuffix(ending)
    return ids


_Shapes = list[tuple[tuple[str, ...], dict[str, Route]]]


def _by_shape(routes: Sequence[Route]) -> dict[int, _Shapes]:
    """Routes by number of segments; fixed segments are tried before variable ones, and those with
    an ending before those without.
    """
    methods: dict[tuple[str, ...], dict[str, Route]] = {}
    for route in routes:
        known = methods.setdefault(route.segments, {})
        if route.method in known:
            raise ValueError(f"two routes for {route.method} {route.path}")
        known[route.method] = route
    table: dict[int, _Shapes] = {}
    for shape in sorted(methods, key=lambda s: [_openness(part) for part in s]):
        table.setdefault(len(shape), []).append((shape, methods[shape]))
    return table


def _openness(part: str) -> int:
    return (part.endswith("}") + 1) if part.startswith("{") else 0


def on_bad_request(status: int, reason: str) -> web.Response:
    """Malformed HTTP, or a crash of a handler."""
    code = ErrorCode.INVALID_REQUEST if status < 500 else ErrorCode.INTERNAL_ERROR
    request_id = _new_request_id()
    body = encode_error(
        status=status, code=code.value, message=reason, param=None, request_id=request_id
    )
    return _response(status, body, "application/json", request_id)


async def _body(request: web.BaseRequest) -> bytes:
    if (request.content_length or 0) > _MAX_BODY_BYTES:
        raise _too_large()
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise _too_large() from error
    if len(body) > _MAX_BODY_BYTES:
        raise _too_large()
    return body


def _too_large() -> GatewayError:
    return GatewayError(
        ErrorCode.REQUEST_TOO_LARGE, f"the body is larger than {_MAX_BODY_BYTES} bytes"
    )


def _as_gateway_error(error: GatewayError | RefusedByDatabase | Unavailable) -> GatewayError:
    if isinstance(error, GatewayError):
        return error
    if isinstance(error, RefusedByDatabase):
        # What the checks let through and no text column holds, such as a NUL character.
        return GatewayError(ErrorCode.INVALID_REQUEST, "a value cannot be stored")
    _log.warning("dependency unavailable", error=str(error))
    return GatewayError(ErrorCode.UNAVAILABLE, "temporarily unavailable", headers=_RETRY_AFTER)


def _answer(route: Route, reply: Reply, request_id: str) -> web.Response:
    body = reply.body if isinstance(reply.body, bytes) else encode(reply.body)
    response = _response(reply.status or route.status, body, route.content_type, request_id)
    response.headers.update(reply.headers)
    return response


def _failure(error: GatewayError, request_id: str) -> web.Response:
    body = encode_error(
        status=error.status,
        code=error.code.value,
        message=error.message,
        param=error.param,
        request_id=request_id,
    )
    response = _response(error.status, body, "application/json", request_id)
    response.headers.update(error.headers)
    return response


def _response(status: int, body: bytes, content_type: str, request_id: str) -> web.Response:
    return web.Response(
        status=status,
        body=body,
        headers={"content-type": content_type, "x-request-id": request_id},
    )


def _new_request_id() -> str:
    """For requests that do not come with the edge's."""
    return mint_id("req", wall_clock_ms(), secrets.token_bytes(10))
