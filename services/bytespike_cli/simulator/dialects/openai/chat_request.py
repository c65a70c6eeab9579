"""Reading a Chat Completions request the way OpenAI does. Pure.

Hosts that only speak the API after OpenAI are recognised by their models' names; they take and give
``reasoning_content``, which OpenAI does not know.
"""

from __future__ import annotations

import re
from typing import Any

from bytespike_cli.simulator.dialects.openai.account import (
    EFFORTS,
    knows_model,
    metadata,
    read_object,
    reasons,
)
from bytespike_cli.simulator.dialects.openai.checks import (
    Check,
    anything,
    array,
    boolean,
    integer,
    json_object,
    number,
    one_of,
    record,
    refused,
    tagged,
    text,
    words_or,
)
from bytespike_cli.simulator.dialects.openai.schemas import (
    check_format_schema,
    check_function_schema,
)
from bytespike_cli.simulator.hosts import is_of_compatible_host
from bytespike_cli.simulator.question import Offer, Question
from bytespike_cli.simulator.reply import VendorError

__all__ = ["question", "read_chat_request"]

Json = dict[str, Any]

MAX_CALL_ID = 40
MAX_STOPS = 4
MAX_TOOLS = 128

#: Reasoning models that take no stop sequences.
_NO_STOP = re.compile(r"o3(-pro|-20|$)|o4-mini")

_CONTEXT_CACHE: Check = record({"mode": one_of("explicit", "implicit"), "ttl": text()})
_TEXT_PART = record(
    {"type": text(), "text": text(), "prompt_cache_breakpoint": anything}, ("text",)
)
_USER_PARTS = tagged(
    "type",
    {
        "text": _TEXT_PART,
        "image_url": record(
            {
                "type": text(),
                "image_url": record(
                    {"url": text(least=1), "detail": one_of("auto", "low", "high", "original")},
                    ("url",),
                ),
                "prompt_cache_breakpoint": anything,
            },
            ("image_url",),
        ),
        "input_audio": record(
            {
                "type": text(),
                "input_audio": record(
                    {"data": text(least=1), "format": one_of("wav", "mp3")}, ("data", "format")
                ),
                "prompt_cache_breakpoint": anything,
            },
            ("input_audio",),
        ),
        "file": record(
            {
                "type": text(),
                "file": record({"file_data": text(), "file_id": text(), "filename": text()}),
                "prompt_cache_breakpoint": anything,
            },
            ("file",),
        ),
    },
)
_REFUSAL_PART = record({"type": text(), "refusal": text()}, ("refusal",))
_ID = text(most=MAX_CALL_ID)
_NAME = text(least=1, most=64, pattern="[a-zA-Z0-9_-]+")
_TOOL_CALL = tagged(
    "type",
    {
        "function": record(
            {
                "id": _ID,
                "type": text(),
                "function": record({"name": _NAME, "arguments": text()}, ("name", "arguments")),
                "extra_content": anything,
            },
            ("id", "function"),
        ),
        "custom": record(
            {"id": _ID, "type": text(), "custom": record({"name": _NAME, "input": text()})},
            ("id", "custom"),
        ),
    },
)
_INSTRUCTION = record(
    {
        "role": text(),
        "content": words_or(array(tagged("type", {"text": _TEXT_PART}))),
        "name": text(),
    },
    ("content",),
)
_ASSISTANT_FIELDS: dict[str, Check] = {
    "role": text(),
    "content": words_or(array(tagged("type", {"text": _TEXT_PART, "refusal": _REFUSAL_PART}))),
    "refusal": text(),
    "name": text(),
    "audio": json_object,
    "function_call": json_object,
    "tool_calls": array(_TOOL_CALL, least=1, most=MAX_TOOLS),
    "annotations": anything,  # what the SDK sends back with a message it got
}


