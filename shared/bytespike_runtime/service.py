"""The life of a service process: settings, logs, loop, signals, two listeners, drain, exit code.

A service gives :func:`main` its settings and an ``amain``; ``amain`` opens what it needs and calls
:func:`serve`, which returns when everything in flight has been answered.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import gc
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NoReturn, TypeVar

import msgspec
import uvloop
from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge

from bytespike_runtime.connection import Handler, HttpServer, OnBadRequest
from bytespike_runtime.health import Health
from bytespike_runtime.logs import configure_logs, get_logger
from bytespike_runtime.metrics import CONTENT_TYPE, exposition
from bytespike_runtime.settings import (
    ServiceSettings,
    SettingsError,
    load_settings,
    settings_table,
)

__all__ = ["Handler", "HttpService", "StartError", "main", "serve"]

_BACKLOG = 1024  # bursts of new connections wait here while the loop is busy
#: Containers made and not freed before the collector looks for cycles: requests make hardly any,
#: and Python's default of 700 has it walk over whatever happens to be in flight, for nothing.
_GC_YOUNG = 20_000

_log = get_logger()


class StartError(Exception):
    """The service cannot start, for a reason its operator can change; shown without a traceback."""


@dataclass(frozen=True, kw_only=True)
class HttpService:
    """What :func:`serve` needs to know; ``name`` is the service's word in its variables."""

    name: str
    host: str
    port: int
    ops_port: int
    handler: Handler
    health: Health
    registry: CollectorRegistry
    on_bad_request: OnBadRequest
    drain_timeout_s: float = 600.0
    header_timeout_s: float = 10.0


async def serve(service: HttpService, stop: asyncio.Event) -> None:
    """Serve until ``stop`` is set, then drain: not ready, no new connections, answer what runs.

    The ops listener outlives the drain, so that its progress can be watched. Raises
    :class:`StartError` if a port cannot be had.
    """
    server = HttpServer(
        service.handler,
        on_bad_request=service.on_bad_request,
        header_timeout_s=service.header_timeout_s,
    )
    Gauge(
        "bytespike_http_in_flight_requests",
        "Requests being answered now.",
        registry=service.registry,
    ).set_function(lambda: server.in_flight)
    ops = HttpServer(
        _ops_handler(service), on_bad_request=_plain, header_timeout_s=service.header_timeout_s
    )
    async with _listening(service, ops, "OPS_PORT"):
        async with _listening(service, server, "PORT"):
            _settle_garbage_collector()
            _log.info("listening", host=service.host, port=service.port, ops_port=service.ops_port)
            await stop.wait()
            service.health.start_draining()
            _log.info("draining", in_flight=server.in_flight)
        if not await server.drain(service.drain_timeout_s):
            _log.warning("drain timed out; requests were cut", timeout_s=service.drain_timeout_s)
    await ops.drain(timeout_s=1.0)


S = TypeVar("S", bound=ServiceSettings)


def main(
    service: str, settings_cls: type[S], amain: Callable[[S, asyncio.Event], Awaitable[None]]
) -> NoReturn:
    """Run a service to its end and exit: 0 after a drain, 1 if it could not start or crashed."""
    parser = argparse.ArgumentParser(
        prog=f"python -m bytespike_{service}",
        description=f"The {service} service of ByteSpike, configured by environment variables.",
        epilog=_settings_help(settings_cls, service),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--check", action="store_true", help="check the settings and exit")
    only_check = parser.parse_args().check
    try:
        settings = load_settings(settings_cls, service, os.environ)
    except SettingsError as error:
        sys.stderr.writelines(f"{problem}\n" for problem in error.problems)
        sys.exit(1)
    if only_check:
        sys.exit(0)
    sys.exit(_run(service, settings, amain))


def _run(service: str, settings: S, amain: Callable[[S, asyncio.Event], Awaitable[None]]) -> int:
    sink = configure_logs(service, settings.log_level, log_format=settings.log_format)
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():  # asked twice: somebody does not want to wait for the drain
            sink.flush()
            os._exit(1)
        stop.set()

    async def supervised() -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, on_signal)
        await amain(settings, stop)

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(supervised())
    except StartError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except Exception:  # noqa: BLE001 - the supervisor: the last chance to say why
        _log.exception("service crashed")
        return 1
    finally:
        sink.flush()
    return 0


@asynccontextmanager
async def _listening(
    service: HttpService, server: HttpServer, variable: str
) -> AsyncIterator[None]:
    """The socket accepts while the block runs; connections made by then stay open after it."""
    port = service.port if variable == "PORT" else service.ops_port
    try:
        listener = await asyncio.get_running_loop().create_server(
            server, service.host, port, backlog=_BACKLOG
        )
    except OSError as error:
        name = f"BYTESPIKE_{service.name.upper()}_{variable}"
        if error.errno == errno.EADDRINUSE:
            raise StartError(f"port {port} is in use; set {name} to another") from error
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise StartError(f"cannot listen on {service.host}:{port}: {reason} ({name})") from error
    watch = asyncio.get_running_loop().create_task(server.watch_heads())
    try:
        yield
    finally:
        listener.close()
        watch.cancel()


def _settle_garbage_collector() -> None:
    """What exists once a service listens (modules, tables) lives as long as it does: the collector
    need not visit it again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_YOUNG)


def _ops_handler(service: HttpService) -> Handler:
    async def readyz() -> web.Response:
        ready, answers = await service.health.ready()
        return web.Response(
            status=200 if ready else 503,
            body=msgspec.json.encode({"ready": ready, "checks": answers}),
            content_type="application/json",
        )

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        match request.path:
            case "/healthz":
                return _plain(200, "ok")
            case "/readyz":
                return await readyz()
            case "/metrics":
                return web.Response(
                    body=exposition(service.registry), headers={"content-type": CONTENT_TYPE}
                )
        return _plain(404, "this port has /healthz, /readyz and /metrics")

    return handle


def _plain(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=f"{text}\n")


def _settings_help(settings_cls: type[ServiceSettings], service: str) -> str:
    """The settings table as text; a shared variable (without the service's name) works as well."""
    rows = settings_table(settings_cls, service)
    width = max(len(variable) for variable, *_ in rows)
    lines = [
        f"  {variable:<{width}}  {doc} ({kind}; {default})" for variable, kind, default, doc in rows
    ]
    shared = f"BYTESPIKE_X serves where BYTESPIKE_{service.upper()}_X is not set."
    return "\n".join(["environment:", *lines, "", shared])
