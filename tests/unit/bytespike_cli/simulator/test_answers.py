"""The official SDK takes everything the simulator says, streamed and not, and both say the same."""

from __future__ import annotations

from typing import Any

import aiohttp
import anthropic
import pytest

from tests.support.anthropic_grammar import check_stream

MODEL = "claude-sonnet-4-6"
USER = {"role": "user", "content": "Tell me of rivers."}
WEATHER = {
    "name": "get_weather",
    "description": "The weather at a place",
    "input_schema": {
        "type": "object",
        "properties": {"place": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["place", "days"],
    },
}
CLOCK = {"name": "get_time", "input_schema": {"type": "object", "properties": {}}}

REQUESTS: dict[str, dict[str, Any]] = {
    "text": {"messages": [USER]},
    "thinking": {"messages": [USER], "thinking": {"type": "enabled", "budget_tokens": 1024}},
    "thinking-hidden": {
        "messages": [USER],
        "thinking": {"type": "adaptive", "display": "omitted"},
    },
    "redacted": {
        "messages": [
            {"role": "user", "content": "ANTHROPIC_MAGIC_STRING_TRIGGER_REDACTED_THINKING_46C9"}
        ],
        "thinking": {"type": "enabled", "budget_tokens": 1024},
    },
    "tool": {
        "messages": [USER],
        "tools": [WEATHER, CLOCK],
        "tool_choice": {"type": "tool", "name": "get_weather"},
    },
    "parallel-tools": {
        "messages": [USER],
        "tools": [WEATHER, CLOCK],
        "tool_choice": {"type": "any"},
    },
    "web-search": {
        "messages": [USER],
        "tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}],
    },
    "citations": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {
                        "type": "document",
                        "source": {"type": "text", "media_type": "text/plain", "data": "Snow."},
                        "title": "Note",
                        "citations": {"enabled": True},
                    },
                    {"type": "text", "text": "What does it say?"},
                ],
            }
        ]
    },
    "max-tokens": {"messages": [USER], "max_tokens": 5},
    "stop-sequence": {"messages": [USER], "stop_sequences": ["ByteSpike"]},
    "tool-loop": {
        "messages": [
            USER,
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "toolu_1", "name": "get_time", "input": {}}],
            },
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "noon"}],
            },
        ],
        "tools": [CLOCK],
    },
}
BLOCKS = {
    "text": ["text"],
    "thinking": ["thinking", "text"],
    "thinking-hidden": ["thinking", "text"],
    "redacted": ["redacted_thinking", "text"],
    "tool": ["tool_use"],
    "parallel-tools": ["tool_use", "tool_use"],
    "web-search": ["server_tool_use", "web_search_tool_result", "text"],
    "citations": ["text"],
    "max-tokens": ["text"],
    "stop-sequence": ["text"],
    "tool-loop": ["text"],
}
OPAQUE = {
    "id",
    "tool_use_id",
    "signature",
    "data",
    "encrypted_content",
    "encrypted_index",
    "parsed_output",
}
STOPS = {
    "tool": "tool_use",
    "parallel-tools": "tool_use",
    "max-tokens": "max_tokens",
    "stop-sequence": "stop_sequence",
}


def request(name: str) -> dict[str, Any]:
    return {"model": MODEL, "max_tokens": 2048, **REQUESTS[name]}


@pytest.mark.parametrize("name", REQUESTS)
async def test_the_sdk_reads_the_same_message_both_ways(
    sdk: anthropic.AsyncAnthropic, name: str
) -> None:
    whole = await sdk.messages.create(**request(name))
    async with sdk.messages.stream(**request(name)) as stream:
        streamed = await stream.get_final_message()
    assert [block.type for block in whole.content] == BLOCKS[name]
    assert whole.stop_reason == STOPS.get(name, "end_turn")
    ours, theirs = whole.to_dict(), streamed.to_dict()
    assert _said(ours["content"]) == _said(theirs["content"])
    assert ours["stop_reason"] == theirs["stop_reason"]
    assert whole.usage.output_tokens == streamed.usage.output_tokens


