"""A client's ``POST /v1/responses`` body to the canonical request."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from bytespike_protocols.ir import (
    Dialect,
    Effort,
    Extra,
    Json,
    JsonFormat,
    Reasoning,
    Request,
    Sampling,
    ServerTool,
    Text,
    Tool,
    ToolChoice,
)
from bytespike_protocols.openai_responses.fields import Fields, bad, raw_text, value_of
from bytespike_protocols.openai_responses.free_form import PARAMETERS
from bytespike_protocols.openai_responses.input_decode import Input, decode_input
from bytespike_protocols.openai_responses.namespaces import (
    NAMESPACE,
    bare_names,
    introduced,
    read_name,
)
from bytespike_protocols.splice import shallow

__all__ = ["ENCRYPTED_STATE", "LOGPROBS", "decode_request"]

#: Members of ``include`` that are said by other means: state is always asked for.
ENCRYPTED_STATE = "reasoning.encrypted_content"
LOGPROBS = "message.output_text.logprobs"

_MODES = {"auto": "auto", "required": "any", "none": "none"}
_ALLOWED_MODES = {"auto": "auto", "required": "any"}
_WEB_SEARCHES = ("web_search", "web_search_preview")

_string = msgspec.json.Decoder(str)
_strings = msgspec.json.Decoder(list[str])


def decode_request(body: bytes) -> Request:
    """Raises ``BadClientMessage`` with the JSON path."""
    fields = Fields(shallow(body))
    extras: list[Extra] = []
    model = fields.required_text("model")
    if not model:
        raise bad("model", "must not be empty")
    instructions = fields.text("instructions")
    tools = tuple(_tools(fields))
    given = _input(fields, tools, instructed=instructions is not None)
    leading = () if instructions is None else (Text(text=instructions),)
    include = _include(fields, extras)
    extras += _departures(fields)
    request = Request(
        dialect=Dialect.OPENAI_RESPONSES,
        model=model,
        system=(*leading, *given.system),
        turns=given.turns,
        tools=tools,
        tool_choice=_tool_choice(fields, tools, extras),
        parallel_tools=fields.boolean("parallel_tool_calls"),
        max_output_tokens=_limit(fields),
        sampling=_sampling(fields, logprobs=LOGPROBS in include),
        output=_output(fields, extras),
        reasoning=_reasoning(fields, extras),
        user=_user(fields),
        metadata=_metadata(fields),
        service_tier=fields.text("service_tier"),
        stream=bool(fields.boolean("stream")),
        extras=(),
    )
    everything = (*extras, *given.extras, *fields.extras())
    return msgspec.structs.replace(request, extras=tuple(sorted(everything, key=_path)))


def _path(extra: Extra) -> str:
    return extra.path


def _input(fields: Fields, tools: tuple[Tool | ServerTool, ...], *, instructed: bool) -> Input:
    raw = fields.raw("input")
    if raw is None:
        # An answer may also go on from a stored prompt or conversation alone.
        return Input((), (), ())
    offered = {tool.name for tool in tools if isinstance(tool, Tool)}
    return decode_input(raw, instructed=instructed, offered=offered)


def _include(fields: Fields, extras: list[Extra]) -> list[str]:
    raw = fields.raw("include")
    if raw is None:
        return []
    names: list[str] = value_of(raw, _strings, "include", "an array of strings")
    rest = [name for name in names if name not in (ENCRYPTED_STATE, LOGPROBS)]
    if rest:
        extras.append(Extra(path="include", value=Json(msgspec.json.encode(rest).decode())))
    return names


def _departures(fields: Fields) -> list[Extra]:
    """Settings of which only one side can be lost: what a translation does anyway is not said."""
    wishes = [name for name in ("background", "store") if fields.boolean(name)]
    extras = [Extra(path=name, value=Json("true")) for name in wishes]
    truncation = fields.text("truncation")
    if truncation not in (None, "disabled"):
        value = Json(msgspec.json.encode(truncation).decode())
        extras.append(Extra(path="truncation", value=value))
    return extras


def _limit(fields: Fields) -> int | None:
    limit = fields.integer("max_output_tokens")
    if limit is not None and limit < 1:
        raise bad("max_output_tokens", "must be greater than 0")
    return limit


def _sampling(fields: Fields, *, logprobs: bool) -> Sampling:
    return Sampling(
        temperature=fields.number("temperature"),
        top_p=fields.number("top_p"),
        top_logprobs=fields.integer("top_logprobs"),
        logprobs=logprobs or None,
    )


def _user(fields: Fields) -> str | None:
    safety_identifier = fields.text("safety_identifier")
    # The older name means the same; with both given the older one stays an extra.
    return fields.text("user") if safety_identifier is None else safety_identifier


def _metadata(fields: Fields) -> tuple[tuple[str, str], ...]:
    metadata = fields.object("metadata")
    if metadata is None:
        return ()
    return tuple((name, metadata.required_text(name)) for name in metadata.names())


def _output(fields: Fields, extras: list[Extra]) -> JsonFormat | None:
    text = fields.object("text")
    if text is None:
        return None
    form = text.object("format")
    extras += text.extras()
    if form is None:
        return None
    kind = form.required_text("type")
    if kind == "text":
        return None
    if kind == "json_object":
        return JsonFormat()
    if kind != "json_schema":
        raise bad("text.format.type", "must be text, json_object or json_schema")
    schema = form.json("schema")
    if schema is None:
        raise bad("text.format.schema", "field required")
    output = JsonFormat(
        schema=schema,
        name=form.text("name"),
        description=form.text("description"),
        strict=form.boolean("strict"),
    )
    extras += form.extras()
    return output


def _reasoning(fields: Fields, extras: list[Extra]) -> Reasoning | None:
    asked = fields.object("reasoning")
    if asked is None:
        return None
    word, summary = asked.text("effort"), asked.text("summary")
    if summary not in (None, "auto"):
        # That a summary is wanted has a field; how long it should be has none.
        value = msgspec.json.encode(summary).decode()
        extras.append(Extra(path="reasoning.summary", value=Json(value)))
    extras += asked.extras()
    show = True if summary is not None else None
    if word is None:
        return None if show is None else Reasoning(mode="adaptive", show=show)
    try:
        effort = Effort(word)
    except ValueError:
        raise bad("reasoning.effort", f"must be one of {', '.join(Effort)}") from None
    mode = "off" if effort is Effort.NONE else "effort"
    return Reasoning(mode=mode, effort=effort, show=show)  # type: ignore[arg-type]


def _tools(fields: Fields) -> Iterator[Tool | ServerTool]:
    for path, raw in fields.elements("tools"):
        tool = Fields(raw, path)
        if tool.peek_text("type") == NAMESPACE:
            yield from _members(tool, raw)
        else:
            yield _tool(tool, raw, "")


def _members(fields: Fields, raw: msgspec.Raw) -> tuple[Tool | ServerTool, ...]:
    """The functions of a namespace. One that holds anything else is the vendor's alone."""
    name, about = fields.required_text("name"), fields.text("description")
    if not name:
        raise bad(fields.at("name"), "must not be empty")
    read = [_tool(Fields(one, path), one, name) for path, one in fields.elements("tools")]
    members = [tool for tool in read if isinstance(tool, Tool)]
    value = raw_text(raw)
    if not members or len(members) < len(read):
        return (ServerTool(dialect=Dialect.OPENAI_RESPONSES, kind=NAMESPACE, value=value),)
    description = introduced(members[0], name, about)
    first = msgspec.structs.replace(members[0], group=value, description=description)
    return (first, *members[1:])


