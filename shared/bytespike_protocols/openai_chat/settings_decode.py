"""Everything in a request beside its messages: tools, choice, format and the knobs."""

from __future__ import annotations

from typing import TypedDict

import msgspec

from bytespike_protocols.ir import (
    CacheControl,
    Dialect,
    Effort,
    Extra,
    Json,
    JsonFormat,
    Reasoning,
    Sampling,
    ServerTool,
    Tool,
    ToolChoice,
)
from bytespike_protocols.openai_chat.fields import Fields, json_text

__all__ = ["Settings", "decode_settings"]

OURS = Dialect.OPENAI_CHAT
WEB_SEARCH = "web_search"


class Settings(TypedDict):
    """Fields of :class:`Request`."""

    tools: tuple[Tool | ServerTool, ...]
    tool_choice: ToolChoice | None
    parallel_tools: bool | None
    max_output_tokens: int | None
    stop_sequences: tuple[str, ...]
    sampling: Sampling
    output: JsonFormat | None
    reasoning: Reasoning | None
    candidates: int | None
    user: str | None
    metadata: tuple[tuple[str, str], ...]
    service_tier: str | None
    stream: bool
    stream_usage: bool | None


def decode_settings(fields: Fields, extras: list[Extra]) -> Settings:
    """Takes its fields out of the body. Raises ``BadClientMessage``."""
    stream = fields.boolean("stream") or False
    deprecated_cap = fields.integer("max_tokens")
    user = fields.text("safety_identifier")
    return Settings(
        tools=_read_tools(fields, extras),
        tool_choice=_read_choice(fields, extras),
        parallel_tools=fields.boolean("parallel_tool_calls"),
        max_output_tokens=_first(fields.integer("max_completion_tokens"), deprecated_cap),
        stop_sequences=_read_stop(fields),
        sampling=_read_sampling(fields),
        output=_read_format(fields, extras),
        reasoning=_read_effort(fields),
        candidates=fields.integer("n"),
        # With both given, the older one stays among the extras.
        user=fields.text("user") if user is None else user,
        metadata=_read_metadata(fields),
        service_tier=fields.text("service_tier"),
        stream=stream,
        stream_usage=_read_stream_options(fields, extras),
    )


def _first(preferred: int | None, other: int | None) -> int | None:
    return other if preferred is None else preferred


def _read_sampling(fields: Fields) -> Sampling:
    return Sampling(
        temperature=fields.number("temperature"),
        top_p=fields.number("top_p"),
        top_k=fields.integer("top_k"),
        seed=fields.integer("seed"),
        presence_penalty=fields.number("presence_penalty"),
        frequency_penalty=fields.number("frequency_penalty"),
        logprobs=fields.boolean("logprobs"),
        top_logprobs=fields.integer("top_logprobs"),
        logit_bias=fields.json("logit_bias"),
    )


def _read_stop(fields: Fields) -> tuple[str, ...]:
    if fields.starts("stop") == "[":
        return tuple(fields.texts("stop") or ())
    stop = fields.text("stop")
    return () if stop is None else (stop,)


def _read_effort(fields: Fields) -> Reasoning | None:
    word = fields.text("reasoning_effort")
    if word is None:
        return None
    try:
        effort = Effort(word)
    except ValueError:
        known = ", ".join(effort.value for effort in Effort)
        raise fields.fail("reasoning_effort", f"must be one of {known}") from None
    if effort is Effort.NONE:
        return Reasoning(mode="off")
    return Reasoning(mode="effort", effort=effort)


def _read_metadata(fields: Fields) -> tuple[tuple[str, str], ...]:
    metadata = fields.object("metadata")
    if metadata is None:
        return ()
    return tuple((name, metadata.need_text(name)) for name in metadata.names())


def _read_stream_options(fields: Fields, extras: list[Extra]) -> bool:
    options = fields.object("stream_options")
    if options is None:
        return False
    wanted = options.boolean("include_usage")
    extras += options.rest()
    return bool(wanted)


