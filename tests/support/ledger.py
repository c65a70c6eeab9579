"""The ledger's parts wired to real servers, turned by hand: one batch, one sweep, one audit.

The process is tested as a process elsewhere; here a test decides what happens when.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib import resources

import msgspec
from prometheus_client import CollectorRegistry

from bytespike_contracts import holds
from bytespike_contracts.catalogue import Catalogue, parse_catalogue
from bytespike_contracts.holds import ScopeCaps
from bytespike_contracts.ids import mint_id
from bytespike_contracts.keys import SpendCaps
from bytespike_contracts.money import Rates, TokenUsage
from bytespike_contracts.settlement import Outcome, charge
from bytespike_contracts.subjects import usage_subject
from bytespike_contracts.usage import Attempt, UsageEvent, encode_batch
from bytespike_ledger.accounts.actors import ROOT, Operator
from bytespike_ledger.accounts.key_rules import NEW_KEY
from bytespike_ledger.accounts.keys import create_key
from bytespike_ledger.accounts.orgs import create_org
from bytespike_ledger.accounts.wallets import top_up
from bytespike_ledger.app import open_streams
from bytespike_ledger.audit import Auditor
from bytespike_ledger.books import Books, wall_clock_ms
from bytespike_ledger.consumer import Consumer
from bytespike_ledger.metrics import LedgerMetrics
from bytespike_ledger.mirror import Mirror
from bytespike_ledger.prices import PriceBook
from bytespike_ledger.projection import SCRIPTS, Projector
from bytespike_ledger.rebuild import Rebuilder
from bytespike_ledger.sweeper import Sweeper
from bytespike_runtime import pg
from bytespike_runtime.bus import Bus, PullConsumer
from bytespike_runtime.kv import ScriptPipe
from bytespike_runtime.migrate import migrate

__all__ = [
    "CATALOGUE",
    "OPERATOR",
    "Customer",
    "Rig",
    "ledger",
    "open_books",
    "plain_controls",
    "prepare_database",
    "replaced",
]

CATALOGUE = """
[[models]]
id = "m-1"
vendor = "test"
family = "test"
context_window = 1000
max_output_tokens = 100
price = { input = "1", output = "10", cache_read = "0.1" }

[[channels]]
id = "c-1"
dialect = "anthropic"
base_url = "http://127.0.0.1:1"
credential = "env:NOTHING"
models = { "m-1" = "m-1" }

[[groups]]
id = "default"

[[groups]]
id = "half"
multiplier = "0.5"
"""


#: Who does what tests do as operators without going through the API.
OPERATOR = Operator(id=ROOT, address="192.0.2.1", request_id="req_of_a_test")


@dataclass(frozen=True)
class Customer:
    """An organisation with a funded wallet and a key."""

    org_id: str
    account_id: str
    key_id: str
    key_hash: str


@dataclass(frozen=True, kw_only=True)
class Rig:
    """Everything of one ledger, and the other services' part in money as short calls."""

    books: Books
    bus: Bus
    pipe: ScriptPipe
    pull: PullConsumer
    catalogue: Catalogue
    consumer: Consumer
    rebuilder: Rebuilder
    sweeper: Sweeper
    auditor: Auditor
    mirror: Mirror

    @property
    def rates(self) -> Rates:
        """What ``m-1`` costs in the default group: 1 micro-USD a token in, 10 out."""
        rates = self.catalogue.rates("default", "m-1")
        assert rates is not None
        return rates

    async def customer(self, balance_uusd: int) -> Customer:
        """A new organisation with so much money and one key without limits."""
        org = await create_org(self.books, OPERATOR, name="Acme", tier="max", concurrency=None)
        if balance_uusd:
            await top_up(
                self.books, org.account_id, amount_uusd=balance_uusd, idempotency_key=None, note=""
            )
        made = await create_key(
            self.books, self.catalogue, org.account_id, custom_key=None, controls=plain_controls()
        )
        return Customer(org.id, org.account_id, made.row.id, made.row.key_hash.hex())

    def event(
        self,
        customer: Customer,
        *,
        output_tokens: int = 1,
        outcome: Outcome = Outcome.COMPLETED,
        request_id: str | None = None,
    ) -> UsageEvent:
        """A finished request that costs ten micro-USD per output token, if anything."""
        now_ms = self.books.now_ms()
        usage = TokenUsage(output_tokens=output_tokens)
        return UsageEvent(
            request_id=request_id or mint_id("req", now_ms, secrets.token_bytes(10)),
            account_id=customer.account_id,
            key_id=customer.key_id,
            org_id=customer.org_id,
            group="default",
            model="m-1",
            dialect="anthropic",
            price_revision=self.catalogue.revision,
            admitted_ms=now_ms,
            finished_ms=now_ms,
            status=200,
            outcome=outcome,
            hold_uusd=10 * output_tokens,
            charge_uusd=charge(outcome, usage, self.rates),
            usage=usage,
            attempts=(Attempt(channel="c-1", status=200, duration_ms=5, cost_uusd=3, usage=usage),),
        )

    async def publish(self, *events: UsageEvent) -> None:
        """What the router's publisher does: one message with these events."""
        await self.publish_body(encode_batch(list(events)), events[0].account_id)

    async def publish_body(self, body: bytes, account_id: str = "") -> None:
        """Any bytes on the usage stream."""
        await self.bus.publish(usage_subject(account_id), body, message_id=secrets.token_hex(8))

    async def settle_all(self) -> None:
        """Let the consumer work until the stream is empty."""
        while await self.pull.pending() > 0:
            await self.consumer.drain_some(wait_s=0.2)

    async def admit(self, event: UsageEvent) -> bool:
        """What the edge does before the request: hold ``event.hold_uusd``."""
        args = holds.admit_args(
            event.request_id,
            event.hold_uusd,
            concurrency=100,
            scopes=[ScopeCaps(event.key_id, SpendCaps())],
        )
        reply = await self.pipe.script("admit", holds.wallet_name(event.account_id), args)
        return holds.read_admission(reply).refusal is None

    async def finish(self, event: UsageEvent) -> None:
        """What the router does when the outcome is known."""
        args = holds.finish_args(
            event.request_id,
            event.charge_uusd,
            admitted_ms=event.admitted_ms,
            scopes=[event.key_id],
        )
        await self.pipe.script("finish", holds.wallet_name(event.account_id), args)

    async def balance(self, customer: Customer) -> int:
        """Settled micro-USD in Postgres."""
        async with pg.connection(self.books.pool) as conn:
            posted: int = await conn.fetchval(
                "select posted_uusd from balances where account_id = $1", customer.account_id
            )
        return posted

    async def value(self, query: str, *args: object) -> object:
        """One value from Postgres."""
        async with pg.connection(self.books.pool) as conn:
            return await conn.fetchval(query, *args)

    async def dirty_checks(self) -> set[str]:
        """Names of the audit's checks that found something."""
        report = await self.auditor.audit()
        return {finding.name for finding in report.findings if finding.violations}


