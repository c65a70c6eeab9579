"""Headers on every answer: who it was, what is left, what it may and did cost; none that leak."""

from __future__ import annotations

import time
from typing import Any

from bytespike_contracts.money import format_usd, parse_usd
from tests.support.gateway import Answer, Customer, Gateway

ASK: dict[str, Any] = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 200,
    "messages": [{"role": "user", "content": "Hi"}],
}
STREAM = {**ASK, "stream": True}
#: What a vendor or a service behind says that is nobody else's business.
PRIVATE = (
    "anthropic-organization-id",
    "anthropic-ratelimit-requests-limit",
    "x-bytespike-cost-uusd",
    "x-bytespike-principal",
    "x-bytespike-internal-token",
)


def credits(answer: Answer, name: str) -> int:
    """A header that holds a USD decimal, in micro-USD."""
    return parse_usd(answer.headers[name])


async def test_every_answer_has_an_id_of_its_own(gateway: Gateway, customer: Customer) -> None:
    answers = [
        await customer.post(ASK),
        await customer.post(STREAM),
        await customer.post(b"{"),
        await customer.get("/v1/balance"),
        await gateway.call("POST", "/v1/messages", headers={"x-api-key": "wrong"}),
        await gateway.call("GET", "/nowhere"),
        await gateway.call("GET", "/api/v1/admin/orgs"),
    ]
    ids = {answer.request_id for answer in answers}
    assert len(ids) == len(answers)
    for answer in answers:
        assert answer.headers["request-id"] == answer.request_id
        assert float(answer.headers["x-bytespike-overhead-ms"]) >= 0
        assert not any(name in answer.headers for name in PRIVATE)


async def test_a_callers_own_request_id_is_not_believed(customer: Customer) -> None:
    answer = await customer.post(ASK, x_request_id="req_mine", request_id="req_mine")
    assert answer.request_id != "req_mine"


async def test_paid_answers_say_what_they_may_and_did_cost(
    gateway: Gateway, customer: Customer
) -> None:
    whole, streamed = await customer.post(ASK), await customer.post(STREAM)
    failed = await customer.post({**ASK, "temperature": 9})
    for answer in (whole, streamed, failed):
        assert credits(answer, "x-estimated-credits") > 0
    assert 0 < credits(whole, "x-credits-used") <= credits(whole, "x-estimated-credits")
    assert "x-credits-used" not in streamed.headers
    assert whole.headers["x-bytespike-attempts"] == "1"
    row = await gateway.usage(whole.request_id)
    assert row["charge_uusd"] == credits(whole, "x-credits-used")


async def test_a_key_without_limits_has_no_limit_headers(customer: Customer) -> None:
    answer = await customer.post(ASK)
    assert not [name for name in answer.headers if name.lower().startswith("x-ratelimit")]
    assert "x-quota-remaining-credits" not in answer.headers
    assert "x-org-quota-remaining-credits" in answer.headers


async def test_limits_are_on_failures_too_and_a_failure_moves_nothing(
    gateway: Gateway,
) -> None:
    customer = await gateway.customer(
        quota="5", rate_limit_5h="3", rate_limit_1d="2", rate_limit_7d="9"
    )
    now_s = time.time()
    failures = [
        await customer.post({**ASK, "model": "sim-fails"}, faults="status=500"),
        await customer.post(b"{"),
        await customer.post({**ASK, "model": "gpt-9"}),
        await customer.get("/v1/balance"),
    ]
    for answer in failures:
        # The tightest window, in full.
        assert answer.headers["x-ratelimit-limit"] == "2.00"
        assert answer.headers["x-ratelimit-remaining"] == "2.00"
        assert int(answer.headers["x-ratelimit-reset"]) >= now_s
        assert answer.headers["x-quota-remaining-credits"] == "5.00"
        assert answer.headers["x-org-quota-remaining-credits"] == "100.00"


async def test_a_success_counts_itself_at_once(gateway: Gateway) -> None:
    customer = await gateway.customer(quota="5", rate_limit_1d="2")
    answer = await customer.post(ASK)
    cost_uusd = credits(answer, "x-credits-used")
    assert credits(answer, "x-quota-remaining-credits") == 5_000_000 - cost_uusd
    assert credits(answer, "x-ratelimit-remaining") == 2_000_000 - cost_uusd
    assert credits(answer, "x-org-quota-remaining-credits") == 100_000_000 - cost_uusd
    await gateway.settled(customer)
    later = await customer.get("/v1/balance")
    assert credits(later, "x-quota-remaining-credits") == 5_000_000 - cost_uusd
    reset_s = int(later.headers["x-ratelimit-reset"])
    assert 86_000 < reset_s - time.time() <= 86_400 + 1_800


