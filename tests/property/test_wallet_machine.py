"""Wallets in any order: several organisations, members' keys, and everything that moves money.

Hypothesis tops up (with and without a bonus, today or dated back), corrects, gives back, repeats
any of it, admits and settles requests, lets a ledger die between its commit and its projection, and
lets weeks pass, all on the real code, scripts, Postgres and Redis. After every step each wallet is
what a list of numbers says. Whenever everything is settled, the statement of any month, the ledger
and the wallet are one, the CSV adds up to the balance, and the audit is clean.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
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
from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_contracts.holds import ScopeCaps
from bytespike_contracts.ids import mint_id
from bytespike_contracts.keys import SpendCaps
from bytespike_contracts.money import TokenUsage, parse_usd
from bytespike_contracts.settlement import Outcome
from bytespike_contracts.usage import UsageEvent
from bytespike_ledger.accounts.bonus import bonus_uusd
from bytespike_ledger.accounts.keys import create_key
from bytespike_ledger.accounts.movements import Movement
from bytespike_ledger.accounts.orgs import create_org
from bytespike_ledger.accounts.refunds import refund
from bytespike_ledger.accounts.statements import Statement, read_statement, statement_csv
from bytespike_ledger.accounts.wallets import BonusChoice, adjust, top_up
from bytespike_ledger.audit import Auditor
from bytespike_ledger.books import Books
from bytespike_ledger.carryover import carry_due
from bytespike_ledger.rebuild import Rebuilder
from bytespike_ledger.settle import price_event
from bytespike_ledger.store import tenant
from bytespike_ledger.sweeper import Sweeper
from bytespike_runtime import pg
from tests.support.ledger import OPERATOR, plain_controls
from tests.support.wallet_model import (
    ModelHold,
    ModelLine,
    ModelTopUp,
    ModelWallet,
    month_of,
    months_after,
)
from tests.support.wallet_world import World, open_world

DAY_MS = 86_400_000
DEBIT_LEASE_MS = 120_000
MAX_WALLETS = 3
#: Around the steps of the ladder, and odd, so that roundings show.
PAID = st.one_of(
    st.integers(1, 3_000),
    st.sampled_from([19_999_999, 20_000_000, 20_000_033, 100_000_007, 500_000_001, 1_250_000_000]),
)
TIERS = st.sampled_from(["free", "pro", "max"])

T = TypeVar("T")


@dataclass
class Running:
    """An admitted request."""

    wallet: ModelWallet
    key: str
    id: str
    admitted_ms: int
    hold: ModelHold


class Wallets(RuleBasedStateMachine):
    """``world`` is set by the test."""

    world: ClassVar[World]

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.world.runner.run(work)

    @property
    def now_ms(self) -> int:
        return self.world.clock_ms[0]

    @initialize(tier=TIERS)
    def begin(self, tier: str) -> None:
        self.world.clock_ms[0] = (self.now_ms // DAY_MS + 1) * DAY_MS
        self.first_month = month_of(self.now_ms - 40 * DAY_MS)
        self.wallets: list[ModelWallet] = []
        self.running: list[Running] = []
        self.done: list[tuple[Movement, Callable[[], Coroutine[Any, Any, Movement]]]] = []
        self.names = 0
        self.run(self.clear_redis())
        self.open_wallet(tier)

    async def clear_redis(self) -> None:
        async def unsettled() -> int:
            return 0

        await self.world.pipe.command("FLUSHDB")
        rebuilder = Rebuilder(self.world.books, self.world.mirror, unsettled, grace_s=0)
        await rebuilder.rebuild()

    @precondition(lambda self: len(self.wallets) < MAX_WALLETS)
    @rule(tier=TIERS)
    def open_wallet(self, tier: str) -> None:
        async def create() -> str:
            org = await create_org(
                self.world.books, OPERATOR, name="model", tier=tier, concurrency=50
            )
            return org.account_id

        wallet = ModelWallet(self.run(create()), tier)
        self.wallets.append(wallet)
        self.add_key(wallet)

    def add_key(self, wallet: ModelWallet) -> None:
        made = self.run(
            create_key(
                self.world.books,
                self.world.catalogue,
                wallet.account_id,
                custom_key=None,
                controls=plain_controls(),
            )
        )
        wallet.keys.append(made.row.id)

    @rule(data=st.data())
    def another_key(self, data: st.DataObject) -> None:
        wallet = self.any_wallet(data)
        if len(wallet.keys) < 3:
            self.add_key(wallet)

    def any_wallet(self, data: st.DataObject) -> ModelWallet:
        return data.draw(st.sampled_from(self.wallets))

    def name(self) -> str:
        self.names += 1
        return str(self.names)

    def back_ms(self, days: int | None) -> int | None:
        return None if days is None else self.now_ms - days * DAY_MS

    def did(
        self, again: Callable[[], Coroutine[Any, Any, Movement]], at_ms: int | None
    ) -> tuple[Movement, int]:
        movement = self.run(again())
        assert not movement.replayed
        self.done.append((movement, again))
        return movement, self.now_ms if at_ms is None else at_ms

    # Money that people move.

    @rule(
        data=st.data(),
        paid=PAID,
        bonus=st.sampled_from(["none", "ladder"]),
        days=st.sampled_from([None, 0, 3, 40]),
    )
    def pay(self, data: st.DataObject, paid: int, bonus: BonusChoice, days: int | None) -> None:
        wallet, name, at_ms = self.any_wallet(data), self.name(), self.back_ms(days)
        movement, at = self.did(
            lambda: top_up(
                self.world.books,
                wallet.account_id,
                amount_uusd=paid,
                idempotency_key=name,
                note="",
                bonus=bonus,
                effective_ms=at_ms,
            ),
            at_ms,
        )
        extra = bonus_uusd(paid, wallet.tier) if bonus == "ladder" else 0
        wallet.move(ModelLine(at, paid + extra))
        wallet.top_ups.append(ModelTopUp(movement.transfer.id, paid, extra))
        assert movement.transfer.balance_after_uusd == wallet.balance

    @rule(data=st.data(), amount=st.integers(1, 2_000), days=st.sampled_from([None, 35]))
    def credit(self, data: st.DataObject, amount: int, days: int | None) -> None:
        wallet, name, at_ms = self.any_wallet(data), self.name(), self.back_ms(days)
        _, at = self.did(lambda: self.adjusting(wallet, amount, name, at_ms), at_ms)
        wallet.move(ModelLine(at, amount))

    @rule(data=st.data(), amount=st.integers(1, 30_000_000), dies=st.booleans())
    def debit(self, data: st.DataObject, amount: int, dies: bool) -> None:
        wallet, name = self.any_wallet(data), self.name()
        if data.draw(st.booleans()):
            amount = max(1, wallet.available(self.now_ms) - data.draw(st.integers(-1, 3)))
        if amount > wallet.available(self.now_ms):
            self.refused(lambda: self.adjusting(wallet, -amount, name, None))
            return
        books = self.world.dying if dies else self.world.books
        movement = self.run(self.adjusting(wallet, -amount, name, None, books))
        self.done.append((movement, lambda: self.adjusting(wallet, -amount, name, None)))
        self.take(wallet, amount, dies=dies)

    def adjusting(
        self,
        wallet: ModelWallet,
        amount: int,
        name: str,
        at_ms: int | None,
        books: Books | None = None,
    ) -> Coroutine[Any, Any, Movement]:
        return adjust(
            books or self.world.books,
            wallet.account_id,
            amount_uusd=amount,
            reason="model",
            idempotency_key=name,
            effective_ms=at_ms,
        )

    def take(self, wallet: ModelWallet, amount: int, *, dies: bool) -> None:
        line = ModelLine(self.now_ms, -amount)
        if dies:
            wallet.lines.append(line)
            wallet.holds.append(ModelHold(amount, self.now_ms + DEBIT_LEASE_MS))
        else:
            wallet.move(line)

    def refused(self, work: Callable[[], Coroutine[Any, Any, Movement]]) -> None:
        with pytest.raises(GatewayError) as refusal:
            self.run(work())
        assert refusal.value.code is ErrorCode.CONFLICT

    @precondition(lambda self: any(wallet.top_ups for wallet in self.wallets))
    @rule(data=st.data(), whole=st.booleans(), dies=st.booleans())
    def give_back(self, data: st.DataObject, whole: bool, dies: bool) -> None:
        wallet = data.draw(st.sampled_from([w for w in self.wallets if w.top_ups]))
        paid = data.draw(st.sampled_from(wallet.top_ups))
        name = self.name()
        asked = None if whole else data.draw(st.integers(1, max(1, paid.left + 1)))
        principal = paid.left if asked is None else asked
        gone = paid.given_back + principal
        total = principal + paid.bonus_gone(gone) - paid.bonus_gone(paid.given_back)

        def ask(books: Books) -> Coroutine[Any, Any, Movement]:
            return refund(
                books,
                wallet.account_id,
                transfer_id=paid.transfer_id,
                amount_uusd=asked,
                reason="model",
                idempotency_key=name,
            )

        possible = 0 < principal <= paid.left and total <= wallet.available(self.now_ms)
        if not possible:
            self.refused(lambda: ask(self.world.books))
            return
        movement = self.run(ask(self.world.dying if dies else self.world.books))
        assert movement.transfer.amount_uusd == -total
        self.done.append((movement, lambda: ask(self.world.books)))
        paid.given_back = gone
        self.take(wallet, total, dies=dies)

    @precondition(lambda self: self.done)
    @rule(data=st.data())
    def say_it_again(self, data: st.DataObject) -> None:
        """Whatever was asked for before, however long ago: nothing moves."""
        before, again = data.draw(st.sampled_from(self.done))
        movement = self.run(again())
        assert movement.replayed
        assert movement.transfer.id == before.transfer.id
        wallet = next(w for w in self.wallets if w.account_id == before.transfer.account_id)
        assert movement.balance_uusd == wallet.balance
        if before.transfer.kind == "topup" or before.transfer.amount_uusd > 0:
            wallet.told = wallet.balance  # a credit is carried over once more

    # Money that requests spend.

    @rule(data=st.data(), tokens=st.integers(1, 100))
    def admit(self, data: st.DataObject, tokens: int) -> None:
        wallet = self.any_wallet(data)
        key = data.draw(st.sampled_from(wallet.keys))
        entropy = self.name().encode().rjust(4, b"0") + wallet.account_id.encode()[-6:]
        request_id = mint_id("req", self.now_ms, entropy)
        args = holds.admit_args(
            request_id,
            tokens * 10,
            concurrency=50,
            scopes=[ScopeCaps(key, SpendCaps())],
            now_ms=self.now_ms,
            lease_ms=10**12,  # its owner renews it; leases are another machine's business
        )
        admission = holds.read_admission(self.script("admit", wallet, args))
        fits = tokens * 10 <= wallet.available(self.now_ms)
        assert (admission.refusal is None) is fits
        if fits:
            hold = ModelHold(tokens * 10)
            wallet.holds.append(hold)
            self.running.append(Running(wallet, key, request_id, self.now_ms, hold))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), share=st.integers(0, 10))
    def settle(self, data: st.DataObject, share: int) -> None:
        number = data.draw(st.integers(0, len(self.running) - 1))
        self.settle_one(self.running.pop(number), share)

    def settle_one(self, request: Running, share: int) -> None:
        cost = request.hold.amount * share // 10 // 10 * 10
        wallet = request.wallet
        args = holds.finish_args(
            request.id,
            cost,
            admitted_ms=request.admitted_ms,
            scopes=[request.key],
            now_ms=self.now_ms,
        )
        self.script("finish", wallet, args)
        event = UsageEvent(
            request_id=request.id,
            account_id=wallet.account_id,
            key_id=request.key,
            org_id=None,
            group="default",
            model="m-1",
            dialect="anthropic",
            price_revision=self.world.catalogue.revision,
            admitted_ms=request.admitted_ms,
            finished_ms=self.now_ms,
            status=200,
            outcome=Outcome.COMPLETED,
            hold_uusd=request.hold.amount,
            charge_uusd=cost,
            usage=TokenUsage(output_tokens=cost // 10),
        )
        rates = self.world.catalogue.rates("default", "m-1")
        assert rates is not None
        assert self.run(self.world.settler.settle([price_event(event, rates, self.now_ms)])) == []
        wallet.holds.remove(request.hold)
        if cost:
            wallet.lines.append(ModelLine(request.admitted_ms, -cost, usage=True))
        wallet.told = wallet.balance

    def script(self, name: str, wallet: ModelWallet, args: list[str | int]) -> Any:
        key = holds.wallet_name(wallet.account_id)
        return self.run(self.world.pipe.script(name, key, args))

    # What happens to them.

    @rule(step_ms=st.sampled_from([1_000, DEBIT_LEASE_MS, DAY_MS, 9 * DAY_MS]))
    def time_passes(self, step_ms: int) -> None:
        self.world.clock_ms[0] += step_ms

    @rule()
    def the_loop_carries(self) -> None:
        assert self.run(carry_due(self.world.books))
        for wallet in self.wallets:
            wallet.told = wallet.balance

    # What must hold.

    @invariant()
    def every_wallet_is_what_the_model_says(self) -> None:
        for wallet in self.wallets:
            look = holds.admit_args("", -1, concurrency=50, scopes=[], now_ms=self.now_ms)
            state = holds.read_admission(self.script("admit", wallet, look)).state
            assert state is not None
            assert state.balance_uusd == wallet.told
            assert state.balance_uusd - state.pending_uusd == wallet.available(self.now_ms)
            # Never more than there is: what is not carried over yet is held.
            running = sum(hold.amount for hold in wallet.holds if hold.ends_ms is None)
            assert wallet.balance >= running

    @rule(data=st.data(), back=st.integers(0, 11))
    def statement(self, data: st.DataObject, back: int) -> None:
        """One month of one wallet: statement, model and CSV say the same."""
        # The clock goes on from example to example, so how many months there are is no choice.
        months = months_after(self.first_month, month_of(self.now_ms))
        self.check_statement(self.any_wallet(data), months[-1 - back % len(months)])

    def check_statement(self, wallet: ModelWallet, month: str) -> int:
        made = self.run(self.read(wallet, month))
        moved, used = wallet.within(month, usage=False), wallet.within(month, usage=True)
        assert made.opening_uusd == wallet.before(month)
        assert sorted(line.amount_uusd for line in made.lines) == sorted(moved)
        assert sum(day.charge_uusd for day in made.usage) == -sum(used)
        assert made.closing_uusd == wallet.before(month) + sum(moved) + sum(used)
        text = statement_csv(made).decode()
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
        assert sum(parse_usd(row["amount_usd"] or "0") for row in rows) == made.closing_uusd
        assert parse_usd(rows[-1]["balance_usd"]) == made.closing_uusd
        return made.closing_uusd

    async def read(self, wallet: ModelWallet, month: str) -> Statement:
        async with tenant(self.world.books.pool, wallet.account_id, snapshot=True) as conn:
            return await read_statement(conn, wallet.account_id, month, now_ms=self.now_ms)

    def teardown(self) -> None:
        if not hasattr(self, "wallets"):
            return
        while self.running:
            self.settle_one(self.running.pop(), 7)
        self.the_loop_carries()
        for wallet in self.wallets:
            assert self.run(self.posted(wallet)) == wallet.balance
            assert self.check_statement(wallet, month_of(self.now_ms)) == wallet.balance
        self.run(self.sweep())
        report = self.run(Auditor(self.world.books, self.world.mirror).audit())
        assert report.clean, [finding for finding in report.findings if finding.violations]

    async def posted(self, wallet: ModelWallet) -> int:
        async with pg.connection(self.world.books.pool) as conn:
            balance: int = await conn.fetchval(
                "select posted_uusd from balances where account_id = $1", wallet.account_id
            )
        return balance

    async def sweep(self) -> None:
        async def unsettled() -> int:
            return 0

        sweeper = Sweeper(self.world.books, self.world.mirror, unsettled, ghost_grace_s=3600)
        await sweeper.sweep_holds()


@pytest.fixture
def world(postgres_server: PostgresServer, redis_url: str) -> Iterator[World]:
    database = postgres_server.create_database("wallet_machine")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        stack = AsyncExitStack()

        yield runner.run(open_world(stack, runner, database, redis_url))
        runner.run(stack.aclose())


def test_wallets_are_exact_in_any_order(world: World) -> None:
    Wallets.world = world
    run_state_machine_as_test(
        Wallets,
        settings=settings(
            max_examples=50,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
