"""Tools whose names a vendor would refuse: renamed on the way to it, called by their own names on
the way back.

The names change in the canonical request, before it is encoded, so no encoder has to think of them;
:class:`codec.Encoded` has the table for the answer. A name is rewritten the same way in every
request (prompt caches compare bytes), and no two names ever become one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator
from typing import Final

import msgspec
from msgspec.structs import replace

from bytespike_protocols.codec import StreamDecoder
from bytespike_protocols.events import Event, Opened
from bytespike_protocols.ir import (
    Block,
    Dialect,
    Request,
    Response,
    Tool,
    ToolResult,
    ToolUse,
    Turn,
)
from bytespike_protocols.sse import Frame

__all__ = ["SEPARATOR", "NameRule", "Renamed", "rename_tools", "restored", "restoring"]

#: (The name the vendor sees and answers with, the client's.)
Renamed = tuple[tuple[str, str], ...]

#: Between a namespace and a name in it, in dialects that have them. No vendor takes it in a name.
SEPARATOR: Final = "\x1f"
#: What it becomes where that is still nobody else's name.
_JOINT: Final = "__"
_REFUSED_BY_ANY = re.compile(r"[^A-Za-z0-9_-]")
_DIGEST_CHARS = 10


class NameRule(msgspec.Struct, frozen=True):
    """What vendors of ``dialect`` take for a tool's name. ``pattern`` is of a whole name."""

    dialect: Dialect
    pattern: re.Pattern[str]
    limit_chars: int

    def takes(self, name: str) -> bool:
        """Whether the name may stay as it is."""
        return len(name) <= self.limit_chars and self.pattern.fullmatch(name) is not None

    def fit(self, name: str) -> str:
        """The name, rewritten if it has to be."""
        return name if self.takes(name) else self.rewrite(name)

    def rewrite(self, name: str) -> str:
        """Allowed characters, and a digest that tells it from other names that look alike then."""
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_CHARS]
        # The first underscore is for vendors that want no digit at the beginning.
        stem = _REFUSED_BY_ANY.sub("_", name)[: self.limit_chars - _DIGEST_CHARS - 2]
        rewritten = f"{stem}_{digest}"
        return rewritten if self.takes(rewritten) else f"_{rewritten}"


def rename_tools(request: Request, rule: NameRule) -> tuple[Request, Renamed]:
    """The request in names that ``rule`` takes, and what was renamed; the very same request if
    there was nothing to do. What the client said in the vendor's own dialect stays as it is.
    """
    if request.dialect is rule.dialect:
        return request, ()
    names = dict.fromkeys(_names(request))
    table: dict[str, str] = {}
    taken = {name for name in names if rule.takes(name)}
    for name in names:
        if name in taken:
            continue
        safe = _safe(name, rule, taken)
        taken.add(safe)
        table[name] = safe
    if not table:
        return request, ()
    choice = request.tool_choice
    if choice is not None:
        choice = replace(choice, names=tuple(table.get(name, name) for name in choice.names))
    renamed = replace(
        request,
        tools=tuple(
            replace(tool, name=table.get(tool.name, tool.name)) if isinstance(tool, Tool) else tool
            for tool in request.tools
        ),
        tool_choice=choice,
        turns=tuple(_rename_turn(turn, table) for turn in request.turns),
    )
    return renamed, tuple((safe, name) for name, safe in table.items())


def _safe(name: str, rule: NameRule, taken: Collection[str]) -> str:
    joined = name.replace(SEPARATOR, _JOINT)
    if joined not in taken and rule.takes(joined):
        return joined
    safe = rule.rewrite(name)
    while safe in taken:
        safe = rule.rewrite(safe)
    return safe


def restored(response: Response, renamed: Renamed) -> Response:
    """The answer in the client's names."""
    if not renamed:
        return response
    names = dict(renamed)
    return replace(response, blocks=tuple(_rename_block(block, names) for block in response.blocks))


def restoring(decoder: StreamDecoder, renamed: Renamed) -> StreamDecoder:
    """A decoder whose events have the client's names."""
    return _Restoring(decoder, dict(renamed)) if renamed else decoder


class _Restoring:
    __slots__ = ("_decoder", "_names")

    def __init__(self, decoder: StreamDecoder, names: dict[str, str]) -> None:
        self._decoder = decoder
        self._names = names

    def feed(self, frame: Frame) -> list[Event]:
        return self._restored(self._decoder.feed(frame))

    def close(self) -> list[Event]:
        return self._restored(self._decoder.close())

    def _restored(self, events: Iterable[Event]) -> list[Event]:
        return [
            replace(event, block=_rename_block(event.block, self._names))
            if isinstance(event, Opened) and isinstance(event.block, ToolUse)
            else event
            for event in events
        ]


def _names(request: Request) -> Iterator[str]:
    for tool in request.tools:
        if isinstance(tool, Tool):
            yield tool.name
    if request.tool_choice is not None:
        yield from request.tool_choice.names
    for turn in request.turns:
        for block in turn.blocks:
            if isinstance(block, ToolUse) or (isinstance(block, ToolResult) and block.name):
                yield block.name or ""


def _rename_turn(turn: Turn, table: dict[str, str]) -> Turn:
    return replace(turn, blocks=tuple(_rename_block(block, table) for block in turn.blocks))


def _rename_block(block: Block, table: dict[str, str]) -> Block:
    if isinstance(block, ToolUse | ToolResult) and block.name in table:
        return replace(block, name=table[block.name])
    return block
