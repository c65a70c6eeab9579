"""Calls that cost money: price, reserve, forward, report.

From admission on the hold belongs to the request id. It is given back here only when the router
provably never saw the request; in every other case the router finishes it or its lease ends it.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from aiohttp import web
from multidict import istr

from bytespike_contracts.catalogue import Catalogue
from bytespike_contracts.principal import Grant, Principal, encode_principal
from bytespike_edge.admission import Gate, require_admitted
from bytespike_edge.answers import is_stream, note_head, passed_headers, whole_answer
from bytespike_edge.body import Body, BodyReader, require_json
from bytespike_edge.call import Call
from bytespike_edge.dry_run import dry_run_body
from bytespike_edge.flags import dry_run_wanted, strict_wanted
from bytespike_edge.forward import Forwarder, NotDelivered
from bytespike_edge.idempotency import Recorder, Replays, Reply
from bytespike_edge.key_cache import KnownKey
from bytespike_edge.metrics import EdgeMetrics
from bytespike_edge.offer import Offer, make_offer
from bytespike_edge.relay import StreamRelay, read_whole
from bytespike_edge.routes import Match
from bytespike_runtime.answer import WholeAnswer
from bytespike_runtime.connection import unless_gone
from bytespike_runtime.http_client import HttpResponse
from bytespike_runtime.watched_file import WatchedFile

__all__ = ["PaidCalls"]

_IDEMPOTENCY_KEY = istr("idempotency-key")
#: Proxies on the way must not gather events of a live stream.
_STREAM_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


class _Purchase(msgspec.Struct, frozen=True, kw_only=True):
    """One paid request on its way (a struct because it is made for each: dataclasses cost more)."""

    call: Call
    request: web.BaseRequest
    key: KnownKey
    match: Match
    query: str
    strict: bool
    body: Body
    offer: Offer


@dataclass(frozen=True, slots=True, kw_only=True)
class PaidCalls:
    """The parts a paid call passes through, in this order."""

    bodies: BodyReader
    catalogue: WatchedFile[Catalogue]
    replays: Replays
    gate: Gate
    forwarder: Forwarder
    metrics: EdgeMetrics
    idle_timeout_s: float

    async def text(
        self, call: Call, request: web.BaseRequest, key: KnownKey, match: Match, query: str
    ) -> web.StreamResponse:
        """A text request in any dialect; ``query`` is what goes on of the query string. Raises
        :class:`GatewayError`, or ``ClientGone``.
        """
        headers = request.headers
        dry_run, strict = dry_run_wanted(headers), strict_wanted(headers)
        idempotency_key = headers.get(_IDEMPOTENCY_KEY)
        require_json(headers)
        body = await self.bodies.read(request, cap_bytes=match.route.max_body_bytes)
        try:
            call.bytes_in = len(body.data)
            offer = make_offer(
                body.data,
                match=match,
                query=query,
                catalogue=self.catalogue.current,
                group=key.record.group,
            )
            call.model, call.stream = offer.reading.model, offer.reading.stream
            call.estimate_uusd = offer.bound.amount_uusd
            if dry_run:
                return await self._dry_run(call, key, offer)
            purchase = _Purchase(
                call=call,
                request=request,
                key=key,
                match=match,
                query=query,
                strict=strict,
                body=body,
                offer=offer,
            )
            if idempotency_key is None:
                return await self._spend(purchase, None)
            return await self._spend_once(purchase, idempotency_key)
        finally:
            body.release()

    async def _dry_run(self, call: Call, key: KnownKey, offer: Offer) -> WholeAnswer:
        call.stream = False
        call.look = await self.gate.look(key)
        body = dry_run_body(offer.reading.model, offer.bound, offer.rates)
        call.bytes_out = len(body)
        return WholeAnswer(
            headers={**call.headers(), "Content-Type": "application/json"}, body=body
        )

    async def _spend_once(self, purchase: _Purchase, idempotency_key: str) -> web.StreamResponse:
        """As :meth:`_spend`, but the twin of a request that succeeded gets its answer."""
        call = purchase.call
        begun = await self.replays.begin(
            idempotency_key,
            key=purchase.key.record,
            route=_what_is_called(purchase),
            body=purchase.body.data,
            request_id=call.request_id,
        )
        if isinstance(begun, Reply):
            return await self._replay(purchase, begun)
        recorder = Recorder()
        try:
            return await self._spend(purchase, recorder)
        finally:
            await self.replays.end(begun, recorder)

    async def _replay(self, purchase: _Purchase, reply: Reply) -> WholeAnswer:
        call = purchase.call
        call.replayed, call.estimate_uusd, call.stream = True, None, False
        self.metrics.replayed()
        call.look = await self.gate.look(purchase.key)
        call.bytes_out = len(reply.body or b"")
        headers = {**call.headers(), **reply.headers, "X-ByteSpike-Replayed": "true"}
        return WholeAnswer(status=reply.status, headers=headers, body=reply.body or b"")

    async def _spend(self, purchase: _Purchase, recorder: Recorder | None) -> web.StreamResponse:
        """Reserve, forward, relay. With a ``recorder`` the answer is fetched to its end even if the
        client leaves: it has asked for an answer that survives its connection.
        """
        call, key = purchase.call, purchase.key
        amount_uusd = purchase.offer.bound.amount_uusd
        admission, call.look = await self.gate.admit(key, call.request_id, amount_uusd)
        require_admitted(admission, key, needed_uusd=amount_uusd)
        fetching = self._fetch(purchase, admission.admitted_ms)
        if recorder is None:
            fetching = unless_gone(purchase.request, fetching)
        upstream, answer = await fetching
        if answer is None:
            return await self._stream(purchase, upstream, recorder)
        response = whole_answer(call, upstream, answer)
        if recorder is not None:
            recorder.add(answer)
            recorder.seal(response.status, response.fields)
        return response

    async def _fetch(
        self, purchase: _Purchase, admitted_ms: int
    ) -> tuple[HttpResponse, bytes | None]:
        """The router's answer, with its body unless that is a stream."""
        call, key, route = purchase.call, purchase.key, purchase.match.route
        query = purchase.query
        principal = encode_principal(_principal(purchase, admitted_ms))
        try:
            upstream = await self.forwarder.send(
                route.upstream,
                "POST",
                f"{route.sent_path}?{query}" if query else route.sent_path,
                self.forwarder.headers_for(purchase.request.headers, principal),
                purchase.body.data,
            )
        except NotDelivered:
            await self.gate.release(key, call.request_id, admitted_ms)
            raise
        finally:
            purchase.body.release()  # streams live for minutes; their bodies need not
        note_head(call, upstream)
        if is_stream(upstream):
            return upstream, None
        return upstream, await read_whole(upstream, idle_timeout_s=self.idle_timeout_s)

    async def _stream(
        self, purchase: _Purchase, upstream: HttpResponse, recorder: Recorder | None
    ) -> web.StreamResponse:
        call, request = purchase.call, purchase.request
        headers = {**call.headers(), **passed_headers(upstream), **_STREAM_HEADERS}
        response = web.StreamResponse(status=upstream.status, headers=headers)
        try:
            await response.prepare(request)
        except ConnectionError:
            call.client_left = True
            if recorder is None:
                upstream.abort()
                raise
        response.headers.clear()  # they are out; a stream lives for minutes
        relay = StreamRelay(
            call, request, upstream, recorder, framing=purchase.offer.reading.framing
        )
        clean = await relay.run(idle_timeout_s=self.idle_timeout_s)
        if clean and recorder is not None:
            recorder.seal(response.status, headers)
        return response


def _what_is_called(purchase: _Purchase) -> str:
    """What must be the same, beside the body, for two calls to be the same."""
    match, reading = purchase.match, purchase.offer.reading
    if not match.model:
        return match.route.template
    return f"{match.route.template} {reading.model} {reading.framing}"


def _principal(purchase: _Purchase, admitted_ms: int) -> Principal:
    record, offer = purchase.key.record, purchase.offer
    return Principal(
        request_id=purchase.call.request_id,
        account_id=record.account_id,
        key_id=record.key_id,
        group=record.group,
        scopes=record.scopes,
        org_id=record.org_id,
        strict=purchase.strict,
        grant=Grant(
            rates=offer.rates,
            price_revision=offer.price_revision,
            hold_uusd=offer.bound.amount_uusd,
            admitted_ms=admitted_ms,
            scopes=purchase.key.scope_names,
        ),
        reading=offer.reading,
    )
