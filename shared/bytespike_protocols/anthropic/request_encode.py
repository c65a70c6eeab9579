"""A canonical request as a Messages body.

From an Anthropic client it comes out as it went in. From any other it is fitted to Anthropic's
rules and to the model's abilities, and every knob it lacks is reported.
"""

from __future__ import annotations

from typing import Any

import msgspec

from bytespike_protocols.anthropic import reasoning, schemas
from bytespike_protocols.anthropic.content_encode import encode_text
from bytespike_protocols.anthropic.draft import Draft, Wire, raw
from bytespike_protocols.anthropic.history import History, encode_turns
from bytespike_protocols.anthropic.identity import NAMES
from bytespike_protocols.anthropic.models import MAX_STRICT_TOOLS
from bytespike_protocols.client_paths import in_the_clients_words
from bytespike_protocols.codec import Encoded
from bytespike_protocols.errors import BadClientMessage, Unrepresentable
from bytespike_protocols.ir import (
    Dialect,
    JsonFormat,
    Request,
    Sampling,
    ServerTool,
    Tool,
    ToolChoice,
)
from bytespike_protocols.renaming import rename_tools

__all__ = ["encode_request"]

_encoder = msgspec.json.Encoder()

_JSON_ONLY = "Answer with one valid JSON object and nothing else: no prose, no code fence."
_WEB_SEARCH: Wire = {"type": "web_search_20250305", "name": "web_search"}
_TIERS = {"auto": "auto", "default": "standard_only", "standard": "standard_only"}
_MODES = {"auto": "auto", "any": "any", "named": "tool", "none": "none"}
_MAX_TEMPERATURE = 1.0
#: With thinking on, Anthropic takes no other temperature and no lower top_p.
_THINKING_TEMPERATURE, _THINKING_MIN_TOP_P = 1.0, 0.95

#: Knobs Anthropic has no word for, and the values of them that change nothing.
_UNKNOWN_KNOBS: dict[str, tuple[Any, ...]] = {
    "seed": (None,),
    "presence_penalty": (None, 0),
    "frequency_penalty": (None, 0),
    "logprobs": (None, False),
    "top_logprobs": (None, 0),
    "logit_bias": (None, "{}"),
}


@in_the_clients_words(Dialect.ANTHROPIC)
def encode_request(request: Request, *, model: str) -> Encoded:
    """Raises ``Unrepresentable`` for what Anthropic cannot be asked, and ``BadClientMessage`` for
    what nobody could be.
    """
    if request.max_output_tokens is None:
        raise BadClientMessage("max_output_tokens", "field required")
    if (request.candidates or 1) > 1:
        raise Unrepresentable("candidates", "only one answer can be asked for")
    request, renamed = rename_tools(request, NAMES)
    draft = Draft(request, model)
    tools = _tools(draft, request)
    system = _system(draft, request)
    history = encode_turns(draft, request.turns)
    if not history.messages:
        history = _system_as_user(draft, system)
    body: Wire = {"model": model, "max_tokens": request.max_output_tokens}
    if system:
        body["system"] = system
    body["messages"] = history.messages
    if tools:
        body["tools"] = tools
    body |= _tool_choice(draft, request) | _thinking_and_output(draft, request, history)
    body |= _sampling(draft, request.sampling, thinking=body.get("thinking"))
    body |= _plain_fields(draft, request)
    body = draft.finish("", body)
    draft.breakpoint(body, request.cache, "")
    draft.limit_breakpoints()
    return Encoded(_encoder.encode(body), tuple(dict.fromkeys(draft.losses)), renamed)


def _system(draft: Draft, request: Request) -> list[Wire]:
    encoded = (encode_text(draft, text, f"system[{i}]") for i, text in enumerate(request.system))
    system = [wire for wire in encoded if wire is not None]
    if request.output is not None and request.output.schema is None:
        draft.lose("output", "emulated")
        system.append({"type": "text", "text": _JSON_ONLY})
    return system


def _system_as_user(draft: Draft, system: list[Wire]) -> History:
    """Somebody has to speak: without any message the last instruction becomes one."""
    if not system:
        raise BadClientMessage("turns", "at least one message is required")
    draft.lose("system", "emulated")
    return History([{"role": "user", "content": [system.pop()]}], thoughtless_loop=False)


def _tools(draft: Draft, request: Request) -> list[Any]:
    choice = request.tool_choice
    allowed = choice.names if choice is not None and choice.mode in {"any", "auto"} else ()
    tools = []
    strict = 0
    for index, tool in enumerate(request.tools):
        path = f"tools[{index}]"
        if isinstance(tool, ServerTool):
            tools.append(_server_tool(draft, tool, path))
            continue
        if allowed and tool.name not in allowed:
            continue
        strict += tool.strict is True
        tools.append(_tool(draft, tool, path, strict=strict <= MAX_STRICT_TOOLS))
    if allowed and not tools:
        raise BadClientMessage("tool_choice", "none of the tools to choose from is defined")
    if allowed:
        draft.lose("tool_choice.names", "emulated")
    return tools


def _server_tool(draft: Draft, tool: ServerTool, path: str) -> Any:
    if tool.dialect is Dialect.ANTHROPIC:
        return raw(tool.value)
    if tool.kind != "web_search":
        raise Unrepresentable(path, "this tool runs at another vendor")
    draft.lose(path, "emulated")
    return dict(_WEB_SEARCH)


