"""Holds: the Redis side of money, as scripts with typed arguments and replies.

Per account Redis keeps the settled balance (projected by the ledger) and what is pending on it;
available = balance - pending. *Admit* (edge) takes the worst case in the wallet, the quota, the
three windows and a slot at once or not at all; *renew* (router) keeps it alive; *finish* (router)
replaces it by the actual cost; *project* (ledger) moves it into the settled state after its commit;
*expire* (anyone) returns what a dead owner left. The layout and the arithmetic live in ``lua/``;
this module is pure: it builds arguments and reads replies.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from importlib import resources
from typing import NamedTuple, cast

from bytespike_contracts.keys import SpendCaps

__all__ = [
    "ADMIT",
    "CLOSE",
    "EXPIRE",
    "FINISH",
    "LEASE_MS",
    "PROJECT",
    "RENEW",
    "RENEW_EVERY_S",
    "WINDOWS",
    "AccountState",
    "Admission",
    "BucketSpend",
    "Refusal",
    "ScopeCaps",
    "ScopeSpend",
    "ScopeState",
    "Window",
    "WindowState",
    "admit_args",
    "finish_args",
    "leases_pattern",
    "project_args",
    "read_admission",
    "renew_args",
    "wallet_name",
]

#: A hold lives this long without a sign of life from its owner, who renews it three times as often.
LEASE_MS = 30_000
RENEW_EVERY_S = 10.0

#: Clock argument of every script: 0 = Redis' own clock. Tests pass their simulated one.
SERVER_CLOCK = 0


class Window(NamedTuple):
    """A rolling window and the width of the sub-buckets it is kept in (same numbers as
    ``lua/prelude.lua``).

    How exact it is: a spend counts from its admission until :meth:`leaves_ms`, which is when the
    *end* of its sub-bucket is one window length ago. So it counts for the whole window and up to
    one sub-bucket (1/60, 1/48 or 1/56 of it) longer, never shorter; spends of one sub-bucket leave
    together. Limit headers and refusals report as reset the moment the oldest counted spend leaves,
    pending ones included: the first at which more fits though nothing else happens.
    """

    name: str
    length_ms: int
    bucket_ms: int

    def bucket(self, at_ms: int) -> int:
        """The number of the sub-bucket that covers ``at_ms``."""
        return at_ms // self.bucket_ms

    def first_live_bucket(self, now_ms: int) -> int:
        """The oldest bucket any part of which is still inside the window."""
        return (now_ms - self.length_ms) // self.bucket_ms

    def leaves_ms(self, at_ms: int) -> int:
        """When what was admitted at ``at_ms`` stops to count."""
        return (self.bucket(at_ms) + 1) * self.bucket_ms + self.length_ms


WINDOWS = (
    Window("5h", 18_000_000, 300_000),
    Window("1d", 86_400_000, 1_800_000),
    Window("7d", 604_800_000, 10_800_000),
)


def _script(name: str) -> str:
    folder = resources.files("bytespike_contracts") / "lua"
    return (folder / "prelude.lua").read_text() + (folder / f"{name}.lua").read_text()


ADMIT = _script("admit")
FINISH = _script("finish")
RENEW = _script("renew")
PROJECT = _script("project")
EXPIRE = _script("expire")
CLOSE = _script("close")


def wallet_name(account_id: str) -> str:
    """``KEYS[1]`` of every script; the braces pin all keys of the account to one cluster slot."""
    return f"bs:{{{account_id}}}:wallet"


def leases_pattern() -> str:
    """SCAN pattern that finds accounts with open holds (the key vanishes with the last lease)."""
    return "bs:{*}:leases"


class Refusal(StrEnum):
    """Why nothing was taken (the scripts' own words)."""

    BALANCE = "balance"
    QUOTA = "quota"
    WINDOW_5H = "5h"
    WINDOW_1D = "1d"
    WINDOW_7D = "7d"
    CONCURRENCY = "concurrency"
    #: Redis does not hold the account yet: a rebuild is under way (retryable, nobody's fault).
    NOT_LOADED = "not_loaded"


class ScopeCaps(NamedTuple):
    """A scope the spend is counted in (a key, its member, its organisation) with its caps."""

    scope: str
    caps: SpendCaps


class WindowState(NamedTuple):
    """One window now: settled and pending micro-USD, and when the oldest of it leaves (0 = nothing
    counted).
    """

    settled_uusd: int
    pending_uusd: int
    reset_ms: int


_NOTHING_COUNTED = (WindowState(0, 0, 0), WindowState(0, 0, 0), WindowState(0, 0, 0))


class ScopeState(NamedTuple):
    """A scope now. Windows without a cap read as zero."""

    spent_uusd: int
    pending_uusd: int
    windows: tuple[WindowState, WindowState, WindowState]


class AccountState(NamedTuple):
    """The account now, after the call."""

    balance_uusd: int
    pending_uusd: int
    slots_in_use: int
    scopes: tuple[ScopeState, ...]


class Admission(NamedTuple):
    """The answer to admit: ``refusal`` is None if the hold was taken; ``state`` is None only if not
    loaded.

    ``scope_index`` tells which of the asked scopes refused. ``state`` is as found, before this
    hold.
    """

    refusal: Refusal | None
    scope_index: int
    admitted_ms: int
    state: AccountState | None


def admit_args(
    hold_id: str,
    amount_uusd: int,
    *,
    concurrency: int,
    scopes: Sequence[ScopeCaps],
    now_ms: int = SERVER_CLOCK,
    lease_ms: int = LEASE_MS,
) -> list[str | int]:
    """ARGV of :data:`ADMIT`. A negative amount takes nothing and only reports the state."""
    args: list[str | int] = [now_ms, hold_id, amount_uusd, lease_ms, concurrency]
    for scope, caps in scopes:
        args += [
            scope,
            caps.quota_uusd,
            caps.window_5h_uusd,
            caps.window_1d_uusd,
            caps.window_7d_uusd,
        ]
    return args


def read_admission(reply: Sequence[int | bytes]) -> Admission:
    """Decode the reply of :data:`ADMIT`."""
    if reply[0] == -1:
        return Admission(Refusal.NOT_LOADED, 0, 0, None)
    status, reason, index, now_ms, balance, pending, slots = reply[:7]
    numbers = cast(Sequence[int], reply)  # beyond the reason the script returns numbers only
    scopes = tuple([_scope_state(numbers, at) for at in range(7, len(numbers), 11)])
    state = AccountState(int(balance), int(pending), int(slots), scopes)
    word = reason.decode() if isinstance(reason, bytes) else str(reason)
    return Admission(None if status == 1 else Refusal(word), int(index), int(now_ms), state)


def _scope_state(numbers: Sequence[int], at: int) -> ScopeState:
    spent, pending, s1, p1, r1, s2, p2, r2, s3, p3, r3 = numbers[at : at + 11]
    if not (s1 or p1 or r1 or s2 or p2 or r2 or s3 or p3 or r3):
        return ScopeState(spent, pending, _NOTHING_COUNTED)  # most keys have no caps
    return ScopeState(
        spent,
        pending,
        (WindowState(s1, p1, r1), WindowState(s2, p2, r2), WindowState(s3, p3, r3)),
    )


def finish_args(
    hold_id: str,
    cost_uusd: int,
    *,
    admitted_ms: int,
    scopes: Sequence[str],
    now_ms: int = SERVER_CLOCK,
) -> list[str | int]:
    """ARGV of :data:`FINISH`; a cost of 0 releases the hold."""
    return [now_ms, hold_id, cost_uusd, admitted_ms, ",".join(scopes)]


def renew_args(
    hold_id: str,
    amount_uusd: int,
    *,
    admitted_ms: int,
    scopes: Sequence[str],
    now_ms: int = SERVER_CLOCK,
    lease_ms: int = LEASE_MS,
) -> list[str | int]:
    """ARGV of :data:`RENEW`."""
    return [now_ms, hold_id, amount_uusd, admitted_ms, ",".join(scopes), lease_ms]


class BucketSpend(NamedTuple):
    """Settled spend of one sub-bucket; ``window`` is the 1-based position in :data:`WINDOWS`."""

    window: int
    bucket: int
    settled_uusd: int


class ScopeSpend(NamedTuple):
    """Settled spend of a scope, absolute: for life, and in the buckets that changed (or all live
    ones).
    """

    scope: str
    spent_uusd: int
    buckets: Sequence[BucketSpend]


def project_args(
    *,
    balance_uusd: int,
    version: int,
    hold_ids: Sequence[str] = (),
    scopes: Sequence[ScopeSpend] = (),
    open_account: bool = False,
    now_ms: int = SERVER_CLOCK,
) -> list[str | int]:
    """ARGV of :data:`PROJECT`. ``open_account`` is for a rebuild: it lets an account serve that was
    not loaded.
    """
    args: list[str | int] = [
        now_ms,
        int(open_account),
        balance_uusd,
        version,
        len(hold_ids),
        *hold_ids,
    ]
    for scope, spent_uusd, buckets in scopes:
        args += [scope, spent_uusd, len(buckets)]
        for window, bucket, settled_uusd in buckets:
            args += [window, bucket, settled_uusd]
    return args