def _said(value: Any) -> Any:
    """Without what is derived from the request's bytes (``stream`` is one of them)."""
    if isinstance(value, list):
        return [_said(item) for item in value]
    if isinstance(value, dict):
        return {key: _said(item) for key, item in value.items() if key not in OPAQUE}
    return value


@pytest.mark.parametrize("name", REQUESTS)
async def test_streams_keep_the_grammar_and_repeat_to_the_byte(
    http: aiohttp.ClientSession, name: str
) -> None:
    body = {**request(name), "stream": True}
    streams = []
    for _ in range(2):
        async with http.post("/v1/messages", json=body) as response:
            streams.append(await response.read())
    checked = check_stream(streams[0])
    assert checked.end == "stop"
    assert checked.pings == 1
    assert [block["type"] for block in checked.blocks] == BLOCKS[name]
    assert streams[0] == streams[1]


async def test_tool_arguments_fit_their_schema(sdk: anthropic.AsyncAnthropic) -> None:
    message = await sdk.messages.create(**request("parallel-tools"))
    calls = {block.name: block.input for block in message.content if block.type == "tool_use"}
    assert calls == {"get_weather": {"place": "sample", "days": 1}, "get_time": {}}


async def test_web_search_is_counted_and_its_results_are_input(
    sdk: anthropic.AsyncAnthropic,
) -> None:
    plain = await sdk.messages.create(**request("text"))
    searched = await sdk.messages.create(**request("web-search"))
    assert searched.usage.server_tool_use is not None
    assert searched.usage.server_tool_use.web_search_requests == 1
    assert searched.usage.input_tokens > plain.usage.input_tokens + 200


async def test_count_tokens_says_what_a_message_then_costs(sdk: anthropic.AsyncAnthropic) -> None:
    counted = await sdk.messages.count_tokens(
        model=MODEL, messages=[{"role": "user", "content": USER["content"]}]
    )
    message = await sdk.messages.create(**request("text"))
    assert counted.input_tokens == message.usage.input_tokens == 8


async def test_the_prompt_cache_writes_then_reads_by_prefix(
    sdk: anthropic.AsyncAnthropic,
) -> None:
    def ask(question: str, ttl: str) -> dict[str, Any]:
        return {
            **request("text"),
            "system": [
                {
                    "type": "text",
                    "text": f"A long instruction kept for {ttl}. " * 20,
                    "cache_control": {"type": "ephemeral", "ttl": ttl},
                }
            ],
            "messages": [{"role": "user", "content": question}],
        }

    for ttl in ("5m", "1h"):
        first = (await sdk.messages.create(**ask("one", ttl))).usage
        again = (await sdk.messages.create(**ask("another", ttl))).usage
        assert first.cache_read_input_tokens == 0
        assert first.cache_creation_input_tokens == again.cache_read_input_tokens
        assert (first.cache_creation_input_tokens or 0) > 100
        assert again.cache_creation_input_tokens == 0
        assert first.cache_creation is not None
        hour = first.cache_creation.ephemeral_1h_input_tokens
        assert (hour > 0) == (ttl == "1h")


async def test_thinking_comes_back_as_it_was_given(sdk: anthropic.AsyncAnthropic) -> None:
    first = await sdk.messages.create(**request("thinking"))
    block = first.content[0].to_dict()

    async def again(signature: str) -> None:
        history = {"role": "assistant", "content": [{**block, "signature": signature}]}
        await sdk.messages.create(**{**request("text"), "messages": [USER, history, USER]})

    given = str(block["signature"])
    await again(given)
    with pytest.raises(anthropic.BadRequestError) as caught:
        await again(given[:-1] + ("A" if given[-1] != "A" else "B"))
    assert "messages.1.content.0: Invalid `signature` in `thinking` block" in str(caught.value)


async def test_structured_output_is_an_instance_of_its_schema(
    sdk: anthropic.AsyncAnthropic,
) -> None:
    format_ = {"type": "json_schema", "schema": WEATHER["input_schema"]}
    asked = {**request("text"), "output_config": {"format": format_}}
    message = await sdk.messages.create(**asked)
    assert message.content[0].to_dict()["text"] == '{"place":"sample","days":1}'
