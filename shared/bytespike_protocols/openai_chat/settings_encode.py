"""The knobs of a request in this dialect, and which of them it cannot turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from bytespike_protocols.efforts import effort_of_budget
from bytespike_protocols.end_user import sendable_user
from bytespike_protocols.errors import Unrepresentable
from bytespike_protocols.ir import (
    Dialect,
    Effort,
    Json,
    JsonFormat,
    Reasoning,
    Request,
    ServerTool,
    Tool,
    ToolChoice,
)
from bytespike_protocols.openai_chat.names import NAMES
from bytespike_protocols.openai_chat.settings_decode import WEB_SEARCH
from bytespike_protocols.openai_json import fits_strict
from bytespike_protocols.openai_models import (
    SAMPLING_DEFAULTS,
    Abilities,
    of,
    takes_sampling,
    unheard_wishes,
)

__all__ = ["Flavour", "Report", "encode_settings"]

OURS = Dialect.OPENAI_CHAT
Body = dict[str, object]
#: ``report(path, emulated)``: a field that is not said, or said by other means.
Report = Callable[[str, bool], None]

_STOP_LIMIT = 4
_DEFAULT_FORMAT_NAME = "answer"
_TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast"})
#: Others' words for no priority.
_TIER_NAMES = {"standard": "default", "standard_only": "default"}


class Flavour(msgspec.Struct, frozen=True, kw_only=True):
    """Where OpenAI and the vendors compatible with it part.

    ``output_cap``: OpenAI's reasoning models refuse ``max_tokens``, most others know nothing else.
    ``user``: likewise ``user``, which OpenAI has replaced. ``thoughts``: whether thoughts of
    earlier turns may go back (DeepSeek demands it in tool loops, OpenAI knows no such field).
    """

    output_cap: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    user: Literal["safety_identifier", "user"] = "safety_identifier"
    thoughts: bool = False

    @property
    def openai(self) -> bool:
        """Whether this is OpenAI, which alone knows the knobs of its other API."""
        return self.output_cap == "max_completion_tokens"


def encode_settings(request: Request, flavour: Flavour, model: str, report: Report) -> Body:
    """Everything but model, messages and extras. Raises ``Unrepresentable``."""
    body: Body = {}
    own = request.dialect is OURS
    abilities = of(model) if flavour.openai and not own else Abilities()
    _put_stream(body, request, own=own)
    _put_tools(body, request, report)
    body[flavour.output_cap] = request.max_output_tokens
    if abilities.stops:
        _put_stop(body, request, report, own=own)
    elif request.stop_sequences:
        report("stop_sequences", False)
    _put_sampling(body, request, report, own=own, samples=takes_sampling(request, abilities))
    _put_format(body, request.output)
    _put_effort(body, request.reasoning, report, reasons=abilities.reasons)
    if not own and (request.candidates or 1) > 1:
        raise Unrepresentable("candidates", "only one answer can be had from this model")
    body["n"] = request.candidates if own else None
    body[flavour.user] = _user(request.user, report, own=own)
    _put_account(body, request, report, own=own)
    return {name: value for name, value in body.items() if value is not None}


def _put_stream(body: Body, request: Request, *, own: bool) -> None:
    if not request.stream:
        return
    body["stream"] = True
    # Without it the vendor never says what a streamed answer used.
    if request.stream_usage or not own:
        body["stream_options"] = {"include_usage": True}


def _put_sampling(
    body: Body, request: Request, report: Report, *, own: bool, samples: bool
) -> None:
    sampling = request.sampling
    for name, default in SAMPLING_DEFAULTS.items():
        value = getattr(sampling, name)
        if samples or value in (None, default):
            body[name] = value
        else:
            report(f"sampling.{name}", False)
    body["seed"] = sampling.seed
    if sampling.logit_bias is not None:
        body["logit_bias"] = msgspec.Raw(sampling.logit_bias.encode())
    for name in ("top_k", "logprobs", "top_logprobs"):
        value = getattr(sampling, name)
        if own:
            body[name] = value
        elif value:
            # No top_k here; and probabilities could not be carried back to another dialect.
            report(f"sampling.{name}", False)


def _put_stop(body: Body, request: Request, report: Report, *, own: bool) -> None:
    stops = request.stop_sequences
    if not own and len(stops) > _STOP_LIMIT:
        report("stop_sequences", False)
        stops = stops[:_STOP_LIMIT]
    body["stop"] = list(stops) or None


def _put_format(body: Body, output: JsonFormat | None) -> None:
    if output is None:
        return
    if output.schema is None:
        body["response_format"] = {"type": "json_object"}
        return
    schema: Body = {"name": NAMES.fit(output.name or _DEFAULT_FORMAT_NAME)}
    if output.description is not None:
        schema["description"] = output.description
    if output.strict is not None:
        schema["strict"] = output.strict
    schema["schema"] = msgspec.Raw(output.schema.encode())
    body["response_format"] = {"type": "json_schema", "json_schema": schema}


def _put_effort(body: Body, reasoning: Reasoning | None, report: Report, *, reasons: bool) -> None:
    if reasoning is None:
        return
    if not reasons:
        for wish in unheard_wishes(reasoning):
            report(wish, False)
        return
    if reasoning.show:
        report("reasoning.show", False)
    effort = reasoning.effort
    if reasoning.mode == "off":
        effort = Effort.NONE
    elif effort is None and reasoning.budget_tokens is not None:
        report("reasoning.budget_tokens", True)
        effort = effort_of_budget(reasoning.budget_tokens)
    elif effort is None and reasoning.mode == "adaptive" and not reasoning.show:
        # The models decide by themselves already.
        report("reasoning.mode", True)
    if effort is not None:
        body["reasoning_effort"] = effort.value


def _user(user: str | None, report: Report, *, own: bool) -> str | None:
    if user is None or own:
        return user
    if sendable_user(user) != user:
        report("user", True)
    return sendable_user(user)


def _put_account(body: Body, request: Request, report: Report, *, own: bool) -> None:
    if request.metadata and own:
        body["metadata"] = dict(request.metadata)
    elif request.metadata:
        # Refused unless the answer is stored, which we never ask for.
        report("metadata", False)
    tier = request.service_tier
    if tier is not None and not own:
        tier = _TIER_NAMES.get(tier, tier)
    if tier is None or own or tier in _TIERS:
        body["service_tier"] = tier
    else:
        report("service_tier", False)
    if request.cache is not None:
        # The vendors cache prefixes by themselves.
        report("cache", True)


def _put_tools(body: Body, request: Request, report: Report) -> None:
    own = request.dialect is OURS
    tools: list[object] = []
    for index, tool in enumerate(request.tools):
        path = f"tools[{index}]"
        if isinstance(tool, Tool):
            tools.append(_tool(tool, path, report, own=own))
        elif tool.kind == WEB_SEARCH:
            body["web_search_options"] = _search_options(tool, path, report)
        elif tool.dialect is OURS:
            tools.append(msgspec.Raw(tool.value.encode()))
        else:
            raise Unrepresentable(path, f"the {tool.kind} tool is not offered by this model")
    if tools:
        body["tools"] = tools
    if tools or own:
        # Refused without tools.
        body["tool_choice"] = _choice(request.tool_choice)
        body["parallel_tool_calls"] = request.parallel_tools


def _tool(tool: Tool, path: str, report: Report, *, own: bool) -> Body:
    function: Body = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.parameters is not None:
        function["parameters"] = msgspec.Raw(tool.parameters.encode())
    strict = tool.strict
    parameters = tool.parameters
    if strict and not own and parameters is not None and not fits_strict(parameters):
        report(f"{path}.strict", False)
        strict = False
    if strict is not None:
        function["strict"] = strict
    written: Body = {"type": "function", "function": function}
    if tool.cache is not None and own:
        written["cache_control"] = {"type": "ephemeral", "ttl": tool.cache.ttl or "5m"}
    elif tool.cache is not None:
        report(f"{path}.cache", True)
    return written


def _search_options(tool: ServerTool, path: str, report: Report) -> object:
    if tool.dialect is OURS:
        return msgspec.Raw(tool.value.encode())
    report(path, True)
    return msgspec.Raw(Json("{}").encode())


def _choice(choice: ToolChoice | None) -> object:
    if choice is None:
        return None
    tools = [{"type": "function", "function": {"name": n}} for n in choice.names]
    if choice.mode == "named":
        return tools[0]
    word = "required" if choice.mode == "any" else choice.mode
    if not tools or choice.mode == "none":
        return word
    return {"type": "allowed_tools", "allowed_tools": {"mode": word, "tools": tools}}
