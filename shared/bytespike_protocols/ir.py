"""The canonical request and response: what is translated passes through these, and only that.

Anthropic-shaped (typed blocks, system text apart, tool calls and results as blocks), but our own:
no quirk of a wire appears here. Four codecs, each knowing one dialect and this module, replace
twelve pairwise translators. Relayed traffic never becomes one of these values.

Two rules keep loss visible. What a decoder understands of its own dialect but has no field for here
is kept as an :class:`Extra` under its JSON path: the same dialect writes it back, every other one
must report or refuse it. And JSON that is not ours to read (arguments, schemas) stays the text it
was: key order, number spelling and escapes survive.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, NewType

import msgspec

__all__ = [
    "Audio",
    "Base64",
    "Block",
    "CacheControl",
    "Content",
    "Dialect",
    "Document",
    "Effort",
    "Extra",
    "FileId",
    "Foreign",
    "Image",
    "Inline",
    "Json",
    "JsonFormat",
    "Opaque",
    "Reasoning",
    "RedactedThinking",
    "Refusal",
    "Request",
    "Response",
    "Role",
    "Sampling",
    "ServerTool",
    "Source",
    "Stop",
    "StopReason",
    "Text",
    "Thinking",
    "Tool",
    "ToolChoice",
    "ToolResult",
    "ToolUse",
    "Turn",
    "Url",
    "Usage",
    "Video",
]

#: JSON text as it was written, never re-serialised on the way.
Json = NewType("Json", str)


class Dialect(StrEnum):
    """The four text protocols; also the issuer of opaque reasoning state."""

    ANTHROPIC = "anthropic"
    OPENAI_CHAT = "openai_chat"
    OPENAI_RESPONSES = "openai_responses"
    GEMINI = "gemini"


class Extra(msgspec.Struct, frozen=True, kw_only=True):
    """Something only its own dialect can say: ``path`` from the root of the body, and its value."""

    path: str
    value: Json


class CacheControl(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt-cache breakpoint on the value that carries it."""

    ttl: Literal["5m", "1h"] | None = None


class Opaque(msgspec.Struct, frozen=True, kw_only=True):
    """Reasoning state only its issuer can read (a signature, encrypted thoughts). Never forged,
    never altered, handed back to ``issuer`` alone. ``model`` is the issuer's name for who made it.
    """

    issuer: Dialect
    payload: str
    model: str = ""


# Where media comes from.


