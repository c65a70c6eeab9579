"""The official ``anthropic`` SDK as a driver."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anthropic
from anthropic.types import Message

from bytespike_contracts.money import TokenUsage
from tests.e2e.matrix.model import Ask, Call, Client, Dialect, Failure, Media, Reply, Stop

__all__ = ["AnthropicDriver"]

_STOPS: dict[str | None, Stop] = {
    "end_turn": "end",
    "stop_sequence": "stop_sequence",
    "max_tokens": "max_tokens",
    "tool_use": "calls",
    "refusal": "refusal",
}


class AnthropicDriver:
    """See ``model.Driver``."""

    dialect: Dialect = "anthropic"
    refused: type[Exception] = anthropic.BadRequestError
    failed: type[Exception] = anthropic.InternalServerError
    broken: type[Exception] = anthropic.APIStatusError

    def __init__(self, url: str) -> None:
        self._sdk = anthropic.AsyncAnthropic(base_url=url, api_key="none", max_retries=0)

    async def close(self) -> None:
        await self._sdk.close()

    def user(self, text: str, *media: Media) -> list[Any]:
        blocks: list[Any] = []
        for mime_type, data in media:
            kind = "image" if mime_type.startswith("image/") else "document"
            source = {"type": "base64", "media_type": mime_type, "data": data}
            blocks.append({"type": kind, "source": source})
        blocks.append({"type": "text", "text": text})
        return [{"role": "user", "content": blocks}]

    def assistant(self, text: str) -> list[Any]:
        return [{"role": "assistant", "content": text}]

    def results(self, calls: tuple[Call, ...], outputs: Mapping[str, str]) -> list[Any]:
        blocks = [
            {"type": "tool_result", "tool_use_id": call.id, "content": outputs[call.name]}
            for call in calls
        ]
        return [{"role": "user", "content": blocks}]

    async def send(
        self, ask: Ask, history: list[Any], client: Client, *, stream: bool
    ) -> Reply | Failure:
        sdk = self._sdk.with_options(api_key=client.key, default_headers=client.headers)
        fields = _fields(ask, history)
        try:
            if not stream:
                raw = await sdk.messages.with_raw_response.create(**fields)
                return _reply(await raw.parse(), raw.headers)
            async with sdk.messages.stream(**fields) as events:
                return _reply(await events.get_final_message(), events.response.headers)
        except anthropic.APIStatusError as error:
            return Failure(error=error, status=error.status_code, headers=error.response.headers)
        except anthropic.APIError as error:
            return Failure(error=error, status=None)


def _fields(ask: Ask, history: list[Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "model": ask.model,
        "max_tokens": ask.max_tokens,
        "messages": history,
    }
    if ask.system:
        fields["system"] = ask.system
    if ask.tools:
        fields["tools"] = [
            {"name": tool.name, "description": tool.description, "input_schema": tool.schema}
            for tool in ask.tools
        ]
    if ask.forced:
        fields["tool_choice"] = {"type": "any"}
    if ask.thinking:
        fields["thinking"] = {"type": "adaptive", "display": "summarized"}
    if ask.stops:
        fields["stop_sequences"] = list(ask.stops)
    config: dict[str, Any] = {"effort": "high"} if ask.thinking else {}
    if ask.schema is not None:
        config["format"] = {"type": "json_schema", "schema": ask.schema}
    return fields | ({"output_config": config} if config else {})


def _reply(message: Message, headers: Mapping[str, str]) -> Reply:
    blocks = message.content
    usage = message.usage
    details = usage.output_tokens_details
    written = usage.cache_creation
    return Reply(
        text="".join(block.text for block in blocks if block.type == "text"),
        thoughts="".join(block.thinking for block in blocks if block.type == "thinking"),
        state=tuple(
            [block.signature for block in blocks if block.type == "thinking" and block.signature]
            + [block.data for block in blocks if block.type == "redacted_thinking"]
        ),
        calls=tuple(
            Call(block.id, block.name, dict(block.input))
            for block in blocks
            if block.type == "tool_use"
        ),
        stop=_STOPS[message.stop_reason],
        usage=TokenUsage(
            input_tokens=usage.input_tokens,
            cache_read_tokens=usage.cache_read_input_tokens or 0,
            cache_write_5m_tokens=written.ephemeral_5m_input_tokens if written else 0,
            cache_write_1h_tokens=written.ephemeral_1h_input_tokens if written else 0,
            output_tokens=usage.output_tokens,
            reasoning_tokens=details.thinking_tokens if details else 0,
        ),
        model=message.model,
        headers=headers,
        native=[
            {"role": "assistant", "content": [b.model_dump(exclude_unset=True) for b in blocks]}
        ],
    )
