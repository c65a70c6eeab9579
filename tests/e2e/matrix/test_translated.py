"""What a translated call keeps of everything that is promised for a relayed one: headers, silence
filled, leaving billed, the next channel tried.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest

from bytespike_contracts.money import TokenUsage, price
from tests.e2e.matrix.model import DIALECTS, Dialect
from tests.support.gateway import Answer, Customer, Gateway, Row

#: Another dialect's model for each client, one whose vendor shows its count as it writes.
ELSEWHERE: dict[Dialect, str] = {
    "anthropic": "Via.openai_chat",
    "openai_chat": "Via.anthropic",
    "openai_responses": "Via.anthropic",
    "gemini": "Via.anthropic",
}
#: A field the other side has no word for: what is added, of which model, its path.
UNSAID: dict[Dialect, tuple[dict[str, Any], str, str]] = {
    "anthropic": ({"stop_sequences": ["x"]}, "Via.openai_responses", "stop_sequences"),
    "openai_chat": ({"seed": 7}, "Via.anthropic", "seed"),
    "openai_responses": ({"metadata": {"a": "b"}}, "Via.anthropic", "metadata"),
    "gemini": ({"generationConfig": {"seed": 7}}, "Via.anthropic", "generationConfig.seed"),
}
#: What fills silence, if anything may.
KEEP_ALIVE: dict[Dialect, bytes] = {
    "anthropic": b'event: ping\ndata: {"type": "ping"}\n\n',
    "openai_chat": b": keepalive\n\n",
    "openai_responses": b": keepalive\n\n",
    "gemini": b"",
}
#: How a whole stream ends.
ENDS: dict[Dialect, bytes] = {
    "anthropic": b"event: message_stop",
    "openai_chat": b"data: [DONE]",
    "openai_responses": b"event: response.completed",
    "gemini": b'"finishReason":"STOP"',
}
_PIECE = re.compile(rb'"(?:content|text|delta)": ?"([^"]+)"')
#: Ten deltas of a hundred bytes are out when the vendor stops at this hold.
_TEN_OUT = {"anthropic": 13, "openai_chat": 11}
STREAMED = [False, True]


@pytest.fixture(autouse=True)
async def gateway(shared_gateway: Gateway) -> Gateway:
    await shared_gateway.simulator.reset()
    return shared_gateway


@pytest.fixture
async def customer(gateway: Gateway) -> Customer:
    return await gateway.customer()


def asked(dialect: Dialect, model: str, *, stream: bool) -> tuple[str, dict[str, Any]]:
    """Path and body of a question."""
    said = "Tell me of rivers."
    body: dict[str, Any] = {"model": model, "stream": stream}
    match dialect:
        case "anthropic":
            messages = [{"role": "user", "content": said}]
            return "/v1/messages", {**body, "max_tokens": 2048, "messages": messages}
        case "openai_chat":
            messages = [{"role": "user", "content": said}]
            return "/v1/chat/completions", {**body, "messages": messages}
        case "openai_responses":
            return "/v1/responses", {**body, "input": said}
        case "gemini":
            verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
            contents = [{"role": "user", "parts": [{"text": said}]}]
            return f"/v1beta/models/{model}:{verb}", {"contents": contents}


async def ask(
    customer: Customer,
    dialect: Dialect,
    model: str,
    *,
    stream: bool = False,
    faults: str = "",
    more: dict[str, Any] | None = None,
    **headers: Any,
) -> Answer:
    path, body = asked(dialect, model, stream=stream)
    return await customer.post({**body, **(more or {})}, path=path, faults=faults, **headers)


@pytest.mark.parametrize("client", DIALECTS)
async def test_what_is_lost_is_told_or_refused(
    gateway: Gateway, customer: Customer, client: Dialect
) -> None:
    more, model, path = UNSAID[client]
    answer = await ask(customer, client, model, more=more)
    assert answer.status == 200
    assert answer.headers["x-bytespike-dropped"].split(", ") == [path]
    refused = await ask(customer, client, model, more=more, x_bytespike_strict="true")
    assert refused.status == 400
    assert path in refused.error["message"] or refused.error.get("param") == path
    assert b"unsupported_feature" in refused.body.lower()
    assert len(await gateway.simulator.requests()) == 1
    assert (await gateway.usage(refused.request_id))["charge_uusd"] == 0
    strict = await ask(customer, client, model, x_bytespike_strict="true")
    assert strict.status == 200


@pytest.mark.parametrize("client", DIALECTS)
@pytest.mark.parametrize("where", ["before", "after"])
async def test_silence_is_filled(
    gateway: Gateway, customer: Customer, client: Dialect, where: str
) -> None:
    faults = "stall-before=2.5" if where == "before" else "events=8,stall-after=2.5@6"
    answer = await ask(customer, client, ELSEWHERE[client], stream=True, faults=faults)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    word = KEEP_ALIVE[client]
    if word:
        assert answer.body.count(word) == 2
    rest = answer.body.replace(word, b"") if word else answer.body
    assert all(
        re.match(rb"(event|data): ", frame) for frame in rest.split(b"\n\n") if frame.strip()
    )
    assert ENDS[client] in rest
    seen = await gateway.simulator.last()
    assert tokens(await gateway.usage(answer.request_id)) == seen.billed


def tokens(row: Row) -> TokenUsage:
    return TokenUsage(**{name: row[name] for name in TokenUsage.__struct_fields__})


async def leave(customer: Customer, client: Dialect, faults: str, pieces: int, hold: str) -> str:
    """Read until so many bytes of text have come, then hang up; the request id."""
    path, body = asked(client, ELSEWHERE[client], stream=True)
    headers = {"x-api-key": customer.key, "x-simulator-fault": faults}
    url = customer.gateway.urls[0] + path
    async with customer.gateway.http.post(url, json=body, headers=headers) as response:
        assert response.status == 200
        await customer.gateway.simulator.held(hold, 1)
        got = b""
        while sum(map(len, _PIECE.findall(got))) < pieces:
            got += await response.content.readany()
        response.close()
        return response.headers["x-request-id"]


@pytest.mark.parametrize("client", DIALECTS)
async def test_leaving_later_pays_for_what_was_delivered(
    gateway: Gateway, customer: Customer, client: Dialect
) -> None:
    out = _TEN_OUT["openai_chat" if client == "anthropic" else "anthropic"]
    faults = f"text-bytes=2000,events=20,hold-after=late@{out}"
    request_id = await leave(customer, client, faults, 1000, "late")
    row = await gateway.usage(request_id)
    seen = await gateway.simulator.last()
    assert (row["outcome"], row["estimated"]) == ("client_left_late", True)
    assert seen.state == "client_closed"
    assert row["output_tokens"] == seen.billed.output_tokens == 250
    # Where the vendor reports the prompt at the end only, it is counted like the answer.
    assert 0 < row["input_tokens"] <= seen.billed.input_tokens
    assert row["charge_uusd"] == price(tokens(row), gateway.rates(ELSEWHERE[client])) > 0
    await gateway.settled(customer)


@pytest.mark.parametrize("client", DIALECTS)
async def test_leaving_before_the_first_token_is_free(
    gateway: Gateway, customer: Customer, client: Dialect
) -> None:
    leaving = asyncio.create_task(
        ask(customer, client, ELSEWHERE[client], stream=True, faults="hold=early")
    )
    await gateway.simulator.held("early", 1)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    [row] = await gateway.usage_of(customer, 1)
    assert (row["outcome"], row["charge_uusd"]) == ("client_left_early", 0)
    await gateway.settled(customer)
    assert await customer.balance_uusd() == 100_000_000


@pytest.mark.parametrize("stream", STREAMED)
async def test_a_translated_channel_stands_in_for_a_native_one(
    gateway: Gateway, customer: Customer, stream: bool
) -> None:
    answer = await ask(customer, "anthropic", "Native.First", stream=stream)
    assert (answer.status, answer.headers["x-bytespike-attempts"]) == (200, "2")
    assert b'"model":"Native.First"' in answer.body
    native, translated = (await gateway.simulator.requests())[::-1]
    assert (native.dialect, native.status) == ("anthropic", 529)
    assert (translated.dialect, translated.status) == ("gemini", 200)
    row = await gateway.usage(answer.request_id)
    assert tokens(row) == translated.billed
    assert row["charge_uusd"] == price(translated.billed, gateway.rates("native-first")) > 0
    assert [
        (line["channel"], line["status"]) for line in await gateway.attempts(answer.request_id)
    ] == [
        ("native", 529),
        ("translated", 200),
    ]


async def test_a_strict_caller_fails_over_too_unless_something_would_be_lost(
    gateway: Gateway, customer: Customer
) -> None:
    served = await ask(customer, "anthropic", "Native.First", x_bytespike_strict="true")
    assert (served.status, served.headers["x-bytespike-attempts"]) == (200, "2")
    lost = {"metadata": {"user_id": "somebody"}}
    refused = await ask(customer, "anthropic", "Native.First", more=lost, x_bytespike_strict="true")
    assert refused.status == 529
    assert [seen.dialect for seen in await gateway.simulator.requests(limit=1)] == ["anthropic"]


async def test_a_relay_that_leaves_out_thoughts_is_billed_like_any_other(
    gateway: Gateway, customer: Customer
) -> None:
    """A Chat client that asks for no usage, with thoughts of another vendor in its history."""
    messages = [
        {"role": "user", "content": "Tell me of rivers."},
        {"role": "assistant", "content": "They flow.", "reasoning_content": "Hm."},
        {"role": "user", "content": "And lakes?"},
    ]
    more = {"messages": messages}
    answer = await ask(customer, "openai_chat", "Via.openai_chat", stream=True, more=more)
    assert answer.status == 200
    assert answer.headers["x-bytespike-dropped"] == "messages[].reasoning_content"
    seen = await gateway.simulator.last()
    assert b"They flow." in seen.body
    assert b"Hm." not in seen.body
    assert b'"usage":{' not in answer.body
    assert tokens(await gateway.usage(answer.request_id)) == seen.billed


async def test_a_compatible_host_gets_its_thoughts_back(
    gateway: Gateway, customer: Customer
) -> None:
    first = await ask(customer, "openai_chat", "Compatible", more={"reasoning_effort": "high"})
    message = json.loads(first.body)["choices"][0]["message"]
    assert message["reasoning_content"]
    messages = [
        {"role": "user", "content": "Tell me of rivers."},
        {name: message[name] for name in ("role", "content", "reasoning_content")},
        {"role": "user", "content": "And lakes?"},
    ]
    second = await ask(customer, "openai_chat", "Compatible", more={"messages": messages})
    assert second.status == 200, second.body
    assert message["reasoning_content"].encode() in (await gateway.simulator.last()).body
    assert "x-bytespike-dropped" not in second.headers
