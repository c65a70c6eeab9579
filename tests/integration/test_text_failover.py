"""A vendor fails before the client has its first byte: who is tried next, what is said at last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from bytespike_contracts.settlement import Outcome
from tests.integration import text_setup as setup
from tests.integration.text_setup import TextUnderTest, running_text
from tests.support.raw_http import eventually

DEADLINES = "first_byte_timeout_s = 0.5\nidle_timeout_s = 1.0"


@pytest.fixture(scope="module")
def vendor_key() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEST_VENDOR_KEY", "vendor-key")
        yield


@pytest_asyncio.fixture
async def pair(
    tmp_path: Path, redis_url: str, nats_url: str, vendor_key: None
) -> AsyncIterator[TextUnderTest]:
    """Two channels, the first preferred."""
    lines = [f"priority = 2\n{DEADLINES}", f"priority = 1\n{DEADLINES}"]
    async with running_text(
        tmp_path, redis_url=redis_url, nats_url=nats_url, vendors=2, channels=lines
    ) as running:
        # Benches are shared through Redis and would outlive the test.
        await running.redis.delete("bs:bench:vendor-0", "bs:bench:vendor-1")
        yield running


@pytest_asyncio.fixture
async def single(
    tmp_path: Path, redis_url: str, nats_url: str, vendor_key: None
) -> AsyncIterator[TextUnderTest]:
    async with running_text(
        tmp_path, redis_url=redis_url, nats_url=nats_url, channels=[DEADLINES]
    ) as running:
        await running.redis.delete("bs:bench:vendor-0")
        yield running


async def dropped(vendor: setup.Vendor, peer: setup.Peer) -> None:
    raise ConnectionError


FAILURES = {
    "server error": (setup.whole(b"{}", status=500), "server_error"),
    "overloaded": (setup.whole(b"{}", status=529), "overloaded"),
    "rate limited": (setup.whole(b"{}", status=429), "rate_limited"),
    "refused credential": (setup.whole(b"{}", status=401), "credential_refused"),
    "redirect": (setup.whole(b"", status=302, location="/"), "bad_response"),
    "dropped": (dropped, "connection_broken"),
    "silent": (setup.silent, "first_byte_timeout"),
    "no message": (setup.whole(b'{"hello": 1}'), "bad_response"),
    "an error in a 200": (
        setup.whole(b'{"type":"error","error":{"type":"overloaded_error","message":"x"}}'),
        "overloaded",
    ),
    "compressed": (setup.whole(content_encoding="gzip"), "bad_response"),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_another_channel_answers_instead(pair: TextUnderTest, name: str) -> None:
    reply, error_type = FAILURES[name]
    pair.vendors[0].answer(reply)
    principal = await pair.admit()
    response, body = await pair.call(principal)
    assert (response.status, body) == (200, setup.MESSAGE)
    assert response.headers.get("x-bytespike-attempts") == "2"
    event = await pair.event(principal)
    assert event.charge_uusd == setup.WHOLE_COST_UUSD
    first, second = event.attempts
    assert (first.channel, first.error_type, first.cost_uusd) == ("vendor-0", error_type, 0)
    assert (second.channel, second.cost_uusd) == ("vendor-1", setup.WHOLE_COST_UUSD)


async def test_a_stream_that_begins_with_an_error_moves_on(pair: TextUnderTest) -> None:
    pair.vendors[0].answer(setup.stream(setup.OVERLOADED))
    pair.vendors[1].answer(setup.stream(setup.WHOLE_STREAM))
    principal = await pair.admit()
    _, body = await pair.call(principal, stream=True)
    assert body == setup.WHOLE_STREAM
    assert [line.error_type for line in (await pair.event(principal)).attempts] == [
        "overloaded",
        "",
    ]


async def test_a_whole_answer_may_take_longer_than_a_first_event(single: TextUnderTest) -> None:
    async def slow(vendor: setup.Vendor, peer: setup.Peer) -> None:
        await asyncio.sleep(0.7)
        await setup.whole()(vendor, peer)

    single.vendor.answer(slow)
    await single.event(await answered(single))
    principal = await single.admit()
    response, _ = await single.call(principal, stream=True)
    assert response.status == 504
    await single.event(principal)


async def test_a_closed_keep_alive_connection_is_forgiven_once(single: TextUnderTest) -> None:
    single.vendor.answer(setup.whole(), dropped, setup.whole())
    await single.event(await answered(single))
    principal = await answered(single)
    event = await single.event(principal)
    assert [line.error_type for line in event.attempts] == ["connection_broken", ""]
    assert event.charge_uusd == setup.WHOLE_COST_UUSD


@pytest.mark.parametrize(
    ("reply", "status", "error_type"),
    [
        (setup.whole(b"{}", status=529), 529, "overloaded_error"),
        (setup.whole(b"{}", status=500), 503, "api_error"),
        (setup.whole(b"{}", status=403), 503, "api_error"),
        (dropped, 503, "api_error"),
        (setup.silent, 504, "timeout_error"),
        (setup.stream(setup.OVERLOADED), 529, "overloaded_error"),
        (setup.stream(), 503, "api_error"),
        (setup.stream(b"data: " + b"x" * 9_000_000), 503, "api_error"),
    ],
)
async def test_the_last_failure_decides_the_status(
    single: TextUnderTest, reply: setup.Reply, status: int, error_type: str
) -> None:
    single.vendor.answer(reply)
    principal = await single.admit()
    response, body = await single.call(principal, stream=True)
    error = msgspec.json.decode(body)["error"]
    assert (response.status, error["type"]) == (status, error_type)
    assert int(response.headers.get("retry-after") or 0) >= 1
    for secret in ("vendor", "127.0.0.1"):
        assert secret not in error["message"]
    assert (await single.released(principal)).pending_uusd == 0
    event = await single.event(principal)
    assert (event.outcome, event.status, event.charge_uusd) == (Outcome.FAILED, status, 0)


@pytest.mark.parametrize("status", [400, 404, 413, 422])
async def test_the_callers_fault_is_passed_on_word_for_word(
    pair: TextUnderTest, status: int
) -> None:
    words = b'{"type": "error",  "error": {"type": "invalid_request_error", "message": "no"}}'
    pair.vendors[0].answer(setup.whole(words, status=status))
    principal = await pair.admit()
    response, body = await pair.call(principal)
    assert (response.status, body) == (status, words)
    assert pair.vendors[1].asks == []
    assert (await pair.event(principal)).outcome is Outcome.FAILED


async def test_the_callers_fault_inside_a_200_gets_its_status(pair: TextUnderTest) -> None:
    words = b'{"type":"error","error":{"type":"invalid_request_error","message":"no"}}'
    pair.vendors[0].answer(
        setup.whole(words), setup.stream(b"event: error\ndata: " + words + b"\n\n")
    )
    for stream in (False, True):
        principal = await pair.admit()
        response, body = await pair.call(principal, stream=stream)
        assert (response.status, body) == (400, words)
        assert (await pair.event(principal)).charge_uusd == 0


async def test_a_proxys_page_is_not_passed_on(pair: TextUnderTest) -> None:
    page = b"<html>http://internal.example/ refused</html>"
    pair.vendors[0].answer(setup.whole(page, status=404, content_type="text/html"))
    principal = await pair.admit()
    response, body = await pair.call(principal)
    assert response.status == 404
    assert b"internal" not in body
    assert msgspec.json.decode(body)["type"] == "error"
    await pair.event(principal)


async def test_retry_after_benches_the_channel_and_reaches_the_client(
    single: TextUnderTest,
) -> None:
    single.vendor.answer(setup.whole(b"{}", status=429, retry_after="30"), setup.whole())
    first = await single.admit()
    response, _ = await single.call(first)
    assert (response.status, response.headers.get("retry-after")) == (503, "30")
    second = await single.admit()
    response, _ = await single.call(second)
    assert response.status == 503
    assert 28 <= int(response.headers.get("retry-after") or 0) <= 30
    assert len(single.vendor.asks) == 1
    assert (await single.event(second)).attempts == ()
    await single.event(first)


async def test_a_bench_is_shared_with_other_replicas(
    single: TextUnderTest, tmp_path: Path, redis_url: str, nats_url: str
) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    async with running_text(folder, redis_url=redis_url, nats_url=nats_url, bench_s=30) as other:
        other.vendor.answer(setup.whole(b"{}", status=401))
        await other.event(await refused(other))
        state = 'bytespike_text_channel_state{channel="vendor-0",state="benched"}'
        await single.until_metric(state, 1)
    await single.redis.delete("bs:bench:vendor-0")


async def test_a_benched_channel_comes_back(single: TextUnderTest) -> None:
    single.vendor.answer(setup.whole(b"{}", status=401), setup.whole())
    await single.event(await refused(single))
    async with asyncio.timeout(10):
        while (await single.call(principal := await single.admit()))[0].status != 200:
            await single.event(principal)
            await asyncio.sleep(0.1)
    assert (await single.event(principal)).charge_uusd == setup.WHOLE_COST_UUSD


async def test_a_new_catalogue_is_in_force_without_a_restart(pair: TextUnderTest) -> None:
    good = pair.catalogue.read_text()
    pair.catalogue.write_text("nonsense = [")
    await pair.until_metric('bytespike_text_catalogue_reloads_total{result="refused"}', 1)
    await pair.event(await answered(pair))
    pair.catalogue.write_text(good.replace("priority = 2", "priority = 0"))
    await pair.until_metric('bytespike_text_catalogue_reloads_total{result="loaded"}', 1)
    pair.vendors[1].answer(setup.whole())
    await pair.event(await answered(pair))
    assert len(pair.vendors[1].asks) == 1


async def test_a_channel_may_vanish_while_it_is_used(
    tmp_path: Path, redis_url: str, nats_url: str, vendor_key: None
) -> None:
    async with running_text(tmp_path, redis_url=redis_url, nats_url=nats_url) as text:
        text.vendor.answer(setup.paused_stream(setup.START + setup.BLOCK, *setup.ENDING))
        principal = await text.admit()
        response = await text.open(principal, stream=True)
        text.catalogue.write_text(text.catalogue.read_text().replace("vendor-0", "renamed"))
        await text.until_metric('bytespike_text_catalogue_reloads_total{result="loaded"}', 1)
        for _ in range(3):
            text.vendor.next()
        await response.read(limit_bytes=1 << 20, idle_timeout_s=5)
        event = await text.event(principal)
    assert (event.outcome, event.attempts[0].channel) == (Outcome.COMPLETED, "vendor-0")


async def test_a_draining_channel_is_read_to_its_end(
    tmp_path: Path, redis_url: str, nats_url: str, vendor_key: None
) -> None:
    parts = (setup.START + setup.DELTA, setup.DELTA, setup.message_delta() + setup.STOP)
    async with running_text(
        tmp_path, redis_url=redis_url, nats_url=nats_url, channels=['disconnect = "drain"']
    ) as text:
        text.vendor.answer(setup.paused_stream(*parts))
        principal = await text.admit()
        response = await text.open(principal, stream=True)
        received = b""
        while not received.endswith(setup.DELTA):
            received += await response.chunk(idle_timeout_s=5)
        response.abort()
        await text.until_metric("bytespike_http_in_flight_requests", 1)
        for _ in parts:
            text.vendor.next()
        event = await text.event(principal)
    assert (event.outcome, event.charge_uusd) == (
        Outcome.CLIENT_LEFT_LATE,
        setup.WHOLE_COST_UUSD,
    )
    assert not event.estimated


async def test_leaving_a_draining_channel_before_content_is_free(
    tmp_path: Path, redis_url: str, nats_url: str, vendor_key: None
) -> None:
    async def late(vendor: setup.Vendor, peer: setup.Peer) -> None:
        await vendor.word(peer)
        await setup.whole()(vendor, peer)

    async with running_text(
        tmp_path, redis_url=redis_url, nats_url=nats_url, channels=['disconnect = "drain"']
    ) as text:
        text.vendor.answer(late)
        principal = await text.admit()
        caller = asyncio.create_task(text.open(principal))
        await eventually(lambda: bool(text.vendor.asks))
        caller.cancel()
        await asyncio.wait([caller])
        await asyncio.sleep(0.1)
        text.vendor.next()
        event = await text.event(principal)
    assert (event.outcome, event.charge_uusd) == (Outcome.CLIENT_LEFT_EARLY, 0)
    assert event.attempts[0].cost_uusd == setup.WHOLE_COST_UUSD


async def answered(text: TextUnderTest) -> setup.Principal:
    principal = await text.admit()
    response, body = await text.call(principal)
    assert (response.status, body) == (200, setup.MESSAGE)
    return principal


async def refused(text: TextUnderTest) -> setup.Principal:
    principal = await text.admit()
    response, _ = await text.call(principal)
    assert response.status == 503
    return principal
