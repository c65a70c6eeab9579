"""The tester's side: queue replies, release holds, read what happened. Not part of any vendor."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from bytespike_cli.simulator.script import ScriptedReply, ScriptFull
from bytespike_cli.simulator.vendor import Vendor

__all__ = ["Control"]

_DEFAULT_LIMIT = 100


class Control:
    """Handlers under ``/simulator``."""

    def __init__(self, vendor: Vendor) -> None:
        self._vendor = vendor

    def routes(self) -> list[web.RouteDef]:
        """The path table."""
        return [
            web.post("/simulator/script", self.add_script),
            web.get("/simulator/script", self.show_script),
            web.delete("/simulator/script", self.clear_script),
            web.get("/simulator/requests", self.show_requests),
            web.delete("/simulator/requests", self.clear_requests),
            web.get("/simulator/invoice", self.show_invoice),
            web.get("/simulator/holds", self.show_holds),
            web.post("/simulator/release/{name}", self.release),
            web.post("/simulator/reset", self.reset),
        ]

    async def add_script(self, request: web.Request) -> web.Response:
        """Queue one reply or a list of them."""
        try:
            body = await request.read()
            replies = msgspec.json.decode(body, type=ScriptedReply | list[ScriptedReply])
            for reply in replies if isinstance(replies, list) else [replies]:
                self._vendor.script.add(reply)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            return _json({"error": str(error)}, status=400)
        except ScriptFull:
            return _json({"error": "too many replies are queued"}, status=409)
        return await self.show_script(request)

    async def show_script(self, _: web.Request) -> web.Response:
        """How many scripted replies are left."""
        return _json({"queued": len(self._vendor.script)})

    async def clear_script(self, request: web.Request) -> web.Response:
        """Drop what is queued."""
        self._vendor.script.clear()
        return await self.show_script(request)

    async def show_requests(self, request: web.Request) -> web.Response:
        """Exchanges, newest first; ``limit`` and ``model`` narrow them."""
        limit = request.query.get("limit", str(_DEFAULT_LIMIT))
        if not limit.isascii() or not limit.isdigit():
            return _json({"error": "limit must be a number"}, status=400)
        found = self._vendor.record.latest(int(limit), request.query.get("model"))
        return _json({"requests": [exchange.view() for exchange in found]})

    async def clear_requests(self, request: web.Request) -> web.Response:
        """Forget exchanges and invoice."""
        self._vendor.record.clear()
        return await self.show_invoice(request)

    async def show_invoice(self, _: web.Request) -> web.Response:
        """What would have been billed, by model."""
        return _json({"models": self._vendor.record.invoice})

    async def show_holds(self, _: web.Request) -> web.Response:
        """How many requests wait at each hold."""
        return _json({"waiting": self._vendor.holds.waiting()})

    async def release(self, request: web.Request) -> web.Response:
        """Open a hold for those waiting and those still to come."""
        return _json({"released": self._vendor.holds.release(request.match_info["name"])})

    async def reset(self, _: web.Request) -> web.Response:
        """As if newly started."""
        self._vendor.reset()
        return _json({"ok": True})


def _json(value: Any, *, status: int = 200) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(value), status=status, content_type="application/json"
    )
