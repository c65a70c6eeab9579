"""A ``generateContent`` request to the IR. Model and verb stand in the path, not in the body."""

from __future__ import annotations

from itertools import chain

import msgspec

from bytespike_protocols.codec import RouteHints
from bytespike_protocols.errors import BadClientMessage
from bytespike_protocols.gemini.contents_decode import decode_contents
from bytespike_protocols.gemini.fields import Fields
from bytespike_protocols.gemini.schema import from_google
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
from bytespike_protocols.splice import shallow

__all__ = ["decode_request"]

_SEARCH_TOOLS = {"googleSearch", "google_search"}
_JSON = "application/json"


def decode_request(body: bytes, hints: RouteHints) -> Request:
    """Raises ``BadClientMessage`` with the path of the field at fault."""
    try:
        return _decode(body, hints)
    except RecursionError:
        raise BadClientMessage("", "the body is nested too deeply") from None


def _decode(body: bytes, hints: RouteHints) -> Request:
    shallow(body)  # refuses repeated keys, which a plain decoder would resolve in silence
    _check_text(body)
    if not hints.model:
        raise BadClientMessage("model", "field required")
    fields = Fields(msgspec.Raw(body), "")
    contents = fields.items("contents")
    if not contents:
        raise BadClientMessage("contents", "at least one content is required")
    turns, extras = decode_contents(contents)
    system, system_extras = _system(fields)
    tools = _tools(fields)
    choice, choice_extras = _tool_choice(fields)
    config = fields.object("generationConfig") or Fields(msgspec.Raw(b"{}"), "generationConfig")
    reasoning, reasoning_extras = _reasoning(config)
    output = _output(config)
    sampling = _sampling(config)
    labels = fields.object("labels")
    return Request(
        dialect=Dialect.GEMINI,
        model=hints.model,
        turns=tuple(turns),
        system=system,
        tools=tools,
        tool_choice=choice,
        max_output_tokens=config.integer("maxOutputTokens"),
        stop_sequences=config.strings("stopSequences"),
        sampling=sampling,
        output=output,
        reasoning=reasoning,
        candidates=config.integer("candidateCount"),
        metadata=_labels(labels) if labels is not None else (),
        service_tier=fields.string("serviceTier"),
        stream=bool(hints.stream),
        extras=tuple(
            chain(
                extras, system_extras, choice_extras, reasoning_extras, config.rest(), fields.rest()
            )
        ),
    )


def _check_text(body: bytes) -> None:
    try:
        body.decode()
    except UnicodeDecodeError:
        raise BadClientMessage("", "the body is not valid JSON: it is not UTF-8") from None


def _system(fields: Fields) -> tuple[tuple[Text, ...], list[Extra]]:
    instruction = fields.object("systemInstruction")
    if instruction is None:
        return (), []
    texts: list[Text] = []
    extras: list[Extra] = []
    for path, raw in instruction.items("parts") or ():
        part = Fields(raw, path)
        text = part.string("text")
        if text is None:
            raise BadClientMessage(part.at("text"), "a system instruction is text")
        texts.append(Text(text=text))
        extras.extend(part.rest())
    extras.extend(instruction.rest())
    return tuple(texts), extras


def _tools(fields: Fields) -> tuple[Tool | ServerTool, ...]:
    tools: list[Tool | ServerTool] = []
    for path, raw in fields.items("tools") or ():
        entry = Fields(raw, path)
        for declaration_path, declaration in entry.items("functionDeclarations") or ():
            tools.append(_tool(Fields(declaration, declaration_path)))
        for name in tuple(entry):
            definition = entry.json(name)
            if definition is not None:
                kind = "web_search" if name in _SEARCH_TOOLS else name
                value = Json(f"{{{msgspec.json.encode(name).decode()}:{definition}}}")
                tools.append(ServerTool(dialect=Dialect.GEMINI, kind=kind, value=value))
    return tuple(tools)


