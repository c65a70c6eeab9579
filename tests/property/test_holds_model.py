"""The account scripts against a brute-force model, under a simulated clock, in any order.

The model keeps every hold and every settled charge in plain lists and adds them up from scratch
for each question; Redis keeps running sums and drops buckets. They must never disagree: not on what
is available, not on what a window still counts, not on who gets in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import pytest
import redis
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

from bytespike_contracts import holds
from bytespike_contracts.holds import WINDOWS, BucketSpend, Refusal, ScopeCaps, ScopeSpend
from bytespike_contracts.keys import SpendCaps

ACCOUNT = "acct_model"
SCOPE = "key_model"
START_MS = 1_800_000_000_000
CAPS = SpendCaps(quota_uusd=5_000, window_5h_uusd=1_200, window_1d_uusd=2_000, window_7d_uusd=3_500)
WINDOW_CAPS = (CAPS.window_5h_uusd, CAPS.window_1d_uusd, CAPS.window_7d_uusd)
SLOTS = 4


@dataclass
class Hold:
    """One admitted request as the model remembers it."""

    amount: int
    admitted_ms: int
    lease_end_ms: int
    finished: bool = False


@dataclass
class Books:
    """The settled side: what the ledger would have in Postgres."""

    balance: int = 10_000
    version: int = 1
    charges: list[tuple[int, int]] = field(default_factory=list)  # (admitted ms, amount)

    def spent(self) -> int:
        return sum(amount for _, amount in self.charges)


class Account(RuleBasedStateMachine):
    """One account on a real server; ``client`` is set by the test."""

    client: ClassVar[redis.Redis]

    @initialize()
    def open_account(self) -> None:
        self.client.flushdb()
        self.now_ms = START_MS
        self.books = Books()
        self.holds: dict[str, Hold] = {}
        self.minted = 0
        self.project(open_account=True)

    def run(self, script: str, args: list[str | int]) -> list[int | bytes]:
        reply: list[int | bytes] = self.client.eval(script, 1, holds.wallet_name(ACCOUNT), *args)
        return reply

    def project(self, *ids: str, open_account: bool = False) -> None:
        buckets = [
            BucketSpend(number, bucket, amount)
            for number, window in enumerate(WINDOWS, 1)
            for bucket, amount in self.settled_buckets(window).items()
            if bucket >= window.first_live_bucket(self.now_ms)
        ]
        self.run(
            holds.PROJECT,
            holds.project_args(
                balance_uusd=self.books.balance,
                version=self.books.version,
                hold_ids=ids,
                scopes=[ScopeSpend(SCOPE, self.books.spent(), buckets)],
                open_account=open_account,
                now_ms=self.now_ms,
            ),
        )

    def settled_buckets(self, window: holds.Window) -> dict[int, int]:
        sums: dict[int, int] = {}
        for admitted_ms, amount in self.books.charges:
            bucket = window.bucket(admitted_ms)
            sums[bucket] = sums.get(bucket, 0) + amount
        return sums

    def pending(self) -> int:
        return sum(hold.amount for hold in self.holds.values())

    def counted(self, window: holds.Window) -> tuple[int, int, int]:
        """What the window counts now, added up from scratch: settled, pending, reset."""
        live = window.first_live_bucket(self.now_ms)
        settled = {b: a for b, a in self.settled_buckets(window).items() if b >= live and a}
        waiting: dict[int, int] = {}
        for hold in self.holds.values():
            bucket = window.bucket(hold.admitted_ms)
            if bucket >= live and hold.amount:
                waiting[bucket] = waiting.get(bucket, 0) + hold.amount
        oldest = min([*settled, *waiting], default=None)
        reset = 0 if oldest is None else (oldest + 1) * window.bucket_ms + window.length_ms
        return sum(settled.values()), sum(waiting.values()), reset

    def drop_expired(self) -> None:
        for name in [
            name
            for name, hold in self.holds.items()
            if not hold.finished and hold.lease_end_ms <= self.now_ms
        ]:
            del self.holds[name]

    def expected_refusal(self, amount: int) -> Refusal | None:
        if self.books.balance - self.pending() < amount:
            return Refusal.BALANCE
        if self.books.balance - self.pending() <= 0:
            return Refusal.BALANCE
        if self.books.spent() + self.pending() + amount > CAPS.quota_uusd:
            return Refusal.QUOTA
        for window, cap in zip(WINDOWS, WINDOW_CAPS, strict=True):
            settled, waiting, _ = self.counted(window)
            if settled + waiting + amount > cap:
                return Refusal(window.name)
        in_flight = sum(not hold.finished for hold in self.holds.values())
        return Refusal.CONCURRENCY if in_flight >= SLOTS else None

    @rule(amount=st.integers(0, 600))
    def admit(self, amount: int) -> None:
        self.minted += 1
        name = f"req_{self.minted}"
        self.drop_expired()
        expected = self.expected_refusal(amount)
        args = holds.admit_args(
            name,
            amount,
            concurrency=SLOTS,
            scopes=[ScopeCaps(SCOPE, CAPS)],
            now_ms=self.now_ms,
        )
        admission = holds.read_admission(self.run(holds.ADMIT, args))
        assert admission.refusal == expected
        if expected is None:
            self.holds[name] = Hold(amount, self.now_ms, self.now_ms + holds.LEASE_MS)

    @precondition(lambda self: self.holds)
    @rule(data=st.data(), share=st.integers(0, 100))
    def finish(self, data: st.DataObject, share: int) -> None:
        name = data.draw(st.sampled_from(sorted(self.holds)))
        hold = self.holds[name]
        cost = hold.amount * share // 100
        args = holds.finish_args(
            name, cost, admitted_ms=hold.admitted_ms, scopes=[SCOPE], now_ms=self.now_ms
        )
        self.run(holds.FINISH, args)
        if hold.finished:
            return  # a second finish changes nothing
        hold.amount, hold.finished = cost, True
        if cost == 0:
            del self.holds[name]

    @precondition(lambda self: any(hold.finished for hold in self.holds.values()))
    @rule(data=st.data(), twice=st.booleans())
    def settle(self, data: st.DataObject, twice: bool) -> None:
        done = sorted(name for name, hold in self.holds.items() if hold.finished)
        name = data.draw(st.sampled_from(done))
        hold = self.holds.pop(name)
        self.books.balance -= hold.amount
        self.books.version += 1
        self.books.charges.append((hold.admitted_ms, hold.amount))
        for _ in range(2 if twice else 1):
            self.project(name)

    @precondition(lambda self: self.holds)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.holds)))
        hold = self.holds[name]
        args = holds.renew_args(
            name,
            hold.amount,
            admitted_ms=hold.admitted_ms,
            scopes=[SCOPE],
            now_ms=self.now_ms,
        )
        self.run(holds.RENEW, args)
        if not hold.finished:
            hold.lease_end_ms = self.now_ms + holds.LEASE_MS

    @rule()
    def lose_redis(self) -> None:
        """Redis comes back empty; owners put their holds back, the ledger loads the rest."""
        self.client.flushdb()
        for name, hold in self.holds.items():
            common = {"admitted_ms": hold.admitted_ms, "scopes": [SCOPE]}
            if hold.finished:
                args = holds.finish_args(name, hold.amount, now_ms=self.now_ms, **common)  # type: ignore[arg-type]
                self.run(holds.FINISH, args)
            else:
                left_ms = max(1, hold.lease_end_ms - self.now_ms)
                hold.lease_end_ms = self.now_ms + left_ms
                args = holds.renew_args(
                    name,
                    hold.amount,
                    now_ms=self.now_ms,
                    lease_ms=left_ms,
                    **common,  # type: ignore[arg-type]
                )
                self.run(holds.RENEW, args)
        refused = holds.read_admission(
            self.run(
                holds.ADMIT,
                holds.admit_args("req_early", 1, concurrency=SLOTS, scopes=[], now_ms=self.now_ms),
            )
        )
        assert refused.refusal is Refusal.NOT_LOADED
        self.project(open_account=True)

    @rule(step_ms=st.sampled_from([1_000, 40_000, 299_999, 300_000, 3_600_000, 18_000_000]))
    def wait(self, step_ms: int) -> None:
        self.now_ms += step_ms

    @rule(window=st.sampled_from(WINDOWS), off_by_ms=st.sampled_from([-1, 0, 1]))
    def wait_for_the_edge_of_a_window(self, window: holds.Window, off_by_ms: int) -> None:
        reset_ms = self.counted(window)[2]
        self.now_ms = max(self.now_ms, reset_ms + off_by_ms)

    @rule(days=st.integers(1, 9))
    def wait_days(self, days: int) -> None:
        self.now_ms += days * 86_400_000

    @invariant()
    def redis_agrees_with_the_model(self) -> None:
        self.drop_expired()
        args = holds.admit_args(
            "look", -1, concurrency=SLOTS, scopes=[ScopeCaps(SCOPE, CAPS)], now_ms=self.now_ms
        )
        state = holds.read_admission(self.run(holds.ADMIT, args)).state
        assert state is not None
        in_flight = sum(not hold.finished for hold in self.holds.values())
        assert (state.balance_uusd, state.pending_uusd, state.slots_in_use) == (
            self.books.balance,
            self.pending(),
            in_flight,
        )
        assert state.balance_uusd - state.pending_uusd >= 0
        (scope,) = state.scopes
        assert (scope.spent_uusd, scope.pending_uusd) == (self.books.spent(), self.pending())
        for window, seen in zip(WINDOWS, scope.windows, strict=True):
            assert tuple(seen) == self.counted(window), window.name


@pytest.fixture
def client(redis_url: str) -> redis.Redis:
    """A database of its own on the session's server (the machine flushes it)."""
    return redis.Redis.from_url(redis_url, db=9)


def test_holds_never_disagree_with_brute_force(client: redis.Redis) -> None:
    run_state_machine_as_test(
        type("Bound", (Account,), {"client": client}),
        settings=settings(
            max_examples=150,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    client.close()