def _tool(draft: Draft, tool: Tool, path: str, *, strict: bool) -> Wire:
    wire: Wire = {"name": tool.name}
    if tool.description is not None:
        wire["description"] = tool.description
    where = f"{path}.parameters"
    if draft.own and tool.parameters is not None:
        wire["input_schema"] = raw(tool.parameters)
    else:
        wire["input_schema"], changed = schemas.fit_parameters(tool.parameters, where)
        if changed:
            draft.lose(where, "emulated")
    if tool.strict is not None and (draft.own or tool.strict):
        if strict:
            wire["strict"] = tool.strict
        else:
            draft.lose(f"{path}.strict")
    wire = draft.finish(path, wire)
    draft.breakpoint(wire, tool.cache, path)
    return wire


def _tool_choice(draft: Draft, request: Request) -> Wire:
    choice, parallel = request.tool_choice, request.parallel_tools
    if not request.tools and not draft.own:
        if choice is not None and choice.mode in {"any", "named"}:
            raise BadClientMessage("tool_choice", "no tool is defined to choose")
        return {}
    if choice is None:
        if parallel is not False:
            return {}
        choice = ToolChoice(mode="auto")
    wire: Wire = {"type": _MODES[choice.mode]}
    if choice.mode == "named":
        wire["name"] = choice.names[0]
    if parallel is not None and choice.mode != "none":
        wire["disable_parallel_tool_use"] = not parallel
    return {"tool_choice": draft.finish("tool_choice", wire)}


def _thinking_and_output(draft: Draft, request: Request, history: History) -> Wire:
    fields: Wire = {}
    if request.reasoning is not None and draft.own:
        fields = reasoning.encode_own(draft, request.reasoning)
    elif request.reasoning is not None:
        choice = request.tool_choice
        forced = choice is not None and choice.mode in {"any", "named"}
        fields = reasoning.fit(
            draft,
            request.reasoning,
            max_tokens=request.max_output_tokens or 0,
            forbidden=forced or history.thoughtless_loop,
        )
    effort = fields.pop("effort", None)
    config: Wire = {} if effort is None else {"effort": effort}
    if request.output is not None and request.output.schema is not None:
        config["format"] = _format(draft, request.output)
    config = draft.finish("output_config", config)
    return fields | ({"output_config": config} if config else {})


def _format(draft: Draft, output: JsonFormat) -> Wire:
    if output.description is not None:
        draft.lose("output.description")
    text = output.schema
    assert text is not None  # noqa: S101 - the caller asked
    if draft.own:
        schema = raw(text)
    else:
        schema, changed = schemas.fit_output(text, "output.schema")
        if changed:
            draft.lose("output.schema", "emulated")
    wire = {"type": "json_schema", "schema": schema}
    return draft.finish("output_config.format", wire)


def _sampling(draft: Draft, sampling: Sampling, *, thinking: Wire | None) -> Wire:
    for knob, harmless in _UNKNOWN_KNOBS.items():
        if getattr(sampling, knob) not in harmless:
            draft.lose(f"sampling.{knob}")
    said: Wire = {
        knob: value
        for knob in ("temperature", "top_p", "top_k")
        if (value := getattr(sampling, knob)) is not None
    }
    if draft.own:
        return said
    if not draft.abilities.sampling:
        _lose_knobs(draft, said, *said)
        return {}
    if said.get("temperature", 0) > _MAX_TEMPERATURE:
        said["temperature"] = _MAX_TEMPERATURE
        draft.lose("sampling.temperature", "emulated")
    if thinking is not None and thinking["type"] != "disabled":
        _fit_thinking(draft, said)
    if "temperature" in said:
        # Newer models refuse both together.
        _lose_knobs(draft, said, "top_p")
    return said


def _fit_thinking(draft: Draft, said: Wire) -> None:
    _lose_knobs(draft, said, "top_k")
    if said.get("temperature") != _THINKING_TEMPERATURE:
        _lose_knobs(draft, said, "temperature")
    if said.get("top_p", 1) < _THINKING_MIN_TOP_P:
        _lose_knobs(draft, said, "top_p")


def _lose_knobs(draft: Draft, said: Wire, *knobs: str) -> None:
    for knob in knobs:
        if said.pop(knob, None) is not None:
            draft.lose(f"sampling.{knob}")


def _plain_fields(draft: Draft, request: Request) -> Wire:
    fields: Wire = {}
    stops = [text for text in request.stop_sequences if draft.own or text.strip()]
    if len(stops) < len(request.stop_sequences):
        draft.lose("stop_sequences")
    if stops:
        fields["stop_sequences"] = stops
    metadata = draft.finish("metadata", {} if request.user is None else {"user_id": request.user})
    if metadata:
        fields["metadata"] = metadata
    if request.metadata:
        draft.lose("metadata")
    if request.service_tier is not None:
        tier = request.service_tier if draft.own else _TIERS.get(request.service_tier)
        if tier is None:
            draft.lose("service_tier")
        else:
            fields["service_tier"] = tier
    if request.stream:
        fields["stream"] = True
    return fields
