"""A brute-force model of one customer's money: plain lists, added up from scratch every time.

It knows two views: what Postgres has booked, and what Redis was last told, which lags behind when
a ledger dies between its commit and its projection. Admission sees the second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bytespike_contracts.holds import LEASE_MS, WINDOWS
from bytespike_contracts.keys import SpendCaps
from bytespike_contracts.usage import UsageEvent

__all__ = ["MoneyModel", "Projected", "Request"]


@dataclass
class Request:
    """One admitted request. ``held`` = Redis has a pending entry for it."""

    id: str
    key: str
    #: Where it is held: the key, and its owners that had limits when it was admitted.
    scopes: tuple[str, ...]
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
    spent: dict[str, int] = field(default_factory=dict)
    #: By scope, window and number.
    buckets: dict[tuple[str, int, int], int] = field(default_factory=dict)


@dataclass
class MoneyModel:
    """The customer; ``now_ms`` is moved by the test.

    ``owners`` names for each key all scopes its spend counts in, the key first; ``caps`` has those
    scopes that are limited now.
    """

    owners: Mapping[str, tuple[str, ...]]
    caps: dict[str, SpendCaps]
    slots: int
    now_ms: int
    balance: int = 0
    top_ups: int = 0
    #: (key, admitted ms, micro-USD) of every charge that moved money.
    charges: list[tuple[str, int, int]] = field(default_factory=list)
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

    def scopes(self) -> list[str]:
        """All keys and owners."""
        return sorted({scope for owners in self.owners.values() for scope in owners})

    def held_in(self, key: str) -> tuple[str, ...]:
        """The scopes a request of the key is held in now."""
        return tuple(scope for scope in self.owners[key] if scope in self.caps)

    def pending(self, scope: str | None = None) -> int:
        """Everything held or waiting to be settled, in the wallet or in a scope."""
        return sum(
            request.pending for request in self.requests if scope is None or scope in request.scopes
        )

    def counted_twice(self) -> int:
        """Pending entries of charges that are booked: until their redelivery they may be in the
        projected balance too, so Redis shows less than there is, never more.
        """
        return sum(request.pending for request in self.requests if request.booked)

    def window(self, scope: str, number: int) -> tuple[int, int]:
        """Settled and pending spend of window 1..3 of a scope as Redis should count it now."""
        window = WINDOWS[number - 1]
        first = window.first_live_bucket(self.now_ms)
        settled = sum(
            amount
            for (whose, which, bucket), amount in self.redis.buckets.items()
            if (whose, which) == (scope, number) and bucket >= first
        )
        pending = sum(
            request.pending
            for request in self.requests
            if scope in request.scopes and window.bucket(request.admitted_ms) >= first
        )
        return settled, pending

    def fits(self, key: str, amount: int) -> bool:
        """Whether admission should take a hold of ``amount``."""
        return (
            amount <= self.redis.balance - self.pending()
            and all(self._fits_scope(scope, amount) for scope in self.held_in(key))
            and self.slots_in_use() < self.slots
        )

    def _fits_scope(self, scope: str, amount: int) -> bool:
        caps = self.caps[scope]
        windows = (caps.window_5h_uusd, caps.window_1d_uusd, caps.window_7d_uusd)
        used = self.redis.spent.get(scope, 0) + self.pending(scope)
        return used + amount <= caps.quota_uusd and all(
            sum(self.window(scope, number)) + amount <= cap for number, cap in enumerate(windows, 1)
        )

    def admit(self, request_id: str, key: str, amount: int) -> Request:
        """A hold was taken."""
        request = Request(
            request_id, key, self.held_in(key), self.now_ms, amount, self.now_ms + LEASE_MS
        )
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
                self.charges.append((request.key, request.admitted_ms, covered))

    def deliver(self, batch: Sequence[Request]) -> None:
        """Carried to Redis: holds dropped, and absolute values where the batch counts."""
        for request in batch:
            request.held, request.delivered = False, True
        self.redis.balance = self.balance
        for request in batch:
            if request.event is None or request.event.charge_uusd == 0:
                continue  # a free request counts nowhere
            self._tell(request.key, request.admitted_ms)

    def load(self) -> None:
        """Everything carried to Redis at once (a rebuild, or a change of the wallet or a limit)."""
        self.redis.balance = self.balance
        for key, admitted_ms, _ in self.charges:
            self._tell(key, admitted_ms)

    def _tell(self, key: str, admitted_ms: int) -> None:
        for scope in self.owners[key]:
            self.redis.spent[scope] = self.spent(scope)
            for number, window in enumerate(WINDOWS, 1):
                bucket = window.bucket(admitted_ms)
                self.redis.buckets[scope, number, bucket] = self.bucket(scope, number, bucket)

    def spent(self, scope: str) -> int:
        """Everything ever charged to a scope."""
        return sum(amount for key, _, amount in self.charges if scope in self.owners[key])

    def lose_redis(self) -> None:
        """Redis forgot everything."""
        self.redis = Projected()
        for request in self.requests:
            request.held = False

    def bucket(self, scope: str, number: int, bucket: int) -> int:
        """Settled spend of one sub-bucket, from scratch."""
        window = WINDOWS[number - 1]
        return sum(
            amount
            for key, at_ms, amount in self.charges
            if scope in self.owners[key] and window.bucket(at_ms) == bucket
        )