class Base64(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes in the body; ``data`` is base64 exactly as it came."""

    media_type: str
    data: str


class Url(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes for the vendor to fetch. ``media_type`` is empty if nobody said."""

    url: str
    media_type: str = ""


class FileId(msgspec.Struct, frozen=True, kw_only=True):
    """A file the vendor keeps; meaningless to every other vendor."""

    id: str
    media_type: str = ""


class Inline(msgspec.Struct, frozen=True, kw_only=True):
    """A document given as plain text or as blocks."""

    text: str = ""
    blocks: tuple[Content, ...] = ()


Source = Base64 | Url | FileId | Inline


# Content blocks.


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """Text. ``citations`` are JSON objects in Anthropic's shape; ``opaque`` is a signature that
    Gemini puts on text parts.
    """

    text: str
    citations: tuple[Json, ...] = ()
    opaque: Opaque | None = None
    cache: CacheControl | None = None


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """A picture; ``detail`` is OpenAI's resolution hint."""

    source: Source
    detail: str | None = None
    cache: CacheControl | None = None


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A PDF or text document. ``citations`` asks for (or forbids) citing it."""

    source: Source
    title: str | None = None
    context: str | None = None
    citations: bool | None = None
    cache: CacheControl | None = None


class Audio(msgspec.Struct, frozen=True, kw_only=True):
    """Sound in."""

    source: Source


class Video(msgspec.Struct, frozen=True, kw_only=True):
    """Moving pictures in."""

    source: Source


class ToolUse(msgspec.Struct, frozen=True, kw_only=True):
    """A call the client must run. ``arguments`` is the text of a JSON object; ``opaque`` is the
    thought signature that belongs to this very call.
    """

    id: str
    name: str
    arguments: Json
    opaque: Opaque | None = None
    cache: CacheControl | None = None


class ToolResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a call gave. ``name`` is known where the dialect says it or it was looked up."""

    id: str
    content: tuple[Content, ...] = ()
    name: str | None = None
    is_error: bool = False
    cache: CacheControl | None = None


class Thinking(msgspec.Struct, frozen=True, kw_only=True):
    """Reasoning in words (or a summary of it; may be empty) with the state that proves it."""

    text: str
    opaque: Opaque | None = None


class RedactedThinking(msgspec.Struct, frozen=True, kw_only=True):
    """Reasoning that may not be shown, only handed back."""

    opaque: Opaque


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """The model's words for declining, where the dialect sets them apart from text."""

    text: str


class Foreign(msgspec.Struct, frozen=True, kw_only=True):
    """A block only its own dialect knows (server tool calls and results, new kinds), as it came.
    ``kind`` is its wire type. Only ``dialect`` can write it again.
    """

    dialect: Dialect
    kind: str
    value: Json


Content = Text | Image | Document | Audio | Video | Foreign
Block = (
    Text
    | Image
    | Document
    | Audio
    | Video
    | ToolUse
    | ToolResult
    | Thinking
    | RedactedThinking
    | Refusal
    | Foreign
)
Role = Literal["user", "assistant", "system"]


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One message. ``system`` here is an instruction in mid-conversation; leading ones are in
    :attr:`Request.system`. Tool results stand in user turns, before anything else.
    """

    role: Role
    blocks: tuple[Block, ...]
    name: str | None = None


# What the request asks for.


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A function of the client's. ``parameters`` is JSON Schema; None = takes none. ``group`` is
    the whole definition that only its dialect knows (a namespace), on the first function in it.
    """

    name: str
    description: str | None = None
    parameters: Json | None = None
    strict: bool | None = None
    cache: CacheControl | None = None
    group: Json | None = None
    extras: tuple[Extra, ...] = ()


class ServerTool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool the vendor runs. ``kind`` is ours (``web_search``) where it can be mapped, else the
    wire type; ``value`` is the whole definition as ``dialect`` wrote it.
    """

    dialect: Dialect
    kind: str
    value: Json


class ToolChoice(msgspec.Struct, frozen=True, kw_only=True):
    """``named`` needs exactly one of ``names``, ``any`` one of them (or of all, if empty)."""

    mode: Literal["auto", "any", "named", "none"]
    names: tuple[str, ...] = ()


class JsonFormat(msgspec.Struct, frozen=True, kw_only=True):
    """The answer must be JSON, by ``schema`` if there is one. ``name`` is OpenAI's label."""

    schema: Json | None = None
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class Effort(StrEnum):
    """How hard to think, in the order of cost."""

    NONE = "none"
    MINIMAL = "minimal"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    XHIGH = "xhigh"
    MAX = "max"


class Reasoning(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked about thinking. ``mode`` is how the dialect spelled it: ``budget`` by tokens,
    ``effort`` by level, ``adaptive`` left to the model, ``off``. ``show`` asks for the words.
    """

    mode: Literal["budget", "effort", "adaptive", "off"]
    budget_tokens: int | None = None
    effort: Effort | None = None
    show: bool | None = None


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """Knobs of the token lottery. None = not said."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    logit_bias: Json | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A text request. ``dialect`` is where it comes from and whose :class:`Extra` values it has.

    ``parallel_tools`` False allows at most one call in the answer. ``stream_usage`` is whether the
    client wants usage in its stream (None = its dialect always sends it).
    """

    dialect: Dialect
    model: str
    turns: tuple[Turn, ...]
    system: tuple[Text, ...] = ()
    tools: tuple[Tool | ServerTool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tools: bool | None = None
    max_output_tokens: int | None = None
    stop_sequences: tuple[str, ...] = ()
    sampling: Sampling = Sampling()
    output: JsonFormat | None = None
    reasoning: Reasoning | None = None
    candidates: int | None = None
    cache: CacheControl | None = None
    user: str | None = None
    metadata: tuple[tuple[str, str], ...] = ()
    service_tier: str | None = None
    stream: bool = False
    stream_usage: bool | None = None
    extras: tuple[Extra, ...] = ()


# The answer.


class StopReason(StrEnum):
    """Why the model stopped (closed; a dialect's unknown reason is OTHER with its own word)."""

    END = "end"
    STOP_SEQUENCE = "stop_sequence"
    TOOL_USE = "tool_use"
    MAX_TOKENS = "max_tokens"
    CONTEXT_FULL = "context_full"
    REFUSED = "refused"
    PAUSED = "paused"
    BROKEN_CALL = "broken_call"
    OTHER = "other"


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """``sequence`` is the stop sequence that matched, ``word`` the vendor's own spelling,
    ``detail`` its explanation for people.
    """

    reason: StopReason
    sequence: str | None = None
    word: str | None = None
    detail: str | None = None


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens in disjoint buckets: ``input_tokens`` excludes everything cached, ``output_tokens``
    includes ``reasoning_tokens``.
    """

    input_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    cache_read_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    web_searches: int = 0

    @property
    def prompt_tokens(self) -> int:
        """All input, cached or not: what OpenAI and Google call the prompt."""
        return (
            self.input_tokens
            + self.cache_write_5m_tokens
            + self.cache_write_1h_tokens
            + self.cache_read_tokens
        )


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer. ``usage`` None = the vendor did not say."""

    id: str
    model: str
    blocks: tuple[Block, ...]
    stop: Stop
    usage: Usage | None = None
    created_s: int | None = None
    extras: tuple[Extra, ...] = ()
