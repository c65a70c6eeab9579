"""Real servers and the ledger's parts for the state machine of wallets, under its clock."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from bytespike_contracts.catalogue import Catalogue, parse_catalogue
from bytespike_ledger.books import Books
from bytespike_ledger.mirror import Mirror
from bytespike_ledger.projection import Projector
from bytespike_ledger.settling import Settler
from bytespike_runtime.bus import Bus
from bytespike_runtime.kv import KvUnavailable, ScriptPipe
from tests.support.ledger import CATALOGUE, open_books, prepare_database

__all__ = ["START_MS", "World", "open_world"]

START_MS = 1_800_000_000_000  # in January 2027


class DyingProjector(Projector):
    """Takes holds, and is gone when the commit has to be told."""

    async def account(self, *_: Any, **__: Any) -> None:
        raise KvUnavailable("died")


@dataclass
class World:
    """Real servers and the ledger's parts, opened once; the clock is the machine's."""

    runner: asyncio.Runner
    books: Books
    dying: Books
    pipe: ScriptPipe
    mirror: Mirror
    settler: Settler
    catalogue: Catalogue
    clock_ms: list[int] = field(default_factory=lambda: [START_MS])


async def open_world(
    stack: AsyncExitStack, runner: asyncio.Runner, postgres_url: str, redis_url: str
) -> World:
    """Everything over an empty database and a Redis database of its own."""
    clock_ms = [START_MS]

    def now_ms() -> int:
        return clock_ms[0]

    await prepare_database(postgres_url)
    bus = Bus("nats://127.0.0.1:1")  # broadcasts are not what is tested here
    books, pipe = await stack.enter_async_context(
        open_books(
            postgres_url,
            redis_url.removesuffix("/0") + "/2",
            bus,
            now_ms=now_ms,
            script_clock_ms=now_ms,
        )
    )
    dying = Books(
        pool=books.pool,
        projector=DyingProjector(pipe, bus, now_ms=now_ms),
        prices=books.prices,
        metrics=books.metrics,
        now_ms=now_ms,
    )
    return World(
        runner=runner,
        books=books,
        dying=dying,
        pipe=pipe,
        mirror=Mirror(pipe),
        settler=Settler(books),
        catalogue=parse_catalogue(CATALOGUE, {}),
        clock_ms=clock_ms,
    )