async def test_a_stream_has_them_before_its_first_byte(
    gateway: Gateway,
) -> None:
    customer = await gateway.customer(quota="5")
    url = f"{gateway.urls[0]}/v1/messages"
    headers = {
        "x-api-key": customer.key,
        "anthropic-version": "2023-06-01",
        "x-simulator-fault": "hold-after=headers@1",
    }
    async with gateway.http.post(url, json=STREAM, headers=headers) as response:
        await gateway.simulator.held("headers", 1)
        assert response.headers["x-request-id"].startswith("req_")
        assert parse_usd(response.headers["x-estimated-credits"]) > 0
        # What is only held does not count.
        assert response.headers["x-quota-remaining-credits"] == "5.00"
        await gateway.simulator.release("headers")
        assert b"message_stop" in await response.read()


async def test_the_balance_shows_held_apart_from_available(
    gateway: Gateway, customer: Customer
) -> None:
    url = f"{gateway.urls[0]}/v1/messages"
    headers = {
        "x-api-key": customer.key,
        "anthropic-version": "2023-06-01",
        "x-simulator-fault": "hold-after=apart@1",
    }
    async with gateway.http.post(url, json=STREAM, headers=headers) as response:
        held_uusd = parse_usd(response.headers["x-estimated-credits"])
        balance = (await customer.get("/v1/balance")).body.decode()
        assert f'"held_usd":{format_usd(held_uusd)}' in balance
        assert f'"available_usd":{format_usd(100_000_000 - held_uusd)}' in balance
        assert '"balance_usd":100.00' in balance
        await gateway.simulator.release("apart")
        await response.read()


async def test_only_what_the_vendor_needs_reaches_it(gateway: Gateway, customer: Customer) -> None:
    await customer.post(
        ASK,
        authorization="Bearer something-else",
        cookie="session=1",
        x_bytespike_principal='{"account_id":"acct_other"}',
        x_bytespike_internal_token="guess",
        x_forwarded_for="10.0.0.1",
        connection="keep-alive, x-odd",
        x_odd="hop",
        te="trailers",
        anthropic_beta="some-beta-2026",
    )
    seen = await gateway.simulator.last()
    assert seen.headers["x-api-key"] == "sk-sim-local"
    assert seen.headers["anthropic-version"] == "2023-06-01"
    assert seen.headers["anthropic-beta"] == "some-beta-2026"
    assert seen.headers["user-agent"].startswith("bytespike/")
    assert set(seen.headers) <= {
        "host",
        "content-length",
        "content-type",
        "accept",
        "accept-encoding",
        "user-agent",
        "x-api-key",
        "anthropic-version",
        "anthropic-beta",
    }
    assert customer.key not in str(seen.headers)


async def test_an_unknown_version_is_refused_and_none_means_the_stable_one(
    gateway: Gateway, customer: Customer
) -> None:
    refused = await customer.post(ASK, anthropic_version="2019-01-01")
    assert refused.status == 400
    assert "2023-06-01" in refused.error["message"]
    url = f"{gateway.urls[0]}/v1/messages"
    async with gateway.http.post(url, json=ASK, headers={"x-api-key": customer.key}) as response:
        assert response.status == 200
    assert (await gateway.simulator.last()).headers["anthropic-version"] == "2023-06-01"


async def test_dropped_betas_are_told_or_refused(gateway: Gateway, customer: Customer) -> None:
    body = {**ASK, "model": "sim-drained"}  # its channel takes no beta
    answer = await customer.post(body, anthropic_beta="one-2026,two-2026")
    assert answer.status == 200
    assert "anthropic-beta.one-2026" in answer.headers["x-bytespike-dropped"]
    assert "anthropic-beta" not in (await gateway.simulator.last()).headers
    strict = await customer.post(body, anthropic_beta="one-2026", x_bytespike_strict="true")
    assert strict.status == 400
    assert strict.error["code"] == "unsupported_feature"


async def test_the_query_passes_without_the_key(gateway: Gateway, customer: Customer) -> None:
    url = f"{gateway.urls[0]}/v1/messages?beta=true&key={customer.key}&x=%20y"
    async with gateway.http.post(url, json=ASK) as response:
        assert response.status == 200
    assert (await gateway.simulator.last()).path == "/v1/messages?beta=true&x=%20y"
