"""The brake on failures: how many, for how long, for whom, in how much memory."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bytespike_runtime.addresses import client_network
from bytespike_runtime.failure_limit import WINDOW_S, FailureLimit


class Clock:
    """Seconds that pass when told to."""

    def __init__(self, now_s: float = 600.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


_guesses = itertools.count()


def guess() -> bytes:
    """The digest of a credential nobody has tried before."""
    return next(_guesses).to_bytes(32, "big")


def fail(limit: FailureLimit, address: str, times: int) -> None:
    for _ in range(times):
        assert limit.wait_s(address) == 0
        limit.failed(address, guess())


def test_the_failures_of_a_minute_are_free_and_then_the_address_waits() -> None:
    clock = Clock()
    limit = FailureLimit(20, clock=clock)
    fail(limit, "10.0.0.1", 20)
    assert limit.wait_s("10.0.0.1") > 0
    assert limit.wait_s("10.0.0.2") == 0


def test_the_wait_it_tells_is_the_wait_there_is() -> None:
    clock = Clock(630.0)
    limit = FailureLimit(20, clock=clock)
    fail(limit, "10.0.0.1", 20)
    wait_s = limit.wait_s("10.0.0.1")
    clock.now_s += wait_s - 1.5
    assert limit.wait_s("10.0.0.1") > 0
    clock.now_s += 1.6
    assert limit.wait_s("10.0.0.1") == 0


def test_a_client_that_goes_on_with_a_dead_key_is_no_guesser() -> None:
    clock = Clock()
    limit = FailureLimit(3, clock=clock)
    for _ in range(100):
        for key in (b"dead", b"gone"):
            limit.failed("10.0.0.1", key)
    assert limit.wait_s("10.0.0.1") == 0
    limit.failed("10.0.0.1", guess())
    assert limit.wait_s("10.0.0.1") > 0


def test_two_quiet_minutes_forget_everything() -> None:
    clock = Clock()
    limit = FailureLimit(3, clock=clock)
    fail(limit, "10.0.0.1", 3)
    clock.now_s += 2 * WINDOW_S
    fail(limit, "10.0.0.1", 3)
    assert limit.wait_s("10.0.0.1") > 0


@given(
    st.integers(1, 30),
    st.lists(st.floats(0, 90, allow_nan=False), min_size=1, max_size=200),
)
def test_however_they_come_hardly_more_than_the_limit_pass_in_any_minute(
    per_minute: int, pauses_s: list[float]
) -> None:
    clock = Clock(6_000.0)
    limit = FailureLimit(per_minute, clock=clock)
    failed_at: list[float] = []
    for pause_s in pauses_s:
        clock.now_s += pause_s
        wait_s = limit.wait_s("a")
        if wait_s:
            assert 1 <= wait_s <= 2 * WINDOW_S
            continue
        limit.failed("a", guess())
        failed_at.append(clock.now_s)
    for end in failed_at:
        # Two counters see a minute blurred: never more than the running window and the one before.
        assert sum(end - WINDOW_S < at <= end for at in failed_at) <= 2 * per_minute
        window = [at for at in failed_at if at // WINDOW_S == end // WINDOW_S]
        assert len(window) <= per_minute


@given(st.integers(1, 50), st.floats(0, 59.9), st.integers(0, 49))
def test_waiting_as_told_is_enough(per_minute: int, offset_s: float, earlier: int) -> None:
    clock = Clock(6_000.0)
    limit = FailureLimit(per_minute, clock=clock)
    for _ in range(min(earlier, per_minute)):
        limit.failed("a", guess())
    clock.now_s += WINDOW_S + offset_s
    while not limit.wait_s("a"):
        limit.failed("a", guess())
    clock.now_s += limit.wait_s("a")
    assert limit.wait_s("a") == 0


def test_the_longest_forgotten_make_room() -> None:
    limit = FailureLimit(1, size=3, clock=Clock())
    for number in range(5):
        limit.failed(f"10.0.0.{number}", guess())
    assert len(limit) == 3
    assert limit.wait_s("10.0.0.0") == 0
    assert limit.wait_s("10.0.0.4") > 0


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:443", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::9]:443", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        (None, "unknown"),
        ("proxy-7", "unknown"),
    ],
)
def test_whom_an_address_counts_as(address: str | None, network: str) -> None:
    assert client_network(address) == network
