"""A refused admission in words, for the limits of a key, of its member and of its organisation."""

from __future__ import annotations

import pytest

from bytespike_contracts.errors import ErrorCode
from bytespike_contracts.holds import (
    WINDOWS,
    AccountState,
    Admission,
    Refusal,
    ScopeState,
    WindowState,
)
from bytespike_contracts.keys import KeyRecord, Scope, SpendCaps, SpendLimit
from bytespike_edge.key_cache import KnownKey, prepare
from bytespike_edge.refusals import refusal_error

NOW_MS = 1_700_000_000_500  # 2023-11-14 22:13:20.5 UTC
RESET_MS = NOW_MS + 3_600_000
#: How each scope is called, in the order of admission; every cap is another number.
WHOSE = ("", "member ", "org ")
CAPS = [
    SpendCaps(
        quota_uusd=1_000_000 * n,
        window_5h_uusd=2_000_000 * n,
        window_1d_uusd=3_000_000 * n,
        window_7d_uusd=4_000_000 * n,
    )
    for n in (1, 10, 100)
]
WINDOW_CAPS = ((2, 20, 200), (3, 30, 300), (4, 40, 400))


@pytest.fixture
def key() -> KnownKey:
    return prepare(
        KeyRecord(
            key_id="key_1",
            account_id="acct_1",
            version=1,
            group="default",
            scopes=(Scope.INFERENCE,),
            concurrency=5,
            org_id="org_1",
            caps=CAPS[0],
            limits=(
                SpendLimit(scope="mem_1", owner="member", caps=CAPS[1]),
                SpendLimit(scope="org_1", owner="org", caps=CAPS[2]),
            ),
        )
    )


def refused(refusal: Refusal, scope_index: int, *, reset_ms: int = RESET_MS) -> Admission:
    """Each scope and window has used another amount."""
    scopes = []
    for n in (1, 10, 100):
        first, second, third = (
            WindowState(100_000 * n * w, 200_000 * n * w, reset_ms) for w in (1, 2, 3)
        )
        scopes.append(ScopeState(500_000 * n, 400_000 * n, (first, second, third)))
    return Admission(refusal, scope_index, NOW_MS, AccountState(9, 9, 9, tuple(scopes)))


@pytest.mark.parametrize("scope", [0, 1, 2])
def test_a_quota_names_whose_it_is(key: KnownKey, scope: int) -> None:
    error = refusal_error(refused(Refusal.QUOTA, scope), key, needed_uusd=150_000)
    n = (1, 10, 100)[scope]
    used, cap = ("0.90", "9.00", "90.00")[scope], f"{n}.00"
    assert error.code is ErrorCode.QUOTA_EXCEEDED
    assert error.message == (
        f"{WHOSE[scope]}quota_exceeded: {used} / {cap} used; this request needs up to 0.15"
    )


@pytest.mark.parametrize("scope", [0, 1, 2])
@pytest.mark.parametrize("window", [0, 1, 2])
def test_a_window_names_whose_it_is(key: KnownKey, scope: int, window: int) -> None:
    refusal = (Refusal.WINDOW_5H, Refusal.WINDOW_1D, Refusal.WINDOW_7D)[window]
    error = refusal_error(refused(refusal, scope), key, needed_uusd=5_000_000)
    tenths = 3 * (window + 1) * (1, 10, 100)[scope]
    used = f"{tenths // 10}.{tenths % 10}0 / {WINDOW_CAPS[window][scope]}.00 used"
    assert error.code is ErrorCode.RATE_LIMIT_EXCEEDED
    assert error.message == (
        f"{WHOSE[scope]}rate_limit_{WINDOWS[window].name} exceeded: {used};"
        " resets at 2023-11-14 23:13:21 UTC; this request needs up to 5.00"
    )
    assert error.headers == {"Retry-After": "3600"}


def test_a_request_larger_than_an_empty_window_is_told_when_it_would_have_left(
    key: KnownKey,
) -> None:
    error = refusal_error(refused(Refusal.WINDOW_5H, 1, reset_ms=0), key, needed_uusd=50_000_000)
    left_s = -(-(WINDOWS[0].leaves_ms(NOW_MS) - NOW_MS) // 1000)
    assert error.headers == {"Retry-After": str(left_s)}


def test_an_owner_alone_is_named_right() -> None:
    org = SpendLimit(scope="org_1", owner="org", caps=CAPS[2])
    known = prepare(
        KeyRecord(
            key_id="key_1",
            account_id="acct_1",
            version=1,
            group="default",
            scopes=(Scope.INFERENCE,),
            concurrency=5,
            limits=(org,),
        )
    )
    error = refusal_error(refused(Refusal.QUOTA, 1), known, needed_uusd=1)
    assert error.message.startswith("org quota_exceeded: 9.00 / 100.00 used")
