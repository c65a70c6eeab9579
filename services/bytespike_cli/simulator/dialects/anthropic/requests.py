"""Reading a Messages request the way the vendor does: same fields, same refusals, own words.

Pure. Whatever the vendor answers with a 4xx raises :class:`VendorError`; its message begins with
the path of the offending field, dotted (``messages.0.content``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from bytespike_cli.simulator.hosts import is_of_compatible_host
from bytespike_cli.simulator.reply import VendorError

__all__ = [
    "Block",
    "CountRequest",
    "Message",
    "MessagesRequest",
    "Tool",
    "ToolChoice",
    "invalid",
    "read_count_request",
    "read_messages_request",
]

Json = dict[str, Any]
NonNegative = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]

#: Limits of the vendor that clients meet.
MAX_CACHE_BREAKPOINTS = 4
MIN_THINKING_BUDGET = 1024

#: Fields a content block cannot do without, by its type. Other types are taken as they are.
_REQUIRED: dict[str, tuple[str, ...]] = {
    "text": ("text",),
    "image": ("source",),
    "document": ("source",),
    "thinking": ("thinking", "signature"),
    "redacted_thinking": ("data",),
    "tool_use": ("id", "name", "input"),
    "server_tool_use": ("id", "name", "input"),
    "tool_result": ("tool_use_id",),
    "web_search_tool_result": ("tool_use_id", "content"),
}
_TOOL_ID = re.compile(r"[a-zA-Z0-9_-]+")


class CacheControl(msgspec.Struct, frozen=True):
    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] = "5m"


class Block(msgspec.Struct, frozen=True):
    """One content block; only what the simulator looks at is typed."""

    type: str
    text: str | None = None
    id: str | None = None
    name: str | None = None
    input: Json | None = None
    tool_use_id: str | None = None
    content: Any = None
    source: Json | None = None
    title: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    cache_control: CacheControl | None = None
    citations: Any = None


class Message(msgspec.Struct, frozen=True):
    role: Literal["user", "assistant", "system"]
    content: str | list[Block]

    def blocks(self) -> list[Block]:
        """The content as blocks, a plain string being one text block."""
        if isinstance(self.content, str):
            return [Block(type="text", text=self.content)]
        return self.content


class Tool(msgspec.Struct, frozen=True):
    name: Annotated[str, msgspec.Meta(pattern=r"^[a-zA-Z0-9_-]{1,128}$")] = ""
    type: str = "custom"
    input_schema: Json | None = None
    cache_control: CacheControl | None = None


class ToolChoice(msgspec.Struct, frozen=True):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool = False


class Thinking(msgspec.Struct, frozen=True):
    type: Literal["adaptive", "enabled", "disabled", "between_tools"]
    budget_tokens: Annotated[int, msgspec.Meta(ge=MIN_THINKING_BUDGET)] | None = None
    display: Literal["summarized", "omitted"] | None = None


class CountRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The part of a Messages request that token counting takes too. Fields the simulator does not
    act on are accepted as they are.
    """

    model: Annotated[str, msgspec.Meta(min_length=1)]
    messages: Annotated[list[Message], msgspec.Meta(min_length=1)]
    system: str | list[Block] = ""
    tools: list[Tool] = []
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    cache_control: CacheControl | None = None
    output_config: Any = None
    context_management: Any = None
    mcp_servers: Any = None
    speed: Any = None


class MessagesRequest(CountRequest, kw_only=True, forbid_unknown_fields=True):
    """A Messages request that the vendor would take."""

    max_tokens: Positive
    stream: bool = False
    temperature: Share | None = None
    top_p: Share | None = None
    top_k: NonNegative | None = None
    stop_sequences: list[str] = []
    metadata: Any = None
    service_tier: Literal["auto", "standard_only"] | None = None
    container: Any = None
    diagnostics: Any = None
    inference_geo: str | None = None
    prefill: Any = None

    def thinks(self) -> bool:
        """Whether the answer begins with a thinking block."""
        return self.thinking is not None and self.thinking.type in {"enabled", "adaptive"}


RequestT = TypeVar("RequestT", bound=CountRequest)

_messages_decoder = msgspec.json.Decoder(MessagesRequest)
_count_decoder = msgspec.json.Decoder(CountRequest)


def read_messages_request(body: bytes, version: str) -> MessagesRequest:
    """Decode and check a body for ``/v1/messages``. Raises :class:`VendorError`."""
    request = _decode(_messages_decoder, body)
    _check_shared(request)
    _check_sampling(request, version)
    _check_thinking(request)
    return request


def read_count_request(body: bytes) -> CountRequest:
    """Decode and check a body for ``/v1/messages/count_tokens``. Raises :class:`VendorError`."""
    request = _decode(_count_decoder, body)
    _check_shared(request)
    return request


def invalid(message: str) -> VendorError:
    """The vendor's 400."""
    return VendorError(400, "invalid_request_error", message)


