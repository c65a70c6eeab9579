"""Calls that cost nothing: token counts, lists of models, the caller's own data, administration.

Nothing is reserved, so nothing has to be given back, and they go on working when money cannot be
judged.
"""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from bytespike_contracts.catalogue import Catalogue
from bytespike_contracts.principal import (
    CLIENT_ADDRESS_HEADER,
    Principal,
    Reading,
    encode_principal,
)
from bytespike_edge.admission import Gate
from bytespike_edge.answers import note_head, whole_answer
from bytespike_edge.body import BodyReader, require_json
from bytespike_edge.call import Call
from bytespike_edge.flags import strict_wanted
from bytespike_edge.forward import Forwarder
from bytespike_edge.key_cache import KnownKey
from bytespike_edge.model_lists import list_models, show_model
from bytespike_edge.offer import read_counted
from bytespike_edge.relay import read_whole
from bytespike_edge.routes import Match, Route
from bytespike_runtime.answer import WholeAnswer
from bytespike_runtime.connection import unless_gone
from bytespike_runtime.watched_file import WatchedFile

__all__ = ["UnpaidCalls"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpaidCalls:
    """The parts a free call passes through."""

    bodies: BodyReader
    catalogue: WatchedFile[Catalogue]
    gate: Gate
    forwarder: Forwarder
    idle_timeout_s: float

    async def count_tokens(
        self, call: Call, request: web.BaseRequest, key: KnownKey, match: Match, query: str
    ) -> web.StreamResponse:
        """``POST /v1/messages/count_tokens`` and Google's ``:countTokens``."""
        route = match.route
        strict = strict_wanted(request.headers)
        require_json(request.headers)
        body = await self.bodies.read(request, cap_bytes=route.max_body_bytes)
        try:
            call.bytes_in = len(body.data)
            reading = read_counted(
                body.data,
                match=match,
                catalogue=self.catalogue.current,
                group=key.record.group,
            )
            call.model = reading.model
            call.look = await self.gate.look(key)
            principal = _principal(call, key, strict=strict, reading=reading)
            headers = self.forwarder.headers_for(request.headers, principal)
            target = _target(route, query)
            return await self._fetch(call, request, route, target, headers, body.data)
        finally:
            body.release()

    async def models(
        self, call: Call, key: KnownKey, match: Match, query: str
    ) -> web.StreamResponse:
        """``GET /v1/models`` and its relatives, in the dialect of the call."""
        catalogue, group = self.catalogue.current, key.record.group
        if match.model:
            body = show_model(call.dialect, catalogue, group=group, name=match.model)
        else:
            body = list_models(call.dialect, catalogue, group=group, query=query)
        call.look = await self.gate.look(key)
        call.bytes_out = len(body)
        headers = {**call.headers(), "Content-Type": "application/json"}
        return WholeAnswer(headers=headers, body=body)

    async def account(
        self,
        call: Call,
        request: web.BaseRequest,
        key: KnownKey,
        route: Route,
        target: str,
        address: str,
    ) -> web.StreamResponse:
        """``/v1/balance``, ``/v1/usage``, ``/api/v1/*``: the ledger answers for the principal."""
        call.look = await self.gate.look(key)
        headers = self.forwarder.headers_for(request.headers, _principal(call, key))
        headers += _about_client(request, address)
        return await self._pass_on(call, request, route, target, headers)

    async def unjudged(
        self, call: Call, request: web.BaseRequest, route: Route, target: str, address: str
    ) -> web.StreamResponse:
        """Operators' and public paths as they came; who may is the ledger's to say."""
        headers = self.forwarder.unjudged_headers(request.headers)
        headers += _about_client(request, address)
        return await self._pass_on(call, request, route, target, headers)

    async def _pass_on(
        self,
        call: Call,
        request: web.BaseRequest,
        route: Route,
        target: str,
        headers: list[tuple[str, str]],
    ) -> web.StreamResponse:
        body = await self.bodies.read(request, cap_bytes=route.max_body_bytes)
        try:
            call.bytes_in = len(body.data)
            return await self._fetch(call, request, route, target, headers, body.data)
        finally:
            body.release()

    async def _fetch(
        self,
        call: Call,
        request: web.BaseRequest,
        route: Route,
        target: str,
        headers: list[tuple[str, str]],
        body: bytes,
    ) -> web.StreamResponse:
        fetching = self._answer(call, request.method, route, target, headers, body)
        return await unless_gone(request, fetching)

    async def _answer(
        self,
        call: Call,
        method: str,
        route: Route,
        target: str,
        headers: list[tuple[str, str]],
        body: bytes,
    ) -> web.StreamResponse:
        upstream = await self.forwarder.send(route.upstream, method, target, headers, body)
        note_head(call, upstream)
        answer = await read_whole(upstream, idle_timeout_s=self.idle_timeout_s)
        return whole_answer(call, upstream, answer)


def _target(route: Route, query: str) -> str:
    return f"{route.sent_path}?{query}" if query else route.sent_path


def _about_client(request: web.BaseRequest, address: str) -> list[tuple[str, str]]:
    """Where a management call comes from, and its name if it is to be carried out once."""
    once = request.headers.get("idempotency-key")
    named = [] if once is None else [("idempotency-key", once)]
    return [(CLIENT_ADDRESS_HEADER, address), *named]


def _principal(
    call: Call, key: KnownKey, *, strict: bool = False, reading: Reading | None = None
) -> str:
    record = key.record
    return encode_principal(
        Principal(
            request_id=call.request_id,
            account_id=record.account_id,
            key_id=record.key_id,
            group=record.group,
            scopes=record.scopes,
            org_id=record.org_id,
            strict=strict,
            reading=reading,
        )
    )
