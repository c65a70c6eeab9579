"""A streamed answer and a whole one are the same answer: each can be made from the other.

Codecs read and write whole answers through these where their dialect allows it, so stop reasons,
usage and block order have one truth.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from bytespike_protocols.errors import BadUpstreamMessage
from bytespike_protocols.events import (
    ArgumentsDelta,
    CitationDelta,
    Closed,
    Ended,
    Event,
    Failed,
    Opened,
    SignatureDelta,
    Started,
    StreamGuard,
    TextDelta,
)
from bytespike_protocols.ir import (
    Block,
    Foreign,
    Json,
    RedactedThinking,
    Refusal,
    Response,
    Text,
    Thinking,
    ToolUse,
)

__all__ = ["Folder", "block_events", "fold", "unfold"]

#: Arguments of a call for which no piece of JSON ever came.
_NO_ARGUMENTS = Json("{}")


class Folder:
    """Builds the whole answer while its events go by."""

    __slots__ = ("_blocks", "_guard", "_open", "_pieces", "_started", "response")

    def __init__(self) -> None:
        self._guard = StreamGuard("upstream")
        self._started: Started | None = None
        self._blocks: list[Block] = []
        self._open: Opened | None = None
        self._pieces: list[str] = []
        #: Set by :class:`Ended`.
        self.response: Response | None = None

    def feed(self, event: Event) -> None:
        """Take in the next event. Raises ``BadUpstreamMessage`` on a broken order or a failure."""
        self._guard.check(event)
        match event:
            case Started():
                self._started = event
            case Opened():
                self._open, self._pieces = event, []
            case TextDelta():
                self._pieces.append(event.text)
            case ArgumentsDelta():
                self._pieces.append(event.json)
            case CitationDelta() | SignatureDelta():
                self._annotate(event)
            case Closed():
                self._close()
            case Ended():
                self._end(event)
            case Failed():
                raise BadUpstreamMessage(event.message)

    def _annotate(self, event: CitationDelta | SignatureDelta) -> None:
        opened = self._open
        if opened is None:
            return
        block = opened.block
        if isinstance(event, CitationDelta) and isinstance(block, Text):
            block = replace(block, citations=(*block.citations, event.citation))
        elif isinstance(event, SignatureDelta) and isinstance(block, Text | Thinking | ToolUse):
            block = replace(block, opaque=event.opaque)
        self._open = replace(opened, block=block)

    def _close(self) -> None:
        if self._open is None:
            return
        block, text = self._open.block, "".join(self._pieces)
        match block:
            case Text() | Thinking() | Refusal():
                block = replace(block, text=block.text + text)
            case ToolUse():
                block = replace(block, arguments=Json(text or block.arguments or _NO_ARGUMENTS))
            case Foreign() if text:
                block = replace(block, value=Json(text))
        self._blocks.append(block)
        self._open = None

    def _end(self, ended: Ended) -> None:
        started = self._started
        if started is None:
            return
        self.response = Response(
            id=started.id,
            model=started.model,
            created_s=started.created_s,
            blocks=tuple(self._blocks),
            stop=ended.stop,
            usage=ended.usage,
        )


def fold(events: Iterable[Event]) -> Response:
    """The whole answer. Raises ``BadUpstreamMessage`` if the events do not make one."""
    folder = Folder()
    for event in events:
        folder.feed(event)
    if folder.response is None:
        raise BadUpstreamMessage("the stream ended before its end")
    return folder.response


def unfold(response: Response) -> Iterator[Event]:
    """The events of a whole answer: one delta per part of a block."""
    yield Started(
        id=response.id,
        model=response.model,
        created_s=response.created_s,
        usage=response.usage,
    )
    for index, block in enumerate(response.blocks):
        yield from block_events(index, block)
    yield Ended(stop=response.stop, usage=response.usage)


def block_events(index: int, block: Block) -> Iterator[Event]:
    """The events of one whole block."""
    match block:
        case Text() | Thinking() | Refusal():
            yield Opened(index=index, block=type(block)(text=""))
            if block.text:
                yield TextDelta(index=index, text=block.text)
        case ToolUse():
            yield Opened(index=index, block=replace(block, arguments=Json(""), opaque=None))
            yield ArgumentsDelta(index=index, json=block.arguments)
        case RedactedThinking() | Foreign():
            yield Opened(index=index, block=block)
        case _:
            raise AssertionError(f"a {type(block).__name__} block cannot be in an answer")
    if isinstance(block, Text):
        for citation in block.citations:
            yield CitationDelta(index=index, citation=citation)
    if isinstance(block, Text | Thinking | ToolUse) and block.opaque is not None:
        yield SignatureDelta(index=index, opaque=block.opaque)
    yield Closed(index=index)
