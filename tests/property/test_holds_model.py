"""The account scripts against a brute-force model, under a simulated clock, in any order.

The model keeps every single spend in a plain list and adds them up from scratch for each question,
for every key, member and organisation; Redis keeps running sums and drops buckets. They must never
disagree: not on what is available, not on what a window still counts, not on when the next of it
leaves, not on who gets in and whose limit refuses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import pytest
import redis
from hypothesis import HealthCheck, given, settings
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
from bytespike_contracts.holds import (
    WINDOWS,
    Admission,
    BucketSpend,
    Refusal,
    ScopeCaps,
    ScopeSpend,
    Window,
)
from bytespike_contracts.keys import KeyRecord, Scope, SpendCaps, SpendLimit
from bytespike_contracts.money import format_usd
from bytespike_edge.key_cache import KnownKey, prepare
from bytespike_edge.limit_headers import limit_headers, window_caps

ACCOUNT = "acct_model"
ORG = "org_model"
#: Who a key's spend counts for: the key, its member, its organisation. One key is the
#: organisation's own.
OWNERS = {
    "key_a1": ("key_a1", "mem_a", ORG),
    "key_a2": ("key_a2", "mem_a", ORG),
    "key_b1": ("key_b1", "mem_b", ORG),
    "key_o1": ("key_o1", ORG),
}
SCOPES = sorted({scope for owners in OWNERS.values() for scope in owners})
LIMITED_OWNERS = ("mem_a", "mem_b", ORG)
START_MS = 1_800_000_000_000
#: So that a few requests run into each limit of each kind of owner.
CAPS = {
    "key": SpendCaps(
        quota_uusd=2_400, window_5h_uusd=700, window_1d_uusd=1_100, window_7d_uusd=1_600
    ),
    "mem": SpendCaps(
        quota_uusd=3_000, window_5h_uusd=800, window_1d_uusd=1_150, window_7d_uusd=2_000
    ),
    "org": SpendCaps(
        quota_uusd=3_600, window_5h_uusd=1_000, window_1d_uusd=1_700, window_7d_uusd=2_700
    ),
}
EVERY_CAP = SpendCaps(
    quota_uusd=10**9, window_5h_uusd=10**9, window_1d_uusd=10**9, window_7d_uusd=10**9
)
SLOTS = 4

KEYS = st.sampled_from(sorted(OWNERS))


@dataclass
class Spend:
    """One admitted request: what it holds, then what it cost. ``scopes`` are those it was held in,
    which are fewer than it counts for once settled if an owner had no limit at its admission.
    """

    name: str
    key: str
    scopes: tuple[str, ...]
    amount: int
    admitted_ms: int
    lease_end_ms: int
    state: Literal["held", "finished", "settled"] = "held"

    def counts_for(self, scope: str) -> bool:
        return scope in (OWNERS[self.key] if self.state == "settled" else self.scopes)

    def leaves_ms(self, window: Window) -> int:
        """The end of its sub-bucket, one window length later."""
        begins_ms = self.admitted_ms - self.admitted_ms % window.bucket_ms
        return begins_ms + window.bucket_ms + window.length_ms


@dataclass(frozen=True)
class Counted:
    """What a window counts of a scope now."""

    settled: int
    pending: int
    reset_ms: int

    @property
    def used(self) -> int:
        return self.settled + self.pending


class Account(RuleBasedStateMachine):
    """One account on a real server; ``client`` is set by the test."""

    client: ClassVar[redis.Redis]

    @initialize(limited=st.just(set(LIMITED_OWNERS)) | st.sets(st.sampled_from(LIMITED_OWNERS)))
    def open_account(self, limited: set[str]) -> None:
        self.client.flushdb()
        self.now_ms = START_MS
        self.balance, self.version = 10_000, 1
        self.spends: dict[str, Spend] = {}
        self.limited = set(limited)
        self.minted = 0
        self.steps = 0
        self.project(open_account=True)

    def run(self, script: str, args: list[str | int]) -> list[int | bytes]:
        reply: list[int | bytes] = self.client.eval(script, 1, holds.wallet_name(ACCOUNT), *args)
        return reply

    # The model.

    def of(self, scope: str, *states: str) -> Iterator[Spend]:
        for spend in self.spends.values():
            if spend.counts_for(scope) and (not states or spend.state in states):
                yield spend

    def spent(self, scope: str) -> int:
        return sum(spend.amount for spend in self.of(scope, "settled"))

    def pending(self, scope: str | None = None) -> int:
        return sum(
            spend.amount
            for spend in self.spends.values()
            if spend.state != "settled" and (scope is None or scope in spend.scopes)
        )

    def counted(self, scope: str, window: Window, *, at_ms: int = 0) -> Counted:
        """Added up from scratch, spend by spend."""
        at_ms = at_ms or self.now_ms
        live = [s for s in self.of(scope) if s.amount and at_ms < s.leaves_ms(window)]
        return Counted(
            sum(spend.amount for spend in live if spend.state == "settled"),
            sum(spend.amount for spend in live if spend.state != "settled"),
            min((spend.leaves_ms(window) for spend in live), default=0),
        )

    def drop_expired(self) -> None:
        for name in [
            name
            for name, spend in self.spends.items()
            if spend.state == "held" and spend.lease_end_ms <= self.now_ms
        ]:
            del self.spends[name]

    def key(self, key_id: str) -> KnownKey:
        """What an edge knows of the key now."""
        owners: dict[str, Literal["member", "org"]] = {"mem": "member", "org": "org"}
        return prepare(
            KeyRecord(
                key_id=key_id,
                account_id=ACCOUNT,
                version=1,
                group="default",
                scopes=(Scope.INFERENCE,),
                concurrency=SLOTS,
                caps=CAPS["key"],
                limits=tuple(
                    SpendLimit(scope=owner, owner=owners[owner[:3]], caps=CAPS[owner[:3]])
                    for owner in OWNERS[key_id][1:]
                    if owner in self.limited
                ),
            )
        )

    def expected_refusal(self, key: KnownKey, amount: int) -> tuple[Refusal | None, int]:
        """The first limit it does not fit into, and whose that is."""
        available = self.balance - self.pending()
        if available < amount or available <= 0:
            return Refusal.BALANCE, 0
        for index, (scope, caps) in enumerate(key.scopes):
            if self.spent(scope) + self.pending(scope) + amount > caps.quota_uusd:
                return Refusal.QUOTA, index
            for window, cap in zip(WINDOWS, window_caps(caps), strict=True):
                if self.counted(scope, window).used + amount > cap:
                    return Refusal(window.name), index
        held = sum(spend.state == "held" for spend in self.spends.values())
        return (Refusal.CONCURRENCY, 0) if held >= SLOTS else (None, 0)

    # What the ledger does.

    def project(self, *ids: str, scopes: list[str] = SCOPES, open_account: bool = False) -> None:
        self.run(
            holds.PROJECT,
            holds.project_args(
                balance_uusd=self.balance,
                version=self.version,
                hold_ids=ids,
                scopes=[ScopeSpend(s, self.spent(s), self.settled_buckets(s)) for s in scopes],
                open_account=open_account,
                now_ms=self.now_ms,
            ),
        )

    def settled_buckets(self, scope: str) -> list[BucketSpend]:
        """As Postgres keeps them: old ones too, for they are cleared away late."""
        sums: dict[tuple[int, int], int] = {}
        for spend in self.of(scope, "settled"):
            for number, window in enumerate(WINDOWS, 1):
                bucket = number, spend.admitted_ms // window.bucket_ms
                sums[bucket] = sums.get(bucket, 0) + spend.amount
        return [BucketSpend(*bucket, amount) for bucket, amount in sums.items()]

    @precondition(lambda self: any(s.state == "finished" for s in self.spends.values()))
    @rule(data=st.data(), twice=st.booleans())
    def settle(self, data: st.DataObject, twice: bool) -> None:
        done = sorted(s.name for s in self.spends.values() if s.state == "finished")
        spend = self.spends[data.draw(st.sampled_from(done))]
        for _ in range(2 if twice else 1):
            self.settle_one(spend)

    def settle_one(self, spend: Spend) -> None:
        if spend.state == "finished":
            spend.state = "settled"
            self.balance -= spend.amount
            self.version += 1
        self.project(spend.name, scopes=list(OWNERS[spend.key]))

    @rule(owner=st.sampled_from(LIMITED_OWNERS), lifted=st.sampled_from([False, False, True]))
    def limit_an_owner(self, owner: str, lifted: bool) -> None:
        """From now on; what was spent before counts, what is held without it does not."""
        if lifted:
            self.limited.discard(owner)
        else:
            self.project()
            self.limited.add(owner)

    @rule(scope=st.sampled_from(SCOPES), window=st.sampled_from([1, 2, 3]))
    def mend_a_wrong_scope(self, scope: str, window: int) -> None:
        """A rebuild in a Redis that kept its memory, part of which is wrong."""
        spend = f"bs:{{{ACCOUNT}}}:spend:{scope}"
        bucket = WINDOWS[window - 1].bucket(self.now_ms)
        self.client.hincrby(spend, "spent", 40)
        self.client.hincrby(spend, f"s{window}:{bucket}", 30)
        self.client.hincrby(spend, f"S{window}", 20)
        self.run(holds.CLOSE, [*SCOPES])
        self.project(open_account=True)

    # What edge and router do.

    def ask(self, name: str, key: KnownKey, amount: int) -> Admission:
        args = holds.admit_args(
            name, amount, concurrency=SLOTS, scopes=key.scopes, now_ms=self.now_ms
        )
        return holds.read_admission(self.run(holds.ADMIT, args))

    @rule(key_id=KEYS, amount=st.integers(0, 600))
    def admit(self, key_id: str, amount: int) -> None:
        self.admit_one(self.key(key_id), amount)

    def admit_one(self, key: KnownKey, amount: int) -> Refusal | None:
        self.minted += 1
        name = f"req_{self.minted}"
        self.drop_expired()
        expected = self.expected_refusal(key, amount)
        admission = self.ask(name, key, amount)
        assert (admission.refusal, admission.scope_index) == expected
        if admission.refusal is None:
            self.spends[name] = Spend(
                name,
                key.record.key_id,
                key.scope_names,
                amount,
                self.now_ms,
                self.now_ms + holds.LEASE_MS,
            )
        return admission.refusal

    @precondition(lambda self: any(s.state != "settled" for s in self.spends.values()))
    @rule(data=st.data(), share=st.integers(0, 110))
    def finish(self, data: st.DataObject, share: int) -> None:
        """Up to a tenth more than was held: an estimate is an estimate."""
        open_ones = sorted(s.name for s in self.spends.values() if s.state != "settled")
        spend = self.spends[data.draw(st.sampled_from(open_ones))]
        cost = min(spend.amount * share // 100, self.balance - self.pending() + spend.amount)
        self.finish_one(spend, cost)
        if spend.state == "held":  # a second finish changes nothing
            spend.amount, spend.state = cost, "finished"
            if cost == 0:
                del self.spends[spend.name]

    @rule(
        key_id=KEYS,
        amounts=st.lists(st.integers(1, 600), min_size=1, max_size=6),
        pause_ms=st.sampled_from([0, 300_000, 3_600_000, 7_000_000, 30_000_000]),
    )
    def serve(self, key_id: str, amounts: list[int], pause_ms: int) -> None:
        """Whole requests one after the other, so that there is a past to count."""
        for amount in amounts:
            if self.admit_one(self.key(key_id), amount) is None:
                spend = self.spends[f"req_{self.minted}"]
                self.finish_one(spend, amount)
                spend.state = "finished"
                self.settle_one(spend)
            self.now_ms += pause_ms

    def finish_one(self, spend: Spend, cost: int) -> None:
        args = holds.finish_args(
            spend.name,
            cost,
            admitted_ms=spend.admitted_ms,
            scopes=spend.scopes,
            now_ms=self.now_ms,
        )
        self.run(holds.FINISH, args)

    @precondition(lambda self: any(s.state != "settled" for s in self.spends.values()))
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        open_ones = sorted(s.name for s in self.spends.values() if s.state != "settled")
        self.renew_one(self.spends[data.draw(st.sampled_from(open_ones))], holds.LEASE_MS)

    def renew_one(self, spend: Spend, lease_ms: int) -> None:
        args = holds.renew_args(
            spend.name,
            spend.amount,
            admitted_ms=spend.admitted_ms,
            scopes=spend.scopes,
            now_ms=self.now_ms,
            lease_ms=lease_ms,
        )
        self.run(holds.RENEW, args)
        if spend.state == "held":
            spend.lease_end_ms = self.now_ms + lease_ms

    @rule(key_id=KEYS)
    def lose_redis(self, key_id: str) -> None:
        """Redis comes back empty; owners put their holds back, the ledger loads the rest."""
        self.client.flushdb()
        for spend in self.spends.values():
            if spend.state == "finished":
                self.finish_one(spend, spend.amount)
            elif spend.state == "held":
                self.renew_one(spend, max(1, spend.lease_end_ms - self.now_ms))
        assert self.ask("req_early", self.key(key_id), 1).refusal is Refusal.NOT_LOADED
        self.project(open_account=True)

    # Time.

    @rule(step_ms=st.sampled_from([1_000, 40_000, 299_999, 300_000, 3_600_000, 18_000_000]))
    def wait(self, step_ms: int) -> None:
        self.now_ms += step_ms

    @rule(
        scope=st.sampled_from(SCOPES),
        window=st.sampled_from(WINDOWS),
        off_by_ms=st.sampled_from([-1, 0, 1]),
    )
    def wait_for_the_edge_of_a_window(self, scope: str, window: Window, off_by_ms: int) -> None:
        reset_ms = self.counted(scope, window).reset_ms
        self.now_ms = max(self.now_ms, reset_ms + off_by_ms)

    @rule(days=st.integers(1, 9))
    def wait_days(self, days: int) -> None:
        self.now_ms += days * 86_400_000

    # What is said of it.

    @rule(key_id=KEYS)
    def what_the_headers_promise(self, key_id: str) -> None:
        """The tightest of all windows of all scopes, what is left of it, and when it moves."""
        self.drop_expired()
        key = self.key(key_id)
        state = self.ask("look", key, -1).state
        assert state is not None
        headers = limit_headers(key.record, key.limits, state, now_ms=self.now_ms)
        windows = [
            (cap - self.counted(scope, window).settled, number, index, cap)
            for number, window in enumerate(WINDOWS)
            for index, (scope, caps) in enumerate(key.scopes)
            for cap in (window_caps(caps)[number],)
        ]
        left, number, index, cap = min(windows)
        reset_ms = self.counted(key.scope_names[index], WINDOWS[number]).reset_ms or self.now_ms
        assert headers == {
            "X-RateLimit-Limit": format_usd(cap),
            "X-RateLimit-Remaining": format_usd(max(0, left)),
            "X-RateLimit-Reset": str(-(-reset_ms // 1000)),
            "X-Quota-Remaining-Credits": format_usd(
                max(0, min(caps.quota_uusd - self.spent(scope) for scope, caps in key.scopes))
            ),
        }

    @rule(key_id=KEYS)
    def more_fits_at_the_reset_and_not_before(self, key_id: str) -> None:
        """One more than a window has room for is refused until its reset and fits from then on, as
        far as this window goes, if nothing else happens.
        """
        self.drop_expired()
        key = self.key(key_id)
        room, number, index = min(
            (cap - self.counted(scope, WINDOWS[number]).used, number, index)
            for index, (scope, caps) in enumerate(key.scopes)
            for number, cap in enumerate(window_caps(caps))
        )
        (scope, caps), window = key.scopes[index], WINDOWS[number]
        now = self.counted(scope, window)
        if not now.used or room < 0:
            return  # nothing to leave, or more than one limit's worth must
        for spend in self.spends.values():
            if spend.state == "held":  # its owner lives until then
                self.renew_one(spend, now.reset_ms - self.now_ms + holds.LEASE_MS)
        self.now_ms = now.reset_ms - 1
        assert self.counted(scope, window) == now
        assert self.admit_one(key, room + 1) is not None
        self.now_ms = now.reset_ms
        then = self.counted(scope, window)
        assert then.used + room + 1 <= window_caps(caps)[number]
        self.admit_one(key, room + 1)

    @invariant()
    def redis_agrees_with_the_model(self) -> None:
        # Not after every step: looking tidies, and the scripts must be right without that.
        self.steps += 1
        if self.steps % 3 == 0:
            self.compare()

    def teardown(self) -> None:
        if hasattr(self, "spends"):
            self.compare()

    def compare(self) -> None:
        self.drop_expired()
        everybody = [ScopeCaps(scope, EVERY_CAP) for scope in SCOPES]
        args = holds.admit_args("look", -1, concurrency=SLOTS, scopes=everybody, now_ms=self.now_ms)
        state = holds.read_admission(self.run(holds.ADMIT, args)).state
        assert state is not None
        held = sum(spend.state == "held" for spend in self.spends.values())
        seen = (state.balance_uusd, state.pending_uusd, state.slots_in_use)
        assert seen == (self.balance, self.pending(), held)
        assert state.balance_uusd - state.pending_uusd >= 0
        for scope, found in zip(SCOPES, state.scopes, strict=True):
            assert (found.spent_uusd, found.pending_uusd) == (
                self.spent(scope),
                self.pending(scope),
            ), scope
            for window, (settled, pending, reset_ms) in zip(WINDOWS, found.windows, strict=True):
                counted = Counted(settled, pending, reset_ms)
                assert counted == self.counted(scope, window), (scope, window.name)


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


@given(at_ms=st.integers(0, 2**42), window=st.sampled_from(WINDOWS))
def test_a_spend_counts_for_its_window_and_at_most_one_sub_bucket_more(
    at_ms: int, window: Window
) -> None:
    leaves_ms = window.leaves_ms(at_ms)
    assert window.length_ms < leaves_ms - at_ms <= window.length_ms + window.bucket_ms
    assert window.first_live_bucket(leaves_ms - 1) <= window.bucket(at_ms)
    assert window.first_live_bucket(leaves_ms) > window.bucket(at_ms)
