"""The limit headers of every response: what is left of each cap, as settled. Pure.

Remaining is cap minus *settled* spend: what is only held does not count, so a request that fails
leaves every number where it was. A finished non-streamed request counts itself, because its own
settlement has not come back from the ledger yet.
"""

from __future__ import annotations

from bytespike_contracts.holds import AccountState, ScopeState
from bytespike_contracts.keys import KeyRecord, SpendCaps
from bytespike_contracts.money import format_usd

__all__ = ["limit_headers", "window_caps"]


def window_caps(caps: SpendCaps) -> tuple[int, int, int]:
    """The caps in the order of ``holds.WINDOWS``; 0 = unlimited."""
    return caps.window_5h_uusd, caps.window_1d_uusd, caps.window_7d_uusd


def limit_headers(
    record: KeyRecord, state: AccountState, *, now_ms: int, own_cost_uusd: int = 0
) -> dict[str, str]:
    """The headers for a key whose own spend scope is the first of ``state``.

    ``own_cost_uusd`` is the cost of this very request if it is known to have succeeded.
    """
    headers: dict[str, str] = {}
    scope, caps = state.scopes[0], record.caps
    tightest = _tightest(scope, caps)
    if tightest is not None:
        cap, left, reset_ms = tightest
        headers["X-RateLimit-Limit"] = format_usd(cap)
        headers["X-RateLimit-Remaining"] = format_usd(max(0, left - own_cost_uusd))
        # Nothing counted: the window is as fresh as it gets, now.
        headers["X-RateLimit-Reset"] = str(-(-(reset_ms or now_ms) // 1000))
    if caps.quota_uusd:
        left = caps.quota_uusd - scope.spent_uusd - own_cost_uusd
        headers["X-Quota-Remaining-Credits"] = format_usd(max(0, left))
    if record.org_id is not None:
        left = state.balance_uusd - own_cost_uusd
        headers["X-Org-Quota-Remaining-Credits"] = format_usd(max(0, left))
    return headers


def _tightest(scope: ScopeState, caps: SpendCaps) -> tuple[int, int, int] | None:
    """``(cap, left, reset ms)`` of the capped window with the least left; the shorter one on a tie
    (it moves first).
    """
    found: tuple[int, int, int] | None = None
    for index, cap in enumerate(window_caps(caps)):
        if not cap:
            continue
        window = scope.windows[index]
        left = cap - window.settled_uusd
        if found is None or left < found[1]:
            found = (cap, left, window.reset_ms)
    return found
