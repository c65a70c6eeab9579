"""The management API over a :class:`Rig`, served in the test's own loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from bytespike_cli.ports import LOOPBACK
from bytespike_ledger.api.admin_tokens import AdminTokens
from bytespike_ledger.api.dispatch import Dispatcher
from bytespike_ledger.api.route import Route
from bytespike_ledger.api.table import all_routes
from bytespike_ledger.books import Books
from bytespike_ledger.catalogue import CatalogueWatch
from bytespike_runtime.failure_limit import FailureLimit
from bytespike_runtime.settings import Secret
from tests.support.ledger import Rig

__all__ = ["ADMIN_TOKEN", "INTERNAL_TOKEN", "served_ledger", "served_routes"]

ADMIN_TOKEN = "admin-token-of-the-tests"
INTERNAL_TOKEN = "internal-token-of-the-tests"
_JSON = {"content-type": "application/json"}


@asynccontextmanager
async def served_ledger(
    rig: Rig, catalogue: CatalogueWatch
) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """All routes over the rig's books; a session and the base URL to call them with."""

    async def rebuild() -> None:
        assert await rig.rebuilder.rebuild()

    routes = all_routes(
        rig.books,
        catalogue,
        audit=rig.auditor.audit,
        rebuild=rebuild,
        put_back=rig.consumer.put_back,
        providers={},
    )
    async with served_routes(rig.books, routes) as served:
        yield served


@asynccontextmanager
async def served_routes(
    books: Books, routes: Sequence[Route]
) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """The same with only these routes."""
    dispatcher = Dispatcher(
        books,
        routes,
        admin_tokens=AdminTokens(books, Secret(ADMIN_TOKEN), FailureLimit(20)),
        internal_token=Secret(INTERNAL_TOKEN),
    )
    runner = web.ServerRunner(web.Server(dispatcher.handle))
    await runner.setup()
    try:
        await web.TCPSite(runner, LOOPBACK, 0).start()
        async with aiohttp.ClientSession(headers=_JSON) as session:
            yield session, f"http://{LOOPBACK}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
