"""What a request sets beside its content: tools, tool choice, output format, reasoning.

An answer repeats these settings, so its encoder writes them with the same functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from bytespike_protocols.efforts import effort_of_budget
from bytespike_protocols.errors import Unrepresentable
from bytespike_protocols.ir import (
    Dialect,
    Effort,
    JsonFormat,
    Reasoning,
    Request,
    ServerTool,
    Tool,
    ToolChoice,
)
from bytespike_protocols.openai_json import fits_strict
from bytespike_protocols.openai_responses.content_encode import Losses
from bytespike_protocols.openai_responses.free_form import free_form_names, is_free_form
from bytespike_protocols.openai_responses.namespaces import (
    bare_names,
    is_written_with_its_group,
    written_name,
)

__all__ = [
    "encode_output",
    "encode_reasoning",
    "encode_tool_choice",
    "encode_tools",
]

_OWN: Final = Dialect.OPENAI_RESPONSES
_UNNAMED_FORMAT = "answer"


def encode_tools(request: Request, losses: Losses) -> list[Any]:
    """The definitions. Raises ``Unrepresentable`` on a hosted tool the vendor has not."""
    return [
        _function(tool, f"tools[{index}]", request.dialect, losses)
        if isinstance(tool, Tool)
        else _hosted(tool, f"tools[{index}]", losses)
        for index, tool in enumerate(request.tools)
        if not (isinstance(tool, Tool) and is_written_with_its_group(tool))
    ]


def encode_tool_choice(request: Request) -> Any:
    """The vendor's word or object, None if nothing was said."""
    choice = request.tool_choice
    if choice is None:
        return None
    match choice.mode:
        case "none":
            return "none"
        case "named":
            return _tool_names(choice, request.tools)[0]
        case "any" | "auto":
            word = "required" if choice.mode == "any" else "auto"
            names = _tool_names(choice, request.tools)
            return {"type": "allowed_tools", "mode": word, "tools": names} if names else word


def encode_output(output: JsonFormat | None) -> dict[str, Any] | None:
    """The ``text`` settings; a schema must have a name, so one is made where none was given."""
    if output is None:
        return None
    if output.schema is None:
        return {"format": {"type": "json_object"}}
    form: dict[str, Any] = {"type": "json_schema", "name": output.name or _UNNAMED_FORMAT}
    if output.description is not None:
        form["description"] = output.description
    form["schema"] = msgspec.Raw(output.schema.encode())
    if output.strict is not None:
        form["strict"] = output.strict
    return {"format": form}


def encode_reasoning(reasoning: Reasoning | None, losses: Losses) -> dict[str, Any] | None:
    """The ``reasoning`` settings. A budget becomes the effort it comes nearest to."""
    if reasoning is None:
        return None
    effort = reasoning.effort
    if reasoning.mode == "off":
        effort = Effort.NONE
    elif reasoning.budget_tokens is not None and effort is None:
        losses.emulated("reasoning.budget_tokens")
        effort = effort_of_budget(reasoning.budget_tokens)
    elif effort is None and not reasoning.show:
        # The models decide by themselves already.
        losses.emulated("reasoning.mode")
    asked: dict[str, Any] = {} if effort is None else {"effort": effort.value}
    # Dialects that speak of budgets show thoughts unless told not to.
    budgeted = reasoning.mode == "budget" and reasoning.show is not False
    if reasoning.show or budgeted:
        asked["summary"] = "auto"
    return asked or None


def _function(tool: Tool, path: str, origin: Dialect, losses: Losses) -> Any:
    if tool.group is not None:
        return msgspec.Raw(tool.group.encode())
    if tool.cache is not None:
        losses.emulated(f"{path}.cache")
    written: dict[str, Any] = {"type": "function", "name": tool.name}
    if tool.description is not None:
        written["description"] = tool.description
    if origin is _OWN:
        # Extras lie directly in the definition, so what follows its path is the field's name.
        fields = ((extra.path.partition("].")[2], extra.value) for extra in tool.extras)
        written |= {name: msgspec.Raw(value.encode()) for name, value in fields}
        if is_free_form(tool):
            return written
    else:
        for extra in tool.extras:
            losses.dropped(extra.path)
    parameters = tool.parameters
    written["parameters"] = None if parameters is None else msgspec.Raw(parameters.encode())
    strict = tool.strict
    if strict is not None or origin is not _OWN:
        # Left out, the vendor turns it on, and then refuses schemas that others take.
        written["strict"] = bool(strict)
    if strict and origin is not _OWN and parameters is not None and not fits_strict(parameters):
        losses.dropped(f"{path}.strict")
        written["strict"] = False
    return written


def _hosted(tool: ServerTool, path: str, losses: Losses) -> Any:
    if tool.dialect is _OWN:
        return msgspec.Raw(tool.value.encode())
    if tool.kind != "web_search":
        raise Unrepresentable(path, f"{tool.kind} does not exist at the model's vendor")
    losses.emulated(path)
    return {"type": "web_search"}


def _tool_names(choice: ToolChoice, tools: Sequence[Tool | ServerTool]) -> list[dict[str, str]]:
    custom, bare = free_form_names(tools), bare_names(tools)
    names: list[dict[str, str]] = []
    for name in choice.names:
        said = written_name(name)
        if bare.get(said["name"]) == name:
            # The vendor documents no namespace here, so it is said only where it must be.
            said = {"name": said["name"]}
        names.append({"type": "custom" if name in custom else "function"} | said)
    return names
