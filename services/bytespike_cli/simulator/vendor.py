"""The vendor's side: decide the answer to one request, and see it through.

In this order: a scripted reply, the vendor's own checks of key and version, faults that replace the
answer, the default answer. The path decides which dialect is spoken.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from bytespike_cli.simulator.delivery import HoldExpired, Holds, deliver, drop
from bytespike_cli.simulator.dialect import Ask, Dialect, Memory
from bytespike_cli.simulator.faults import NO_FAULTS, Faults, FaultSyntaxError, parse_faults
from bytespike_cli.simulator.identity import Identity
from bytespike_cli.simulator.issued import Issued
from bytespike_cli.simulator.prefixes import PrefixCache
from bytespike_cli.simulator.record import Exchange, Record, State
from bytespike_cli.simulator.reply import Reply, VendorError
from bytespike_cli.simulator.script import Script

__all__ = ["FAULT_HEADER", "MAX_BODY_BYTES", "Vendor"]

FAULT_HEADER = "x-simulator-fault"
MAX_BODY_BYTES = 32 * 1024 * 1024

#: Which dialect a path (decoded) and query ask for.
Chooser = Callable[[str, Mapping[str, str]], Dialect]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Vendor:
    """One upstream account: its script, record, prompt cache and holds."""

    def __init__(self) -> None:
        self.script = Script()
        self.record = Record()
        self.holds = Holds()
        self.memory = Memory(PrefixCache(), Issued())

    def reset(self) -> None:
        """As if newly started, but for the state it gave out: that stays good."""
        self.script.clear()
        self.record.clear()
        self.memory.cache.clear()
        self.holds.clear()

    def speaking(self, choose: Chooser) -> Handler:
        """A handler that answers in the dialect chosen for each request."""

        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._handle(request, choose(request.path, request.query))

        return handle

    async def _handle(self, request: web.Request, dialect: Dialect) -> web.StreamResponse:
        exchange = self.record.open(
            received_ms=_now_ms(),
            target=request.path_qs,
            headers=[(str(name), value) for name, value in request.headers.items()],
            dialect=dialect.name,
        )
        state: State = "client_closed"
        try:
            response, state = await self._answer(request, exchange, dialect)
        except (ConnectionError, HoldExpired):
            drop(request)
            return web.Response()
        finally:
            self.record.close(exchange, state)
        return response

    async def _answer(
        self, request: web.Request, exchange: Exchange, dialect: Dialect
    ) -> tuple[web.StreamResponse, State]:
        reply, faults = await self._decide(request, exchange, dialect)
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

    async def _decide(
        self, request: web.Request, exchange: Exchange, dialect: Dialect
    ) -> tuple[Reply, Faults]:
        faults = NO_FAULTS
        try:
            exchange.body = await _read_body(request, dialect)
            exchange.model, suffix, body = dialect.named(request.path, exchange.body)
            texts = (suffix, request.headers.get(FAULT_HEADER, ""))
            faults = _read_faults(dialect, *texts)
            if scripted := self.script.take(exchange.model):
                for state in scripted.opaque():
                    self.memory.issued.add(dialect.name, state)
                faults = _read_faults(dialect, scripted.faults, *texts)
                return scripted.reply(dialect), faults
            dialect.check_caller(request.headers, request.query)
            if faults.status >= 300:
                raise dialect.told(faults.status)
            ask = Ask(
                path=request.path,
                query=request.query,
                headers=request.headers,
                body=body,
                model=exchange.model,
                faults=faults,
                identity=Identity(exchange.body),
                now_ms=_now_ms(),
            )
            if faults.error_body:
                return dialect.error_as_success(ask), faults
            return dialect.compose(ask, self.memory), faults
        except VendorError as error:
            identity = Identity(exchange.body)
            return dialect.error_reply(error, identity, faults.retry_after_s), faults


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


async def _read_body(request: web.Request, dialect: Dialect) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise dialect.told(413) from error


def _read_faults(dialect: Dialect, *texts: str) -> Faults:
    try:
        return parse_faults(*texts)
    except FaultSyntaxError as error:
        refusal = dialect.told(400)
        refusal.message = str(error)
        raise refusal from error
