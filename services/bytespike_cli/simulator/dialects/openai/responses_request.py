"""Reading a Responses request the way OpenAI does. Pure.

The simulator keeps no answers: ``previous_response_id``, ``conversation`` and references to items
are always to something it does not have.
"""

from __future__ import annotations

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
    missing,
    number,
    one_of,
    record,
    refused,
    tagged,
    text,
    words_or,
)
from bytespike_cli.simulator.dialects.openai.responses_items import INPUT
from bytespike_cli.simulator.dialects.openai.schemas import (
    check_format_schema,
    check_function_schema,
    made_strict,
)
from bytespike_cli.simulator.question import Offer, Question
from bytespike_cli.simulator.reply import VendorError

__all__ = ["ENCRYPTED", "effort_of", "items_of", "question", "read_responses_request"]

Json = dict[str, Any]

MIN_OUTPUT_TOKENS = 16
MAX_TOOLS = 128
ENCRYPTED = "reasoning.encrypted_content"

_INCLUDES = (
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    ENCRYPTED,
    "message.output_text.logprobs",
)
_HOSTED = (
    "file_search",
    "computer",
    "computer_use_preview",
    "web_search",
    "web_search_2025_08_26",
    "mcp",
    "code_interpreter",
    "programmatic_tool_calling",
    "image_generation",
    "local_shell",
    "shell",
    "namespace",
    "tool_search",
    "web_search_preview",
    "web_search_preview_2025_03_11",
    "apply_patch",
)
_NAME = text(least=1, most=64, pattern="[a-zA-Z0-9_-]+")
_TOOLS = array(
    tagged(
        "type",
        {
            "function": record(
                {
                    "type": text(),
                    "name": _NAME,
                    "description": text(),
                    "parameters": json_object,
                    "strict": boolean,
                    "async": boolean,
                    "allowed_callers": anything,
                    "defer_loading": boolean,
                    "output_schema": json_object,
                },
                ("name",),
            ),
            "custom": record(
                {
                    "type": text(),
                    "name": _NAME,
                    "description": text(),
                    "format": json_object,
                    "async": boolean,
                    "allowed_callers": anything,
                    "defer_loading": boolean,
                },
                ("name",),
            ),
            **dict.fromkeys(_HOSTED, anything),
        },
    ),
    most=MAX_TOOLS,
)
_NAMED = record({"type": text(), "name": text(least=1)}, ("name",))


def _tool_choice(path: str, value: Any) -> None:
    if isinstance(value, str):
        one_of("none", "auto", "required")(path, value)
        return
    tagged(
        "type",
        {
            "function": _NAMED,
            "custom": _NAMED,
            "allowed_tools": record(
                {
                    "type": text(),
                    "mode": one_of("auto", "required"),
                    "tools": array(json_object, least=1),
                },
                ("mode", "tools"),
            ),
            **dict.fromkeys(_HOSTED, anything),
        },
    )(path, value)


_FORMAT = tagged(
    "type",
    {
        "text": record({"type": text()}),
        "json_object": record({"type": text()}),
        "json_schema": record(
            {
                "type": text(),
                "name": _NAME,
                "description": text(),
                "schema": json_object,
                "strict": boolean,
            },
            ("name", "schema"),
        ),
    },
)
_SUMMARY = one_of("auto", "concise", "detailed")
_FIELDS: dict[str, Check] = {
    "model": text(least=1),
    "background": boolean,
    # What Codex says of itself; taken, and not in the API reference.
    "client_metadata": json_object,
    "context_management": array(json_object),
    "conversation": anything,
    "include": array(one_of(*_INCLUDES)),
    "input": words_or(INPUT, wanted="one of a string or array of input items"),
    "instructions": text(),
    "max_output_tokens": integer(MIN_OUTPUT_TOKENS),
    "max_tool_calls": integer(1),
    "metadata": metadata,
    "moderation": json_object,
    "parallel_tool_calls": boolean,
    "previous_response_id": text(),
    "prompt": json_object,
    "prompt_cache_key": text(),
    "prompt_cache_options": json_object,
    "prompt_cache_retention": one_of("in_memory", "24h"),
    "reasoning": record(
        {
            "effort": one_of(*EFFORTS),
            "summary": _SUMMARY,
            "generate_summary": _SUMMARY,
            "context": one_of("auto", "current_turn", "all_turns"),
            "mode": text(),
        }
    ),
    "safety_identifier": text(most=64),
    "service_tier": one_of("auto", "default", "flex", "scale", "priority", "fast", "ultrafast"),
    "store": boolean,
    "stream": boolean,
    "stream_options": record({"include_obfuscation": boolean}),
    "temperature": number(0, 2),
    "text": record({"format": _FORMAT, "verbosity": one_of("low", "medium", "high")}),
    "tool_choice": _tool_choice,
    "tools": _TOOLS,
    "top_logprobs": integer(0, 20),
    "top_p": number(0, 1),
    "truncation": one_of("auto", "disabled"),
    "user": text(),
}
_REQUEST = record(_FIELDS)


def read_responses_request(body: bytes) -> Json:
    """The request, nulls left out. Raises :class:`VendorError` for whatever OpenAI refuses without
    looking at the history.
    """
    fields = read_object(body)
    request = {name: value for name, value in fields.items() if value is not None}
    _REQUEST("", request)
    if "model" not in request:
        raise missing("model")
    model = request["model"]
    if not knows_model(model):
        message = f"The requested model '{model}' does not exist."
        raise refused(message, "model", "model_not_found")
    _check_state(request)
    _check_model_limits(request, model)
    request["tools"] = [_as_taken(tool) for tool in request.get("tools") or ()]
    _check_tools(request)
    _check_format(request)
    return request


