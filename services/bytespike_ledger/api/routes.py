"""The path table and the front of every call: who is asking, the body, errors in their envelope."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import msgspec
from aiohttp import web

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_contracts.ids import mint_id
from bytespike_contracts.principal import (
    INTERNAL_TOKEN_HEADER,
    PRINCIPAL_HEADER,
    Principal,
    decode_principal,
)
from bytespike_ledger.api.admin import AdminApi
from bytespike_ledger.api.call import Call, Reply
from bytespike_ledger.api.own import OwnApi
from bytespike_ledger.books import wall_clock_ms
from bytespike_ledger.store import RefusedByDatabase
from bytespike_protocols.openai_chat.failure import encode_error
from bytespike_runtime.logs import get_logger
from bytespike_runtime.settings import Secret
from bytespike_runtime.unavailable import Unavailable

__all__ = ["Api", "on_bad_request"]

#: The longest legal body is a key with two full lists of networks.
_MAX_BODY_BYTES = 65_536
_ADMIN = "/api/v1/admin"
_VARIABLE = "*"
_RETRY_AFTER = {"retry-after": "1"}

_log = get_logger()

CallHandler = Callable[[Call], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path. ``template`` is its name in logs, ``parts`` what is matched."""

    method: str
    template: str
    handler: CallHandler
    admin: bool

    @property
    def parts(self) -> tuple[str, ...]:
        """The path's segments; variable ones as ``*``."""
        return tuple(_VARIABLE if p.startswith("{") else p for p in self.template.split("/"))


class Api:
    """The ledger's HTTP face. :meth:`handle` is the server's handler."""

    def __init__(
        self, admin: AdminApi, own: OwnApi, *, admin_token: Secret, internal_token: Secret
    ) -> None:
        self._admin_token = admin_token
        self._internal_token = internal_token
        self._routes: dict[tuple[str, ...], dict[str, Route]] = {}
        for route in _routes(admin, own):
            self._routes.setdefault(route.parts, {})[route.method] = route

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; every failure leaves in the OpenAI envelope."""
        started = time.perf_counter()
        principal, template, error_type = None, "unknown", ""
        try:
            route, ids = self._match(request)
            template = route.template
            if route.admin:
                self._check_admin(request)
            else:
                principal = self._principal(request)
            call = Call(
                query=request.query, body=await _body(request), ids=ids, principal=principal
            )
            reply = await route.handler(call)
            answer = partial(_json, reply.status, reply.encode())
        except (GatewayError, RefusedByDatabase, Unavailable) as error:
            failure = _as_gateway_error(error)
            error_type = failure.code.value
            answer = partial(_failure, failure)
        request_id = _new_request_id() if principal is None else principal.request_id
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

    def _match(self, request: web.BaseRequest) -> tuple[Route, tuple[str, ...]]:
        parts = tuple(request.path.split("/"))
        for pattern, methods in self._routes.items():
            if len(pattern) != len(parts):
                continue
            pairs = list(zip(pattern, parts, strict=True))
            if all(want in (_VARIABLE, part) for want, part in pairs):
                route = methods.get(request.method)
                if route is None:
                    raise GatewayError(
                        ErrorCode.METHOD_NOT_ALLOWED,
                        f"{request.method} is not possible here",
                        headers={"allow": ", ".join(sorted(methods))},
                    )
                return route, tuple(part for want, part in pairs if want == _VARIABLE)
        raise GatewayError(ErrorCode.NOT_FOUND, f"no such path: {request.path[:200]}")

    def _principal(self, request: web.BaseRequest) -> Principal:
        """The edge's word on who is asking, believed only together with the internal token."""
        if not self._internal_token.matches(request.headers.get(INTERNAL_TOKEN_HEADER)):
            raise GatewayError(ErrorCode.INVALID_API_KEY, "not reachable without the gateway")
        try:
            return decode_principal(request.headers.get(PRINCIPAL_HEADER, ""))
        except msgspec.DecodeError as error:
            raise GatewayError(ErrorCode.INVALID_API_KEY, "no principal") from error

    def _check_admin(self, request: web.BaseRequest) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not self._admin_token.matches(token.strip()):
            raise GatewayError(
                ErrorCode.INVALID_API_KEY,
                "invalid admin token",
                headers={"www-authenticate": "Bearer"},
            )


def _routes(admin: AdminApi, own: OwnApi) -> list[Route]:
    def at(method: str, path: str, handler: CallHandler) -> Route:
        return Route(method, f"{_ADMIN}{path}", handler, admin=True)

    return [
        Route("GET", "/v1/balance", own.balance, admin=False),
        Route("GET", "/v1/usage", own.usage, admin=False),
        at("POST", "/orgs", admin.create_org),
        at("GET", "/orgs", admin.list_orgs),
        at("GET", "/orgs/{org}", admin.get_org),
        at("POST", "/orgs/{org}/top-ups", admin.top_up),
        at("POST", "/orgs/{org}/keys", admin.create_key),
        at("GET", "/orgs/{org}/keys", admin.list_keys),
        at("GET", "/keys/{key}", admin.get_key),
        at("PATCH", "/keys/{key}", admin.change_key),
        at("POST", "/keys/{key}/disable", admin.disable_key),
        at("DELETE", "/keys/{key}", admin.delete_key),
        at("GET", "/audit", admin.run_audit),
        at("POST", "/rebuild", admin.run_rebuild),
    ]


def on_bad_request(status: int, reason: str) -> web.Response:
    """Malformed HTTP, or a crash of a handler."""
    code = ErrorCode.INVALID_REQUEST if status < 500 else ErrorCode.INTERNAL_ERROR
    request_id = _new_request_id()
    body = encode_error(
        status=status, code=code.value, message=reason, param=None, request_id=request_id
    )
    return _json(status, body, request_id)


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


def _failure(error: GatewayError, request_id: str) -> web.Response:
    body = encode_error(
        status=error.status,
        code=error.code.value,
        message=error.message,
        param=error.param,
        request_id=request_id,
    )
    response = _json(error.status, body, request_id)
    response.headers.update(error.headers)
    return response


def _json(status: int, body: bytes, request_id: str) -> web.Response:
    return web.Response(
        status=status,
        body=body,
        content_type="application/json",
        headers={"x-request-id": request_id},
    )


def _new_request_id() -> str:
    """For requests that do not come with the edge's."""
    return mint_id("req", wall_clock_ms(), secrets.token_bytes(10))
