"""The official ``openai`` SDK as a driver of Chat Completions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import openai
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tests.e2e.matrix.model import (
    FILE_NAME,
    Ask,
    Call,
    Client,
    Dialect,
    Failure,
    Media,
    Reply,
    Stop,
    read_usage,
)

__all__ = ["ChatDriver"]

_STOPS: dict[str | None, Stop] = {
    "stop": "end",
    "length": "max_tokens",
    "tool_calls": "calls",
    "content_filter": "refusal",
}


class ChatDriver:
    """See ``model.Driver``."""

    dialect: Dialect = "openai_chat"
    refused: type[Exception] = openai.BadRequestError
    failed: type[Exception] = openai.InternalServerError
    broken: type[Exception] = openai.APIError

    def __init__(self, url: str) -> None:
        self._sdk = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)

    async def close(self) -> None:
        await self._sdk.close()

    def user(self, text: str, *media: Media) -> list[Any]:
        if not media:
            return [{"role": "user", "content": text}]
        parts: list[Any] = []
        for mime_type, data in media:
            url = f"data:{mime_type};base64,{data}"
            if mime_type.startswith("image/"):
                parts.append({"type": "image_url", "image_url": {"url": url}})
            else:
                parts.append({"type": "file", "file": {"filename": FILE_NAME, "file_data": url}})
        parts.append({"type": "text", "text": text})
        return [{"role": "user", "content": parts}]

    def assistant(self, text: str) -> list[Any]:
        return [{"role": "assistant", "content": text}]

    def results(self, calls: tuple[Call, ...], outputs: Mapping[str, str]) -> list[Any]:
        return [
            {"role": "tool", "tool_call_id": call.id, "content": outputs[call.name]}
            for call in calls
        ]

    async def send(
        self, ask: Ask, history: list[Any], client: Client, *, stream: bool
    ) -> Reply | Failure:
        sdk = self._sdk.with_options(api_key=client.key, default_headers=client.headers)
        fields = _fields(ask, history)
        try:
            if not stream:
                raw = await sdk.chat.completions.with_raw_response.create(**fields)
                return _reply(raw.parse(), raw.headers)
            fields |= {"stream": True, "stream_options": {"include_usage": True}}
            streamed = await sdk.chat.completions.with_raw_response.create(**fields)
            chunks = [chunk async for chunk in streamed.parse()]
            return _reply(_folded(chunks), streamed.headers)
        except openai.APIStatusError as error:
            return Failure(error=error, status=error.status_code, headers=error.response.headers)
        except openai.APIError as error:
            return Failure(error=error, status=None)


def _fields(ask: Ask, history: list[Any]) -> dict[str, Any]:
    system = [{"role": "system", "content": ask.system}] if ask.system else []
    fields: dict[str, Any] = {
        "model": ask.model,
        "max_completion_tokens": ask.max_tokens,
        "messages": [*system, *history],
    }
    if ask.tools:
        fields["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.schema,
                },
            }
            for tool in ask.tools
        ]
    if ask.forced:
        fields["tool_choice"] = "required"
    if ask.thinking:
        fields["reasoning_effort"] = "high"
    if ask.stops:
        fields["stop"] = list(ask.stops)
    if ask.schema is not None:
        schema = {"name": "river", "strict": True, "schema": ask.schema}
        fields["response_format"] = {"type": "json_schema", "json_schema": schema}
    return fields


def _folded(chunks: list[ChatCompletionChunk]) -> ChatCompletion:
    """The completion that a stream adds up to. The SDK's own helper raises at every end but the
    ordinary ones, before the usage has come.
    """
    message: dict[str, Any] = {"role": "assistant", "content": None}
    finish = None
    for chunk in chunks:
        for choice in chunk.choices:
            finish = choice.finish_reason or finish
            delta = choice.delta.model_dump(exclude_none=True, exclude={"role"})
            _extend(message, delta)
    message["tool_calls"] = message.get("tool_calls") or None
    only = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
    head = chunks[-1].model_dump(include={"id", "created", "model"})
    usage = [chunk.usage.model_dump() for chunk in chunks if chunk.usage]
    return ChatCompletion.model_validate(
        {**head, "object": "chat.completion", "choices": [only], "usage": usage[-1]}
    )


def _extend(whole: dict[str, Any], delta: Mapping[str, Any]) -> None:
    """Texts grow, lists grow by index, everything else is said once."""
    for name, value in delta.items():
        if isinstance(value, list):
            listed = whole.setdefault(name, [])
            for item in value:
                while len(listed) <= item["index"]:
                    listed.append({})
                _extend(listed[item["index"]], item)
        elif isinstance(value, dict):
            _extend(whole.setdefault(name, {}), value)
        elif isinstance(value, str):
            whole[name] = (whole.get(name) or "") + value
        else:
            whole[name] = value


def _reply(completion: ChatCompletion, headers: Mapping[str, str]) -> Reply:
    [choice] = completion.choices
    message = choice.message
    extra = message.model_extra or {}
    details = extra.get("reasoning_details") or []
    state = [str(detail.get("signature") or detail.get("data")) for detail in details]
    # Google's own layer for this dialect keeps signatures of calls here.
    google = [
        (call.model_extra or {}).get("extra_content", {}) for call in message.tool_calls or ()
    ]
    state += [found["google"]["thought_signature"] for found in google if found]
    usage = completion.usage
    assert usage is not None
    prompt, output = usage.prompt_tokens_details, usage.completion_tokens_details
    return Reply(
        text=message.content or "",
        thoughts=extra.get("reasoning_content") or "",
        state=tuple(state),
        calls=tuple(
            Call(call.id, call.function.name, json.loads(call.function.arguments))
            for call in message.tool_calls or ()
            if call.type == "function"
        ),
        stop="refusal" if message.refusal else _STOPS[choice.finish_reason],
        usage=read_usage(
            prompt=usage.prompt_tokens,
            cached=(prompt.cached_tokens if prompt else 0) or 0,
            written=((prompt.model_extra or {}).get("cache_write_tokens") if prompt else 0) or 0,
            output=usage.completion_tokens,
            reasoning=(output.reasoning_tokens if output else 0) or 0,
        ),
        model=completion.model,
        headers=headers,
        native=[_sendable(message.model_dump(exclude_none=True))],
    )


def _sendable(message: dict[str, Any]) -> dict[str, Any]:
    """Without what an answer has but no request."""
    for call in message.get("tool_calls", ()):
        call.pop("index", None)
    return {name: value for name, value in message.items() if name != "annotations"}
