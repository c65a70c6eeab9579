"""A brute-force model of one customer's money: plain lists, added up from scratch every time.

It knows two views: what Postgres has booked, and what Redis was last told, which lags behind when
a ledger dies between its commit and its projection. Admission sees the second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bytespike_contracts.holds import LEASE_MS, WINDOWS
from bytespike_contracts.keys import SpendCaps
from bytespike_contracts.usage import UsageEvent

__all__ = ["MoneyModel", "Projected", "Request"]


@dataclass
class Request:
    """One admitted request. ``held`` = Redis has a pending entry for it."""

    id: str
    admitted_ms: int
    hold: int
    lease_end_ms: int
    event: UsageEvent | None = None  # set when the outcome is known
    held: bool = True
    expired: bool = False  # its lease ran out at least once, so its money and slot were given away
    booked: bool = False
    delivered: bool = False

    @property
    def pending(self) -> int:
        """What it keeps pending now."""
        if not self.held:
            return 0
        return self.hold if self.event is None else self.event.charge_uusd


@dataclass
class Projected:
    """Settled state as Redis was last told."""

    balance: int = 0
    spent: int = 0
    buckets: dict[tuple[int, int], int] = field(default_factory=dict)


@dataclass
class MoneyModel:
    """The customer; ``now_ms`` is moved by the test."""

    caps: SpendCaps
    slots: int
    now_ms: int
    balance: int = 0
    top_ups: int = 0
    #: (admitted ms, micro-USD) of every charge that moved money.
    charges: list[tuple[int, int]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    redis: Projected = field(default_factory=Projected)
    #: Somebody used more than was reserved for him, so for once more may be used than there is.
    overrun: bool = False

    def running(self) -> list[Request]:
        """Requests whose outcome is not known."""
        return [request for request in self.requests if request.event is None]

    def finished(self) -> list[Request]:
        """Requests that have an event, settled or not."""
        return [request for request in self.requests if request.event is not None]

    def undelivered(self) -> list[Request]:
        """Requests whose event is not acknowledged."""
        return [request for request in self.finished() if not request.delivered]

    def expire(self) -> None:
        """Leases that ran out by now."""
        for request in self.running():
            if request.held and request.lease_end_ms <= self.now_ms:
                request.held, request.expired = False, True

    def slots_in_use(self) -> int:
        """Open holds."""
        return sum(request.held for request in self.running())

    def pending(self) -> int:
        """Everything held or waiting to be settled."""
        return sum(request.pending for request in self.requests)

    def counted_twice(self) -> int:
        """Pending entries of charges that are booked: until their redelivery they may be in the
        projected balance too, so Redis shows less than there is, never more.
        """
        return sum(request.pending for request in self.requests if request.booked)

    def window(self, number: int) -> tuple[int, int]:
        """Settled and pending spend of window 1..3 as Redis should count it now."""
        window = WINDOWS[number - 1]
        first = window.first_live_bucket(self.now_ms)
        settled = sum(
            amount
            for (which, bucket), amount in self.redis.buckets.items()
            if which == number and bucket >= first
        )
        pending = sum(
            request.pending
            for request in self.requests
            if window.bucket(request.admitted_ms) >= first
        )
        return settled, pending

    def fits(self, amount: int) -> bool:
        """Whether admission should take a hold of ``amount``."""
        windows = zip(
            (1, 2, 3),
            (self.caps.window_5h_uusd, self.caps.window_1d_uusd, self.caps.window_7d_uusd),
            strict=True,
        )
        return (
            amount <= self.redis.balance - self.pending()
            and self.redis.spent + self.pending() + amount <= self.caps.quota_uusd
            and all(sum(self.window(number)) + amount <= cap for number, cap in windows)
            and self.slots_in_use() < self.slots
        )

    def admit(self, request_id: str, amount: int) -> Request:
        """A hold was taken."""
        request = Request(request_id, self.now_ms, amount, self.now_ms + LEASE_MS)
        self.requests.append(request)
        return request

    def renew(self, request: Request) -> None:
        """Its owner is alive; a lost hold is put back."""
        self.overrun |= request.expired
        request.held, request.lease_end_ms = True, self.now_ms + LEASE_MS

    def finish(self, request: Request, event: UsageEvent) -> None:
        """The outcome is known."""
        self.overrun |= request.expired or event.charge_uusd > request.hold
        request.event = event
        request.held = event.charge_uusd > 0

    def add_money(self, amount: int) -> None:
        """A top-up, committed."""
        self.balance += amount
        self.top_ups += amount

    def book(self, batch: Sequence[Request]) -> None:
        """Committed to Postgres, each once, as far as the balance covers it."""
        for request in batch:
            if request.booked or request.event is None:
                continue
            request.booked = True
            covered = min(request.event.charge_uusd, self.balance)
            self.balance -= covered
            if covered:
                self.charges.append((request.admitted_ms, covered))

    def deliver(self, batch: Sequence[Request]) -> None:
        """Carried to Redis: holds dropped, and absolute values where the batch counts."""
        for request in batch:
            request.held, request.delivered = False, True
        self.redis.balance = self.balance
        for request in batch:
            if request.event is None or request.event.charge_uusd == 0:
                continue  # a free request counts nowhere
            self.redis.spent = self.spent()
            for number, window in enumerate(WINDOWS, 1):
                bucket = window.bucket(request.admitted_ms)
                self.redis.buckets[number, bucket] = self.bucket(number, bucket)

    def load(self) -> None:
        """Everything carried to Redis at once (a rebuild, or a change of the wallet)."""
        self.redis.balance, self.redis.spent = self.balance, self.spent()
        for admitted_ms, _ in self.charges:
            for number, window in enumerate(WINDOWS, 1):
                bucket = window.bucket(admitted_ms)
                self.redis.buckets[number, bucket] = self.bucket(number, bucket)

    def spent(self) -> int:
        """Everything ever charged."""
        return sum(amount for _, amount in self.charges)

    def lose_redis(self) -> None:
        """Redis forgot everything."""
        self.redis = Projected()
        for request in self.requests:
            request.held = False

    def bucket(self, number: int, bucket: int) -> int:
        """Settled spend of one sub-bucket, from scratch."""
        window = WINDOWS[number - 1]
        return sum(a for at_ms, a in self.charges if window.bucket(at_ms) == bucket)
