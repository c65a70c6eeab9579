"""The success table, row by row: wallet before and after, the usage row, the second book, and what
the vendor itself would have billed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from bytespike_contracts.money import TokenUsage, parse_usd, price
from tests.support.gateway import Answer, Customer, Gateway, Row
from tests.support.simulator import Seen

MODEL = "claude-sonnet-4-6"
START_UUSD = 100_000_000
STREAMED = [False, True]


def ask(*, stream: bool, model: str = MODEL, **changes: Any) -> dict[str, Any]:
    return {
        "model": model,
        "max_tokens": 1000,
        "stream": stream,
        "messages": [{"role": "user", "content": "How long is the longest river?"}],
        **changes,
    }


class Books:
    """Everything that was written about one finished request."""

    def __init__(self, usage: Row, attempts: list[Row], seen: Seen, balance_uusd: int) -> None:
        self.usage = usage
        self.attempts = attempts
        self.seen = seen
        self.paid_uusd = START_UUSD - balance_uusd
        assert usage["charge_uusd"] == self.paid_uusd
        assert usage["shortfall_uusd"] == 0

    @property
    def outcome(self) -> str:
        return str(self.usage["outcome"])

    @property
    def our_cost_uusd(self) -> int:
        return sum(int(row["cost_uusd"]) for row in self.attempts)


async def books(gateway: Gateway, customer: Customer, request_id: str) -> Books:
    """Wait until the request is settled, then look everywhere."""
    usage = await gateway.usage(request_id)
    await gateway.settled(customer)
    return Books(
        usage,
        await gateway.attempts(request_id),
        await gateway.simulator.last(),
        await customer.balance_uusd(),
    )


async def listed(customer: Customer) -> list[str]:
    """Request ids of the customer's own usage list."""
    answer = await customer.get("/v1/usage")
    return [row["request_id"] for row in answer.json()["items"]]


async def no_charge(gateway: Gateway, customer: Customer, answer: Answer, outcome: str) -> Books:
    found = await books(gateway, customer, answer.request_id)
    assert found.outcome == outcome
    assert found.paid_uusd == 0
    assert "x-credits-used" not in answer.headers or answer.headers["x-credits-used"] == "0.00"
    return found


@pytest.mark.parametrize("stream", STREAMED)
async def test_a_complete_answer_costs_what_the_vendor_reported(
    gateway: Gateway, customer: Customer, stream: bool
) -> None:
    answer = await customer.post(ask(stream=stream))
    assert answer.status == 200
    found = await books(gateway, customer, answer.request_id)
    assert found.outcome == "completed"
    assert found.seen.state == "completed"
    assert found.paid_uusd == price(found.seen.billed, gateway.rates(MODEL)) > 0
    assert found.our_cost_uusd == found.paid_uusd
    assert not found.usage["estimated"]
    assert await listed(customer) == [answer.request_id]
    if not stream:
        assert parse_usd(answer.headers["x-credits-used"]) == found.paid_uusd


async def test_every_kind_of_token_has_its_price(gateway: Gateway, customer: Customer) -> None:
    system = [
        {"type": "text", "text": "Rivers. " * 300, "cache_control": {"type": "ephemeral"}},
        {
            "type": "text",
            "text": "Lakes. " * 300,
            "cache_control": {"type": "ephemeral", "ttl": "1h"},
        },
    ]
    search = [{"type": "web_search_20250305", "name": "web_search", "max_uses": 1}]
    body = ask(stream=True, system=system, tools=search, thinking={"type": "adaptive"})
    written = await customer.post(body)
    first = await books(gateway, customer, written.request_id)
    billed = first.seen.billed
    assert min(billed.cache_write_5m_tokens, billed.cache_write_1h_tokens) > 500
    assert billed.web_searches == 1
    assert billed.reasoning_tokens > 0
    assert first.paid_uusd == price(billed, gateway.rates(MODEL))
    read = await customer.post(body)
    second = await gateway.usage(read.request_id)
    seen = (await gateway.simulator.last()).billed
    assert seen.cache_read_tokens == billed.cache_write_5m_tokens + billed.cache_write_1h_tokens
    assert second["charge_uusd"] == price(seen, gateway.rates(MODEL)) < first.paid_uusd


