"""The router's main path: what the vendor gets, what the client gets, what is charged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from bytespike_contracts.principal import COST_HEADER, Reading
from bytespike_contracts.settlement import Outcome
from bytespike_runtime.http_client import ResponseBroken
from tests.integration import text_setup as setup
from tests.integration.text_setup import TextUnderTest, running_text
from tests.support.raw_http import collect, eventually

PING = b'event: ping\ndata: {"type": "ping"}\n\n'


@pytest.fixture(scope="module")
def vendor_key() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEST_VENDOR_KEY", "vendor-key")
        yield


@pytest_asyncio.fixture(scope="module")
async def text(
    tmp_path_factory: pytest.TempPathFactory, redis_url: str, nats_url: str, vendor_key: None
) -> AsyncIterator[TextUnderTest]:
    folder: Path = tmp_path_factory.mktemp("text")
    async with running_text(
        folder,
        redis_url=redis_url,
        nats_url=nats_url,
        channels=['betas = ["known"]\nfirst_byte_timeout_s = 1.0\nidle_timeout_s = 1.0'],
        upstream_name="claude-sonnet-4-5-20250929",
        keepalive_s=0.3,
        forward_headers=("x-extra",),
    ) as running:
        yield running


async def test_a_whole_answer_is_relayed_and_charged(text: TextUnderTest) -> None:
    text.vendor.answer(setup.whole())
    principal = await text.admit()
    response, body = await text.call(principal)
    assert (response.status, body) == (200, setup.MESSAGE)
    assert response.headers.get(COST_HEADER) == str(setup.WHOLE_COST_UUSD)
    assert response.headers.get("x-bytespike-attempts") == "1"
    state = await text.released(principal)
    assert state.pending_uusd == setup.WHOLE_COST_UUSD
    event = await text.event(principal)
    assert event.outcome is Outcome.COMPLETED
    assert event.charge_uusd == setup.WHOLE_COST_UUSD
    assert [line.cost_uusd for line in event.attempts] == [setup.WHOLE_COST_UUSD]


async def test_a_stream_in_single_bytes_is_relayed_as_it_came(text: TextUnderTest) -> None:
    pieces = [setup.WHOLE_STREAM[n : n + 1] for n in range(len(setup.WHOLE_STREAM))]
    text.vendor.answer(setup.stream(*pieces))
    principal = await text.admit()
    response, body = await text.call(principal, stream=True)
    assert (response.status, body) == (200, setup.WHOLE_STREAM)
    assert response.headers.get("content-type") == "text/event-stream; charset=utf-8"
    event = await text.event(principal)
    assert (event.outcome, event.charge_uusd) == (Outcome.COMPLETED, setup.WHOLE_COST_UUSD)
    assert event.stream
    assert event.first_byte_ms is not None
    assert b"twelve bytes" not in msgspec.json.encode(event)


async def test_the_vendor_gets_our_credential_and_the_clients_bytes(text: TextUnderTest) -> None:
    text.vendor.answer(setup.whole())
    body = b'{ "max_tokens":1e0,"model" : "claude-sonnet-4.5",\n"messages":[{"x":1.50}] }'
    body = body.replace(b"1e0", b"100")
    principal = await text.admit()
    await text.call(
        principal,
        body=body,
        path="/v1/messages?beta=true",
        headers={"x-extra": "yes", "x-other": "no", "anthropic-version": "2026-10-21"},
    )
    (ask,) = text.vendor.asks
    assert ask.body == body.replace(b"claude-sonnet-4.5", b"claude-sonnet-4-5-20250929")
    assert ask.target == "/v1/messages?beta=true"
    assert ask.header("x-api-key") == "vendor-key"
    assert ask.header("anthropic-version") == "2026-10-21"
    assert ask.header("x-extra") == "yes"
    for absent in ("x-other", "x-bytespike-principal", "x-bytespike-internal-token"):
        assert ask.header(absent) is None
    await text.event(principal)


async def test_unknown_betas_are_dropped_by_name_or_refused(text: TextUnderTest) -> None:
    text.vendor.answer(setup.whole())
    headers = {"anthropic-beta": "known, strange,known"}
    principal = await text.admit()
    response, _ = await text.call(principal, headers=headers)
    assert text.vendor.asks[0].header("anthropic-beta") == "known"
    assert response.headers.get("x-bytespike-dropped") == "anthropic-beta.strange"
    strict = await text.admit(strict=True)
    response, body = await text.call(strict, headers=headers)
    assert response.status == 400
    assert msgspec.json.decode(body)["error"]["code"] == "unsupported_feature"
    assert len(text.vendor.asks) == 1
    assert (await text.event(principal)).charge_uusd == setup.WHOLE_COST_UUSD
    assert (await text.event(strict)).outcome is Outcome.FAILED


async def test_count_tokens_is_free_and_leaves_no_event(text: TextUnderTest) -> None:
    text.vendor.answer(setup.whole(b'{"input_tokens": 14}'))
    principal = msgspec.structs.replace(await text.admit(), grant=None)
    body = setup.message_body()
    response, answer = await text.call(principal, body=body, path="/v1/messages/count_tokens")
    assert (response.status, answer) == (200, b'{"input_tokens": 14}')
    assert text.vendor.asks[0].target == "/v1/messages/count_tokens"
    await text.pull()
    assert principal.request_id not in text._events


async def test_a_cut_between_events_ends_in_an_error_event_and_costs_nothing(
    text: TextUnderTest,
) -> None:
    sent = setup.START + setup.BLOCK + setup.DELTA
    text.vendor.answer(setup.stream(sent, end=False))
    principal = await text.admit()
    response = await text.open(principal, stream=True)
    received = await drained(response)
    assert received.startswith(sent)
    error = msgspec.json.decode(received[len(sent) :].split(b"data: ")[1])
    assert (error["type"], error["error"]["type"]) == ("error", "api_error")
    assert (await text.released(principal)).pending_uusd == 0
    event = await text.event(principal)
    assert (event.outcome, event.charge_uusd) == (Outcome.BROKE_UPSTREAM, 0)
    (line,) = event.attempts
    # The vendor will bill what it had produced: 100 input tokens and 12 bytes of text.
    assert (line.error_type, line.cost_uusd, line.estimated) == ("truncated", 345, True)


async def test_a_cut_inside_an_event_only_breaks_the_connection(text: TextUnderTest) -> None:
    sent = setup.START + setup.DELTA[:-10]
    text.vendor.answer(setup.stream(setup.START, setup.DELTA[:-10], end=False))
    principal = await text.admit()
    assert await drained(await text.open(principal, stream=True)) == sent
    assert (await text.event(principal)).outcome is Outcome.BROKE_UPSTREAM


async def test_a_clean_end_without_a_terminal_event_is_a_truncation(text: TextUnderTest) -> None:
    text.vendor.answer(setup.stream(setup.START, setup.DELTA))
    principal = await text.admit()
    received = await drained(await text.open(principal, stream=True))
    assert received.startswith(setup.START + setup.DELTA + b"event: error\n")
    assert (await text.event(principal)).charge_uusd == 0


async def test_the_vendors_own_error_event_is_relayed_as_it_came(text: TextUnderTest) -> None:
    sent = setup.START + setup.DELTA + setup.OVERLOADED
    text.vendor.answer(setup.stream(sent))
    principal = await text.admit()
    _, body = await text.call(principal, stream=True)
    assert body == sent
    event = await text.event(principal)
    assert (event.outcome, event.charge_uusd) == (Outcome.BROKE_UPSTREAM, 0)


async def test_a_stall_ends_in_a_timeout_error_event(text: TextUnderTest) -> None:
    text.vendor.answer(setup.paused_stream(setup.START))
    principal = await text.admit()
    received = await drained(await text.open(principal, stream=True))
    assert b'"type":"timeout_error"' in received
    event = await text.event(principal)
    assert (event.outcome, event.attempts[0].error_type) == (Outcome.BROKE_UPSTREAM, "stalled")


async def test_silence_is_filled_with_pings_between_events_only(text: TextUnderTest) -> None:
    half = len(setup.DELTA) // 2
    parts = (setup.START, setup.DELTA[:half], setup.DELTA[half:], *end_of_stream())
    text.vendor.answer(setup.paused_stream(*parts))
    principal = await text.admit()
    response = await text.open(principal, stream=True)
    received = b""
    while not received.endswith(PING):
        received += await response.chunk(idle_timeout_s=5)
    text.vendor.next()
    while not received.endswith(setup.DELTA[:half]):
        received += await response.chunk(idle_timeout_s=5)
    await asyncio.sleep(0.7)  # two keep-alives would be due; none may be put inside an event
    for _ in range(4):
        text.vendor.next()
    received += await response.read(limit_bytes=1 << 20, idle_timeout_s=5)
    assert setup.DELTA in received
    assert received.count(PING) >= 1
    assert received.replace(PING, b"") == b"".join(parts)
    assert (await text.event(principal)).outcome is Outcome.COMPLETED


async def test_headers_go_out_with_the_first_ping_when_nothing_comes(text: TextUnderTest) -> None:
    async def late(vendor: setup.Vendor, peer: setup.Peer) -> None:
        await vendor.word(peer)
        await setup.stream(setup.WHOLE_STREAM)(vendor, peer)

    text.vendor.answer(late)
    principal = await text.admit()
    response = await text.open(principal, stream=True)
    assert await response.chunk(idle_timeout_s=5) == PING
    text.vendor.next()
    rest = await response.read(limit_bytes=1 << 20, idle_timeout_s=5)
    assert rest.replace(PING, b"") == setup.WHOLE_STREAM
    assert (await text.event(principal)).charge_uusd == setup.WHOLE_COST_UUSD


async def test_a_failure_after_the_first_ping_is_an_error_event(text: TextUnderTest) -> None:
    async def late(vendor: setup.Vendor, peer: setup.Peer) -> None:
        await vendor.word(peer)
        await setup.whole(b"{}", status=500)(vendor, peer)

    text.vendor.answer(late)
    principal = await text.admit()
    response = await text.open(principal, stream=True)
    assert await response.chunk(idle_timeout_s=5) == PING
    text.vendor.next()
    assert b"event: error\n" in await drained(response)
    event = await text.event(principal)
    assert (event.outcome, event.status, event.charge_uusd) == (Outcome.BROKE_UPSTREAM, 200, 0)


async def test_an_answer_without_usage_is_free_and_counted(text: TextUnderTest) -> None:
    parts = (setup.START, setup.DELTA, setup.message_delta(output_tokens=None), setup.STOP)
    text.vendor.answer(setup.stream(*parts))
    principal = await text.admit()
    _, body = await text.call(principal, stream=True)
    assert body == b"".join(parts)
    event = await text.event(principal)
    assert (event.outcome, event.charge_uusd) == (Outcome.USAGE_UNKNOWN, 0)
    assert await text.metric('bytespike_text_outcomes_total{outcome="usage_unknown"}') == 1


async def test_a_refusal_without_content_is_free(text: TextUnderTest) -> None:
    text.vendor.answer(setup.stream(setup.START, setup.message_delta("refusal"), setup.STOP))
    principal = await text.admit()
    await text.call(principal, stream=True)
    event = await text.event(principal)
    assert (event.outcome, event.charge_uusd) == (Outcome.FILTERED, 0)
    assert event.attempts[0].cost_uusd == setup.WHOLE_COST_UUSD


async def test_a_client_that_leaves_before_content_pays_nothing(text: TextUnderTest) -> None:
    text.vendor.answer(setup.silent)
    hang_ups = text.vendor.hang_ups
    principal = await text.admit()
    caller = asyncio.create_task(text.open(principal))
    await eventually(lambda: bool(text.vendor.asks))
    caller.cancel()
    await eventually(lambda: text.vendor.hang_ups > hang_ups)
    assert (await text.released(principal)).pending_uusd == 0
    event = await text.event(principal)
    assert (event.outcome, event.charge_uusd) == (Outcome.CLIENT_LEFT_EARLY, 0)


async def test_a_client_that_leaves_after_content_pays_what_was_delivered(
    text: TextUnderTest,
) -> None:
    text.vendor.answer(setup.paused_stream(setup.START + setup.BLOCK + setup.DELTA))
    principal = await text.admit()
    response = await text.open(principal, stream=True)
    received = b""
    while not received.endswith(setup.DELTA):
        received += await response.chunk(idle_timeout_s=5)
    response.abort()
    event = await text.event(principal)
    # 100 input tokens and 12 bytes of text, counted as 3 tokens.
    assert (event.outcome, event.charge_uusd) == (Outcome.CLIENT_LEFT_LATE, 345)
    assert event.estimated
    assert (await text.released(principal)).pending_uusd == 345


@pytest.mark.parametrize("span", [(9, 99_999), (8, 28), (9, 9), (-20, 10)])
async def test_a_principal_that_does_not_fit_the_body_is_refused(
    text: TextUnderTest, span: tuple[int, int]
) -> None:
    text.vendor.answer(setup.whole())
    reading = Reading(model=setup.MODEL, model_span=span)
    response, answer = await text.call(await text.admit(reading=reading))
    error = msgspec.json.decode(answer)["error"]
    assert (response.status, error["type"]) == (400, "invalid_request_error")
    assert text.vendor.asks == []


@pytest.mark.parametrize(
    ("kwargs", "status"),
    [
        ({"headers": {"x-bytespike-internal-token": "wrong"}}, 403),
        ({"headers": {"x-bytespike-internal-token": ""}}, 403),
        ({"headers": {"x-bytespike-principal": "{}"}}, 400),
        ({"path": "/v1/elsewhere"}, 404),
        ({"method": "PUT"}, 405),
        ({"headers": {"anthropic-version": "2020-01-01"}}, 400),
    ],
)
async def test_strangers_and_strange_requests_are_refused(
    text: TextUnderTest, kwargs: dict[str, object], status: int
) -> None:
    text.vendor.answer(setup.whole())
    response, body = await text.call(await text.admit(), **kwargs)
    assert response.status == status
    assert msgspec.json.decode(body)["type"] == "error"
    assert text.vendor.asks == []


def end_of_stream() -> tuple[bytes, ...]:
    return setup.message_delta(), setup.STOP


async def drained(response: setup.HttpResponse) -> bytes:
    """Everything up to the break; a clean end is a failure of the test."""
    received: list[bytes] = []
    with pytest.raises(ResponseBroken):
        await collect(response, received)
    return b"".join(received)
