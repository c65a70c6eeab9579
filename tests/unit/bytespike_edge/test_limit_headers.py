"""Limit headers from account states."""

from __future__ import annotations

from bytespike_contracts.holds import AccountState, ScopeState, WindowState
from bytespike_contracts.keys import KeyRecord, Scope, SpendCaps
from bytespike_edge.limit_headers import limit_headers

NOW_MS = 1_700_000_000_500


def record(org_id: str | None = None, **caps: int) -> KeyRecord:
    return KeyRecord(
        key_id="key_1",
        account_id="acct_1",
        version=1,
        group="default",
        scopes=(Scope.INFERENCE,),
        concurrency=5,
        org_id=org_id,
        caps=SpendCaps(**caps),
    )


def state(spent: int = 0, *windows: tuple[int, int], balance: int = 0) -> AccountState:
    """Settled spend and reset per window; the other numbers are noise that must not show."""
    padded = [*windows, (0, 0), (0, 0), (0, 0)][:3]
    first, second, third = (WindowState(settled, 777, reset) for settled, reset in padded)
    return AccountState(balance, 555, 3, (ScopeState(spent, 666, (first, second, third)),))


def test_nothing_is_said_where_nothing_is_limited() -> None:
    assert limit_headers(record(), state(5), now_ms=NOW_MS) == {}


def test_pending_holds_are_left_out() -> None:
    headers = limit_headers(
        record(quota_uusd=10_000_000, window_5h_uusd=2_000_000, org_id="org_1"),
        state(1_000_000, (500_000, NOW_MS + 1), balance=3_000_000),
        now_ms=NOW_MS,
    )
    assert headers == {
        "X-RateLimit-Limit": "2.00",
        "X-RateLimit-Remaining": "1.50",
        "X-RateLimit-Reset": "1700000001",
        "X-Quota-Remaining-Credits": "9.00",
        "X-Org-Quota-Remaining-Credits": "3.00",
    }


def test_the_tightest_capped_window_is_shown_and_the_shorter_on_a_tie() -> None:
    known = record(window_1d_uusd=5_000_000, window_7d_uusd=6_000_000)
    day, week = (1_000_000, NOW_MS + 86_400_000), (2_000_000, NOW_MS + 604_800_000)
    headers = limit_headers(known, state(0, (9, 9), day, week), now_ms=NOW_MS)
    assert headers["X-RateLimit-Limit"] == "5.00"
    week = (2_000_001, NOW_MS + 604_800_000)
    headers = limit_headers(known, state(0, (9, 9), day, week), now_ms=NOW_MS)
    assert headers["X-RateLimit-Limit"] == "6.00"
    assert headers["X-RateLimit-Remaining"] == "3.999999"


def test_a_success_counts_itself_and_nothing_goes_below_zero() -> None:
    known = record(quota_uusd=100, window_5h_uusd=100, org_id="org_1")
    headers = limit_headers(
        known, state(90, (90, NOW_MS), balance=15), now_ms=NOW_MS, own_cost_uusd=18
    )
    assert headers["X-RateLimit-Remaining"] == "0.00"
    assert headers["X-Quota-Remaining-Credits"] == "0.00"
    assert headers["X-Org-Quota-Remaining-Credits"] == "0.00"


def test_an_empty_window_resets_now() -> None:
    headers = limit_headers(record(window_5h_uusd=100), state(), now_ms=NOW_MS)
    assert headers["X-RateLimit-Reset"] == "1700000001"
