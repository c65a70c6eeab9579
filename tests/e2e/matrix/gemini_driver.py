"""The official ``google-genai`` SDK as a driver."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from google import genai
from google.genai import errors, types

from tests.e2e.matrix.model import (
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

__all__ = ["GeminiDriver"]

_STOPS: dict[str | None, Stop] = {
    "STOP": "end",
    "MAX_TOKENS": "max_tokens",
    "SAFETY": "refusal",
    "PROHIBITED_CONTENT": "refusal",
}


class GeminiDriver:
    """See ``model.Driver``."""

    dialect: Dialect = "gemini"
    refused: type[Exception] = errors.ClientError
    failed: type[Exception] = errors.ServerError
    broken: type[Exception] = errors.APIError

    def __init__(self, url: str) -> None:
        options = types.HttpOptions(base_url=url)
        self._sdk = genai.Client(api_key="none", http_options=options).aio

    async def close(self) -> None:
        await self._sdk.aclose()

    def user(self, text: str, *media: Media) -> list[Any]:
        parts = [
            types.Part.from_bytes(data=base64.b64decode(data), mime_type=mime_type)
            for mime_type, data in media
        ]
        return [types.Content(role="user", parts=[*parts, types.Part(text=text)])]

    def assistant(self, text: str) -> list[Any]:
        return [types.Content(role="model", parts=[types.Part(text=text)])]

    def results(self, calls: tuple[Call, ...], outputs: Mapping[str, str]) -> list[Any]:
        parts = [
            types.Part(
                function_response=types.FunctionResponse(
                    id=call.id or None, name=call.name, response={"output": outputs[call.name]}
                )
            )
            for call in calls
        ]
        return [types.Content(role="user", parts=parts)]

    async def send(
        self, ask: Ask, history: list[Any], client: Client, *, stream: bool
    ) -> Reply | Failure:
        config = _config(ask, {**client.headers, "x-goog-api-key": client.key})
        models = self._sdk.models
        try:
            if not stream:
                answer = await models.generate_content(
                    model=ask.model, contents=history, config=config
                )
                return _reply([answer])
            chunks = await models.generate_content_stream(
                model=ask.model, contents=history, config=config
            )
            return _reply([chunk async for chunk in chunks])
        except errors.APIError as error:
            headers = getattr(error.response, "headers", {})
            return Failure(error=error, status=error.code, headers=headers)


def _config(ask: Ask, headers: dict[str, str]) -> types.GenerateContentConfig:
    config = types.GenerateContentConfig(
        http_options=types.HttpOptions(headers=headers),
        max_output_tokens=ask.max_tokens,
        system_instruction=ask.system or None,
        stop_sequences=list(ask.stops) or None,
    )
    if ask.tools:
        functions = [
            types.FunctionDeclaration(
                name=tool.name,
                description=tool.description,
                parameters_json_schema=dict(tool.schema),
            )
            for tool in ask.tools
        ]
        config.tools = [types.Tool(function_declarations=functions)]
    if ask.forced:
        mode = types.FunctionCallingConfigMode.ANY
        config.tool_config = types.ToolConfig(
            function_calling_config=types.FunctionCallingConfig(mode=mode)
        )
    if ask.thinking:
        config.thinking_config = types.ThinkingConfig(
            include_thoughts=True, thinking_level=types.ThinkingLevel.HIGH
        )
    if ask.schema is not None:
        config.response_mime_type = "application/json"
        config.response_json_schema = dict(ask.schema)
    return config


def _reply(chunks: list[types.GenerateContentResponse]) -> Reply:
    """The SDK has no accumulator: chunks bring new parts, the last word on usage counts."""
    candidates = [chunk.candidates[0] for chunk in chunks if chunk.candidates]
    parts = [part for c in candidates if c.content for part in c.content.parts or ()]
    usage = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata][-1]
    output = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
    response = chunks[0].sdk_http_response
    assert response is not None
    headers = {name.lower(): value for name, value in (response.headers or {}).items()}
    calls = [part.function_call for part in parts if part.function_call]
    return Reply(
        text="".join(part.text or "" for part in parts if not part.thought),
        thoughts="".join(part.text or "" for part in parts if part.thought),
        state=tuple(
            base64.b64encode(part.thought_signature).decode()
            for part in parts
            if part.thought_signature
        ),
        calls=tuple(Call(call.id or "", call.name or "", call.args or {}) for call in calls),
        stop=_stop(chunks, candidates, called=bool(calls)),
        usage=read_usage(
            prompt=(usage.prompt_token_count or 0) + (usage.tool_use_prompt_token_count or 0),
            cached=usage.cached_content_token_count or 0,
            output=output,
            reasoning=usage.thoughts_token_count or 0,
        ),
        model=chunks[-1].model_version or "",
        headers=headers,
        native=[types.Content(role="model", parts=parts)],
    )


def _stop(
    chunks: list[types.GenerateContentResponse], candidates: list[types.Candidate], *, called: bool
) -> Stop:
    if any(c.prompt_feedback and c.prompt_feedback.block_reason for c in chunks):
        return "refusal"
    [reason] = [c.finish_reason for c in candidates if c.finish_reason]
    stop = _STOPS[reason.name]
    return "calls" if called and stop == "end" else stop