def _tool(fields: Fields, raw: msgspec.Raw, namespace: str) -> Tool | ServerTool:
    kind = fields.peek_text("type") or "function"
    if kind == "function":
        fields.drop("type")
        return Tool(
            name=read_name(fields, namespace),
            description=fields.text("description"),
            parameters=fields.json("parameters"),
            strict=fields.boolean("strict"),
            extras=fields.extras(),
        )
    if kind == "custom":
        # ``type`` stays among the extras: it marks the function that is really free-form text.
        return Tool(
            name=read_name(fields, namespace),
            description=fields.text("description"),
            parameters=PARAMETERS,
            extras=tuple(sorted(fields.extras(), key=_path)),
        )
    known = "web_search" if kind in _WEB_SEARCHES else kind
    return ServerTool(dialect=Dialect.OPENAI_RESPONSES, kind=known, value=raw_text(raw))


def _tool_choice(
    fields: Fields, tools: tuple[Tool | ServerTool, ...], extras: list[Extra]
) -> ToolChoice | None:
    raw = fields.raw("tool_choice")
    if raw is None:
        return None
    if memoryview(raw)[0] == ord('"'):
        mode = _MODES.get(value_of(raw, _string, "tool_choice", "a string or an object"))
        if mode is None:
            raise bad("tool_choice", "must be auto, required, none or an object")
        return ToolChoice(mode=mode)  # type: ignore[arg-type]
    choice = _named_choice(Fields(raw, "tool_choice"))
    if choice is None:
        # A hosted tool: said nowhere else.
        extras.append(Extra(path="tool_choice", value=raw_text(raw)))
        return None
    bare = bare_names(tools)
    names = tuple(bare.get(name, name) for name in choice.names)
    return msgspec.structs.replace(choice, names=names)


def _named_choice(fields: Fields) -> ToolChoice | None:
    kind = fields.required_text("type")
    if kind in ("function", "custom"):
        return ToolChoice(mode="named", names=(read_name(fields),))
    mode = _ALLOWED_MODES.get(fields.text("mode") or "")
    if kind != "allowed_tools" or mode is None:
        return None
    allowed = [Fields(raw, path) for path, raw in fields.elements("tools")]
    if not allowed or any(tool.text("type") not in ("function", "custom") for tool in allowed):
        return None
    names = tuple(read_name(tool) for tool in allowed)
    return ToolChoice(mode=mode, names=names)  # type: ignore[arg-type]
