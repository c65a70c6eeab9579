"""What every cell of the matrix is about, said in no dialect: a question, an answer, a failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from bytespike_contracts.money import TokenUsage

__all__ = [
    "DIALECTS",
    "FILE_NAME",
    "Ask",
    "Call",
    "Client",
    "Dialect",
    "Driver",
    "Failure",
    "Media",
    "Reply",
    "Stop",
    "ToolSpec",
    "read_usage",
]

Dialect = Literal["anthropic", "openai_chat", "openai_responses", "gemini"]
DIALECTS: tuple[Dialect, ...] = ("anthropic", "openai_chat", "openai_responses", "gemini")
#: What documents are called where they have names.
FILE_NAME = "it.pdf"
Stop = Literal["end", "stop_sequence", "max_tokens", "calls", "refusal"]


class ToolSpec(NamedTuple):
    """A function the client would run."""

    name: str
    description: str
    schema: Mapping[str, Any]


class Media(NamedTuple):
    """Something to look at, in base64."""

    mime_type: str
    data: str


@dataclass(frozen=True, kw_only=True)
class Ask:
    """The knobs of a question. ``forced``: some tool must be called."""

    model: str
    system: str = ""
    tools: tuple[ToolSpec, ...] = ()
    forced: bool = False
    thinking: bool = False
    max_tokens: int = 2048
    stops: tuple[str, ...] = ()
    schema: Mapping[str, Any] | None = None


class Call(NamedTuple):
    """A tool call. ``id`` is empty where the dialect gave none."""

    id: str
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer as the SDK's objects have it. ``stop`` is as precise as the dialect is; ``native``
    is what the client appends to its history; ``state`` is the opaque reasoning state it was given.
    """

    text: str
    stop: Stop
    usage: TokenUsage
    model: str
    headers: Mapping[str, str]
    native: list[Any]
    thoughts: str = ""
    state: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()

    @property
    def dropped(self) -> list[str]:
        """What the answer says was lost for good on the way to the vendor."""
        names = self.headers.get("x-bytespike-dropped", "").split(", ")
        return [name for name in names if name and not name.endswith("(emulated)")]


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What the SDK raised. ``status`` is the one it tells, None if it has none to tell."""

    error: Exception
    status: int | None
    headers: Mapping[str, str] = field(default_factory=dict)


class Client(NamedTuple):
    """Who asks: the key, and headers for this call alone."""

    key: str
    headers: Mapping[str, str]


class Driver(Protocol):
    """One official SDK, unmodified."""

    dialect: Dialect
    #: What the SDK raises for 4xx, for 5xx, and for an error in mid-stream.
    refused: type[Exception]
    failed: type[Exception]
    broken: type[Exception]

    def __init__(self, url: str) -> None: ...

    def user(self, text: str, *media: Media) -> list[Any]:
        """A user's turn as history items."""

    def assistant(self, text: str) -> list[Any]:
        """An assistant's turn that the client kept as text alone."""

    def results(self, calls: tuple[Call, ...], outputs: Mapping[str, str]) -> list[Any]:
        """What the tools said, by tool name."""

    async def send(
        self, ask: Ask, history: list[Any], client: Client, *, stream: bool
    ) -> Reply | Failure:
        """Ask, and read the answer to its end."""

    async def close(self) -> None:
        """Let go of connections."""


def read_usage(
    *, prompt: int, cached: int = 0, written: int = 0, output: int, reasoning: int = 0
) -> TokenUsage:
    """The ledger's disjoint buckets from counts in which the prompt is everything."""
    return TokenUsage(
        input_tokens=prompt - cached - written,
        cache_read_tokens=cached,
        cache_write_5m_tokens=written,
        output_tokens=output,
        reasoning_tokens=reasoning,
    )
