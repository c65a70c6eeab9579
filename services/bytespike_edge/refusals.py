"""A refused admission in words: which limit and whose, how much of it is used, what was needed.
Pure.
"""

from __future__ import annotations

from datetime import UTC, datetime

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_contracts.holds import (
    WINDOWS,
    AccountState,
    Admission,
    Refusal,
    Window,
    WindowState,
)
from bytespike_contracts.keys import KeyRecord
from bytespike_contracts.money import format_usd
from bytespike_edge.key_cache import KnownKey
from bytespike_edge.limit_headers import window_caps

__all__ = ["not_loaded", "refusal_error"]

_WINDOW_INDEX = {Refusal.WINDOW_5H: 0, Refusal.WINDOW_1D: 1, Refusal.WINDOW_7D: 2}


def not_loaded() -> GatewayError:
    """Money cannot be judged right now, so nothing is let through."""
    return GatewayError(
        ErrorCode.UNAVAILABLE,
        "account state is being loaded; nothing was charged, try again shortly",
        headers={"Retry-After": "1"},
    )


def refusal_error(admission: Admission, key: KnownKey, *, needed_uusd: int) -> GatewayError:
    """The error for an admission that was refused (``admission.refusal`` is set)."""
    refusal, state = admission.refusal, admission.state
    if state is None or refusal is None:
        return not_loaded()
    if refusal is Refusal.BALANCE:
        return _insufficient_balance(state, needed_uusd)
    if refusal is Refusal.CONCURRENCY:
        return _concurrency(state, key.record)
    scope = state.scopes[admission.scope_index]
    caps = key.scopes[admission.scope_index].caps
    whose = _whose(key.record, admission.scope_index)
    if refusal is Refusal.QUOTA:
        used, cap = scope.spent_uusd + scope.pending_uusd, caps.quota_uusd
        return GatewayError(
            ErrorCode.QUOTA_EXCEEDED,
            f"{whose}quota_exceeded: {_used(used, cap)}{_needed(used, cap, needed_uusd)}",
        )
    index = _WINDOW_INDEX[refusal]
    cap, now_ms = window_caps(caps)[index], admission.admitted_ms
    return _window(whose, scope.windows[index], cap, WINDOWS[index], now_ms, needed_uusd)


def _whose(record: KeyRecord, scope_index: int) -> str:
    """The owner whose limit it is, where it is not the key's own."""
    return f"{record.limits[scope_index - 1].owner} " if scope_index else ""


def _insufficient_balance(state: AccountState, needed_uusd: int) -> GatewayError:
    available = max(0, state.balance_uusd - state.pending_uusd)
    held = f", {format_usd(state.pending_uusd)} held" if state.pending_uusd > 0 else ""
    return GatewayError(
        ErrorCode.INSUFFICIENT_BALANCE,
        f"insufficient_balance: {format_usd(available)} available "
        f"(balance {format_usd(state.balance_uusd)}{held}); "
        f"this request needs up to {format_usd(needed_uusd)}",
    )


def _concurrency(state: AccountState, record: KeyRecord) -> GatewayError:
    return GatewayError(
        ErrorCode.CONCURRENCY_LIMIT,
        f"concurrency_limit exceeded: {state.slots_in_use} / {record.concurrency} requests running",
        headers={"Retry-After": "1"},
    )


def _window(
    whose: str, state: WindowState, cap: int, window: Window, now_ms: int, needed_uusd: int
) -> GatewayError:
    used = state.settled_uusd + state.pending_uusd
    # Nothing counted yet the request does not fit: what is spent now would leave that much later.
    reset_ms = state.reset_ms or window.leaves_ms(now_ms)
    reset = datetime.fromtimestamp(-(-reset_ms // 1000), UTC)
    return GatewayError(
        ErrorCode.RATE_LIMIT_EXCEEDED,
        f"{whose}rate_limit_{window.name} exceeded: {_used(used, cap)}; "
        f"resets at {reset:%Y-%m-%d %H:%M:%S} UTC{_needed(used, cap, needed_uusd)}",
        headers={"Retry-After": str(max(1, -(-(reset_ms - now_ms) // 1000)))},
    )


def _used(used_uusd: int, cap_uusd: int) -> str:
    return f"{format_usd(used_uusd)} / {format_usd(cap_uusd)} used"


def _needed(used_uusd: int, cap_uusd: int, needed_uusd: int) -> str:
    """Said only where the numbers alone would look as if there were room."""
    return f"; this request needs up to {format_usd(needed_uusd)}" if used_uusd < cap_uusd else ""