def _read_format(fields: Fields, extras: list[Extra]) -> JsonFormat | None:
    form = fields.object("response_format")
    if form is None:
        return None
    kind = form.need_text("type")
    if kind == "text":
        return None
    if kind not in {"json_object", "json_schema"}:
        raise form.fail("type", "must be one of text, json_object, json_schema")
    details = form.object("json_schema")
    extras += form.rest()
    if kind == "json_object":
        return JsonFormat()
    if details is None:
        raise form.fail("json_schema", "field required")
    decoded = JsonFormat(
        name=details.text("name"),
        description=details.text("description"),
        strict=details.boolean("strict"),
        schema=details.json("schema") or Json("{}"),
    )
    extras += details.rest()
    return decoded


def _read_tools(fields: Fields, extras: list[Extra]) -> tuple[Tool | ServerTool, ...]:
    tools: list[Tool | ServerTool] = []
    for raw, path, home in fields.items("tools"):
        tool = Fields.of(raw, path=path, home=home)
        kind = tool.need_text("type")
        if kind == "function":
            tools.append(_read_tool(tool))
        else:
            tools.append(ServerTool(dialect=OURS, kind=kind, value=json_text(raw, path)))
    # Deprecated since 2023, the same thing without its wrapper.
    tools += [_read_definition(function) for function in fields.objects("functions")]
    search = fields.json("web_search_options")
    if search is not None:
        tools.append(ServerTool(dialect=OURS, kind=WEB_SEARCH, value=search))
    return tuple(tools)


def _read_tool(tool: Fields) -> Tool:
    function = tool.object("function")
    if function is None:
        raise tool.fail("function", "field required")
    control = tool.object("cache_control")
    decoded = _read_definition(function)
    cache = None
    if control is not None:
        cache = CacheControl(ttl="1h" if control.text("ttl") == "1h" else None)
    return msgspec.structs.replace(decoded, cache=cache, extras=(*decoded.extras, *tool.rest()))


def _read_definition(function: Fields) -> Tool:
    return Tool(
        name=function.need_text("name"),
        description=function.text("description"),
        parameters=function.json("parameters"),
        strict=function.boolean("strict"),
        extras=tuple(function.rest()),
    )


def _read_choice(fields: Fields, extras: list[Extra]) -> ToolChoice | None:
    name = "tool_choice" if fields.starts("tool_choice") else "function_call"
    if fields.starts(name) != "{":
        return _choice_of(fields.text(name), fields, name)
    whole = fields.json(name)
    choice = Fields.of((whole or "").encode(), path=fields.at(name), home=name)
    kind = choice.text("type")
    if kind == "custom":
        extras.append(Extra(path=name, value=whole or Json("{}")))
        return None
    if kind == "allowed_tools":
        decoded = _read_allowed(choice)
    else:
        # Older clients leave the type out, the oldest the wrapper.
        function = choice.object("function") or choice
        decoded = ToolChoice(mode="named", names=(function.need_text("name"),))
    extras += choice.rest()
    return decoded


def _choice_of(word: str | None, fields: Fields, name: str) -> ToolChoice | None:
    match word:
        case None:
            return None
        case "auto":
            return ToolChoice(mode="auto")
        case "required" | "any":
            return ToolChoice(mode="any")
        case "none":
            return ToolChoice(mode="none")
    raise fields.fail(name, "must be one of auto, required, none, or an object")


def _read_allowed(choice: Fields) -> ToolChoice:
    allowed = choice.object("allowed_tools")
    if allowed is None:
        raise choice.fail("allowed_tools", "field required")
    mode = allowed.need_text("mode")
    if mode not in {"auto", "required"}:
        raise allowed.fail("mode", "must be one of auto, required")
    names = []
    for tool in allowed.objects("tools"):
        names.append((tool.object("function") or tool).need_text("name"))
    return ToolChoice(mode="any" if mode == "required" else "auto", names=tuple(names))
