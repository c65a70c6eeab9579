"""Putting the edge together, and the few things it does without being asked.

Everything is opened here and handed down; no module keeps a connection. The edge starts without
Redis and without NATS: it answers 503 until they are there, and says so on ``/readyz``.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from bytespike_contracts.catalogue import Catalogue, CatalogueError, parse_catalogue
from bytespike_contracts.subjects import CATALOGUE_CHANGED, KEYS_CHANGED
from bytespike_edge import key_uses
from bytespike_edge.admission import SCRIPTS, Gate
from bytespike_edge.body import BodyReader, ByteBudget
from bytespike_edge.call import mint_request_id
from bytespike_edge.errors import bad_request_response
from bytespike_edge.forward import Forwarder
from bytespike_edge.handlers import Edge
from bytespike_edge.idempotency import RENEW_EVERY_S, Replays
from bytespike_edge.identity import Identifier
from bytespike_edge.key_cache import KeyCache
from bytespike_edge.metrics import EdgeMetrics
from bytespike_edge.paid import PaidCalls
from bytespike_edge.projection import ProjectionWatch
from bytespike_edge.routes import Upstream
from bytespike_edge.settings import EdgeSettings
from bytespike_edge.unpaid import UnpaidCalls
from bytespike_runtime.bus import Bus
from bytespike_runtime.failure_limit import FailureLimit
from bytespike_runtime.health import Health
from bytespike_runtime.http_client import HttpClient
from bytespike_runtime.kv import ScriptPipe
from bytespike_runtime.logs import get_logger
from bytespike_runtime.metrics import new_registry
from bytespike_runtime.service import HttpService, StartError, serve
from bytespike_runtime.watched_file import WatchedFile

__all__ = ["amain"]

_MARKER_EVERY_S = 1.0
#: Idempotency records carry whole answers, so they get a connection of their own and more time:
#: a megabyte must never stand in front of an admission.
_RECORDS_TIMEOUT_S = 5.0
_RECORDS_MAX_PENDING = 256

_log = get_logger()


async def amain(settings: EdgeSettings, stop: asyncio.Event) -> None:
    """Run the edge until ``stop``, then drain."""
    registry = new_registry("edge")
    health = Health()
    async with _opened(settings) as (pipe, records, bus, client):
        health.add("redis", pipe.ping)
        # Without NATS the edge serves on, with one-second key copies: not a reason to be unready.
        edge, chores = await _assembled(settings, registry, pipe, records, bus, client)
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(chore) for chore in chores]
            try:
                await serve(
                    HttpService(
                        name="edge",
                        host=settings.host,
                        port=settings.port,
                        ops_port=settings.ops_port,
                        handler=edge.handle,
                        health=health,
                        registry=registry,
                        on_bad_request=bad_request_response(mint_request_id),
                        drain_timeout_s=settings.drain_timeout_s,
                    ),
                    stop,
                )
            finally:
                for task in running:
                    task.cancel()


@asynccontextmanager
async def _opened(
    settings: EdgeSettings,
) -> AsyncIterator[tuple[ScriptPipe, ScriptPipe, Bus, HttpClient]]:
    pipe = ScriptPipe(settings.redis_url, {**SCRIPTS, **key_uses.SCRIPTS})
    records = ScriptPipe(
        settings.redis_url, {}, timeout_s=_RECORDS_TIMEOUT_S, max_pending=_RECORDS_MAX_PENDING
    )
    bus = Bus(settings.nats_url, name="edge")
    client = HttpClient()
    try:
        async with asyncio.TaskGroup() as group:
            for start in (pipe.start, records.start, bus.start):
                group.create_task(start())
        yield pipe, records, bus, client
    finally:
        await client.close()
        for close in (bus.close, records.close, pipe.close):
            await close()


async def _assembled(
    settings: EdgeSettings,
    registry: CollectorRegistry,
    pipe: ScriptPipe,
    records: ScriptPipe,
    bus: Bus,
    client: HttpClient,
) -> tuple[Edge, list[Coroutine[None, None, None]]]:
    """The handler, and the chores that keep it current."""
    budget = ByteBudget(settings.in_flight_bytes)
    metrics = EdgeMetrics(registry, held_bytes=lambda: budget.held_bytes)
    catalogue = _catalogue(settings, metrics)
    keys = KeyCache(
        pipe, hears_changes=lambda: bus.connected, size=settings.key_cache_size, metrics=metrics
    )
    bus.on_reconnect.append(keys.distrust)
    await bus.subscribe(KEYS_CHANGED, keys.on_change)
    await bus.subscribe(CATALOGUE_CHANGED, lambda _: catalogue.reload_if_changed())
    projection = ProjectionWatch(
        pipe, grace_s=settings.key_grace_s, started_ms=time.time_ns() // 1_000_000
    )
    gate = Gate(pipe, metrics)
    uses = key_uses.KeyUses(pipe)
    replays = Replays(records)
    forwarder = _forwarder(settings, client)
    bodies = BodyReader(
        budget, timeout_s=settings.body_timeout_s, min_bytes_per_s=settings.body_min_bytes_per_s
    )
    edge = Edge(
        identifier=Identifier(
            keys, projection, FailureLimit(settings.auth_failures_per_minute), metrics
        ),
        uses=uses,
        gate=gate,
        paid=PaidCalls(
            bodies=bodies,
            catalogue=catalogue,
            replays=replays,
            gate=gate,
            forwarder=forwarder,
            metrics=metrics,
            idle_timeout_s=settings.idle_timeout_s,
        ),
        unpaid=UnpaidCalls(
            bodies=bodies,
            catalogue=catalogue,
            gate=gate,
            forwarder=forwarder,
            idle_timeout_s=settings.idle_timeout_s,
        ),
        metrics=metrics,
        trusted_hops=settings.trusted_hops,
    )
    return edge, [
        _every(_MARKER_EVERY_S, projection.poll),
        _every(RENEW_EVERY_S, replays.renew_held),
        _every(key_uses.FLUSH_EVERY_S, uses.flush),
        catalogue.run(),
    ]


def _catalogue(settings: EdgeSettings, metrics: EdgeMetrics) -> WatchedFile[Catalogue]:
    try:
        return WatchedFile(
            settings.catalogue,
            lambda text: parse_catalogue(text, os.environ),
            name="catalogue",
            on_result=metrics.catalogue_read,
        )
    except CatalogueError as error:
        raise StartError("\n".join(f"catalogue: {line}" for line in error.problems)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(f"catalogue: cannot read {settings.catalogue}: {error}") from error


def _forwarder(settings: EdgeSettings, client: HttpClient) -> Forwarder:
    try:
        return Forwarder(
            client,
            urls={
                Upstream.TEXT: settings.text_url,
                Upstream.MEDIA: settings.media_url,
                Upstream.LEDGER: settings.ledger_url,
            },
            internal_token=settings.internal_token,
            extra_headers=settings.forward_headers,
            connect_timeout_s=settings.connect_timeout_s,
            response_timeout_s=settings.response_timeout_s,
        )
    except ValueError as error:
        raise StartError(str(error)) from error


async def _every(interval_s: float, chore: Callable[[], Awaitable[None]]) -> None:
    """Run ``chore`` now and then for ever. It handles its own failures: one it does not know ends
    the process, which is louder than a chore that silently stopped.
    """
    while True:
        await chore()
        await asyncio.sleep(interval_s)
