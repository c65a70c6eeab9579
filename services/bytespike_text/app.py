"""Composition: settings in, a running text-router out, everything closed in order at the end."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry

from bytespike_contracts.catalogue import CatalogueError, parse_catalogue
from bytespike_contracts.subjects import CHANNELS_CHANGED
from bytespike_runtime.bus import Bus
from bytespike_runtime.health import Health
from bytespike_runtime.http_client import HttpClient
from bytespike_runtime.kv import KvUnavailable, ScriptPipe
from bytespike_runtime.logs import get_logger
from bytespike_runtime.metrics import new_registry
from bytespike_runtime.service import HttpService, StartError, serve
from bytespike_runtime.unavailable import Unavailable
from bytespike_runtime.watched_file import WatchedFile
from bytespike_text.channels import Channels
from bytespike_text.errors import malformed
from bytespike_text.exchange import Means
from bytespike_text.handlers import Handlers
from bytespike_text.health_report import SCRIPTS as HEALTH_SCRIPTS
from bytespike_text.health_report import HealthReports
from bytespike_text.leases import SCRIPTS, Holds
from bytespike_text.metrics import TextMetrics
from bytespike_text.publisher import Publisher
from bytespike_text.routing_table import RoutingTable
from bytespike_text.settings import TextSettings
from bytespike_text.spool import Orphan, Spool, adopt_orphans
from bytespike_text.supervisor import Supervisor
from bytespike_text.switches import Switches
from bytespike_text.upstream import Upstream
from bytespike_text.usage import Books

__all__ = ["amain"]

#: How long the end of a process waits for the bus to take what is left; the rest is adopted.
_PUBLISH_DRAIN_S = 5.0
#: Work whose connection the drain has just cut needs a moment to notice.
_WIND_UP_S = 0.5

_log = get_logger()


async def amain(settings: TextSettings, stop: asyncio.Event) -> None:
    """Run the service until ``stop`` is set and everything in flight has ended."""
    registry = new_registry("text")
    metrics = TextMetrics(registry)
    async with _redis(settings) as pipe, _bus(settings) as bus, _http() as client:
        channels = Channels(pipe, bench_s=settings.bench_s)
        switches = Switches(pipe)
        await bus.subscribe(CHANNELS_CHANGED, switches.on_change)
        reports = HealthReports(pipe, channels)
        holds = Holds(pipe, metrics=metrics)
        catalogue = _catalogue(settings, channels, metrics)
        spool, orphans = _spool(settings)
        publisher = Publisher(bus, spool, orphans, metrics=metrics)
        metrics.watch_spool(lambda: spool.pending_bytes, lambda: spool.pending_events)
        metrics.watch_channels(channels.states)
        books = Books(spool, holds, publisher, metrics)
        try:
            await _first_look(switches)
            async with _background(
                publisher.run, holds.run, channels.run, switches.run, reports.run, catalogue.run
            ):
                async with Supervisor(on_crash=metrics.stray_tasks.inc) as supervisor:
                    means = Means(
                        table=lambda: catalogue.current,
                        channels=channels,
                        switches=switches,
                        upstream=Upstream(client),
                        supervisor=supervisor,
                        books=books,
                        metrics=metrics,
                        keepalive_s=settings.keepalive_s,
                    )
                    service = _service(settings, means, registry, _health(pipe, spool, switches))
                    await _serve_and_wind_up(service, supervisor, stop)
                if not await publisher.drained(_PUBLISH_DRAIN_S):
                    _log.warning("events left in the spool", events=spool.pending_events)
        finally:
            spool.close()


async def _first_look(switches: Switches) -> None:
    """No request may meet a channel that was switched off before this process began."""
    try:
        await switches.look()
    except KvUnavailable:
        # Then this router is not ready either, and will not be before a look has succeeded.
        _log.warning("channel states not read yet")


def _service(
    settings: TextSettings, means: Means, registry: CollectorRegistry, health: Health
) -> HttpService:
    handlers = Handlers(
        means, internal_token=settings.internal_token, forward_headers=settings.forward_headers
    )
    return HttpService(
        name="text",
        host=settings.host,
        port=settings.port,
        ops_port=settings.ops_port,
        handler=handlers.handle,
        health=health,
        registry=registry,
        on_bad_request=malformed,
        drain_timeout_s=settings.drain_timeout_s,
    )


async def _serve_and_wind_up(
    service: HttpService, supervisor: Supervisor, stop: asyncio.Event
) -> None:
    """Serve; then let work that outlived its client run until the drain's own deadline."""
    loop = asyncio.get_running_loop()

    async def stopped_at_s() -> float:
        await stop.wait()
        return loop.time()

    async with asyncio.TaskGroup() as group:
        stopped = group.create_task(stopped_at_s())
        await serve(service, stop)
    left_s = stopped.result() + service.drain_timeout_s - loop.time()
    await supervisor.wind_up(max(left_s, _WIND_UP_S))


def _health(pipe: ScriptPipe, spool: Spool, switches: Switches) -> Health:
    async def spool_has_room() -> None:
        spool.probe()
        if spool.full:
            raise Unavailable("the spool of usage events is full or cannot be written")

    health = Health()
    health.add("redis", pipe.ping)
    health.add("channels", switches.ping)
    health.add("spool", spool_has_room)
    # Without NATS the router serves on: events wait in the spool.
    return health


def _catalogue(
    settings: TextSettings, channels: Channels, metrics: TextMetrics
) -> WatchedFile[RoutingTable]:
    def parse(text: str) -> RoutingTable:
        return RoutingTable(parse_catalogue(text, os.environ), os.environ)

    def on_result(good: bool) -> None:
        metrics.catalogue_reloads.add("loaded" if good else "refused")
        channels.know(file.current.channel_ids)

    try:
        file = WatchedFile(settings.catalogue, parse, name="catalogue", on_result=on_result)
    except CatalogueError as error:
        raise StartError("\n".join(f"catalogue: {line}" for line in error.problems)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(f"catalogue: cannot read {settings.catalogue}: {error}") from error
    channels.know(file.current.channel_ids)
    return file


def _spool(settings: TextSettings) -> tuple[Spool, list[Orphan]]:
    root = Path(settings.spool_dir)
    # Sorts by age, and is never used twice: message ids are made of it.
    name = f"{time.time_ns() // 1_000_000}-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        orphans = adopt_orphans(root)
        return Spool.create(root, name, limit_bytes=settings.spool_limit_bytes), orphans
    except OSError as error:
        raise StartError(f"cannot use the spool folder {root}: {error.strerror}") from error


@asynccontextmanager
async def _redis(settings: TextSettings) -> AsyncIterator[ScriptPipe]:
    pipe = ScriptPipe(settings.redis_url, {**SCRIPTS, **HEALTH_SCRIPTS})
    await pipe.start()
    try:
        yield pipe
    finally:
        await pipe.close()


@asynccontextmanager
async def _bus(settings: TextSettings) -> AsyncIterator[Bus]:
    bus = Bus(settings.nats_url, name="text")
    await bus.start()
    try:
        yield bus
    finally:
        await bus.close()


@asynccontextmanager
async def _http() -> AsyncIterator[HttpClient]:
    client = HttpClient()
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def _background(*works: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run these for the life of the block; one that fails takes the process with it, since each
    keeps a promise made to customers.
    """

    async def run(work: Callable[[], Awaitable[None]]) -> None:
        await work()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run(work)) for work in works]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