def _check_state(request: Json) -> None:
    if request.get("previous_response_id"):
        message = f"Previous response with id '{request['previous_response_id']}' not found."
        raise refused(message, "previous_response_id", "previous_response_not_found")
    if request.get("conversation"):
        named = request["conversation"]
        named = named.get("id") if isinstance(named, dict) else named
        message = f"Conversation with id '{named}' not found."
        raise VendorError(404, "invalid_request_error", message, param="conversation")
    if request.get("prompt"):
        message = f"Prompt with id '{request['prompt'].get('id')}' not found."
        raise VendorError(404, "invalid_request_error", message, param="prompt")
    if request.get("background"):
        message = "Background mode is not available to this account."
        raise refused(message, "background", "unsupported_parameter")
    if "input" not in request:
        message = (
            "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation' must be"
            " provided."
        )
        raise refused(message, "input", "missing_required_parameter")


def _check_model_limits(request: Json, model: str) -> None:
    """What reasoning models refuse, and what only they take."""
    if reasons(model):
        for field in ("temperature", "top_p"):
            if field in request and effort_of(request) != "none":
                message = f"Unsupported parameter: '{field}' is not supported with this model."
                raise refused(message, field, None)
        return
    if model.startswith("sim-"):
        return
    reasoning = request.get("reasoning") or {}
    for field in ("effort", "summary"):
        if reasoning.get(field) is not None:
            path = f"reasoning.{field}"
            message = f"Unsupported parameter: '{path}' is not supported with this model."
            raise refused(message, path, "unsupported_parameter")
    if ENCRYPTED in request.get("include", ()):
        raise refused("Encrypted content is not supported with this model.", "include", None)


def _as_taken(tool: Json) -> Json:
    """A function that does not say whether it is strict is made so, and its schema closed."""
    if tool["type"] != "function" or tool.get("strict") is not None:
        return tool
    return {**tool, "parameters": made_strict(tool.get("parameters")), "strict": True}


def _check_tools(request: Json) -> None:
    tools = request["tools"]
    for at, tool in enumerate(tools):
        if tool["type"] == "function" and tool.get("parameters") is not None:
            path = f"tools[{at}].parameters"
            check_function_schema(tool["name"], tool["parameters"], path, strict=tool["strict"])
    choice = request.get("tool_choice")
    if choice == "required" and not tools:
        message = "Tool choice 'required' must be specified with 'tools' parameter."
        raise refused(message, "tool_choice", None)
    if isinstance(choice, dict) and choice["type"] in ("function", "custom"):
        known = {(tool["type"], tool.get("name")) for tool in tools}
        if (choice["type"], choice["name"]) not in known:
            message = f"Tool choice '{choice['type']}' not found in 'tools' parameter."
            raise refused(message, "tool_choice", None)


def _check_format(request: Json) -> None:
    format_ = _format_of(request)
    if format_["type"] == "json_schema":
        strict = format_.get("strict") is True
        check_format_schema(
            format_["name"], format_["schema"], "response_format", "text.format.schema",
            strict=strict,
        )  # fmt: skip
    if format_["type"] == "json_object" and "json" not in str(request["input"]).lower():
        message = (
            "Response input messages must contain the word 'json' in some form to use"
            " 'text.format' of type 'json_object'."
        )
        raise refused(message, "input", None)


def _format_of(request: Json) -> Json:
    format_: Json = (request.get("text") or {}).get("format") or {"type": "text"}
    return format_


def items_of(request: Json) -> list[Json]:
    """The input as items, a plain string being one message."""
    if isinstance(request["input"], str):
        return [{"type": "message", "role": "user", "content": request["input"]}]
    return [{"type": "message", **item} for item in request["input"]]


def effort_of(request: Json) -> str:
    """The reasoning effort, the model's default where none is asked for."""
    asked = (request.get("reasoning") or {}).get("effort")
    return str(asked or ("medium" if reasons(request["model"]) else "none"))


def question(request: Json) -> Question:
    """What was asked. Only a forced choice makes the model call."""
    items = items_of(request)
    spoken = [i for i in items if i["type"] != "message" or i["role"] in ("user", "assistant")]
    format_ = _format_of(request)
    schema: Json | None = None if format_["type"] == "text" else format_.get("schema", {})
    choice = request.get("tool_choice")
    named = isinstance(choice, dict) and choice["type"] == "function"
    return Question(
        said=sum(len(_text_of(item["content"])) for item in spoken if item["type"] == "message"),
        turns=len(spoken),
        max_tokens=request.get("max_output_tokens"),
        stops=[],
        forced=_forced(request),
        parallel=request.get("parallel_tool_calls", True) and not named,
        thinks=effort_of(request) != "none",
        schema=schema,
        thoughts_capped=True,
    )


def _text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


def _forced(request: Json) -> list[Offer] | None:
    choice = request.get("tool_choice")
    allowed: list[str] | None = None
    if isinstance(choice, dict) and choice["type"] == "allowed_tools":
        allowed, choice = [tool.get("name") for tool in choice["tools"]], choice["mode"]
    if isinstance(choice, dict) and choice["type"] == "function":
        allowed, choice = [choice["name"]], "required"
    if choice != "required":
        return None
    return [
        Offer(tool["name"], tool.get("parameters") or {})
        for tool in request["tools"]
        if tool["type"] == "function" and (allowed is None or tool["name"] in allowed)
    ]
