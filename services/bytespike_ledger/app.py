"""The ledger's process: what is opened, which loops run, in which order things end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from bytespike_contracts.catalogue import CatalogueError
from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_contracts.subjects import (
    PARKED_STREAM,
    PARKED_SUBJECT,
    SETTLE_CONSUMER,
    USAGE_STREAM,
    USAGE_SUBJECTS,
)
from bytespike_ledger.accounts.wallet_settings import watch_wallets
from bytespike_ledger.api.admin_tokens import AdminTokens
from bytespike_ledger.api.dispatch import Dispatcher, on_bad_request
from bytespike_ledger.api.table import all_routes
from bytespike_ledger.audit import Auditor
from bytespike_ledger.books import Books
from bytespike_ledger.carryover import keep_carrying
from bytespike_ledger.catalogue import CatalogueWatch
from bytespike_ledger.consumer import Consumer
from bytespike_ledger.courier.courier import Courier
from bytespike_ledger.courier.guard import Guard
from bytespike_ledger.courier.sender import Sender
from bytespike_ledger.key_uses import keep_collecting
from bytespike_ledger.metrics import LedgerMetrics
from bytespike_ledger.mirror import Mirror
from bytespike_ledger.payments.port import PaymentProvider
from bytespike_ledger.payments.stripe import StripePayments
from bytespike_ledger.prices import PriceBook
from bytespike_ledger.projection import SCRIPTS, Projector
from bytespike_ledger.rebuild import Rebuilder
from bytespike_ledger.sealing import Sealer, parse_encryption_keys
from bytespike_ledger.settings import LedgerSettings
from bytespike_ledger.sweeper import Sweeper
from bytespike_runtime import pg
from bytespike_runtime.bus import Bus, BusUnavailable, PullConsumer
from bytespike_runtime.failure_limit import FailureLimit
from bytespike_runtime.health import Health
from bytespike_runtime.http_client import HttpClient
from bytespike_runtime.kv import ScriptPipe
from bytespike_runtime.logs import get_logger
from bytespike_runtime.metrics import new_registry
from bytespike_runtime.service import HttpService, StartError, serve

__all__ = ["amain", "open_streams"]

#: Some two million events; routers spool to disk beyond it, so nothing is lost when it is full.
_USAGE_STREAM_BYTES = 1024**3
_PARKED_STREAM_BYTES = 64 * 1024**2
_DUPLICATE_WINDOW_S = 120.0
#: Longer than a batch takes when Postgres is slow; a crashed ledger's events come again after it.
_ACK_WAIT_S = 30.0
#: Messages delivered and not acknowledged, over all ledgers: some batches each, and those put back.
_MAX_ACK_PENDING = 1_000
#: Calls to a payment provider at once; more wait their turn.
_MAX_PROVIDER_CALLS = 16

_log = get_logger()


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """The wired service."""

    books: Books
    catalogue: CatalogueWatch
    consumer: Consumer
    rebuilder: Rebuilder
    sweeper: Sweeper
    auditor: Auditor
    courier: Courier


async def amain(settings: LedgerSettings, stop: asyncio.Event) -> None:
    """Serve and settle until ``stop`` is set. Raises ``StartError`` if the catalogue is bad, or a
    network for webhooks.
    """
    sealer, guard = _sealer(settings), _guard(settings)
    registry = new_registry("ledger")
    health = Health()
    async with AsyncExitStack() as stack:
        pool = await pg.connect_pool(
            settings.postgres_url.reveal(), min_size=0, max_size=settings.postgres_pool
        )
        stack.push_async_callback(pool.close)
        pipe = ScriptPipe(settings.redis_url.reveal(), SCRIPTS, timeout_s=2.0)
        await pipe.start()
        stack.push_async_callback(pipe.close)
        bus = Bus(settings.nats_url.reveal(), name="ledger")
        await bus.start()
        stack.push_async_callback(bus.close)
        pull = await open_streams(bus)
        health.add("postgres", partial(pg.ping, pool))
        health.add("nats", bus.ping)
        books = Books(
            pool=pool,
            projector=Projector(pipe, bus),
            prices=PriceBook(pool),
            metrics=LedgerMetrics(registry),
            sealer=sealer,
            usage_retention_days=settings.usage_retention_days,
            webhook_guard=guard,
        )
        health.add("redis", books.projector.ping)
        sender = await stack.enter_async_context(Sender(guard))
        parts = _wire(settings, books, bus, pull, Mirror(pipe), sender)
        client = HttpClient(max_connections_per_origin=_MAX_PROVIDER_CALLS)
        stack.push_async_callback(client.close)
        service = HttpService(
            name="ledger",
            host=settings.host,
            port=settings.port,
            ops_port=settings.ops_port,
            handler=_api(settings, parts, _providers(settings, client)).handle,
            health=health,
            registry=registry,
            on_bad_request=on_bad_request,
            drain_timeout_s=settings.drain_timeout_s,
        )
        await _run(settings, parts, service, stop)


def _sealer(settings: LedgerSettings) -> Sealer:
    secret = settings.encryption_keys
    return Sealer({} if secret is None else parse_encryption_keys(secret.reveal()))


def _guard(settings: LedgerSettings) -> Guard:
    try:
        return Guard.of(settings.webhook_http_hosts, settings.webhook_allowed_networks)
    except ValueError as error:
        raise StartError(f"webhook_allowed_networks: {error}") from error


def _wire(
    settings: LedgerSettings,
    books: Books,
    bus: Bus,
    pull: PullConsumer,
    mirror: Mirror,
    sender: Sender,
) -> _Parts:
    try:
        catalogue = CatalogueWatch(settings.catalogue, books.prices)
    except CatalogueError as error:
        raise StartError("\n".join(f"{settings.catalogue}: {p}" for p in error.problems)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(f"cannot read the catalogue: {error}") from error
    return _Parts(
        books=books,
        catalogue=catalogue,
        consumer=Consumer(books, bus, pull),
        rebuilder=Rebuilder(books, mirror, pull.pending, grace_s=settings.rebuild_grace_s),
        sweeper=Sweeper(books, mirror, pull.pending, ghost_grace_s=settings.ghost_grace_s),
        auditor=Auditor(books, mirror),
        courier=Courier(books, sender),
    )


def _providers(settings: LedgerSettings, client: HttpClient) -> dict[str, PaymentProvider]:
    """The payment providers that are set up, by name."""
    if settings.stripe_api_key is None or settings.stripe_webhook_secret is None:
        return {}
    stripe = StripePayments(
        client,
        api_key=settings.stripe_api_key,
        webhook_secret=settings.stripe_webhook_secret,
        base_url=settings.stripe_url,
        return_url=settings.stripe_return_url,
    )
    return {stripe.name: stripe}


def _api(
    settings: LedgerSettings, parts: _Parts, providers: Mapping[str, PaymentProvider]
) -> Dispatcher:
    async def rebuild() -> None:
        if not await parts.rebuilder.rebuild():
            raise GatewayError(ErrorCode.CONFLICT, "a rebuild is running already")

    routes = all_routes(
        parts.books,
        parts.catalogue,
        audit=parts.auditor.audit,
        rebuild=rebuild,
        put_back=parts.consumer.put_back,
        providers=providers,
    )
    return Dispatcher(
        parts.books,
        routes,
        admin_tokens=AdminTokens(
            parts.books, settings.admin_token, FailureLimit(settings.auth_failures_per_minute)
        ),
        internal_token=settings.internal_token,
    )


async def open_streams(bus: Bus) -> PullConsumer:
    """The streams (made on connecting if NATS is away now) and the ledgers' consumer of events."""
    for name, subjects, max_bytes in (
        (USAGE_STREAM, [USAGE_SUBJECTS], _USAGE_STREAM_BYTES),
        (PARKED_STREAM, [PARKED_SUBJECT], _PARKED_STREAM_BYTES),
    ):
        try:
            await bus.ensure_stream(
                name,
                subjects,
                max_bytes=max_bytes,
                max_age_s=0,
                duplicate_window_s=_DUPLICATE_WINDOW_S,
            )
        except BusUnavailable as error:
            _log.warning("stream not made yet", stream=name, error=str(error))
    return await bus.pull_consumer(
        USAGE_STREAM, SETTLE_CONSUMER, ack_wait_s=_ACK_WAIT_S, max_ack_pending=_MAX_ACK_PENDING
    )


async def _run(
    settings: LedgerSettings, parts: _Parts, service: HttpService, stop: asyncio.Event
) -> None:
    """Loops and server side by side. A loop that fails ends the process: half a ledger is worse
    than a restart. Loops end after the server, between two awaits; what they leave unfinished is
    repeated by whoever comes next.
    """
    async with asyncio.TaskGroup() as group:
        loops = [
            group.create_task(loop)
            for loop in (
                parts.catalogue.run(),
                parts.consumer.run(),
                parts.rebuilder.run(),
                parts.sweeper.run(settings.sweep_interval_s),
                parts.auditor.run(settings.audit_interval_s),
                keep_carrying(parts.books),
                watch_wallets(parts.books),
                parts.courier.run(),
                keep_collecting(parts.books),
            )
        ]
        await serve(service, stop)
        for loop in loops:
            loop.cancel()
