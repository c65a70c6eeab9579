"""Where a value of the canonical request stands in the client's own body.

Encoders know the canonical form alone, so that is how they name what they lose or refuse. Before
anybody sees such a name it becomes a path of the client's dialect here. Losses are told without
places in arrays (``messages[].content[].cache_control``): what matters is the field, and a header
that lists it once for each of three hundred messages helps nobody. A refusal keeps the places that
are certain.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Concatenate, Literal, ParamSpec

import msgspec

from bytespike_protocols.codec import Encoded, Loss
from bytespike_protocols.errors import BadClientMessage
from bytespike_protocols.ir import (
    Base64,
    Block,
    Dialect,
    Document,
    Extra,
    FileId,
    Foreign,
    Inline,
    Request,
    ServerTool,
    Thinking,
    Tool,
    ToolResult,
)
from bytespike_protocols.leftovers import is_emulated, is_idle, placeless, refuse_essential
from bytespike_protocols.renaming import SEPARATOR

__all__ = ["client_path", "in_the_clients_words"]

P = ParamSpec("P")

_STEP = re.compile(r"\.?([a-z_]+)|\[(\d+)\]")


class _Names(msgspec.Struct, frozen=True, kw_only=True):
    """One dialect. ``settings``: canonical name to path. ``tool``: where a function is defined,
    and what its fields are called there. ``system``: a leading instruction. ``turn``: a message.
    ``blocks``: the path of a kind of block, as far as it is not ``part``; ``fields``: what follows
    it, by kind and field. ``nested``: content of a tool result, after the result's path.
    """

    settings: Mapping[str, str]
    tool: str
    tool_fields: Mapping[str, str]
    system: str
    turn: str
    part: str
    nested: str
    blocks: Mapping[str, str] = {}
    fields: Mapping[str, str]
    indexed_turns: bool = False


_ANTHROPIC = _Names(
    settings={
        "turns": "messages",
        "parallel_tools": "tool_choice.disable_parallel_tool_use",
        "tool_choice.names": "tool_choice.name",
        "max_output_tokens": "max_tokens",
        "sampling": "",
        "output": "output_config.format",
        "output.schema": "output_config.format.schema",
        "reasoning": "thinking",
        "reasoning.mode": "thinking.type",
        "reasoning.effort": "output_config.effort",
        "reasoning.budget_tokens": "thinking.budget_tokens",
        "reasoning.show": "thinking.display",
        "cache": "cache_control",
        "user": "metadata.user_id",
    },
    tool="tools[]",
    tool_fields={"parameters": "input_schema", "cache": "cache_control"},
    system="system[]",
    turn="messages[]",
    part="messages[].content[]",
    nested="content[]",
    fields={
        "cache": "cache_control",
        "opaque": "signature",
        "Thinking": "thinking",
        "RedactedThinking": "data",
        "ToolUse.arguments": "input",
        "ToolResult.id": "tool_use_id",
    },
    indexed_turns=True,
)
_OPENAI_CHAT = _Names(
    settings={
        "turns": "messages",
        "system": "messages",
        "parallel_tools": "parallel_tool_calls",
        "tool_choice.names": "tool_choice.allowed_tools.tools",
        "max_output_tokens": "max_completion_tokens",
        "stop_sequences": "stop",
        "sampling": "",
        "output": "response_format",
        "output.schema": "response_format.json_schema.schema",
        "output.name": "response_format.json_schema.name",
        "output.description": "response_format.json_schema.description",
        "output.strict": "response_format.json_schema.strict",
        "reasoning": "reasoning_effort",
        "reasoning.mode": "reasoning_effort",
        "reasoning.effort": "reasoning_effort",
        "reasoning.budget_tokens": "reasoning_effort",
        "reasoning.show": "reasoning_effort",
        "candidates": "n",
        "user": "safety_identifier",
    },
    tool="tools[]",
    tool_fields={
        "name": "function.name",
        "description": "function.description",
        "parameters": "function.parameters",
        "strict": "function.strict",
        "cache": "cache_control",
    },
    system="messages[].content[]",
    turn="messages[]",
    part="messages[].content[]",
    nested="",
    blocks={
        "ToolUse": "messages[].tool_calls[]",
        "ToolResult": "messages[]",
        "Thinking": "messages[].reasoning_content",
        "Thinking.signed": "messages[].reasoning_details[]",
        "RedactedThinking": "messages[].reasoning_details[]",
        "Refusal": "messages[].refusal",
        "Foreign.custom": "messages[].tool_calls[]",
    },
    fields={
        "cache": "cache_control",
        "ToolUse.arguments": "function.arguments",
        "ToolUse.name": "function.name",
        "ToolUse.opaque": "extra_content.google.thought_signature",
        "ToolResult.id": "tool_call_id",
        "ToolResult.content": "content",
        "Image.detail": "image_url.detail",
        "Image.source": "image_url.url",
        "Document.source": "file.file_data",
        "Document.source.kept": "file.file_id",
        "Document.title": "file.filename",
        "Audio": "input_audio",
        "Audio.source": "input_audio",
    },
)
_OPENAI_RESPONSES = _Names(
    settings={
        "turns": "input",
        "system": "instructions",
        "parallel_tools": "parallel_tool_calls",
        "tool_choice.names": "tool_choice.tools",
        "sampling": "",
        "sampling.logprobs": "include",
        "output": "text.format",
        "reasoning.mode": "reasoning.effort",
        "reasoning.budget_tokens": "reasoning.effort",
        "reasoning.show": "reasoning.summary",
        "user": "safety_identifier",
    },
    tool="tools[]",
    tool_fields={},
    system="instructions",
    turn="input[]",
    part="input[].content[]",
    nested="output[]",
    blocks={
        "ToolUse": "input[]",
        "ToolResult": "input[]",
        "Thinking": "input[]",
        "RedactedThinking": "input[]",
        "Foreign.item": "input[]",
    },
    fields={
        "opaque": "encrypted_content",
        "Thinking": "summary",
        "Thinking.signed": "encrypted_content",
        "RedactedThinking": "encrypted_content",
        "ToolUse.id": "call_id",
        "ToolResult.id": "call_id",
        "ToolResult.content": "output",
        "Image.source": "image_url",
        "Image.source.kept": "file_id",
        "Document.source": "file_data",
        "Document.source.kept": "file_id",
        "Document.source.url": "file_url",
        "Document.title": "filename",
        "Audio": "input_audio",
        "Audio.source": "input_audio",
    },
)
_GEMINI = _Names(
    settings={
        "turns": "contents",
        "system": "systemInstruction",
        "tool_choice": "toolConfig.functionCallingConfig",
        "tool_choice.names": "toolConfig.functionCallingConfig.allowedFunctionNames",
        "max_output_tokens": "generationConfig.maxOutputTokens",
        "stop_sequences": "generationConfig.stopSequences",
        "sampling.temperature": "generationConfig.temperature",
        "sampling.top_p": "generationConfig.topP",
        "sampling.top_k": "generationConfig.topK",
        "sampling.seed": "generationConfig.seed",
        "sampling.presence_penalty": "generationConfig.presencePenalty",
        "sampling.frequency_penalty": "generationConfig.frequencyPenalty",
        "sampling.logprobs": "generationConfig.responseLogprobs",
        "sampling.top_logprobs": "generationConfig.logprobs",
        "output": "generationConfig.responseMimeType",
        "output.schema": "generationConfig.responseJsonSchema",
        "reasoning": "generationConfig.thinkingConfig",
        "reasoning.mode": "generationConfig.thinkingConfig.thinkingBudget",
        "reasoning.effort": "generationConfig.thinkingConfig.thinkingLevel",
        "reasoning.budget_tokens": "generationConfig.thinkingConfig.thinkingBudget",
        "reasoning.show": "generationConfig.thinkingConfig.includeThoughts",
        "candidates": "generationConfig.candidateCount",
        "metadata": "labels",
        "service_tier": "serviceTier",
    },
    tool="tools[].functionDeclarations[]",
    tool_fields={"parameters": "parametersJsonSchema"},
    system="systemInstruction.parts[]",
    turn="contents[]",
    part="contents[].parts[]",
    nested="parts[]",
    fields={
        "opaque": "thoughtSignature",
        "Thinking": "thought",
        "RedactedThinking": "thoughtSignature",
        "ToolUse": "functionCall",
        "ToolUse.name": "functionCall.name",
        "ToolUse.arguments": "functionCall.args",
        "ToolUse.id": "functionCall.id",
        "ToolResult": "functionResponse",
        "ToolResult.id": "functionResponse.id",
        "ToolResult.content": "functionResponse.parts",
        "ToolResult.is_error": "functionResponse.response",
        "Image": "inlineData",
        "Document": "inlineData",
        "Audio": "inlineData",
        "Video": "inlineData",
        "source": "inlineData",
        "source.kept": "fileData",
        "source.url": "fileData",
    },
    indexed_turns=True,
)
_NAMES = {
    Dialect.ANTHROPIC: _ANTHROPIC,
    Dialect.OPENAI_CHAT: _OPENAI_CHAT,
    Dialect.OPENAI_RESPONSES: _OPENAI_RESPONSES,
    Dialect.GEMINI: _GEMINI,
}


def client_path(request: Request, path: str) -> str:
    """The client's path of what encoders call ``path``; extras are the client's already."""
    if any(path == extra.path for extra in _extras(request)):
        return path
    return _told_path(request, path)


def _told_path(request: Request, path: str) -> str:
    names = _NAMES[request.dialect]
    root, _, rest = path.partition("[")
    index, _, field = rest.partition("]")
    if root == "turns" and index:
        return _in_turn(request, names, int(index), field.removeprefix("."))
    if root == "system" and index:
        return ".".join(filter(None, (names.system, names.fields.get(field[1:], field[1:]))))
    if root == "tools" and index:
        return _in_tool(request, names, int(index), field.removeprefix("."))
    return _setting(names, path)


def _extras(request: Request) -> Iterator[Extra]:
    yield from request.extras
    for tool in request.tools:
        if isinstance(tool, Tool):
            yield from tool.extras


def _setting(names: _Names, path: str) -> str:
    """By the longest known beginning: what follows it (a keyword of a schema) stays."""
    known, rest = path, ""
    while known not in names.settings:
        cut = max(known.rfind("."), known.rfind("["))
        if cut < 0:
            return path
        known, rest = known[:cut], known[cut:] + rest
    start = names.settings[known]
    return start + rest if start else rest.removeprefix(".")


def _in_tool(request: Request, names: _Names, index: int, field: str) -> str:
    tool = request.tools[index]
    if isinstance(tool, ServerTool):
        return _server_tool(request, tool, index)
    name, dot, keyword = field.partition(".")
    if not name:
        return names.tool
    place = names.tool if names.tool.count("[") > 1 else _tool_place(request, index)
    return f"{place}.{names.tool_fields.get(name, name)}{dot}{keyword}"


def _tool_place(request: Request, index: int) -> str:
    """Where tools stand in a list of their own or, some of them, in namespaces in that list."""
    names = [tool.name if isinstance(tool, Tool) else "" for tool in request.tools]
    if SEPARATOR in names[index]:
        return "tools[].tools[]"
    return "tools[]" if any(SEPARATOR in name for name in names) else f"tools[{index}]"


def _server_tool(request: Request, tool: ServerTool, index: int) -> str:
    dialect = request.dialect
    if dialect is Dialect.GEMINI:
        # Its definition is an object of one field, whose name is the tool.
        return f"tools[].{next(iter(msgspec.json.decode(tool.value, type=dict[str, object])))}"
    if dialect is Dialect.OPENAI_CHAT and tool.kind == "web_search":
        return "web_search_options"
    return _tool_place(request, index)


def _in_turn(request: Request, names: _Names, index: int, field: str) -> str:
    steps = [match[1] or int(match[2]) for match in _STEP.finditer(field)]
    if steps[:1] != ["blocks"]:
        path = f"{names.turn}.{field}" if field else names.turn
    else:
        blocks: tuple[Block, ...] = request.turns[index].blocks
        path = _in_block(names, blocks, steps[1:], names.part)
    if names.indexed_turns:
        return path.replace("[]", f"[{index}]", 1)
    return path


def _in_block(names: _Names, blocks: tuple[Block, ...], steps: list[str | int], part: str) -> str:
    block, rest = blocks[int(steps[0])], steps[1:]
    inner: tuple[Block, ...] = ()
    if isinstance(block, ToolResult) and rest[:1] == ["content"] and len(rest) > 1:
        inner, rest = block.content, rest[1:]
        result = names.blocks.get("ToolResult", names.part)
        result = ".".join(filter(None, (result, names.fields.get("ToolResult", ""))))
        part = f"{result}.{names.nested}" if names.nested else names.part
    elif isinstance(block, Document) and isinstance(block.source, Inline) and len(rest) > 2:
        inner, rest = block.source.blocks, rest[2:]
        part = f"{part}.source.content[]"
    if inner:
        return _in_block(names, inner, rest, part)
    kinds = _kinds(block)
    base = next((names.blocks[kind] for kind in kinds if kind in names.blocks), part)
    field = ".".join(str(step) for step in rest)
    name = _field_name(names, block, kinds, field)
    return f"{base}.{name}" if name else base


def _field_name(names: _Names, block: Block, kinds: list[str], field: str) -> str:
    if isinstance(block, Foreign) and block.dialect is Dialect.GEMINI:
        return block.kind
    if not field:
        return next((names.fields[kind] for kind in kinds if kind in names.fields), "")
    candidates = [field]
    if field == "source" or field.startswith("source."):
        candidates = [f"source{_origin(block)}", "source"]
    for name in candidates:
        for key in (f"{type(block).__name__}.{name}", name):
            if key in names.fields:
                return names.fields[key]
    return field


def _origin(block: Block) -> str:
    source = getattr(block, "source", None)
    if isinstance(source, FileId):
        return ".kept"
    return "" if source is None or isinstance(source, Base64 | Inline) else ".url"


def _kinds(block: Block) -> list[str]:
    """The kind of a block, the more special name first."""
    kind = type(block).__name__
    match block:
        case Thinking() if block.opaque is not None:
            return [f"{kind}.signed", kind]
        case Foreign() if block.kind == "custom":
            return [f"{kind}.custom", kind]
        case Foreign() if not block.kind.startswith(("input_", "output_")):
            return [f"{kind}.item", kind]
    return [kind]


def in_the_clients_words(
    target: Dialect,
) -> Callable[
    [Callable[Concatenate[Request, P], Encoded]], Callable[Concatenate[Request, P], Encoded]
]:
    """Makes an encoder of requests into ``target`` name what it loses and refuses as the client
    does, and weigh what only the client's dialect can say.
    """

    def decorate(
        encode: Callable[Concatenate[Request, P], Encoded],
    ) -> Callable[Concatenate[Request, P], Encoded]:
        @functools.wraps(encode)
        def told(request: Request, /, *args: P.args, **kwargs: P.kwargs) -> Encoded:
            extras = {extra.path: extra for extra in _extras(request)}
            if request.dialect is not target:
                refuse_essential(request.dialect, extras.values())
            try:
                encoded = encode(request, *args, **kwargs)
            except BadClientMessage as refused:
                path = client_path(request, refused.path)
                raise type(refused)(path, refused.message) from None
            losses = _told(request, encoded.losses, extras)
            return msgspec.structs.replace(encoded, losses=losses)

        return told

    return decorate


def _told(
    request: Request, losses: tuple[Loss, ...], extras: Mapping[str, Extra]
) -> tuple[Loss, ...]:
    """Each path once; what was both dropped and emulated counts as dropped."""
    verdicts: dict[str, Literal["dropped", "emulated"]] = {}
    for loss in losses:
        # Both may be as many as the body has room for: no search through one for each of the other.
        extra, verdict = extras.get(loss.path), loss.verdict
        path = placeless(loss.path if extra is not None else _told_path(request, loss.path))
        if extra is not None and is_idle(request.dialect, extra):
            continue
        if extra is not None and is_emulated(request.dialect, extra):
            verdict = "emulated"
        if verdicts.setdefault(path, verdict) != verdict:
            verdicts[path] = "dropped"
    return tuple(Loss(path, verdict) for path, verdict in verdicts.items())
