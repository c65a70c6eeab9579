"""The simulator's control API as tests use it: queue replies, open holds, read what it was sent."""

from __future__ import annotations

import asyncio
import base64
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec

from bytespike_cli.simulator.record import ExchangeView, InvoiceLine
from bytespike_contracts.money import TokenUsage

__all__ = ["Seen", "SimulatorClient"]

_WITHIN_S = 10.0
_POLL_S = 0.01


class Seen:
    """One exchange, bodies decoded."""

    def __init__(self, view: ExchangeView) -> None:
        self.id = view.id
        self.dialect = view.dialect
        self.path = view.path
        self.headers = {name.lower(): value for name, value in view.headers}
        self.model = view.model
        self.body = base64.b64decode(view.body)
        self.state = view.state
        self.status = view.status
        self.sent = base64.b64decode(view.sent)
        self.sent_bytes = view.sent_bytes
        self.events_sent = view.events_sent
        self.events_total = view.events_total
        self.billed: TokenUsage = view.billed

    def json(self) -> Any:
        """The request body."""
        return msgspec.json.decode(self.body)


class _Requests(msgspec.Struct):
    requests: list[ExchangeView]


class _Invoice(msgspec.Struct):
    models: dict[str, InvoiceLine]


class SimulatorClient:
    """Talks to ``/simulator/*`` below ``url``. Use as ``async with``."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = aiohttp.ClientSession(base_url=url)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def script(self, **reply: Any) -> None:
        """Queue one reply (fields as in docs/simulator.md)."""
        await self._call("POST", "/simulator/script", reply)

    async def release(self, hold: str) -> int:
        """Open a hold; returns how many were waiting at it."""
        answer = msgspec.json.decode(await self._call("POST", f"/simulator/release/{hold}"))
        return int(answer["released"])

    async def waiting(self, hold: str) -> int:
        """How many requests stand at a hold."""
        answer = msgspec.json.decode(await self._call("GET", "/simulator/holds"))
        return int(answer["waiting"].get(hold, 0))

    async def requests(self, *, limit: int = 100, model: str | None = None) -> list[Seen]:
        """What it was sent, newest first."""
        query = f"?limit={limit}" + (f"&model={model}" if model else "")
        body = await self._call("GET", f"/simulator/requests{query}")
        found = msgspec.json.decode(body, type=_Requests)
        return [Seen(view) for view in found.requests]

    async def last(self) -> Seen:
        """The newest exchange, once it is over."""
        return (await self.finished(1))[0]

    async def finished(self, count: int) -> list[Seen]:
        """The newest ``count`` exchanges, once there are so many and all of them are over."""
        async with asyncio.timeout(_WITHIN_S):
            while True:
                seen = await self.requests(limit=count)
                if len(seen) == count and all(one.state != "open" for one in seen):
                    return seen
                await asyncio.sleep(_POLL_S)

    async def held(self, hold: str, count: int) -> None:
        """Return once exactly ``count`` requests stand at a hold."""
        async with asyncio.timeout(_WITHIN_S):
            while True:
                if await self.waiting(hold) == count:
                    return
                await asyncio.sleep(_POLL_S)

    async def invoice(self) -> dict[str, InvoiceLine]:
        """What it would have billed, by model."""
        body = await self._call("GET", "/simulator/invoice")
        return msgspec.json.decode(body, type=_Invoice).models

    async def reset(self) -> None:
        """As if newly started."""
        await self._call("POST", "/simulator/reset")

    async def _call(self, method: str, path: str, body: object = None) -> bytes:
        content = None if body is None else msgspec.json.encode(body)
        async with self._session.request(method, path, data=content) as response:
            answer = await response.read()
            assert response.status == 200, answer
            return answer