def _messages(*, compatible: bool) -> Check:
    assistant = dict(_ASSISTANT_FIELDS)
    if compatible:
        assistant["reasoning_content"] = text()
    return array(
        tagged(
            "role",
            {
                "system": _INSTRUCTION,
                "assistant": record(assistant),
                "user": record(
                    {"role": text(), "content": words_or(array(_USER_PARTS)), "name": text()},
                    ("content",),
                ),
                "function": record({"role": text(), "content": text(), "name": text()}, ("name",)),
                "tool": record(
                    {
                        "role": text(),
                        "content": words_or(array(anything)),
                        "tool_call_id": _ID,
                        "name": text(),
                    },
                    ("content", "tool_call_id"),
                ),
                "developer": _INSTRUCTION,
            },
        ),
        least=1,
    )


_FUNCTION = record(
    {"name": _NAME, "description": text(), "parameters": json_object, "strict": boolean},
    ("name",),
)
_TOOLS = array(
    tagged(
        "type",
        {
            "function": record({"type": text(), "function": _FUNCTION}, ("function",)),
            "custom": record({"type": text(), "custom": json_object}, ("custom",)),
        },
    ),
    most=MAX_TOOLS,
)
_NAMED = record({"name": text(least=1)}, ("name",))


def _tool_choice(path: str, value: Any) -> None:
    if isinstance(value, str):
        one_of("none", "auto", "required")(path, value)
        return
    tagged(
        "type",
        {
            "function": record({"type": text(), "function": _NAMED}, ("function",)),
            "custom": record({"type": text(), "custom": _NAMED}, ("custom",)),
            "allowed_tools": record(
                {
                    "type": text(),
                    "allowed_tools": record(
                        {"mode": one_of("auto", "required"), "tools": array(json_object, least=1)},
                        ("mode", "tools"),
                    ),
                },
                ("allowed_tools",),
            ),
        },
    )(path, value)


_RESPONSE_FORMAT = tagged(
    "type",
    {
        "text": record({"type": text()}),
        "json_object": record({"type": text()}),
        "json_schema": record(
            {
                "type": text(),
                "json_schema": record(
                    {
                        "name": _NAME,
                        "description": text(),
                        "schema": json_object,
                        "strict": boolean,
                    },
                    ("name",),
                ),
            },
            ("json_schema",),
        ),
    },
)
_FIELDS: dict[str, Check] = {
    "model": text(least=1),
    "audio": json_object,
    "frequency_penalty": number(-2, 2),
    "function_call": anything,
    "functions": array(_FUNCTION, least=1),
    "logit_bias": json_object,
    "logprobs": boolean,
    "max_completion_tokens": integer(1),
    "max_tokens": integer(1),
    "metadata": metadata,
    "modalities": array(one_of("text", "audio")),
    "moderation": json_object,
    "n": integer(1, 128),
    "parallel_tool_calls": boolean,
    "prediction": json_object,
    "presence_penalty": number(-2, 2),
    "prompt_cache_key": text(),
    "prompt_cache_options": _CONTEXT_CACHE,
    "prompt_cache_retention": one_of("in_memory", "24h"),
    "reasoning_effort": one_of(*EFFORTS),
    "response_format": _RESPONSE_FORMAT,
    "safety_identifier": text(most=64),
    "seed": integer(),
    "service_tier": one_of("auto", "default", "flex", "scale", "priority", "fast"),
    "stop": words_or(array(text(), most=MAX_STOPS), wanted="one of a string or array of strings"),
    "store": boolean,
    "stream": boolean,
    "stream_options": record({"include_usage": boolean, "include_obfuscation": boolean}),
    "temperature": number(0, 2),
    "tool_choice": _tool_choice,
    "tools": _TOOLS,
    "top_logprobs": integer(0, 20),
    "top_p": number(0, 1),
    "user": text(),
    "verbosity": one_of("low", "medium", "high"),
    "web_search_options": json_object,
}
_REQUESTS = {
    compatible: record({**_FIELDS, "messages": _messages(compatible=compatible)}, ("messages",))
    for compatible in (False, True)
}