async def test_a_group_multiplier_is_the_customers_and_not_ours(gateway: Gateway) -> None:
    customer = await gateway.customer(group="half-price")
    answer = await customer.post(ask(stream=False))
    found = await books(gateway, customer, answer.request_id)
    assert found.paid_uusd == price(found.seen.billed, gateway.rates(MODEL, "half-price"))
    assert found.our_cost_uusd == price(found.seen.billed, gateway.rates(MODEL))


@pytest.mark.parametrize(
    ("fault", "status"),
    [("status=500", 503), ("status=529", 529), ("status=429", 503), ("connect-drop", 503)],
)
async def test_a_failed_request_is_free(
    gateway: Gateway, customer: Customer, fault: str, status: int
) -> None:
    answer = await customer.post(ask(stream=True, model="sim-fails"), faults=fault)
    assert answer.status == status
    assert int(answer.headers["retry-after"]) >= 1
    found = await no_charge(gateway, customer, answer, "failed")
    assert found.attempts
    assert found.our_cost_uusd == 0
    assert found.seen.billed == TokenUsage()
    assert await listed(customer) == []


async def test_a_refused_vendor_key_is_our_fault(gateway: Gateway, customer: Customer) -> None:
    answer = await customer.post(ask(stream=False, model="sim-bad-key"))
    assert answer.status == 503
    assert b"x-api-key" not in answer.body
    await no_charge(gateway, customer, answer, "failed")


async def test_an_unreachable_vendor_is_a_503(gateway: Gateway, customer: Customer) -> None:
    answer = await customer.post(ask(stream=False, model="sim-unreachable"))
    assert answer.status == 503
    usage = await gateway.usage(answer.request_id)
    assert (usage["outcome"], usage["charge_uusd"]) == ("failed", 0)


async def test_a_silent_vendor_is_a_504(gateway: Gateway, customer: Customer) -> None:
    answer = await customer.post(ask(stream=True, model="sim-impatient"), faults="stall-before=5")
    assert answer.status == 504
    found = await no_charge(gateway, customer, answer, "failed")
    assert found.seen.state == "client_closed"


async def test_the_callers_fault_passes_through_and_is_free(
    gateway: Gateway, customer: Customer
) -> None:
    answer = await customer.post(ask(stream=False, temperature=9))
    assert answer.status == 400
    found = await no_charge(gateway, customer, answer, "failed")
    assert answer.body == found.seen.sent


@pytest.mark.parametrize("stream", STREAMED)
@pytest.mark.parametrize(
    ("kind", "status"),
    [("invalid_request_error", 400), ("overloaded_error", 529), ("api_error", 503)],
)
async def test_an_error_inside_a_200_becomes_the_status_it_is(
    gateway: Gateway, customer: Customer, kind: str, status: int, stream: bool
) -> None:
    body = ask(stream=stream, model="sim-fails")
    answer = await customer.post(body, faults=f"error-body={kind}")
    assert answer.status == status
    assert answer.json()["type"] == "error"
    await no_charge(gateway, customer, answer, "failed")


async def test_a_stream_that_begins_with_an_error_is_an_error(
    gateway: Gateway, customer: Customer
) -> None:
    body = ask(stream=True, model="sim-fails")
    answer = await customer.post(body, faults="error-event-after=0")
    assert answer.status == 529
    await no_charge(gateway, customer, answer, "failed")


@pytest.mark.parametrize("stream", STREAMED)
async def test_without_usage_nobody_can_say_what_it_cost(
    gateway: Gateway, customer: Customer, stream: bool
) -> None:
    answer = await customer.post(ask(stream=stream), faults="no-usage")
    assert answer.status == 200
    found = await no_charge(gateway, customer, answer, "usage_unknown")
    assert found.usage["input_tokens"] is None
    assert found.seen.billed.output_tokens > 0


@pytest.mark.parametrize("fault", ["error-event-after=8", "cut-after=8", "cut-bytes=1500"])
async def test_a_stream_that_breaks_upstream_is_free(
    gateway: Gateway, customer: Customer, fault: str
) -> None:
    answer = await customer.post(ask(stream=True), faults=f"events=20,{fault}")
    assert answer.status == 200
    assert b"event: message_stop" not in answer.body
    found = await no_charge(gateway, customer, answer, "broke_upstream")
    # We are billed for it all the same.
    assert found.seen.billed.input_tokens > 0
    assert found.our_cost_uusd >= price(
        TokenUsage(input_tokens=found.seen.billed.input_tokens), gateway.rates(MODEL)
    )


