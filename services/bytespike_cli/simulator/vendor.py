"""The vendor's side: decide the answer to one request, and see it through.

In this order: a scripted reply, the vendor's own checks of key and version, faults that replace the
answer, the default answer.
"""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple

import msgspec
from aiohttp import web

from bytespike_cli.simulator.answer import Identity, compose
from bytespike_cli.simulator.delivery import HoldExpired, Holds, deliver, drop
from bytespike_cli.simulator.faults import NO_FAULTS, Faults, FaultSyntaxError, parse_faults
from bytespike_cli.simulator.prompt import PromptCache, count_prompt
from bytespike_cli.simulator.record import Exchange, Record, State
from bytespike_cli.simulator.requests import (
    VendorError,
    invalid,
    read_count_request,
    read_messages_request,
)
from bytespike_cli.simulator.script import Reply, Script
from bytespike_cli.simulator.wire import (
    ERROR_TYPES,
    Frame,
    error_body,
    json_body,
    stream_frames,
)

__all__ = ["BAD_KEY", "FAULT_HEADER", "MAX_BODY_BYTES", "Vendor"]

FAULT_HEADER = "x-simulator-fault"
#: The one key the vendor does not know; any other non-empty key will do.
BAD_KEY = "sk-sim-bad"
MAX_BODY_BYTES = 32 * 1024 * 1024
VERSIONS = ("2023-06-01", "2026-10-21")

_COUNT_PATH = "/v1/messages/count_tokens"


class _Ask(NamedTuple):
    """A request reduced to what decides its answer. ``body`` names the model without its suffix."""

    path: str
    body: bytes
    model: str
    faults: Faults
    version: str
    identity: Identity


class Vendor:
    """One upstream account: its script, record, prompt cache and holds."""

    def __init__(self) -> None:
        self.script = Script()
        self.record = Record()
        self.cache = PromptCache()
        self.holds = Holds()

    def reset(self) -> None:
        """As if newly started."""
        self.script.clear()
        self.record.clear()
        self.cache.clear()
        self.holds.clear()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer ``POST /v1/messages`` or ``/v1/messages/count_tokens``."""
        exchange = self.record.open(
            received_ms=_now_ms(),
            target=request.path_qs,
            headers=[(str(name), value) for name, value in request.headers.items()],
        )
        state: State = "client_closed"
        try:
            response, state = await self._answer(request, exchange)
        except (ConnectionError, HoldExpired):
            drop(request)
            return web.Response()
        finally:
            self.record.close(exchange, state)
        return response

    async def _answer(
        self, request: web.Request, exchange: Exchange
    ) -> tuple[web.StreamResponse, State]:
        reply, faults = await self._decide(request, exchange)
        exchange.answering(reply)
        await asyncio.sleep(faults.stall_before_s)
        if faults.hold:
            await self.holds.wait(faults.hold)
        if faults.connect_drop:
            drop(request)
            return web.Response(), "cut"
        response = await deliver(request, exchange, reply, faults, self.holds)
        cut = faults.cut_after is not None or faults.cut_bytes is not None
        broken = cut or faults.error_event_after is not None
        return response, "cut" if broken else "completed"

    async def _decide(self, request: web.Request, exchange: Exchange) -> tuple[Reply, Faults]:
        faults = NO_FAULTS
        try:
            exchange.body = await _read_body(request)
            exchange.model, suffix, body = _split_model(exchange.body)
            identity = Identity(exchange.body)
            faults = _read_faults(suffix, request.headers.get(FAULT_HEADER, ""))
            if scripted := self.script.take(exchange.model):
                texts = (scripted.faults, suffix, request.headers.get(FAULT_HEADER, ""))
                return scripted.reply(), _read_faults(*texts)
            version = _check_headers(request)
            ask = _Ask(request.path, body, exchange.model, faults, version, identity)
            return self._compose(ask), faults
        except VendorError as error:
            identity = Identity(exchange.body)
            return _error_reply(error, identity, faults.retry_after_s), faults

    def _compose(self, ask: _Ask) -> Reply:
        if ask.faults.status >= 300:
            type_, message = ERROR_TYPES.get(ask.faults.status, ("api_error", "Simulated error"))
            raise VendorError(ask.faults.status, type_, message)
        headers = _headers(ask.identity)
        if ask.faults.error_body:
            body = error_body(ask.faults.error_body, "Simulated error", ask.identity.id("req_"))
            return Reply(200, headers, [Frame(body)], streamed=False)
        if ask.path.endswith(_COUNT_PATH):
            counted = {"input_tokens": count_prompt(ask.body, read_count_request(ask.body))}
            return Reply(200, headers, [Frame(msgspec.json.encode(counted))], streamed=False)
        asked = read_messages_request(ask.body, ask.version)
        prompt = self.cache.use(ask.body, asked, _now_ms())
        answer = compose(asked, ask.identity, prompt, ask.faults)
        if not asked.stream:
            frames = [Frame(json_body(answer), weight=1)]
            return Reply(200, headers, frames, streamed=False, usage=answer.usage)
        headers["content-type"] = "text/event-stream; charset=utf-8"
        headers["cache-control"] = "no-cache"
        return Reply(200, headers, stream_frames(answer), streamed=True, usage=answer.usage)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


async def _read_body(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise VendorError(413, *ERROR_TYPES[413]) from error


def _split_model(body: bytes) -> tuple[str, str, bytes]:
    """The model named in the body, its fault suffix, and the body without that suffix."""
    try:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        named = msgspec.json.decode(fields.get("model", b'""'), type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "", "", body
    model, plus, suffix = named.partition("+")
    if plus:
        fields["model"] = msgspec.Raw(msgspec.json.encode(model))
        body = msgspec.json.encode(fields)
    return model, suffix, body


def _read_faults(*texts: str) -> Faults:
    try:
        return parse_faults(*texts)
    except FaultSyntaxError as error:
        raise invalid(str(error)) from error


def _check_headers(request: web.Request) -> str:
    """Key and version as the vendor wants them; returns the version."""
    bearer = request.headers.get("authorization", "").partition("Bearer ")[2]
    key = request.headers.get("x-api-key", "") or bearer
    if not key:
        raise VendorError(401, "authentication_error", "x-api-key header is required")
    if key == BAD_KEY:
        raise VendorError(401, "authentication_error", "invalid x-api-key")
    version = request.headers.get("anthropic-version", "")
    if not version:
        raise invalid("anthropic-version: header is required")
    if version not in VERSIONS:
        raise invalid(f"anthropic-version: {version!r} is not a valid version")
    return version


def _headers(identity: Identity) -> dict[str, str]:
    return {
        "content-type": "application/json",
        "request-id": identity.id("req_"),
        "anthropic-organization-id": "00000000-0000-4000-8000-000000000000",
        "anthropic-ratelimit-requests-limit": "4000",
        "anthropic-ratelimit-requests-remaining": "3999",
        "anthropic-ratelimit-requests-reset": "2026-11-23T00:00:00Z",
    }


def _error_reply(error: VendorError, identity: Identity, retry_after_s: int | None) -> Reply:
    headers = _headers(identity)
    headers["x-should-retry"] = "true" if error.status in {429, 500, 503, 529} else "false"
    if retry_after_s is not None:
        headers["retry-after"] = str(retry_after_s)
    body = error_body(error.type, error.message, headers["request-id"])
    return Reply(error.status, headers, [Frame(body)], streamed=False)
