"""A streamed answer as events on indexed blocks, and the grammar they must follow.

``Started``, then blocks one after another (``Opened``, its deltas, ``Closed``; indexes count from 0
without gaps), then ``Ended``. ``Failed`` may come instead of anything and ends the stream. The
grammar is one table, and :class:`StreamGuard` holds both sides to it: a decoder that breaks it has
met a vendor that did (:class:`BadUpstreamMessage`); an encoder that is fed a broken sequence has
met a bug of ours (``AssertionError``).
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Literal

import msgspec

from bytespike_protocols.errors import BadUpstreamMessage
from bytespike_protocols.failures import Kind
from bytespike_protocols.ir import (
    Foreign,
    Json,
    Opaque,
    RedactedThinking,
    Refusal,
    Stop,
    Text,
    Thinking,
    ToolUse,
    Usage,
)

__all__ = [
    "ArgumentsDelta",
    "CitationDelta",
    "Closed",
    "Ended",
    "Event",
    "Failed",
    "Opened",
    "SignatureDelta",
    "Started",
    "StreamGuard",
    "TextDelta",
]


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """The vendor has begun an answer. ``usage`` holds what is known of the input already."""

    id: str
    model: str
    usage: Usage | None = None
    created_s: int | None = None


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A block begins. ``block`` has its identity (a call's id and name) and no content yet, except
    for blocks that arrive whole (redacted thinking, foreign ones).
    """

    index: int
    block: Text | Thinking | RedactedThinking | ToolUse | Refusal | Foreign


class TextDelta(msgspec.Struct, frozen=True, kw_only=True):
    """More words of a text, thinking or refusal block."""

    index: int
    text: str


class ArgumentsDelta(msgspec.Struct, frozen=True, kw_only=True):
    """More JSON text of a tool call's arguments."""

    index: int
    json: Json


class CitationDelta(msgspec.Struct, frozen=True, kw_only=True):
    """A citation of the text block."""

    index: int
    citation: Json


class SignatureDelta(msgspec.Struct, frozen=True, kw_only=True):
    """The opaque state of a thinking, text or tool block; at most once per block."""

    index: int
    opaque: Opaque


class Closed(msgspec.Struct, frozen=True, kw_only=True):
    """A block is complete."""

    index: int


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """The answer is complete. ``usage`` is final; None = the vendor did not say."""

    stop: Stop
    usage: Usage | None = None


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """The vendor gave up in mid-stream. ``kind`` is ours; ``message`` is the vendor's."""

    kind: Kind
    message: str


Event = (
    Started
    | Opened
    | TextDelta
    | ArgumentsDelta
    | CitationDelta
    | SignatureDelta
    | Closed
    | Ended
    | Failed
)


class _State(Enum):
    IDLE = auto()
    BETWEEN = auto()
    IN_BLOCK = auto()
    OVER = auto()


#: (state, event) -> next state. What is not here is a violation.
_GRAMMAR: dict[tuple[_State, type], _State] = {
    (_State.IDLE, Started): _State.BETWEEN,
    (_State.BETWEEN, Opened): _State.IN_BLOCK,
    (_State.IN_BLOCK, TextDelta): _State.IN_BLOCK,
    (_State.IN_BLOCK, ArgumentsDelta): _State.IN_BLOCK,
    (_State.IN_BLOCK, CitationDelta): _State.IN_BLOCK,
    (_State.IN_BLOCK, SignatureDelta): _State.IN_BLOCK,
    (_State.IN_BLOCK, Closed): _State.BETWEEN,
    (_State.BETWEEN, Ended): _State.OVER,
    (_State.IDLE, Failed): _State.OVER,
    (_State.BETWEEN, Failed): _State.OVER,
    (_State.IN_BLOCK, Failed): _State.OVER,
}

#: Which deltas each kind of block takes.
_TAKES: dict[type, tuple[type, ...]] = {
    Text: (TextDelta, CitationDelta, SignatureDelta),
    Thinking: (TextDelta, SignatureDelta),
    Refusal: (TextDelta,),
    ToolUse: (ArgumentsDelta, SignatureDelta),
    RedactedThinking: (),
    Foreign: (ArgumentsDelta,),
}


class StreamGuard:
    """Checks one stream, event by event. ``side`` says whose fault a violation is."""

    __slots__ = ("_block", "_index", "_side", "_signed", "_state")

    def __init__(self, side: Literal["upstream", "ours"]) -> None:
        self._side = side
        self._state = _State.IDLE
        self._index = -1
        self._block: type = Text
        self._signed = False

    @property
    def over(self) -> bool:
        """Whether the stream has ended, well or badly."""
        return self._state is _State.OVER

    def check(self, event: Event) -> None:
        """Raises ``BadUpstreamMessage`` or ``AssertionError`` if ``event`` may not come now."""
        following = _GRAMMAR.get((self._state, type(event)))
        if following is None:
            self._violated(f"{type(event).__name__} while {self._state.name.lower()}")
        index = getattr(event, "index", None)
        if isinstance(event, Opened):
            if index != self._index + 1:
                self._violated(f"block {index} opened after block {self._index}")
            self._index, self._block, self._signed = self._index + 1, type(event.block), False
        elif index is not None:
            self._check_in_block(event, index)
        assert following is not None  # noqa: S101 - _violated always raises
        self._state = following

    def _check_in_block(self, event: Event, index: int) -> None:
        if index != self._index:
            self._violated(f"{type(event).__name__} for block {index} in block {self._index}")
        if not isinstance(event, Closed) and type(event) not in _TAKES[self._block]:
            self._violated(f"{type(event).__name__} in a {self._block.__name__} block")
        if isinstance(event, SignatureDelta):
            if self._signed:
                self._violated("a second signature in one block")
            self._signed = True

    def _violated(self, what: str) -> None:
        if self._side == "upstream":
            raise BadUpstreamMessage(f"stream grammar: {what}")
        raise AssertionError(f"stream grammar: {what}")