def _tool(declaration: Fields) -> Tool:
    name = declaration.string("name")
    if not name:
        raise BadClientMessage(declaration.at("name"), "field required")
    schema = declaration.json("parametersJsonSchema")
    if schema is None:
        parameters = declaration.object("parameters")
        schema = None if parameters is None else from_google(parameters.text)
    return Tool(
        name=name,
        description=declaration.string("description"),
        parameters=schema,
        extras=declaration.rest(),
    )


def _tool_choice(fields: Fields) -> tuple[ToolChoice | None, list[Extra]]:
    config = fields.object("toolConfig")
    if config is None:
        return None, []
    calling = config.object("functionCallingConfig")
    if calling is None:
        return None, list(config.rest())
    names = calling.strings("allowedFunctionNames")
    mode = (calling.string("mode") or "MODE_UNSPECIFIED").upper()
    extras = [*calling.rest(), *config.rest()]
    match mode:
        case "ANY":
            named = len(names) == 1
            return ToolChoice(mode="named" if named else "any", names=names), extras
        case "NONE":
            return ToolChoice(mode="none", names=names), extras
        case "AUTO" | "MODE_UNSPECIFIED":
            return ToolChoice(mode="auto", names=names), extras
        case "VALIDATED":
            # Like AUTO, but calls are held to their schemas: only Gemini can be asked for that.
            validated = Extra(path=calling.at("mode"), value=Json('"VALIDATED"'))
            return ToolChoice(mode="auto", names=names), [validated, *extras]
    raise BadClientMessage(calling.at("mode"), "must be AUTO, ANY, NONE or VALIDATED")


def _sampling(config: Fields) -> Sampling:
    return Sampling(
        temperature=config.number("temperature"),
        top_p=config.number("topP"),
        top_k=config.integer("topK"),
        seed=config.integer("seed"),
        presence_penalty=config.number("presencePenalty"),
        frequency_penalty=config.number("frequencyPenalty"),
        logprobs=config.boolean("responseLogprobs"),
        top_logprobs=config.integer("logprobs"),
    )


def _output(config: Fields) -> JsonFormat | None:
    """JSON only: other media types (``text/x.enum``) and their schemas stay extras."""
    mime_type = config.peek("responseMimeType")
    if mime_type is None or msgspec.json.decode(mime_type) != _JSON:
        return None
    config.string("responseMimeType")
    schema = config.json("responseJsonSchema")
    if schema is None:
        older = config.object("responseSchema")
        schema = None if older is None else from_google(older.text)
    return JsonFormat(schema=schema)


def _reasoning(config: Fields) -> tuple[Reasoning | None, tuple[Extra, ...]]:
    thinking = config.object("thinkingConfig")
    if thinking is None:
        return None, ()
    show = thinking.boolean("includeThoughts")
    budget = thinking.integer("thinkingBudget")
    level = thinking.string("thinkingLevel")
    if level is not None and level.lower() != "thinking_level_unspecified":
        effort = Effort._value2member_map_.get(level.lower())
        if not isinstance(effort, Effort):
            raise BadClientMessage(thinking.at("thinkingLevel"), "unknown level")
        reasoning = Reasoning(mode="effort", effort=effort, budget_tokens=budget, show=show)
    elif budget is None or budget < 0:
        reasoning = Reasoning(mode="adaptive", show=show)
        if budget is not None:
            # Google's -1 and saying nothing are the same wish; only the spelling is kept.
            spelled = Extra(path=thinking.at("thinkingBudget"), value=Json(str(budget)))
            return reasoning, (spelled, *thinking.rest())
    elif budget == 0:
        reasoning = Reasoning(mode="off", show=show)
    else:
        reasoning = Reasoning(mode="budget", budget_tokens=budget, show=show)
    return reasoning, thinking.rest()


def _labels(labels: Fields) -> tuple[tuple[str, str], ...]:
    return tuple((name, labels.string(name) or "") for name in tuple(labels))
