"""A client's Messages request as the canonical one.

Strict about types, since another vendor's rules will be applied to what is read here; lenient about
fields and block types it does not know, which are kept for whoever does.
"""

from __future__ import annotations

import re

import msgspec

from bytespike_protocols.anthropic import signatures
from bytespike_protocols.anthropic.content_decode import read_blocks, read_cache, read_contents
from bytespike_protocols.anthropic.fields import Fields, items, json_text
from bytespike_protocols.errors import BadClientMessage
from bytespike_protocols.ir import (
    Dialect,
    Effort,
    Extra,
    JsonFormat,
    Reasoning,
    Request,
    Role,
    Sampling,
    ServerTool,
    Text,
    Tool,
    ToolChoice,
    Turn,
)
from bytespike_protocols.splice import shallow

__all__ = ["decode_request"]

_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}
_EFFORTS = {effort.value for effort in Effort}
#: Server tools are dated (``web_search_20250305``); the date says nothing to other vendors.
_DATE = re.compile(r"_\d{8}$")
_MAPPED_SERVER_TOOLS = {"web_search"}


def decode_request(body: bytes) -> Request:
    """Raises ``BadClientMessage`` with the JSON path of what is wrong."""
    shallow(body)  # refuses repeated keys: the vendor might obey the other one
    try:
        body.decode()
    except UnicodeDecodeError:
        raise BadClientMessage("", "the body is not UTF-8") from None
    extras: list[Extra] = []
    root = Fields(msgspec.Raw(body), "", extras)
    choice, parallel = _tool_choice(root)
    reasoning, output = _thinking_and_output(root, extras)
    request = Request(
        dialect=Dialect.ANTHROPIC,
        model=root.required_string("model"),
        system=_system(root, extras),
        turns=_turns(root, extras),
        tools=tuple(_tool(raw, path) for path, raw in root.items("tools")),
        tool_choice=choice,
        parallel_tools=parallel,
        max_output_tokens=root.integer("max_tokens"),
        stop_sequences=root.strings("stop_sequences"),
        sampling=Sampling(
            temperature=root.number("temperature"),
            top_p=root.number("top_p"),
            top_k=root.integer("top_k"),
        ),
        output=output,
        reasoning=reasoning,
        cache=read_cache(root),
        user=_user(root),
        service_tier=root.string("service_tier"),
        stream=root.boolean("stream") or False,
    )
    root.leave()
    return msgspec.structs.replace(request, extras=tuple(extras))


def _system(root: Fields, extras: list[Extra]) -> tuple[Text, ...]:
    raw = root.raw("system")
    if raw is None:
        return ()
    texts = []
    for block in read_contents(raw, "system", extras):
        if not isinstance(block, Text):
            raise BadClientMessage("system", "must hold text blocks only")
        texts.append(block)
    return tuple(texts)


def _turns(root: Fields, extras: list[Extra]) -> tuple[Turn, ...]:
    raw = root.raw("messages")
    if raw is None:
        raise BadClientMessage("messages", "field required")
    return tuple(_turn(item, path, extras) for path, item in items(raw, "messages"))


def _turn(raw: msgspec.Raw, path: str, extras: list[Extra]) -> Turn:
    message = Fields(raw, path, extras)
    role = _ROLES.get(message.required_string("role"))
    if role is None:
        raise BadClientMessage(message.at("role"), "must be user, assistant or system")
    content = message.raw("content")
    if content is None:
        raise BadClientMessage(message.at("content"), "field required")
    blocks = read_blocks(content, message.at("content"), extras)
    message.leave()
    return Turn(role=role, blocks=signatures.rebind(blocks) if role == "assistant" else blocks)


def _tool(raw: msgspec.Raw, path: str) -> Tool | ServerTool:
    extras: list[Extra] = []
    fields = Fields(raw, path, extras)
    kind = fields.string("type")
    if kind is not None and kind != "custom":
        family = _DATE.sub("", kind)
        ours = family if family in _MAPPED_SERVER_TOOLS else kind
        return ServerTool(dialect=Dialect.ANTHROPIC, kind=ours, value=fields.whole)
    tool = Tool(
        name=fields.required_string("name"),
        description=fields.string("description"),
        parameters=fields.json("input_schema"),
        strict=fields.boolean("strict"),
        cache=read_cache(fields),
    )
    fields.leave()
    return msgspec.structs.replace(tool, extras=tuple(extras))


def _tool_choice(root: Fields) -> tuple[ToolChoice | None, bool | None]:
    fields = root.object("tool_choice")
    if fields is None:
        return None, None
    kind = fields.required_string("type")
    match kind:
        case "auto" | "any" | "none":
            choice = ToolChoice(mode=kind)
        case "tool":
            choice = ToolChoice(mode="named", names=(fields.required_string("name"),))
        case _:
            raise BadClientMessage(fields.at("type"), "must be auto, any, tool or none")
    alone = fields.boolean("disable_parallel_tool_use")
    fields.leave()
    return choice, None if alone is None else not alone


def _user(root: Fields) -> str | None:
    metadata = root.object("metadata")
    if metadata is None:
        return None
    user = metadata.string("user_id")
    metadata.leave()
    return user


def _thinking_and_output(
    root: Fields, extras: list[Extra]
) -> tuple[Reasoning | None, JsonFormat | None]:
    """Both, since Anthropic keeps how hard to think beside how to answer."""
    config = root.object("output_config")
    effort, output = None, _format(root, "output_format")
    if config is not None:
        output = _format(config, "format") or output
        level = config.raw("effort")
        if level is not None:
            effort = _effort(config, level)
        config.leave()
    return _reasoning(root, effort, extras), output


def _effort(config: Fields, raw: msgspec.Raw) -> Effort | None:
    level = json_text(raw).strip('"')
    if level in _EFFORTS:
        return Effort(level)
    config.keep("effort", raw)
    return None


def _format(fields: Fields, name: str) -> JsonFormat | None:
    wanted = fields.object(name)
    if wanted is None:
        return None
    if wanted.required_string("type") != "json_schema":
        raise BadClientMessage(wanted.at("type"), "must be json_schema")
    schema = wanted.json("schema")
    if schema is None:
        raise BadClientMessage(wanted.at("schema"), "field required")
    wanted.leave()
    return JsonFormat(schema=schema)


_SHOW = {None: None, "summarized": True, "omitted": False}


def _reasoning(root: Fields, effort: Effort | None, extras: list[Extra]) -> Reasoning | None:
    by_effort = None if effort is None else Reasoning(mode="effort", effort=effort)
    raw = root.raw("thinking")
    if raw is None:
        return by_effort
    found: list[Extra] = []
    fields = Fields(raw, "thinking", found)
    kind, display = fields.required_string("type"), fields.string("display")
    if display not in _SHOW:
        kind = ""
    reasoning: Reasoning | None
    match kind:
        case "enabled":
            budget = fields.integer("budget_tokens")
            if budget is None:
                raise BadClientMessage("thinking.budget_tokens", "field required")
            reasoning = Reasoning(mode="budget", budget_tokens=budget, effort=effort)
        case "adaptive":
            reasoning = Reasoning(mode="adaptive", effort=effort)
        case "disabled":
            reasoning = Reasoning(mode="off", effort=effort)
        case _:
            root.keep("thinking", raw)
            return by_effort
    fields.leave()
    extras.extend(found)
    return msgspec.structs.replace(reasoning, show=_SHOW[display])