def read_chat_request(body: bytes) -> Json:
    """The request, nulls left out. Raises :class:`VendorError` for whatever OpenAI refuses."""
    fields = read_object(body)
    request = {name: value for name, value in fields.items() if value is not None}
    if not request.get("model"):
        raise refused("you must provide a model parameter", None, None)
    for name in request:
        if name != "messages" and name not in _FIELDS:
            raise refused(f"Unrecognized request argument supplied: {name}", None, None)
    model = request["model"]
    compatible = isinstance(model, str) and is_of_compatible_host(model)
    _REQUESTS[compatible]("", request)
    if not compatible and not knows_model(model):
        message = f"The model `{model}` does not exist or you do not have access to it."
        raise VendorError(404, "invalid_request_error", message, code="model_not_found")
    if not compatible:
        _check_model_limits(request, model)
    _check_history(request["messages"])
    _check_tools(request)
    _check_format(request)
    if "stream_options" in request and not request.get("stream"):
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise refused(message, "stream_options", None)
    return request


def _check_model_limits(request: Json, model: str) -> None:
    """What reasoning models refuse, and what only they take."""
    if "max_tokens" in request and "max_completion_tokens" in request:
        message = (
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
        )
        raise refused(message, None, None)
    if not reasons(model):
        if "reasoning_effort" in request and not model.startswith("sim-"):
            message = "Unrecognized request argument supplied: reasoning_effort"
            raise refused(message, None, None)
        return
    if "max_tokens" in request:
        message = (
            "Unsupported parameter: 'max_tokens' is not supported with this model."
            " Use 'max_completion_tokens' instead."
        )
        raise refused(message, "max_tokens", "unsupported_parameter")
    for field in ("temperature", "top_p", "presence_penalty", "frequency_penalty"):
        standard = 1 if field in ("temperature", "top_p") else 0
        if request.get(field, standard) != standard and request.get("reasoning_effort") != "none":
            message = (
                f"Unsupported value: '{field}' does not support {request[field]} with this model."
                f" Only the default ({standard}) value is supported."
            )
            raise refused(message, field, "unsupported_value")
    if "stop" in request and _NO_STOP.match(model):
        message = "Unsupported parameter: 'stop' is not supported with this model."
        raise refused(message, "stop", "unsupported_parameter")


def _check_history(messages: list[Json]) -> None:
    """Calls are answered at once, all of them, and nothing else is."""
    waiting: list[str] = []
    open_at = 0
    for at, message in enumerate(messages):
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                text_ = (
                    "Invalid parameter: messages with role 'tool' must be a response to a"
                    " preceeding message with 'tool_calls'."
                )
                raise refused(text_, f"messages.[{at}].role", None)
            waiting.remove(message["tool_call_id"])
            _check_tool_content(message["content"], at)
            continue
        _check_answered(waiting, open_at)
        if message["role"] == "assistant":
            _check_said(message, at)
            waiting = [call["id"] for call in message.get("tool_calls") or ()]
            open_at = at
    _check_answered(waiting, open_at)


def _check_tool_content(content: Any, at: int) -> None:
    parts = [] if isinstance(content, str) else content
    if any(not isinstance(part, dict) or part.get("type") != "text" for part in parts):
        message = (
            f"Invalid 'messages[{at}]'. Content blocks are expected to be either text or"
            " image_url type."
        )
        raise refused(message, f"messages[{at}]", "invalid_value")


def _check_answered(waiting: list[str], at: int) -> None:
    if waiting:
        message = (
            "An assistant message with 'tool_calls' must be followed by tool messages responding"
            " to each 'tool_call_id'. The following tool_call_ids did not have response messages:"
            f" {', '.join(waiting)}"
        )
        raise refused(message, f"messages.[{at}].role", None)


