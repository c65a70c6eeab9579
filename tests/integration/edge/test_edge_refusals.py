"""Money and limits as a client sees them: refused requests, in words, headers and numbers."""

from __future__ import annotations

import asyncio
import re
import time

import pytest

from bytespike_contracts.keys import SpendCaps
from bytespike_contracts.money import format_usd, parse_usd
from tests.integration.edge.surroundings import EdgeUnderTest, Reply, Seen, message, whole
from tests.support.raw_http import Peer, eventually

WINDOWS = [("5h", 18_000), ("1d", 86_400), ("7d", 604_800)]


async def estimate(edge: EdgeUnderTest, key: str) -> int:
    """The reserve of the standard message."""
    reply = await edge.messages(key, x_bytespike_dry_run="true")
    return parse_usd(reply.headers["x-estimated-credits"])


async def test_an_empty_wallet_is_a_402_that_says_what_is_missing(edge: EdgeUnderTest) -> None:
    key, _ = await edge.ledger.key(balance_uusd=1_000, org_id="org_1")
    needed = await estimate(edge, key)
    reply = await edge.messages(key)
    assert reply.status == 402
    assert reply.error["type"] == "billing_error"
    assert reply.error["message"] == (
        "insufficient_balance: 0.001 available (balance 0.001); "
        f"this request needs up to {format_usd(needed)}"
    )
    assert reply.headers["x-org-quota-remaining-credits"] == "0.001"
    assert reply.headers["x-estimated-credits"] == format_usd(needed)
    assert edge.router.seen == []


async def test_a_used_up_quota_is_a_402(edge: EdgeUnderTest) -> None:
    key, record = await edge.ledger.key(caps=SpendCaps(quota_uusd=2_000_000))
    await edge.ledger.spent(record, 2_000_000, balance_uusd=10_000_000)
    reply = await edge.messages(key)
    assert reply.status == 402
    assert reply.error["message"] == "quota_exceeded: 2.00 / 2.00 used"
    assert reply.headers["x-quota-remaining-credits"] == "0.00"


@pytest.mark.parametrize(("name", "length_s"), WINDOWS)
async def test_a_used_up_window_is_a_429_with_its_reset(
    edge: EdgeUnderTest, name: str, length_s: int
) -> None:
    key, record = await edge.ledger.key(caps=SpendCaps(**{f"window_{name}_uusd": 50_000_000}))
    await edge.ledger.spent(record, 50_000_000, balance_uusd=100_000_000)
    reply = await edge.messages(key)
    assert reply.status == 429
    assert reply.error["type"] == "rate_limit_error"
    assert re.fullmatch(
        rf"rate_limit_{name} exceeded: 50\.00 / 50\.00 used; "
        r"resets at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC",
        reply.error["message"],
    )
    assert reply.headers["x-ratelimit-limit"] == "50.00"
    assert reply.headers["x-ratelimit-remaining"] == "0.00"
    until_reset = int(reply.headers["x-ratelimit-reset"]) - time.time()
    assert length_s - 5 < until_reset < length_s + 10_805
    assert abs(int(reply.headers["retry-after"]) - until_reset) < 5


async def test_a_window_with_too_little_left_says_what_was_needed(edge: EdgeUnderTest) -> None:
    key, record = await edge.ledger.key(caps=SpendCaps(window_5h_uusd=1_000_000))
    await edge.ledger.spent(record, 999_999, balance_uusd=100_000_000)
    needed = await estimate(edge, key)
    reply = await edge.messages(key)
    assert reply.status == 429
    assert "rate_limit_5h exceeded: 0.999999 / 1.00 used; resets at " in reply.error["message"]
    assert reply.error["message"].endswith(f"; this request needs up to {format_usd(needed)}")


async def test_the_tightest_window_is_the_one_reported(edge: EdgeUnderTest) -> None:
    caps = SpendCaps(window_5h_uusd=9_000_000, window_1d_uusd=5_000_000, window_7d_uusd=8_000_000)
    key, record = await edge.ledger.key(caps=caps)
    await edge.ledger.spent(record, 1_000_000, balance_uusd=100_000_000)
    reply = await edge.messages(key)
    assert reply.headers["x-ratelimit-limit"] == "5.00"
    assert reply.headers["x-ratelimit-remaining"] == "4.00"


async def test_a_failure_never_moves_what_is_left(edge: EdgeUnderTest) -> None:
    key, _ = await edge.ledger.key(caps=SpendCaps(quota_uusd=3_000_000, window_5h_uusd=3_000_000))
    edge.router.answer = whole(b"{}", status=529)
    for body in (message(), b"not json", message(model="nobody")):
        reply = await edge.messages(key, body)
        assert reply.status >= 400
        assert reply.headers["x-quota-remaining-credits"] == "3.00"
        assert reply.headers["x-ratelimit-remaining"] == "3.00"
        assert "x-credits-used" not in reply.headers


async def test_no_limit_header_where_nothing_is_limited(edge: EdgeUnderTest) -> None:
    key, _ = await edge.ledger.key()
    reply = await edge.messages(key)
    limits = ("x-ratelimit", "x-quota", "x-org")
    assert [name for name in reply.headers if name.startswith(limits)] == []


class Holding:
    """A router that answers nobody until it is told to."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.waiting = 0

    async def __call__(self, peer: Peer, seen: Seen) -> None:
        self.waiting += 1
        await self.go.wait()
        await whole()(peer, seen)


async def test_money_for_ten_lets_exactly_ten_of_two_hundred_in(edge: EdgeUnderTest) -> None:
    key, record = await edge.ledger.key(concurrency=500)
    needed = await estimate(edge, key)
    await edge.ledger.load(record, 10 * needed)
    holding = edge.router.answer = Holding()
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(edge.messages(key)) for _ in range(200)]
        await eventually(lambda: sum(call.done() for call in calls) == 190, within_s=20)
        await eventually(lambda: holding.waiting == 10)
        state = await edge.ledger.state(record)
        assert state.balance_uusd - state.pending_uusd == 0
        holding.go.set()
    replies: list[Reply] = [call.result() for call in calls]
    assert sorted(reply.status for reply in replies) == [200] * 10 + [402] * 190
    refused = [reply for reply in replies if reply.status == 402]
    assert all("insufficient_balance" in reply.error["message"] for reply in refused)
    for reply in replies:
        if reply.status == 200:
            await edge.ledger.finish(record, reply.headers["x-request-id"], needed)
    state = await edge.ledger.state(record)
    assert state.balance_uusd - state.pending_uusd == 0


async def test_concurrency_is_a_429_without_a_reset(edge: EdgeUnderTest) -> None:
    key, record = await edge.ledger.key(concurrency=2)
    holding = edge.router.answer = Holding()
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(edge.messages(key)) for _ in range(2)]
        await eventually(lambda: holding.waiting == 2)
        reply = await edge.messages(key)
        holding.go.set()
    assert [call.result().status for call in running] == [200, 200]
    assert reply.status == 429
    assert reply.error["message"] == "concurrency_limit exceeded: 2 / 2 requests running"
    assert reply.headers["retry-after"] == "1"
    assert "x-ratelimit-reset" not in reply.headers
    assert (await edge.ledger.state(record)).slots_in_use == 2


async def test_an_account_that_is_not_loaded_is_a_503(edge: EdgeUnderTest) -> None:
    key, _ = await edge.ledger.key(balance_uusd=None, caps=SpendCaps(quota_uusd=1))
    reply = await edge.messages(key)
    assert reply.status == 503
    assert reply.headers["retry-after"] == "1"
    assert edge.router.seen == []