async def test_a_stalled_stream_breaks_and_is_free(gateway: Gateway, customer: Customer) -> None:
    body = ask(stream=True, model="sim-impatient")
    answer = await customer.post(body, faults="events=20,stall-after=9@8")
    assert (answer.status, answer.complete) in {(200, True), (200, False)}
    assert b"event: error" in answer.body
    found = await no_charge(gateway, customer, answer, "broke_upstream")
    assert found.seen.state == "client_closed"


async def test_half_a_json_answer_never_reaches_the_client(
    gateway: Gateway, customer: Customer
) -> None:
    answer = await customer.post(ask(stream=False, model="sim-fails"), faults="cut-after=1")
    assert answer.status in {502, 503}
    await no_charge(gateway, customer, answer, "failed")


@pytest.mark.parametrize("stream", STREAMED)
async def test_a_refusal_without_content_is_free(
    gateway: Gateway, customer: Customer, stream: bool
) -> None:
    answer = await customer.post(ask(stream=stream), faults="refusal")
    assert answer.status == 200
    await no_charge(gateway, customer, answer, "filtered")


async def test_a_refusal_after_content_is_paid(gateway: Gateway, customer: Customer) -> None:
    answer = await customer.post(ask(stream=True), faults="refusal-late")
    found = await books(gateway, customer, answer.request_id)
    assert found.outcome == "completed"
    assert found.paid_uusd == price(found.seen.billed, gateway.rates(MODEL))


async def test_the_second_channel_answers_within_one_charge(
    gateway: Gateway, customer: Customer
) -> None:
    answer = await customer.post(ask(stream=True, model="sim-second-try"))
    assert (answer.status, answer.headers["x-bytespike-attempts"]) == (200, "2")
    found = await books(gateway, customer, answer.request_id)
    rates = gateway.rates("sim-second-try")
    assert found.paid_uusd == price(found.seen.billed, rates)
    assert [(row["channel"], row["status"]) for row in found.attempts] == [
        ("first-try", 529),
        ("second-try", 200),
    ]
    assert abs(found.attempts[1]["cost_uusd"] * 2 - found.paid_uusd) <= 1


async def leave_after(
    customer: Customer, body: Mapping[str, Any], faults: str, until: bytes, hold: str
) -> tuple[str, bytes]:
    """Read until ``until`` has come and the vendor stands at ``hold``, then hang up. Returns the
    request id and what had been delivered.
    """
    headers = {
        "x-api-key": customer.key,
        "anthropic-version": "2023-06-01",
        "x-simulator-fault": faults,
    }
    url = f"{customer.gateway.urls[0]}/v1/messages"
    async with customer.gateway.http.post(url, json=body, headers=headers) as response:
        assert response.status == 200
        got = b""
        while until not in got:
            got += await response.content.readany()
        await customer.gateway.simulator.held(hold, 1)
        response.close()
        return response.headers["x-request-id"], got


async def test_leaving_before_the_first_token_is_free(gateway: Gateway, customer: Customer) -> None:
    request_id, _ = await leave_after(
        customer, ask(stream=True), "hold-after=early@3", b"event: ping", "early"
    )
    found = await books(gateway, customer, request_id)
    assert (found.outcome, found.paid_uusd) == ("client_left_early", 0)
    assert found.seen.state == "client_closed"