def plain_controls() -> dict[str, object]:
    """Columns of a key without limits in the default group."""
    return {**NEW_KEY, "name": "key"}


async def prepare_database(postgres_url: str) -> None:
    """The ledger's schema in an empty (or already prepared) database."""
    folder = resources.files("bytespike_ledger") / "migrations"
    await migrate(postgres_url, folder, service="ledger")


@asynccontextmanager
async def ledger(
    postgres_url: str,
    redis_url: str,
    nats_url: str,
    *,
    ghost_grace_s: float = 0.0,
    now_ms: Callable[[], int] = wall_clock_ms,
) -> AsyncIterator[Rig]:
    """One ledger over these servers, in an emptied Redis and with an empty usage stream."""
    await prepare_database(postgres_url)
    async with AsyncExitStack() as stack:
        bus = Bus(nats_url)
        await bus.start()
        stack.push_async_callback(bus.close)
        pull = await open_streams(bus)
        while await pull.pending() > 0:
            for message in await pull.fetch(100, 0.2):
                await message.ack()
        books, pipe = await stack.enter_async_context(
            open_books(postgres_url, redis_url, bus, now_ms=now_ms)
        )
        await pipe.command("FLUSHALL")
        mirror = Mirror(pipe)
        catalogue = parse_catalogue(CATALOGUE, {})
        rig = Rig(
            books=books,
            bus=bus,
            pipe=pipe,
            pull=pull,
            catalogue=catalogue,
            consumer=Consumer(books, bus, pull),
            rebuilder=Rebuilder(books, mirror, pull.pending, grace_s=0),
            sweeper=Sweeper(books, mirror, pull.pending, ghost_grace_s=ghost_grace_s),
            auditor=Auditor(books, mirror),
            mirror=mirror,
        )
        await books.prices.register(catalogue)
        await rig.rebuilder.rebuild()
        yield rig


@asynccontextmanager
async def open_books(
    postgres_url: str,
    redis_url: str,
    bus: Bus,
    *,
    now_ms: Callable[[], int] = wall_clock_ms,
    script_clock_ms: Callable[[], int] = lambda: holds.SERVER_CLOCK,
) -> AsyncIterator[tuple[Books, ScriptPipe]]:
    """Books over an open Postgres and Redis (which may be away)."""
    pool = await pg.connect_pool(postgres_url, max_size=6)
    pipe = ScriptPipe(redis_url, {**SCRIPTS, "finish": holds.FINISH, "renew": holds.RENEW})
    await pipe.start()
    try:
        yield (
            Books(
                pool=pool,
                projector=Projector(pipe, bus, now_ms=script_clock_ms),
                prices=PriceBook(pool),
                metrics=LedgerMetrics(CollectorRegistry()),
                now_ms=now_ms,
            ),
            pipe,
        )
    finally:
        await pipe.close()
        await pool.close()


def replaced(event: UsageEvent, **changes: object) -> UsageEvent:
    """The same event with other fields."""
    changed: UsageEvent = msgspec.structs.replace(event, **changes)
    return changed