def _check_said(message: Json, at: int) -> None:
    said = ("content", "refusal", "tool_calls", "function_call", "audio")
    if all(message.get(field) is None for field in said):
        text_ = "Invalid value for 'content': expected a string, got null."
        raise refused(text_, f"messages.[{at}].content", None)


def _check_tools(request: Json) -> None:
    tools = request.get("tools") or []
    for at, tool in enumerate(tools):
        function = tool.get("function")
        if function and function.get("parameters") is not None:
            path = f"tools[{at}].function.parameters"
            strict = function.get("strict") is True
            check_function_schema(function["name"], function["parameters"], path, strict=strict)
    for field in ("tool_choice", "parallel_tool_calls"):
        if field in request and request[field] != "none" and not tools:
            message = f"Invalid value for '{field}': '{field}' is only allowed when 'tools' are"
            raise refused(f"{message} specified.", field, None)
    choice = request.get("tool_choice")
    if isinstance(choice, dict) and choice["type"] in ("function", "custom"):
        name = choice[choice["type"]]["name"]
        if name not in {tool[tool["type"]].get("name") for tool in tools}:
            message = f"Invalid value for 'tool_choice': no tool named '{name}' was specified."
            raise refused(message, "tool_choice", None)


def _check_format(request: Json) -> None:
    format_ = request.get("response_format") or {"type": "text"}
    if format_["type"] == "json_schema":
        wanted = format_["json_schema"]
        path, strict = "response_format", wanted.get("strict") is True
        schema = wanted.get("schema") or {}
        check_format_schema(wanted["name"], schema, "response_format", path, strict=strict)
    if format_["type"] == "json_object" and "json" not in str(request["messages"]).lower():
        message = (
            "'messages' must contain the word 'json' in some form, to use 'response_format' of"
            " type 'json_object'."
        )
        raise refused(message, "messages", None)


def question(request: Json) -> Question:
    """What was asked. Only a forced choice makes the model call."""
    spoken = [m for m in request["messages"] if m["role"] not in ("system", "developer")]
    said = (_text_of(m.get("content")) for m in spoken if m["role"] in ("user", "assistant"))
    stops = request.get("stop") or []
    format_ = request.get("response_format") or {"type": "text"}
    schema: Json | None = None if format_["type"] == "text" else {}
    if format_["type"] == "json_schema":
        schema = format_["json_schema"].get("schema") or {}
    return Question(
        said=sum(len(text_) for text_ in said),
        turns=len(spoken),
        max_tokens=request.get("max_completion_tokens", request.get("max_tokens")),
        stops=[stops] if isinstance(stops, str) else stops,
        forced=_forced(request),
        parallel=request.get("parallel_tool_calls", True) and not _named_choice(request),
        thinks=_thinks(request),
        schema=schema,
        thoughts_capped=True,
    )


def _text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content or ())


def _thinks(request: Json) -> bool:
    effort = "medium" if reasons(request["model"]) else "none"
    return bool(request.get("reasoning_effort", effort) != "none")


def _named_choice(request: Json) -> str | None:
    choice = request.get("tool_choice")
    if isinstance(choice, dict) and choice["type"] == "function":
        return str(choice["function"]["name"])
    return None


def _forced(request: Json) -> list[Offer] | None:
    choice = request.get("tool_choice")
    allowed: list[str] | None = None
    if isinstance(choice, dict) and choice["type"] == "allowed_tools":
        chosen = choice["allowed_tools"]
        allowed = [tool.get("function", {}).get("name") for tool in chosen["tools"]]
        choice = chosen["mode"]
    named = _named_choice(request)
    if choice != "required" and named is None:
        return None
    functions = [tool["function"] for tool in request.get("tools") or () if "function" in tool]
    return [
        Offer(function["name"], function.get("parameters") or {})
        for function in functions
        if named in (None, function["name"]) and (allowed is None or function["name"] in allowed)
    ]
