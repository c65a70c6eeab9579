"""``bytespike simulator``: run the vendor as a process until a signal ends it."""

from __future__ import annotations

import argparse
import asyncio
import errno
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec
import uvloop
from aiohttp import web

from bytespike_cli.simulator.control import Control
from bytespike_cli.simulator.dialect import always
from bytespike_cli.simulator.dialects.anthropic import ANTHROPIC
from bytespike_cli.simulator.dialects.gemini import GEMINI_ROUTE, gemini_for
from bytespike_cli.simulator.dialects.openai import OPENAI_CHAT, OPENAI_RESPONSES
from bytespike_cli.simulator.faults import FAULT_NAMES
from bytespike_cli.simulator.vendor import MAX_BODY_BYTES, Vendor

__all__ = ["build_app", "main", "serving"]

DEFAULT_PORT = 8090


def main(argv: Sequence[str]) -> int:
    """Serve until SIGINT or SIGTERM; returns the exit code."""
    options = _parser().parse_args(argv)
    try:
        uvloop.run(_serve(options.host, options.port))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        print(
            f"bytespike simulator: port {options.port} is in use; choose another with --port",
            file=sys.stderr,
        )
        return 1
    return 0


def build_app(vendor: Vendor) -> web.Application:
    """The vendor's routes, the tester's and ``/healthz``, as one application."""
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.add_routes(
        [
            web.post("/v1/messages", vendor.speaking(always(ANTHROPIC))),
            web.post("/v1/messages/count_tokens", vendor.speaking(always(ANTHROPIC))),
            web.post("/v1/chat/completions", vendor.speaking(always(OPENAI_CHAT))),
            web.post("/v1/responses", vendor.speaking(always(OPENAI_RESPONSES))),
            web.post(GEMINI_ROUTE, vendor.speaking(gemini_for)),
            web.get("/healthz", _healthy),
            *Control(vendor).routes(),
            web.route("*", "/{path:.*}", _unknown),
        ]
    )
    return app


async def _healthy(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def _unknown(request: web.Request) -> web.Response:
    error = {"type": "not_found_error", "message": f"No such path: {request.path}"}
    body = msgspec.json.encode({"type": "error", "error": error, "request_id": "req_simulator"})
    return web.Response(status=404, body=body, content_type="application/json")


@asynccontextmanager
async def serving(host: str, port: int) -> AsyncIterator[str]:
    """Run a new vendor; yields its base URL. Raises ``OSError`` if the port is taken."""
    # A handler is cancelled when its client leaves: that is how the record learns of it in a stall.
    runner = web.AppRunner(
        build_app(Vendor()),
        access_log=None,
        auto_decompress=False,
        handler_cancellation=True,
        shutdown_timeout=1.0,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=1024).start()
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _serve(host: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    # Before the ready line: whoever reads it may send a signal at once.
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with serving(host, port) as url:
        print(f"simulator ready on {url}", flush=True)
        await stop.wait()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bytespike simulator",
        description="A scriptable vendor that speaks Anthropic Messages, OpenAI and Gemini.",
        epilog=f"Faults (header x-simulator-fault or model suffix +...): {', '.join(FAULT_NAMES)}."
        " See docs/simulator.md.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help="port, 0 for any free one (%(default)s)"
    )
    return parser
