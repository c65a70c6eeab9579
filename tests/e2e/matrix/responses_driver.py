"""The official ``openai`` SDK as a driver of Responses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import openai
from openai.types.responses import Response

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

__all__ = ["ResponsesDriver"]

_INCOMPLETE: dict[str | None, Stop] = {
    "max_output_tokens": "max_tokens",
    "content_filter": "refusal",
}


class ResponsesDriver:
    """See ``model.Driver``. The API keeps nothing here, so reasoning travels encrypted."""

    dialect: Dialect = "openai_responses"
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
                parts.append({"type": "input_image", "image_url": url, "detail": "auto"})
            else:
                parts.append({"type": "input_file", "filename": FILE_NAME, "file_data": url})
        parts.append({"type": "input_text", "text": text})
        return [{"role": "user", "content": parts}]

    def assistant(self, text: str) -> list[Any]:
        return [{"role": "assistant", "content": text}]

    def results(self, calls: tuple[Call, ...], outputs: Mapping[str, str]) -> list[Any]:
        return [
            {"type": "function_call_output", "call_id": call.id, "output": outputs[call.name]}
            for call in calls
        ]

    async def send(
        self, ask: Ask, history: list[Any], client: Client, *, stream: bool
    ) -> Reply | Failure:
        sdk = self._sdk.with_options(api_key=client.key, default_headers=client.headers)
        fields = _fields(ask, history)
        try:
            if not stream:
                raw = await sdk.responses.with_raw_response.create(**fields)
                return _reply(raw.parse(), raw.headers)
            return await self._streamed(sdk, fields)
        except openai.APIStatusError as error:
            return Failure(error=error, status=error.status_code, headers=error.response.headers)
        except openai.APIError as error:
            return Failure(error=error, status=None)

    async def _streamed(self, sdk: openai.AsyncOpenAI, fields: dict[str, Any]) -> Reply:
        """The helper's final response exists for completed answers only, so the last event is
        taken, whichever of the ends it tells.
        """
        last: Response | None = None
        async with sdk.responses.stream(**fields) as events:
            async for event in events:
                if event.type in {"response.completed", "response.incomplete"}:
                    last = event.response
            headers = events._response.headers
        assert last is not None
        return _reply(last, headers)


def _fields(ask: Ask, history: list[Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "model": ask.model,
        "max_output_tokens": ask.max_tokens,
        "input": history,
        "store": False,
    }
    if ask.system:
        fields["instructions"] = ask.system
    if ask.tools:
        fields["tools"] = [
            {
                "type": "function",
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.schema,
                "strict": False,
            }
            for tool in ask.tools
        ]
    if ask.forced:
        fields["tool_choice"] = "required"
    if ask.thinking:
        fields["reasoning"] = {"effort": "high", "summary": "auto"}
        fields["include"] = ["reasoning.encrypted_content"]
    if ask.stops:
        # The API has no such parameter, and so the SDK has none.
        fields["extra_body"] = {"stop": list(ask.stops)}
    if ask.schema is not None:
        schema = {"type": "json_schema", "name": "river", "strict": True, "schema": ask.schema}
        fields["text"] = {"format": schema}
    return fields


def _reply(response: Response, headers: Mapping[str, str]) -> Reply:
    items = response.output
    usage = response.usage
    assert usage is not None
    calls = tuple(
        Call(item.call_id, item.name, json.loads(item.arguments))
        for item in items
        if item.type == "function_call"
    )
    reasoning = [item for item in items if item.type == "reasoning"]
    return Reply(
        text=response.output_text,
        thoughts="".join(part.text for item in reasoning for part in item.summary),
        state=tuple(item.encrypted_content for item in reasoning if item.encrypted_content),
        calls=calls,
        stop=_stop(response, calls),
        usage=read_usage(
            prompt=usage.input_tokens,
            cached=usage.input_tokens_details.cached_tokens,
            written=usage.input_tokens_details.cache_write_tokens or 0,
            output=usage.output_tokens,
            reasoning=usage.output_tokens_details.reasoning_tokens,
        ),
        model=response.model,
        headers=headers,
        native=[_sendable(item.model_dump(exclude_none=True)) for item in items],
    )


def _sendable(item: dict[str, Any]) -> dict[str, Any]:
    """Without what the stream helper adds for its caller."""
    item.pop("parsed_arguments", None)
    for part in item.get("content") or ():
        part.pop("parsed", None)
    return item


def _stop(response: Response, calls: tuple[Call, ...]) -> Stop:
    if response.status == "incomplete":
        details = response.incomplete_details
        return _INCOMPLETE[details.reason if details else None]
    messages = [item for item in response.output if item.type == "message"]
    if any(part.type == "refusal" for item in messages for part in item.content):
        return "refusal"
    return "calls" if calls else "end"
