"""A customer's server that takes webhooks: it keeps what came and answers as it is told to."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

__all__ = ["Received", "Receiver", "receiver"]


@dataclass(frozen=True)
class Received:
    """One call; header names in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Receiver:
    """``answers`` are used up one by one, then ``otherwise`` is the status. While ``hanging`` no
    answer is given at all. ``location`` goes out with redirects.
    """

    port: int = 0
    scheme: str = "http"
    answers: list[int] = field(default_factory=list)
    otherwise: int = 200
    location: str = ""
    calls: list[Received] = field(default_factory=list)
    hanging: bool = False
    released: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/hook"

    @property
    def ids(self) -> list[str]:
        """The webhook ids of all calls in order."""
        return [call.headers["webhook-id"] for call in self.calls]

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.calls.append(Received(request.path_qs, headers, await request.read()))
        if self.hanging:
            await self.released.wait()
        status = self.answers.pop(0) if self.answers else self.otherwise
        location = {"location": self.location} if 300 <= status < 400 else {}
        return web.Response(status=status, text="thanks", headers=location)


@asynccontextmanager
async def receiver(
    *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Receiver]:
    """A running one, on a port of its own."""
    made = Receiver(scheme="http" if tls is None else "https")
    runner = web.ServerRunner(web.Server(made.handle))
    await runner.setup()
    site = web.TCPSite(runner, host, 0, ssl_context=tls)
    await site.start()
    made.port = runner.addresses[0][1]
    try:
        yield made
    finally:
        made.released.set()
        await runner.cleanup()
