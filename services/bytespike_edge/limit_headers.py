"""The limit headers of every response: what is left of each cap, as settled. Pure.

A key is limited by its own caps and by those of its member and its organisation; shown is what
leaves the least. Remaining is cap minus *settled* spend: what is only held does not count, so a
request that fails leaves every number where it was. A finished non-streamed request counts itself,
because its own settlement has not come back from the ledger yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bytespike_contracts.holds import WINDOWS, AccountState, ScopeCaps
from bytespike_contracts.keys import KeyRecord, SpendCaps
from bytespike_contracts.money import format_usd

__all__ = ["Limits", "limit_headers", "limits_of", "window_caps"]


class Limits(NamedTuple):
    """The caps there are: ``(scope, window, micro-USD)`` of windows, shorter windows first, and
    ``(scope, micro-USD)`` of quotas. Scopes and windows are positions in ``KnownKey.scopes`` and
    ``holds.WINDOWS``.
    """

    windows: tuple[tuple[int, int, int], ...]
    quotas: tuple[tuple[int, int], ...]


def window_caps(caps: SpendCaps) -> tuple[int, int, int]:
    """The caps in the order of ``holds.WINDOWS``; 0 = unlimited."""
    return caps.window_5h_uusd, caps.window_1d_uusd, caps.window_7d_uusd


def limits_of(scopes: Sequence[ScopeCaps]) -> Limits:
    """Worked out once per key, so that a request meets only the caps its key has."""
    windows = [
        (scope, window, cap)
        for window in range(len(WINDOWS))
        for scope, (_, caps) in enumerate(scopes)
        if (cap := window_caps(caps)[window])
    ]
    quotas = [(n, caps.quota_uusd) for n, (_, caps) in enumerate(scopes) if caps.quota_uusd]
    return Limits(tuple(windows), tuple(quotas))


def limit_headers(
    record: KeyRecord,
    limits: Limits,
    state: AccountState,
    *,
    now_ms: int,
    own_cost_uusd: int = 0,
) -> dict[str, str]:
    """The headers for a key whose ``limits`` are counted in the scopes of ``state``.

    ``own_cost_uusd`` is the cost of this very request, admitted at ``now_ms``, if it is known to
    have succeeded.
    """
    headers: dict[str, str] = {}
    if limits.windows:
        cap, left, reset_ms = _tightest(limits, state, now_ms, own_cost_uusd)
        headers["X-RateLimit-Limit"] = format_usd(cap)
        headers["X-RateLimit-Remaining"] = format_usd(max(0, left - own_cost_uusd))
        headers["X-RateLimit-Reset"] = str(-(-reset_ms // 1000))
    if limits.quotas:
        left = min(cap - state.scopes[scope].spent_uusd for scope, cap in limits.quotas)
        headers["X-Quota-Remaining-Credits"] = format_usd(max(0, left - own_cost_uusd))
    if record.org_id is not None:
        left = state.balance_uusd - own_cost_uusd
        headers["X-Org-Quota-Remaining-Credits"] = format_usd(max(0, left))
    return headers


def _tightest(
    limits: Limits, state: AccountState, now_ms: int, own_cost_uusd: int
) -> tuple[int, int, int]:
    """``(cap, left, reset ms)`` of the window with the least left; the shorter one on a tie (it
    moves first), and of equal ones the key's before its owners'.
    """

    def left(limit: tuple[int, int, int]) -> int:
        scope, window, cap = limit
        return cap - state.scopes[scope].windows[window].settled_uusd

    tightest = min(limits.windows, key=left)
    scope, window, cap = tightest
    reset_ms = state.scopes[scope].windows[window].reset_ms
    if not reset_ms:
        # Nothing counted: this request will be the oldest if it costs something; else the window is
        # as fresh as it gets, now.
        reset_ms = WINDOWS[window].leaves_ms(now_ms) if own_cost_uusd else now_ms
    return cap, left(tightest), reset_ms
