"""A channel's health through its whole life, on a clock of our own."""

from __future__ import annotations

import pytest

from bytespike_text.breaker import Breaker, State


def failing(times: int, now: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(times):
        breaker.failed(now)
    return breaker


def test_it_opens_after_five_failures_in_a_row() -> None:
    assert failing(4).state(0.0) is State.CLOSED
    assert failing(5).state(0.0) is State.OPEN


def test_a_success_in_between_starts_the_count_again() -> None:
    breaker = failing(4)
    breaker.succeeded(0.0)
    breaker.failed(0.0)
    assert breaker.state(0.0) is State.CLOSED


def test_half_open_lets_one_probe_through_at_a_time() -> None:
    breaker = failing(5)
    assert breaker.state(2.0) is State.HALF_OPEN
    assert breaker.healthy(2.0)
    breaker.started(2.0)
    assert not breaker.healthy(2.0)
    breaker.ended()
    assert breaker.healthy(2.0)


def test_each_failed_probe_doubles_the_wait_up_to_a_minute() -> None:
    breaker, now, waits = failing(5), 0.0, []
    for _ in range(8):
        waits.append(breaker.open_until - now)
        now = breaker.open_until
        breaker.failed(now)
    assert waits == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]


def test_a_success_closes_it_and_brings_traffic_back_slowly() -> None:
    breaker = failing(5)
    breaker.succeeded(2.0)
    assert breaker.state(2.0) is State.CLOSED
    assert breaker.share(2.0) == pytest.approx(0.1)
    assert breaker.share(17.0) == pytest.approx(0.5)
    assert breaker.share(32.0) == 1.0
    assert Breaker().share(0.0) == 1.0


def test_an_open_breaker_is_usable_at_need_and_a_bench_is_not() -> None:
    suspect, benched = failing(5), Breaker()
    benched.bench(10.0)
    assert (suspect.healthy(1.0), suspect.usable(1.0)) == (False, True)
    assert (benched.healthy(1.0), benched.usable(1.0)) == (False, False)
    assert benched.state(9.9) is State.BENCHED
    assert benched.state(10.0) is State.HALF_OPEN


def test_the_longer_bench_wins() -> None:
    breaker = Breaker()
    breaker.bench(60.0)
    breaker.bench(5.0)
    assert breaker.benched_until == 60.0


def test_latency_rises_at_once_and_falls_slowly() -> None:
    breaker = Breaker()
    breaker.observe_latency(1.0)
    breaker.observe_latency(3.0)
    assert breaker.latency_s == 3.0
    breaker.observe_latency(1.0)
    assert breaker.latency_s == pytest.approx(2.4)
