"""Limit headers from account states."""

from __future__ import annotations

import pytest

from bytespike_contracts.holds import WINDOWS, AccountState, ScopeState, WindowState
from bytespike_contracts.keys import KeyRecord, Scope, SpendCaps, SpendLimit
from bytespike_contracts.money import format_usd
from bytespike_edge.key_cache import prepare
from bytespike_edge.limit_headers import limit_headers

NOW_MS = 1_700_000_000_500


def record(
    org_id: str | None = None,
    *,
    member: SpendCaps | None = None,
    org: SpendCaps | None = None,
    **caps: int,
) -> KeyRecord:
    limits = []
    if member is not None:
        limits.append(SpendLimit(scope="mem_1", owner="member", caps=member))
    if org is not None:
        limits.append(SpendLimit(scope="org_1", owner="org", caps=org))
    return KeyRecord(
        key_id="key_1",
        account_id="acct_1",
        version=1,
        group="default",
        scopes=(Scope.INFERENCE,),
        concurrency=5,
        org_id=org_id,
        caps=SpendCaps(**caps),
        limits=tuple(limits),
    )


def counted(spent: int = 0, *windows: tuple[int, int]) -> ScopeState:
    """Settled spend and reset per window; the other numbers are noise that must not show."""
    padded = [*windows, (0, 0), (0, 0), (0, 0)][:3]
    first, second, third = (WindowState(settled, 777, reset) for settled, reset in padded)
    return ScopeState(spent, 666, (first, second, third))


def state(spent: int = 0, *windows: tuple[int, int], balance: int = 0) -> AccountState:
    return AccountState(balance, 555, 3, (counted(spent, *windows),))


def shown(known: KeyRecord, seen: AccountState, *, own_cost_uusd: int = 0) -> dict[str, str]:
    limits = prepare(known).limits
    return limit_headers(known, limits, seen, now_ms=NOW_MS, own_cost_uusd=own_cost_uusd)


def test_nothing_is_said_where_nothing_is_limited() -> None:
    assert shown(record(), state(5)) == {}


def test_pending_holds_are_left_out() -> None:
    headers = shown(
        record(quota_uusd=10_000_000, window_5h_uusd=2_000_000, org_id="org_1"),
        state(1_000_000, (500_000, NOW_MS + 1), balance=3_000_000),
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
    headers = shown(known, state(0, (9, 9), day, week))
    assert headers["X-RateLimit-Limit"] == "5.00"
    week = (2_000_001, NOW_MS + 604_800_000)
    headers = shown(known, state(0, (9, 9), day, week))
    assert headers["X-RateLimit-Limit"] == "6.00"
    assert headers["X-RateLimit-Remaining"] == "3.999999"


def test_a_success_counts_itself_and_nothing_goes_below_zero() -> None:
    known = record(quota_uusd=100, window_5h_uusd=100, org_id="org_1")
    headers = shown(known, state(90, (90, NOW_MS), balance=15), own_cost_uusd=18)
    assert headers["X-RateLimit-Remaining"] == "0.00"
    assert headers["X-Quota-Remaining-Credits"] == "0.00"
    assert headers["X-Org-Quota-Remaining-Credits"] == "0.00"


def test_an_empty_window_resets_now() -> None:
    headers = shown(record(window_5h_uusd=100), state())
    assert headers["X-RateLimit-Reset"] == "1700000001"


def test_the_first_spend_of_an_empty_window_is_its_oldest() -> None:
    headers = shown(record(window_5h_uusd=100), state(), own_cost_uusd=1)
    assert headers["X-RateLimit-Reset"] == str(-(-WINDOWS[0].leaves_ms(NOW_MS) // 1000))


@pytest.mark.parametrize("tightest", [0, 1, 2])
@pytest.mark.parametrize("window", [0, 1, 2])
def test_the_tightest_window_is_sought_in_every_scope(tightest: int, window: int) -> None:
    names = ("window_5h_uusd", "window_1d_uusd", "window_7d_uusd")
    caps = [SpendCaps(**dict.fromkeys(names, 100 + scope)) for scope in range(3)]
    known = record("org_1", member=caps[1], org=caps[2], **dict.fromkeys(names, 100))
    spent = [[(10 + 3 * scope + n, NOW_MS + 1_000) for n in range(3)] for scope in range(3)]
    spent[tightest][window] = (60, NOW_MS + 9_000)
    seen = AccountState(1_000, 555, 3, tuple(counted(0, *windows) for windows in spent))

    headers = shown(known, seen)

    assert headers["X-RateLimit-Limit"] == format_usd(100 + tightest)
    assert headers["X-RateLimit-Remaining"] == format_usd(40 + tightest)
    assert headers["X-RateLimit-Reset"] == str(-(-(NOW_MS + 9_000) // 1000))
    assert shown(known, seen, own_cost_uusd=7)["X-RateLimit-Remaining"] == format_usd(33 + tightest)


def test_on_a_tie_the_shorter_window_is_shown_whoever_it_limits() -> None:
    known = record(org=SpendCaps(window_5h_uusd=50), window_1d_uusd=40)
    key, org = counted(0, (0, 0), (10, NOW_MS + 8_000)), counted(0, (20, NOW_MS + 7_000))
    headers = shown(known, AccountState(0, 0, 0, (key, org)))
    assert headers["X-RateLimit-Limit"] == "0.00005"
    assert headers["X-RateLimit-Remaining"] == "0.00003"


def test_the_least_quota_of_all_scopes_that_have_one_is_shown() -> None:
    quota = SpendCaps(quota_uusd=100)
    spent = (counted(95), counted(40), counted(70))
    seen = AccountState(1_000, 555, 3, spent)
    known = record("org_1", member=quota, org=quota)  # the key itself has none
    assert shown(known, seen)["X-Quota-Remaining-Credits"] == "0.00003"
    assert shown(known, seen, own_cost_uusd=9)["X-Quota-Remaining-Credits"] == "0.000021"
    known = record("org_1", member=quota, org=quota, quota_uusd=100)
    assert shown(known, seen)["X-Quota-Remaining-Credits"] == "0.000005"
    assert "X-RateLimit-Limit" not in shown(known, seen)


def test_owners_without_limits_are_no_scopes() -> None:
    known = prepare(record("org_1", window_5h_uusd=1))
    assert (known.scope_names, known.limited) == (("key_1",), True)
    assert not prepare(record()).limited
    for caps in (SpendCaps(quota_uusd=1), SpendCaps(window_7d_uusd=1)):
        known = prepare(record(member=caps, org=caps))
        assert known.limited
        assert known.scope_names == ("key_1", "mem_1", "org_1")
        assert [scope.caps for scope in known.scopes] == [SpendCaps(), caps, caps]