def _decode(decoder: msgspec.json.Decoder[RequestT], body: bytes) -> RequestT:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise invalid(_in_vendor_style(str(error))) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid(f"The request body is not valid JSON: {error}") from error


_AT = re.compile(r" - at `\$\.?(?P<path>.*)`$")
_MISSING = re.compile(r"Object missing required field `(?P<field>.*)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<field>.*)`")


def _in_vendor_style(message: str) -> str:
    """``Object missing required field `role` - at `$.messages[0]``` -> ``messages.0.role: Field
    required``.
    """
    found = _AT.search(message)
    path = re.sub(r"\[(\d+|\.\.\.)\]", r".\1", found["path"]).strip(".") if found else ""
    reason = _AT.sub("", message)
    for pattern, words in (
        (_MISSING, "Field required"),
        (_UNKNOWN, "Extra inputs are not permitted"),
    ):
        if match := pattern.match(reason):
            path, reason = f"{path}.{match['field']}".strip("."), words
    return f"{path or 'body'}: {reason}"


def _check_shared(request: CountRequest) -> None:
    known = request.model.startswith(("claude-", "sim-")) or is_of_compatible_host(request.model)
    if not known or "nonexistent" in request.model:
        raise VendorError(404, "not_found_error", f"model: {request.model}")
    for at, message in enumerate(request.messages):
        if message.content in ("", []) and at < len(request.messages) - 1:
            raise invalid(
                f"messages.{at}.content: must not be empty except in a last assistant turn"
            )
    for path, block in _all_blocks(request):
        _check_block(path, block)
    _check_tool_results(request.messages)
    _check_tools(request)
    marked = sum(block.cache_control is not None for _, block in _all_blocks(request))
    marked += sum(tool.cache_control is not None for tool in request.tools)
    if marked > MAX_CACHE_BREAKPOINTS:
        raise invalid(
            f"A maximum of {MAX_CACHE_BREAKPOINTS} blocks with cache_control may be provided."
            f" Found {marked}."
        )


def _all_blocks(request: CountRequest) -> Iterator[tuple[str, Block]]:
    if not isinstance(request.system, str):
        for at, block in enumerate(request.system):
            yield f"system.{at}", block
    for number, message in enumerate(request.messages):
        if not isinstance(message.content, str):
            for at, block in enumerate(message.content):
                yield f"messages.{number}.content.{at}", block


def _check_block(path: str, block: Block) -> None:
    for field in _REQUIRED.get(block.type, ()):
        if getattr(block, field) is None:
            raise invalid(f"{path}.{block.type}.{field}: Field required")
    if block.type == "text" and not (block.text or "").strip():
        raise invalid(f"{path}: text content blocks must contain non-whitespace text")
    if block.type == "tool_use" and not _TOOL_ID.fullmatch(block.id or ""):
        raise invalid(f"{path}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'")


def _check_tool_results(messages: list[Message]) -> None:
    """Every call is answered in the very next message, and nothing else is."""
    called: set[str] = set()
    for at, message in enumerate(messages):
        answered = {
            block.tool_use_id or "" for block in message.blocks() if block.type == "tool_result"
        }
        if stray := sorted(answered - called):
            raise invalid(f"messages.{at}: tool_result without a tool_use before it: {stray[0]}")
        if missing := sorted(called - answered):
            raise invalid(f"messages.{at}: tool_use without a tool_result after it: {missing[0]}")
        called = {block.id or "" for block in message.blocks() if block.type == "tool_use"}


def _check_tools(request: CountRequest) -> None:
    for at, tool in enumerate(request.tools):
        if tool.type != "custom":
            continue
        if tool.input_schema is None:
            raise invalid(f"tools.{at}.custom.input_schema: Field required")
        if "type" not in tool.input_schema:
            raise invalid(f"tools.{at}.custom.input_schema.type: Field required")
        if tool.input_schema["type"] != "object":
            raise invalid(f"tools.{at}.custom.input_schema.type: Input should be 'object'")
    choice = request.tool_choice
    if choice is None or choice.type == "none":
        return
    if not request.tools:
        raise invalid("tool_choice: may only be given together with tools")
    if choice.type == "tool" and choice.name not in {tool.name for tool in request.tools}:
        raise invalid(f"tool_choice.name: no tool is called {choice.name!r}")


def _check_sampling(request: MessagesRequest, version: str) -> None:
    if version == "2023-06-01":
        return
    for field in ("temperature", "top_p", "top_k"):
        if getattr(request, field) is not None:
            raise invalid(f"{field}: Extra inputs are not permitted")


def _check_thinking(request: MessagesRequest) -> None:
    thinking = request.thinking
    if thinking is None or thinking.type != "enabled":
        return
    if thinking.budget_tokens is None:
        raise invalid("thinking.enabled.budget_tokens: Field required")
    if request.max_tokens <= thinking.budget_tokens:
        raise invalid("max_tokens: must be greater than thinking.budget_tokens")
    if request.tool_choice is not None and request.tool_choice.type in {"any", "tool"}:
        raise invalid("tool_choice: thinking may not be enabled when tool use is forced")
