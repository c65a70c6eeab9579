"""The choice of a channel: priority, health, stickiness, load."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping

import pytest

from bytespike_contracts.catalogue import Channel
from bytespike_protocols.dialects import codec_of
from bytespike_protocols.ir import Dialect
from bytespike_runtime.http_client import Origin
from bytespike_text.breaker import Breaker
from bytespike_text.routing import (
    Lane,
    allows_betas,
    pick,
    prefix_hash,
    soonest_return_s,
    split_betas,
)

NOW = 1000.0


def lane(
    name: str,
    *,
    priority: int = 0,
    weight: int = 100,
    max_in_flight: int = 1000,
    dialect: Dialect = Dialect.ANTHROPIC,
) -> Lane:
    channel = Channel(
        id=name,
        dialect=dialect.value,
        base_url="http://vendor.invalid",
        credential="env:KEY",
        models={"m": "m"},
        priority=priority,
        weight=weight,
        max_in_flight=max_in_flight,
    )
    origin, path = Origin.parse(channel.base_url)
    return Lane(
        id=name,
        channel=channel,
        dialect=dialect,
        codec=codec_of(dialect),
        origin=origin,
        base_path=path,
        auth=(("x-api-key", "secret-value"),),
        cost_rates={},
        output_caps={"m": 1000},
    )


def dice(*values: float) -> Callable[[], float]:
    return itertools.cycle(values).__next__


def choose(
    lanes: list[Lane],
    breakers: Mapping[str, Breaker],
    *,
    conversation: bytes = b"c",
    roll: Callable[[], float] | None = None,
) -> str | None:
    found = pick(
        lanes,
        breakers,
        dialect=Dialect.ANTHROPIC,
        now=NOW,
        sticky=lambda: conversation,
        dice=roll or dice(0.1, 0.9),
    )
    return None if found is None else found.id


def breakers_of(lanes: list[Lane]) -> dict[str, Breaker]:
    return {one.id: Breaker() for one in lanes}


def opened() -> Breaker:
    breaker = Breaker()
    for _ in range(5):
        breaker.failed(NOW)
    return breaker


def test_within_a_priority_the_own_dialect_is_preferred() -> None:
    foreign = lane("foreign", dialect=Dialect.GEMINI)
    lanes = [foreign, lane("own", weight=1)]
    assert choose(lanes, breakers_of(lanes)) == "own"
    assert choose(lanes, {**breakers_of(lanes), "own": opened()}) == "foreign"
    better = lane("better", priority=1, dialect=Dialect.GEMINI)
    lanes = [better, lane("own")]
    assert choose(lanes, breakers_of(lanes)) == "better"


def test_the_best_priority_wins_while_it_is_healthy() -> None:
    lanes = [lane("best", priority=2), lane("spare", priority=1)]
    breakers = breakers_of(lanes)
    assert choose(lanes, breakers) == "best"
    breakers["best"].bench(NOW + 5)
    assert choose(lanes, breakers) == "spare"


def test_a_suspect_is_better_than_nothing_and_a_bench_is_not() -> None:
    lanes = [lane("only")]
    assert choose(lanes, {"only": opened()}) == "only"
    benched = Breaker()
    benched.bench(NOW + 5)
    assert choose(lanes, {"only": benched}) is None
    assert soonest_return_s(lanes, {"only": benched}, now=NOW) == 5.0
    assert soonest_return_s(lanes, {"only": Breaker()}, now=NOW) is None


def test_a_suspect_of_better_priority_yields_to_a_healthy_spare() -> None:
    lanes = [lane("best", priority=2), lane("spare", priority=1)]
    assert choose(lanes, {"best": opened(), "spare": Breaker()}) == "spare"


def test_a_full_channel_is_passed_over() -> None:
    lanes = [lane("small", priority=2, max_in_flight=1), lane("large", priority=1)]
    breakers = breakers_of(lanes)
    breakers["small"].started(NOW)
    assert choose(lanes, breakers) == "large"
    assert choose(lanes[:1], breakers) is None


def test_a_conversation_stays_where_it_is() -> None:
    lanes = [lane(name) for name in "abc"]
    breakers = breakers_of(lanes)
    conversations = [f"conversation {n}".encode() for n in range(300)]
    homes = {c: choose(lanes, breakers, conversation=c) for c in conversations}
    assert {choose(lanes[::-1], breakers, conversation=c) == homes[c] for c in homes} == {True}
    # A channel that goes away moves only its own conversations.
    rest = lanes[:2]
    moved = [c for c in homes if choose(rest, breakers, conversation=c) != homes[c]]
    assert all(homes[c] == "c" for c in moved)
    assert min(Counter(homes.values()).values()) > 60


def test_conversations_are_spread_by_weight() -> None:
    lanes = [lane("heavy", weight=300), lane("light", weight=100)]
    breakers = breakers_of(lanes)
    homes = Counter(choose(lanes, breakers, conversation=str(n).encode()) for n in range(1000))
    assert 680 < homes["heavy"] < 820


def test_an_overloaded_favourite_is_left_for_the_less_loaded_of_two() -> None:
    lanes = [lane("a"), lane("b")]
    breakers = breakers_of(lanes)
    favourite = choose(lanes, breakers)
    assert favourite is not None
    other = "b" if favourite == "a" else "a"
    for _ in range(30):
        breakers[favourite].started(NOW)
    for roll in (0.0, 0.49, 0.51, 0.99):
        assert choose(lanes, breakers, roll=dice(roll)) == other


def test_latency_and_slow_start_count_as_load() -> None:
    lanes = [lane("a"), lane("b"), lane("c")]
    breakers = breakers_of(lanes)
    favourite = choose(lanes, breakers)
    assert favourite is not None
    for _ in range(40):
        breakers[favourite].started(NOW)
    quick, slow = (name for name in "abc" if name != favourite)
    breakers[quick].observe_latency(0.5)
    breakers[slow].observe_latency(5.0)
    picks = {choose(lanes, breakers, roll=dice(a / 7, b / 7)) for a in range(7) for b in range(7)}
    assert quick in picks
    assert favourite not in picks


def test_the_prefix_hash_follows_key_and_beginning() -> None:
    body = b'{"system":"' + b"s" * 3000 + b'","messages":[]}'
    grown = body[:-2] + b'{"role":"user"}]}'
    assert prefix_hash("key_1", body) == prefix_hash("key_1", grown)
    assert prefix_hash("key_1", body) != prefix_hash("key_2", body)
    assert prefix_hash("key_1", body) != prefix_hash("key_1", b"x" + body)


def test_a_cache_breakpoint_ends_the_prefix() -> None:
    head = b'{"tools":[{"name":"' + b"t" * 5000 + b'","cache_control":{}}],"messages":['
    assert prefix_hash("k", head + b"1]}") == prefix_hash("k", head + b"2]}")
    longer = head.replace(b"ttt", b"uuu", 1)
    assert prefix_hash("k", head) != prefix_hash("k", longer)


@pytest.mark.parametrize(
    ("allowed", "asked", "kept", "dropped"),
    [
        (("*",), ("a", "b"), ("a", "b"), ()),
        ((), ("a",), (), ("a",)),
        (("a",), ("b", "a"), ("a",), ("b",)),
        ((), (), (), ()),
    ],
)
def test_beta_tokens_are_filtered_by_the_channel(
    allowed: tuple[str, ...],
    asked: tuple[str, ...],
    kept: tuple[str, ...],
    dropped: tuple[str, ...],
) -> None:
    channel = Channel(
        id="c",
        dialect="anthropic",
        base_url="http://vendor.invalid",
        credential="env:KEY",
        models={},
        betas=allowed,
    )
    assert split_betas(channel, asked) == (kept, dropped)
    assert allows_betas(channel, asked) is (not dropped)


def test_a_lane_never_shows_its_secret() -> None:
    assert "secret-value" not in repr(lane("a"))