async def test_leaving_before_a_whole_answer_is_free(gateway: Gateway, customer: Customer) -> None:
    asking = asyncio.create_task(customer.post(ask(stream=False), faults="hold=whole"))
    await gateway.simulator.held("whole", 1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert (await gateway.simulator.last()).state == "client_closed"
    [usage] = await gateway.usage_of(customer, 1)
    assert (usage["outcome"], usage["charge_uusd"]) == ("client_left_early", 0)
    await gateway.settled(customer)
    assert await customer.balance_uusd() == START_UUSD


async def test_leaving_later_pays_for_what_was_delivered(
    gateway: Gateway, customer: Customer
) -> None:
    faults = "text-bytes=2000,events=20,hold-after=late@13"
    request_id, got = await leave_after(
        customer, ask(stream=True), faults, b'"content_block_delta"', "late"
    )
    found = await books(gateway, customer, request_id)
    assert found.outcome == "client_left_late"
    assert found.usage["estimated"]
    assert found.seen.state == "client_closed"
    # Ten deltas of a hundred bytes went out: 250 tokens at four bytes each, as the vendor counts.
    assert found.seen.events_sent == 13
    assert found.usage["output_tokens"] == found.seen.billed.output_tokens == 250
    assert found.usage["input_tokens"] == found.seen.billed.input_tokens
    assert found.paid_uusd == price(found.seen.billed, gateway.rates(MODEL)) > 0
    assert got.startswith(b"event: message_start")
    assert await listed(customer) == [request_id]


async def test_a_drained_channel_reports_exact_numbers(
    gateway: Gateway, customer: Customer
) -> None:
    body = ask(stream=True, model="sim-drained")
    # The rest comes slowly enough for the news of the client's leaving to arrive before the end.
    faults = "text-bytes=2000,events=20,hold-after=drain@13,slow=20"
    request_id, _ = await leave_after(customer, body, faults, b'"content_block_delta"', "drain")
    await gateway.simulator.release("drain")
    found = await books(gateway, customer, request_id)
    assert found.outcome == "client_left_late"
    assert not found.usage["estimated"]
    assert (found.seen.state, found.seen.billed.output_tokens) == ("completed", 500)
    assert found.paid_uusd == price(found.seen.billed, gateway.rates("sim-drained"))


async def test_a_repeated_idempotency_key_is_one_charge(
    gateway: Gateway, customer: Customer
) -> None:
    first = await customer.post(ask(stream=False), idempotency_key="order-1")
    again = await customer.post(ask(stream=False), idempotency_key="order-1")
    other = await customer.post(ask(stream=False, max_tokens=999), idempotency_key="order-1")
    assert (first.status, again.status, other.status) == (200, 200, 409)
    assert again.body == first.body
    assert again.headers["x-bytespike-replayed"] == "true"
    found = await books(gateway, customer, first.request_id)
    assert len(await gateway.simulator.requests()) == 1
    assert found.paid_uusd == price(found.seen.billed, gateway.rates(MODEL))


async def test_more_than_was_held_takes_the_wallet_to_zero_and_no_further(
    gateway: Gateway,
) -> None:
    """A vendor that reports more than the request allowed: the rest is our loss, on record."""
    rich = await gateway.customer()
    estimate = await rich.post(ask(stream=True), x_bytespike_dry_run="true")
    hold_usd = estimate.headers["x-estimated-credits"]
    customer = await gateway.customer(usd=hold_usd)
    answer = await customer.post(ask(stream=True), faults="output-tokens=5000")
    assert answer.status == 200
    usage = await gateway.usage(answer.request_id)
    await gateway.settled(customer)
    cost_uusd = price((await gateway.simulator.last()).billed, gateway.rates(MODEL))
    assert usage["charge_uusd"] == parse_usd(hold_usd) < cost_uusd
    assert usage["charge_uusd"] + usage["shortfall_uusd"] == cost_uusd
    assert await customer.balance_uusd() == 0
    assert (await customer.post(ask(stream=True))).status == 402
    assert (await gateway.audit())["clean"] is True


async def test_a_dry_run_costs_nothing_and_calls_nobody(
    gateway: Gateway, customer: Customer
) -> None:
    answer = await customer.post(ask(stream=True), x_bytespike_dry_run="true")
    assert answer.status == 200
    assert answer.json()["model"] == MODEL
    assert str(answer.json()["estimated_credits"]) in answer.body.decode()
    assert await gateway.simulator.requests() == []
    assert await gateway.held(customer) == (0, 0)
    assert await customer.balance_uusd() == START_UUSD


async def test_a_model_without_a_price_is_never_free(gateway: Gateway, customer: Customer) -> None:
    answer = await customer.post(ask(stream=False, model="sim-unpriced"))
    assert answer.status == 503
    assert await gateway.simulator.requests() == []


async def test_the_invoice_equals_the_second_book(gateway: Gateway, customer: Customer) -> None:
    """A mixed load: what the vendor would bill is what we wrote down that it costs us."""
    faults = ["", "events=30", "text-bytes=4000", "refusal-late", "status=400", "output-tokens=77"]
    answers = await asyncio.gather(
        *(customer.post(ask(stream=n % 2 == 0), faults=faults[n % 6]) for n in range(60))
    )
    await gateway.settled(customer)
    for answer in answers:
        await gateway.usage(answer.request_id)
    usage = (await gateway.simulator.invoice())[MODEL].usage
    cost = await gateway.rows(
        "select sum(output_tokens)::bigint as output, sum(input_tokens)::bigint as input"
        " from usage_attempts where request_id = any($1)",
        [answer.request_id for answer in answers],
    )
    assert cost == [{"output": usage.output_tokens, "input": usage.input_tokens}]
