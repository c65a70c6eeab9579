"""Money in any order: the real ledger code, the real scripts, real Postgres and Redis.

An organisation with two members and four keys. Hypothesis admits, renews, finishes, delivers,
replays, expires, tops up, sets and lifts limits of the owners, kills the ledger between its commit
and its projection, and wipes Redis, in whatever order it likes, under a simulated clock.
After every step Redis says exactly what the brute-force model says, and nothing is below zero.
Whenever everything has been delivered, Postgres, Redis and the model agree to the micro-USD, the
audit is clean, and every request was charged at most once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import pytest
import uvloop
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bytespike_cli.servers import PostgresServer
from bytespike_contracts import holds
from bytespike_contracts.catalogue import Catalogue, parse_catalogue
from bytespike_contracts.errors import GatewayError
from bytespike_contracts.holds import WINDOWS, ScopeCaps
from bytespike_contracts.ids import mint_id
from bytespike_contracts.keys import SpendCaps
from bytespike_contracts.money import TokenUsage
from bytespike_contracts.settlement import Outcome
from bytespike_contracts.usage import UsageEvent
from bytespike_ledger.accounts.keys import create_key
from bytespike_ledger.accounts.orgs import create_org
from bytespike_ledger.accounts.wallets import adjust, top_up
from bytespike_ledger.audit import Auditor
from bytespike_ledger.books import Books
from bytespike_ledger.carryover import carry_due, carry_limits, key_record
from bytespike_ledger.mirror import Mirror
from bytespike_ledger.rebuild import Rebuilder
from bytespike_ledger.settle import PricedEvent, price_event
from bytespike_ledger.settling import Settler
from bytespike_ledger.store.keys import touch_keys
from bytespike_ledger.store.state import AccountSettled, whole_accounts
from bytespike_ledger.sweeper import Sweeper
from bytespike_runtime import pg
from bytespike_runtime.bus import Bus
from bytespike_runtime.kv import KvUnavailable, ScriptPipe
from tests.support.ledger import CATALOGUE, OPERATOR, open_books, plain_controls, prepare_database
from tests.support.money_model import MoneyModel, Request
from tests.support.owners import add_member, give_key, set_caps

WIDEST_BUCKET_MS = WINDOWS[-1].bucket_ms
START_MS = 166_667 * WIDEST_BUCKET_MS  # in January 2027
FIRST_BALANCE = 900
#: A token costs ten micro-USD; a few requests run into every one of these.
CAPS = SpendCaps(quota_uusd=8_000, window_5h_uusd=1_500, window_1d_uusd=2_500, window_7d_uusd=5_000)
OWNER_CAPS = SpendCaps(
    quota_uusd=9_000, window_5h_uusd=1_700, window_1d_uusd=2_900, window_7d_uusd=5_500
)
#: Every one of these scopes, reported.
LOOK_CAPS = SpendCaps(
    quota_uusd=10**9, window_5h_uusd=10**9, window_1d_uusd=10**9, window_7d_uusd=10**9
)
#: Ann's two keys, Bob's, and one of the organisation's own.
WHOSE_KEYS = (0, 0, 1, None)
WHICH_KEY = st.integers(0, len(WHOSE_KEYS) - 1)
SLOTS = 4
TOKENS = st.integers(min_value=1, max_value=60)
#: Cost as a share of the hold; a little beyond it, since an estimate is an estimate.
TENTHS = st.integers(min_value=0, max_value=12)
OUTCOMES = [Outcome.COMPLETED, Outcome.CLIENT_LEFT_LATE, Outcome.FAILED]
#: From within a lease to beyond the longest window.
STEPS_MS = [1, 1_000, 31_000, 600_000, 4 * 3_600_000, 30 * 3_600_000, 8 * 86_400_000]
NOWHERE = "redis://127.0.0.1:1/0"

T = TypeVar("T")


@dataclass
class World:
    """Real servers and the ledger's parts, opened once; the clock is the machine's."""

    runner: asyncio.Runner
    books: Books
    pipe: ScriptPipe
    mirror: Mirror
    settler: Settler
    #: A ledger that commits and dies before Redis hears of it.
    dying: Settler
    catalogue: Catalogue
    clock_ms: list[int] = field(default_factory=lambda: [START_MS])


class Money(RuleBasedStateMachine):
    """One organisation; ``world`` is set by the test."""

    world: ClassVar[World]

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.world.runner.run(work)

    def script(self, name: str, args: list[str | int]) -> Any:
        return self.run(self.world.pipe.script(name, holds.wallet_name(self.account), args))

    @initialize()
    def begin(self) -> None:
        # The database outlives the example, so time only goes forward; each example starts at a
        # bucket's edge, which makes it the same example whenever it runs.
        start_ms = (self.world.clock_ms[0] // WIDEST_BUCKET_MS + 1) * WIDEST_BUCKET_MS
        self.world.clock_ms[0] = start_ms
        self.overtaken: list[tuple[AccountSettled, list[str]]] = []
        owners = self.run(self.open_account())
        caps = dict.fromkeys(owners, CAPS)
        self.model = MoneyModel(owners=owners, caps=caps, slots=SLOTS, now_ms=start_ms)
        self.keys = list(owners)
        self.owners = sorted(set(self.model.scopes()) - set(owners))
        self.top_up(FIRST_BALANCE)

    async def open_account(self) -> dict[str, tuple[str, ...]]:
        """All keys with the scopes they count in."""
        await self.world.pipe.command("FLUSHDB")
        await Rebuilder(self.world.books, self.world.mirror, nothing_unsettled, grace_s=0).rebuild()
        org = await create_org(
            self.world.books, OPERATOR, name="model", tier="free", concurrency=SLOTS
        )
        self.org, self.account = org.id, org.account_id
        owners: dict[str, tuple[str, ...]] = {}
        async with pg.connection(self.world.books.pool) as conn:
            members = [await add_member(conn, org.account_id, org.id) for _ in range(2)]
            for whose in WHOSE_KEYS:
                made = await create_key(
                    self.world.books,
                    self.world.catalogue,
                    org.account_id,
                    custom_key=None,
                    controls=plain_controls(),
                )
                if whose is None:
                    owners[made.row.id] = (made.row.id, org.id)
                else:
                    await give_key(conn, made.row.id, members[whose])
                    owners[made.row.id] = (made.row.id, members[whose], org.id)
        assert await carry_due(self.world.books)
        return owners

    def rebuilder(self) -> Rebuilder:
        async def unsettled() -> int:
            return len(self.model.undelivered())

        return Rebuilder(self.world.books, self.world.mirror, unsettled, grace_s=0)

    # What the edge and the router do.

    @rule(which=WHICH_KEY, tokens=TOKENS)
    def admit(self, which: int, tokens: int) -> None:
        self.admit_one(self.keys[which], tokens)

    def admit_one(self, key: str, tokens: int) -> Request | None:
        entropy = len(self.model.requests).to_bytes(4, "big") + self.account.encode()[-6:]
        request_id = mint_id("req", self.model.now_ms, entropy)
        args = holds.admit_args(
            request_id,
            tokens * 10,
            concurrency=SLOTS,
            scopes=[ScopeCaps(scope, self.model.caps[scope]) for scope in self.model.held_in(key)],
            now_ms=self.model.now_ms,
        )
        admission = holds.read_admission(self.script("admit", args))
        self.model.expire()
        assert (admission.refusal is None) == self.model.fits(key, tokens * 10), admission
        if admission.refusal is not None:
            return None
        return self.model.admit(request_id, key, tokens * 10)

    @precondition(lambda self: self.model.running())
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        self.renew_one(data.draw(st.sampled_from(self.model.running())))

    def renew_one(self, request: Request) -> None:
        args = holds.renew_args(
            request.id,
            request.hold,
            admitted_ms=request.admitted_ms,
            scopes=request.scopes,
            now_ms=self.model.now_ms,
        )
        self.script("renew", args)
        self.model.renew(request)

    @precondition(lambda self: self.model.running())
    @rule(data=st.data(), outcome=st.sampled_from(OUTCOMES), tenths=TENTHS)
    def finish(self, data: st.DataObject, outcome: Outcome, tenths: int) -> None:
        self.finish_one(data.draw(st.sampled_from(self.model.running())), outcome, tenths)

    @rule(which=WHICH_KEY, tokens=TOKENS, outcome=st.sampled_from(OUTCOMES), tenths=TENTHS)
    def serve(self, which: int, tokens: int, outcome: Outcome, tenths: int) -> None:
        """A whole request at once, as most of them are."""
        request = self.admit_one(self.keys[which], tokens)
        if request is not None:
            self.finish_one(request, outcome, tenths)

    def finish_one(self, request: Request, outcome: Outcome, tenths: int) -> None:
        event = self.event(request, outcome, tokens=request.hold * tenths // 100)
        args = holds.finish_args(
            request.id,
            event.charge_uusd,
            admitted_ms=request.admitted_ms,
            scopes=request.scopes,
            now_ms=self.model.now_ms,
        )
        self.script("finish", args)
        self.model.finish(request, event)

    def event(self, request: Request, outcome: Outcome, tokens: int) -> UsageEvent:
        return UsageEvent(
            request_id=request.id,
            account_id=self.account,
            key_id=request.key,
            org_id=self.org,
            group="default",
            model="m-1",
            dialect="anthropic",
            price_revision=self.world.catalogue.revision,
            admitted_ms=request.admitted_ms,
            finished_ms=self.model.now_ms,
            status=200,
            outcome=outcome,
            hold_uusd=request.hold,
            charge_uusd=0 if outcome is Outcome.FAILED else tokens * 10,
            usage=TokenUsage(output_tokens=tokens),
        )

    # What the ledger does.

    @precondition(lambda self: self.model.finished())
    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        """Any finished requests, new or settled long ago, repeated if it likes."""
        self.deliver_all(data.draw(self.batches(self.model.finished())))

    def deliver_all(self, batch: list[Request]) -> None:
        refused = self.run(self.world.settler.settle(self.priced(batch)))
        assert refused == []
        self.model.book(batch)
        self.model.deliver(batch)

    @precondition(lambda self: self.model.undelivered())
    @rule(data=st.data(), redelivered=st.booleans())
    def crash_between_commit_and_projection(self, data: st.DataObject, redelivered: bool) -> None:
        batch = data.draw(self.batches(self.model.undelivered()))
        with pytest.raises(KvUnavailable):
            self.run(self.world.dying.settle(self.priced(batch)))
        self.model.book(batch)
        # What it would have told Redis; it may still do so, however late.
        (account,) = self.run(self.settled_state())
        self.overtaken.append((account, [request.id for request in batch]))
        if redelivered:
            self.deliver_all(batch)

    async def settled_state(self) -> list[AccountSettled]:
        async with pg.connection(self.world.books.pool) as conn:
            return await whole_accounts(conn, [self.account], now_ms=self.model.now_ms)

    @precondition(lambda self: self.overtaken)
    @rule(data=st.data())
    def an_overtaken_projection_arrives(self, data: st.DataObject) -> None:
        """Its settlement was delivered again and more was settled since: it must change nothing."""
        if self.model.undelivered():
            self.deliver_all(self.model.undelivered())
        account, hold_ids = data.draw(st.sampled_from(self.overtaken))
        self.run(self.world.books.projector.account(account, hold_ids))

    def batches(self, requests: list[Request]) -> st.SearchStrategy[list[Request]]:
        return st.lists(st.sampled_from(requests), min_size=1, max_size=5)

    def priced(self, batch: list[Request]) -> list[PricedEvent]:
        rates = self.world.catalogue.rates("default", "m-1")
        assert rates is not None
        return [price_event(r.event, rates, self.model.now_ms) for r in batch if r.event]

    @rule(amount=st.integers(min_value=1, max_value=2_000))
    def top_up(self, amount: int) -> None:
        self.run(
            top_up(
                self.world.books, self.account, amount_uusd=amount, idempotency_key=None, note=""
            )
        )
        self.model.add_money(amount)
        self.model.load()

    @rule(amount=st.integers(min_value=1, max_value=2_000))
    def debit(self, amount: int) -> None:
        """An operator takes money out: never what a running request holds."""
        free = self.model.redis.balance - self.model.pending()
        taking = adjust(self.world.books, self.account, amount_uusd=-amount, reason="")
        if amount > free:
            with pytest.raises(GatewayError, match="available"):
                self.run(taking)
            return
        if amount <= self.model.balance:
            self.run(taking)
            self.model.add_money(-amount)
        else:
            with pytest.raises(GatewayError, match="available"):
                self.run(taking)
        self.model.load()

    @rule(which=st.integers(0, 2), limited=st.sampled_from([True, True, False]))
    def limit_an_owner(self, which: int, limited: bool) -> None:
        """A member or the organisation, from now on; what was spent before counts."""
        owner = self.owners[which]
        caps = OWNER_CAPS if limited else SpendCaps()
        self.run(self.change_caps(owner, caps))
        self.model.load()
        if limited:
            self.model.caps[owner] = caps
        else:
            self.model.caps.pop(owner, None)

    async def change_caps(self, owner: str, caps: SpendCaps) -> None:
        async with pg.connection(self.world.books.pool) as conn, conn.transaction():
            await set_caps(conn, "orgs" if owner == self.org else "members", owner, caps)
            rows = await touch_keys(conn, self.account)
        await carry_limits(self.world.books, self.account, rows)
        for row in rows:
            limits = {limit.scope: limit.caps for limit in key_record(row).limits}
            assert limits.get(owner) == (
                caps if owner in self.model.owners[row.id] and caps != SpendCaps() else None
            )

    @rule()
    def sweep(self) -> None:
        async def sweep() -> None:
            sweeper = Sweeper(self.world.books, self.world.mirror, unsettled, ghost_grace_s=3600)
            await sweeper.sweep_holds()
            async with pg.connection(self.world.books.pool) as conn:
                await sweeper.sweep_tables(conn)

        async def unsettled() -> int:
            return len(self.model.undelivered())

        self.run(sweep())
        self.model.expire()

    # What happens to them.

    @rule(step_ms=st.sampled_from(STEPS_MS))
    def time_passes(self, step_ms: int) -> None:
        self.model.now_ms += step_ms
        self.world.clock_ms[0] = self.model.now_ms

    @rule(late=st.booleans(), data=st.data())
    def redis_is_lost(self, late: bool, data: st.DataObject) -> None:
        """Routers put running holds back and finish on; the stream drains; the ledger rebuilds."""
        self.run(self.world.pipe.command("FLUSHDB"))
        self.model.lose_redis()
        look = holds.admit_args("", -1, concurrency=SLOTS, scopes=[], now_ms=self.model.now_ms)
        assert holds.read_admission(self.script("admit", look)).state is None
        for request in self.model.running():
            self.renew_one(request)
        if late and self.model.running():
            self.finish(data, Outcome.COMPLETED, 5)
        if self.model.undelivered():
            self.deliver_all(self.model.undelivered())
        assert self.run(self.rebuilder().rebuild())
        self.model.load()

    # What must hold.

    @invariant()
    def redis_says_what_the_model_says(self) -> None:
        args = holds.admit_args(
            "",
            -1,
            concurrency=SLOTS,
            scopes=[ScopeCaps(scope, LOOK_CAPS) for scope in self.model.scopes()],
            now_ms=self.model.now_ms,
        )
        state = holds.read_admission(self.script("admit", args)).state
        self.model.expire()
        assert state is not None
        assert state.balance_uusd == self.model.redis.balance >= 0
        assert state.pending_uusd == self.model.pending()
        assert state.slots_in_use == self.model.slots_in_use()
        if not self.model.overrun:
            assert state.balance_uusd >= state.pending_uusd - self.model.counted_twice()
            assert state.slots_in_use <= SLOTS
        for name, scope in zip(self.model.scopes(), state.scopes, strict=True):
            assert scope.spent_uusd == self.model.redis.spent.get(name, 0)
            assert scope.pending_uusd == self.model.pending(name)
            for number, window in enumerate(scope.windows, 1):
                assert (window.settled_uusd, window.pending_uusd) == self.model.window(name, number)

    @rule()
    def quiesce(self) -> None:
        """Everything is delivered: three views of the money are one."""
        if self.model.undelivered():
            self.deliver_all(self.model.undelivered())
        assert self.model.balance == self.model.redis.balance
        assert self.model.balance + sum(a for _, _, a in self.model.charges) == self.model.top_ups
        assert self.run(self.booked()) == (
            self.model.balance,
            -self.model.top_ups,
            len(self.model.finished()),
            len(self.model.charges),
        )
        report = self.run(Auditor(self.world.books, self.world.mirror).audit())
        assert report.clean, [finding for finding in report.findings if finding.violations]

    async def booked(self) -> tuple[int, ...]:
        """Of this customer in Postgres: balance, funding and debits, usage rows, settlements."""
        async with pg.connection(self.world.books.pool) as conn:
            row = await conn.fetchrow(
                """select (select posted_uusd from balances where account_id = $1),
                          (select sum(amount_uusd) from entries join transfers on id = transfer_id
                           where transfers.account_id = $1
                             and entries.account_id in ('house_funding', 'house_adjustment')
                          )::bigint,
                          (select count(*) from usage where account_id = $1),
                          (select count(*) from transfers
                           where account_id = $1 and kind = 'settle')""",
                self.account,
            )
        return tuple(row)

    def teardown(self) -> None:
        if hasattr(self, "model"):
            self.quiesce()


async def nothing_unsettled() -> int:
    return 0


@pytest.fixture
def world(postgres_server: PostgresServer, redis_url: str) -> Iterator[World]:
    database = postgres_server.create_database("ledger_machine")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        stack = AsyncExitStack()

        async def open_world() -> World:
            clock_ms = [START_MS]
            await prepare_database(database)
            bus = Bus("nats://127.0.0.1:1")  # broadcasts are not what is tested here
            books, pipe = await stack.enter_async_context(
                open_books(
                    database,
                    redis_url.removesuffix("/0") + "/1",
                    bus,
                    now_ms=lambda: clock_ms[0],
                    script_clock_ms=lambda: clock_ms[0],
                )
            )
            dying, _ = await stack.enter_async_context(
                open_books(database, NOWHERE, bus, now_ms=lambda: clock_ms[0])
            )
            return World(
                runner=runner,
                books=books,
                pipe=pipe,
                mirror=Mirror(pipe),
                settler=Settler(books),
                dying=Settler(dying),
                catalogue=parse_catalogue(CATALOGUE, {}),
                clock_ms=clock_ms,
            )

        yield runner.run(open_world())
        runner.run(stack.aclose())


def test_money_is_exact_in_any_order(world: World) -> None:
    Money.world = world
    run_state_machine_as_test(
        Money,
        settings=settings(
            max_examples=100,
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
