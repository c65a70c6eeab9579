"""The official SDK, unmodified, sees an Anthropic API: same objects, same exceptions."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

from tests.support.gateway import Customer, Gateway

MODEL = "claude-sonnet-4-6"
ASK: dict[str, Any] = {
    "model": MODEL,
    "max_tokens": 2048,
    "messages": [{"role": "user", "content": "Tell me of rivers."}],
}
WEATHER = {
    "name": "get_weather",
    "input_schema": {
        "type": "object",
        "properties": {"place": {"type": "string"}},
        "required": ["place"],
    },
}
BASES = ["", "/v1"]


@pytest.mark.parametrize("base", BASES)
async def test_create(customer: Customer, base: str) -> None:
    async with customer.sdk(base) as client:
        message = await client.messages.create(**ASK)
    assert message.type == "message"
    assert message.model == MODEL
    assert message.content[0].type == "text"
    assert message.usage.output_tokens > 0
    assert (message._request_id or "").startswith("req_")


@pytest.mark.parametrize("base", BASES)
async def test_stream(customer: Customer, base: str) -> None:
    async with customer.sdk(base) as client, client.messages.stream(**ASK) as stream:
        pieces = [text async for text in stream.text_stream]
        message = await stream.get_final_message()
    assert len(pieces) > 3
    assert "".join(pieces) == message.content[0].text  # type: ignore[union-attr]
    assert message.stop_reason == "end_turn"


@pytest.mark.parametrize("base", BASES)
async def test_count_tokens_is_free(customer: Customer, base: str) -> None:
    async with customer.sdk(base) as client:
        counted = await client.messages.count_tokens(
            model=MODEL, messages=[{"role": "user", "content": "Tell me of rivers."}]
        )
    assert counted.input_tokens == 8
    assert await customer.gateway.held(customer) == (0, 0)
    assert await customer.balance_uusd() == 100_000_000


async def test_tools_in_parallel_and_their_results(customer: Customer) -> None:
    clock = {"name": "get_time", "input_schema": {"type": "object", "properties": {}}}
    tools: dict[str, Any] = {"tools": [WEATHER, clock], "tool_choice": {"type": "any"}}
    async with customer.sdk() as client:
        async with client.messages.stream(**ASK, **tools) as stream:
            called = await stream.get_final_message()
        calls = [block for block in called.content if block.type == "tool_use"]
        assert [(call.name, call.input) for call in calls] == [
            ("get_weather", {"place": "sample"}),
            ("get_time", {}),
        ]
        results = [
            {"type": "tool_result", "tool_use_id": call.id, "content": "fine"} for call in calls
        ]
        turns = [
            *ASK["messages"],
            {"role": "assistant", "content": called.content},
            {"role": "user", "content": results},
        ]
        answer = await client.messages.create(
            **{**ASK, "messages": turns, "tools": [WEATHER, clock]}
        )
    assert answer.stop_reason == "end_turn"


async def test_thinking_keeps_its_signature(customer: Customer) -> None:
    async with (
        customer.sdk() as client,
        client.messages.stream(**ASK, thinking={"type": "adaptive"}) as stream,
    ):
        message = await stream.get_final_message()
    thought = message.content[0]
    assert thought.type == "thinking"
    assert len(thought.signature) == 160


async def test_the_sync_client_and_raw_headers(customer: Customer) -> None:
    async with customer.sdk() as client:
        raw = await client.messages.with_raw_response.create(**ASK)
    assert raw.headers["x-credits-used"]
    assert raw.headers["request-id"] == raw.headers["x-request-id"]


class TestErrors:
    """Each status raises the SDK's own class, with type and request id."""

    async def _refused(
        self, customer: Customer, kind: type[anthropic.APIStatusError], **changes: Any
    ) -> anthropic.APIStatusError:
        async with customer.sdk() as client:
            with pytest.raises(kind) as caught:
                await client.messages.create(**{**ASK, **changes})
        error = caught.value
        assert type(error) is kind
        assert isinstance(error.body, dict)
        assert error.body["type"] == "error"
        assert (error.request_id or "").startswith("req_")
        return error

    async def test_401(self, gateway: Gateway, customer: Customer) -> None:
        broken = customer.key[:-1] + ("a" if customer.key[-1] != "a" else "b")
        for key in (broken, "sk-ant-not-ours", "x"):
            async with anthropic.AsyncAnthropic(
                base_url=gateway.urls[0], api_key=key, max_retries=0
            ) as client:
                with pytest.raises(anthropic.AuthenticationError) as caught:
                    await client.messages.create(**ASK)
            assert caught.value.type == "authentication_error"

    async def test_402(self, gateway: Gateway) -> None:
        poor = await gateway.customer(usd="0")
        error = await self._refused(poor, anthropic.PaymentRequiredError)
        assert error.type == "billing_error"
        assert "insufficient_balance" in error.message
        capped = await gateway.customer(quota="0.000001")
        error = await self._refused(capped, anthropic.PaymentRequiredError)
        assert "quota_exceeded" in error.message

    async def test_403(self, gateway: Gateway) -> None:
        half = await gateway.customer(group="half-price")
        error = await self._refused(half, anthropic.PermissionDeniedError, model="claude-opus-4-6")
        assert error.type == "permission_error"

    async def test_404(self, customer: Customer) -> None:
        error = await self._refused(customer, anthropic.NotFoundError, model="gpt-9")
        assert error.type == "not_found_error"
        assert "gpt-9" in error.message

    async def test_413(self, customer: Customer) -> None:
        big = [{"role": "user", "content": "x" * (33 * 1024 * 1024)}]
        error = await self._refused(customer, anthropic.ContentTooLargeError, messages=big)
        assert str(error.type) == "request_too_large"

    async def test_429(self, gateway: Gateway) -> None:
        capped = await gateway.customer(rate_limit_5h="0.000001")
        error = await self._refused(capped, anthropic.RateLimitError)
        assert error.type == "rate_limit_error"
        assert int(error.response.headers["retry-after"]) > 0

    async def test_503(self, customer: Customer) -> None:
        error = await self._refused(
            customer,
            anthropic.ServiceUnavailableError,
            model="sim-fails",
            extra_headers={"x-simulator-fault": "status=500"},
        )
        assert error.type == "api_error"
        assert int(error.response.headers["retry-after"]) > 0

    async def test_529(self, customer: Customer) -> None:
        error = await self._refused(
            customer,
            anthropic.OverloadedError,
            model="sim-fails",
            extra_headers={"x-simulator-fault": "status=529"},
        )
        assert error.type == "overloaded_error"

    async def test_400_from_the_vendor_comes_through(self, customer: Customer) -> None:
        hot = {"temperature": 1.5}
        error = await self._refused(customer, anthropic.BadRequestError, extra_body=hot)
        assert error.type == "invalid_request_error"
        assert error.message.count("temperature") == 1

    async def test_an_error_event_in_a_stream_raises(self, customer: Customer) -> None:
        async def read_all(client: anthropic.AsyncAnthropic) -> None:
            faults = {"x-simulator-fault": "error-event-after=6"}
            async with client.messages.stream(**ASK, extra_headers=faults) as stream:
                async for _ in stream:
                    pass

        async with customer.sdk() as client:
            with pytest.raises(anthropic.APIStatusError) as caught:
                await read_all(client)
        assert caught.value.type == "overloaded_error"
