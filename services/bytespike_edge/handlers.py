"""The edge's one coroutine per request: who are you, may you, where to; then out of the way.

Order matters and is the same for every call: path, key, address, scope, body, model, price, worst
case, idempotency, admission, forwarding. Whatever fails first answers, in the dialect of the path,
and nothing is held or charged before admission.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from aiohttp import web
from multidict import istr

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_edge.admission import Gate
from bytespike_edge.call import Call
from bytespike_edge.client_address import client_address
from bytespike_edge.credentials import presented_key, without_key
from bytespike_edge.errors import error_response
from bytespike_edge.identity import Identifier
from bytespike_edge.key_cache import KnownKey
from bytespike_edge.key_uses import KeyUses
from bytespike_edge.metrics import EdgeMetrics
from bytespike_edge.model_lists import list_dialect
from bytespike_edge.paid import PaidCalls
from bytespike_edge.routes import Kind, Route, dialect_of, find_route
from bytespike_edge.unpaid import UnpaidCalls
from bytespike_runtime.connection import ClientGone
from bytespike_runtime.logs import get_logger

__all__ = ["Edge"]

_FORWARDED_FOR = istr("x-forwarded-for")
#: nginx's word for "the client closed the request": nobody reads it but our own log and metrics.
_CLIENT_CLOSED_REQUEST = 499

_log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """The handler of the edge's HTTP server, made of the parts that ``app`` puts together."""

    identifier: Identifier
    uses: KeyUses
    gate: Gate
    paid: PaidCalls
    unpaid: UnpaidCalls
    metrics: EdgeMetrics
    trusted_hops: int

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, whatever happens, and account for it once."""
        call = Call()
        try:
            response = await self._serve(call, request)
        except GatewayError as error:
            response = await self._refuse(call, error)
        except (ClientGone, ConnectionError):
            call.client_left = True
            response = web.Response(status=_CLIENT_CLOSED_REQUEST)
        except Exception:  # noqa: BLE001 - the HTTP top level: a bug must not take the process along
            _log.exception("request handler failed", request_id=call.request_id)
            response = await self._refuse(
                call, GatewayError(ErrorCode.INTERNAL_ERROR, "internal error")
            )
        call.finish(response, self.metrics)
        return response

    async def _serve(self, call: Call, request: web.BaseRequest) -> web.StreamResponse:
        target = request.raw_path
        if not target.startswith("/"):  # absolute form, as sent to proxies
            target = request.rel_url.raw_path_qs
        path, _, query = target.partition("?")
        try:
            place = find_route(request.method, path)
        except GatewayError:
            call.dialect = dialect_of(path)
            raise
        route = call.route = place.route
        call.dialect = route.dialect
        if route.kind is Kind.UNJUDGED:
            return await self.unpaid.unjudged(call, request, route, target, self._address(request))
        if route.kind is Kind.MODELS:
            call.dialect = list_dialect(path, request.headers)
        call.key = key = await self._identify(call, request, query)
        self._authorise(request, key, route)
        self.uses.note(key.record.key_id, call.started_ms, self._address(request))
        query = without_key(query)
        match route.kind:
            case Kind.METERED:
                return await self.paid.text(call, request, key, place, query)
            case Kind.COUNTED:
                return await self.unpaid.count_tokens(call, request, key, place, query)
            case Kind.MODELS:
                return await self.unpaid.models(call, key, place, query)
            case Kind.ACCOUNT:
                place_sent = path if route.template.endswith("*") else route.sent_path
                target = f"{place_sent}?{query}" if query else place_sent
                address = self._address(request)
                return await self.unpaid.account(call, request, key, route, target, address)
            case _:
                assert_never(route.kind)

    async def _identify(self, call: Call, request: web.BaseRequest, query: str) -> KnownKey:
        """The live key of the request."""
        presented = presented_key(request.headers, query)
        key = self.identifier.at_hand(presented, call.started_ms)
        if key is not None:
            return key
        return await self.identifier.look_up(presented, self._address(request), call.started_ms)

    def _authorise(self, request: web.BaseRequest, key: KnownKey, route: Route) -> None:
        """Where from, and what for: before anything of the account is touched."""
        if key.ip_rules is not None and not key.ip_rules.permits(self._address(request)):
            raise GatewayError(
                ErrorCode.PERMISSION_DENIED, "this API key may not be used from this address"
            )
        if route.scope is not None and route.scope not in key.record.scopes:
            raise GatewayError(
                ErrorCode.PERMISSION_DENIED, f"this API key lacks the scope {route.scope.value}"
            )

    def _address(self, request: web.BaseRequest) -> str:
        """The client's address as :func:`client_address` finds it; empty if it cannot tell."""
        forwarded = request.headers.getall(_FORWARDED_FOR, [])
        return client_address(request.remote, forwarded, trusted_hops=self.trusted_hops) or ""

    async def _refuse(self, call: Call, error: GatewayError) -> web.StreamResponse:
        call.error_type = error.code.value
        if call.key is not None and call.look is None:
            call.look = await self.gate.look(call.key)
        response = error_response(
            error, dialect=call.dialect, request_id=call.request_id, headers=call.headers()
        )
        if error.status == 408:
            response.force_close()  # the rest of the body may still trickle in
        call.bytes_out = len(response.body)
        return response
