"""The vendor's stream to events.

Items come one after another in nearly every stream, and are passed on as they grow. One that grows
beside another is passed on whole when it is done: its last event repeats all of it. The same goes
for whatever a host leaves out of the grammar: the end of a part, of an item or of the answer
repeats what should have come before.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from bytespike_protocols.codec import StreamDecoder
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
from bytespike_protocols.folding import block_events
from bytespike_protocols.ir import Block, Foreign, Json, Refusal, Text, Thinking, ToolUse
from bytespike_protocols.openai_responses import wire
from bytespike_protocols.openai_responses.answer import (
    SEPARATOR,
    answer_stop,
    answer_usage,
    citations,
    decode_upstream,
    event_failure,
    item_blocks,
    part_block,
)
from bytespike_protocols.sse import Frame

__all__ = ["ResponsesStreamDecoder"]


class _Growing:
    """The item that is being passed on, and the block of it that is open."""

    __slots__ = ("annotations", "closed", "opened", "output_index", "paragraph", "pieces", "source")

    def __init__(self, output_index: int) -> None:
        self.output_index = output_index
        self.closed = 0
        self.opened: type[Block] | None = None
        self.pieces: list[str] = []
        self.annotations: list[msgspec.Raw] = []
        self.source = ""
        self.paragraph = 0


class ResponsesStreamDecoder(StreamDecoder):
    """Reads one answer."""

    __slots__ = ("_aside", "_events", "_growing", "_guard", "_index", "_kinds", "_started")

    def __init__(self) -> None:
        self._guard = StreamGuard("upstream")
        self._events: list[Event] = []
        self._started = False
        self._index = -1
        self._kinds: list[type[Block]] = []
        self._growing: _Growing | None = None
        #: Finished items that wait for the growing one, by output index.
        self._aside: dict[int, msgspec.Raw] = {}

    def feed(self, frame: Frame) -> list[Event]:
        """Raises ``BadUpstreamMessage`` on a frame that cannot be understood."""
        if self._guard.over or frame.data == b"[DONE]":
            return []
        event = decode_upstream(_event, frame.data)
        handle = _HANDLERS.get(event.type)
        if handle is not None:
            handle(self, event)
        events, self._events = self._events, []
        return events

    def close(self) -> list[Event]:
        """Raises ``BadUpstreamMessage`` if the answer is not complete."""
        if not self._guard.over:
            raise BadUpstreamMessage("the stream ended before its last event")
        return []

    def _emit(self, event: Event) -> None:
        self._guard.check(event)
        self._events.append(event)

    def _open(self, growing: _Growing, block: Text | Thinking | ToolUse | Refusal) -> None:
        self._index += 1
        self._kinds.append(type(block))
        growing.opened, growing.pieces, growing.annotations = type(block), [], []
        self._emit(Opened(index=self._index, block=block))

    def _whole(self, block: Block) -> None:
        self._index += 1
        self._kinds.append(type(block))
        for event in block_events(self._index, block):
            self._emit(event)

    def _of(self, event: wire.Event) -> _Growing | None:
        growing = self._growing
        return growing if growing and growing.output_index == event.output_index else None

    def _on_start(self, event: wire.Event) -> None:
        if self._started:
            return
        self._started = True
        answer = decode_upstream(_answer, event.response)
        created = None if answer.created_at is None else int(answer.created_at)
        self._emit(Started(id=answer.id, model=answer.model or "", created_s=created))

    def _on_item(self, event: wire.Event) -> None:
        if self._growing is not None:
            return
        item = decode_upstream(_item, event.item)
        growing = _Growing(event.output_index)
        if item.type == "reasoning":
            self._open(growing, Thinking(text=""))
        elif item.type == "function_call" and item.call_id and item.name:
            self._open(growing, ToolUse(id=item.call_id, name=item.name, arguments=Json("")))
        elif item.type != "message":
            return
        self._growing = growing

    def _on_part(self, event: wire.Event) -> None:
        growing = self._of(event)
        part = decode_upstream(_part, event.part)
        if growing is None or part.type not in _PARTS:
            return
        if growing.opened is not None:
            self._close_open(growing, None)
        self._open(growing, _PARTS[part.type])

    def _on_text(self, event: wire.Event) -> None:
        self._grow(event, Text(text=""))

    def _on_refusal(self, event: wire.Event) -> None:
        self._grow(event, Refusal(text=""))

    def _grow(self, event: wire.Event, block: Text | Refusal) -> None:
        growing = self._of(event)
        if growing is None:
            return
        if growing.opened is None:
            self._open(growing, block)
        self._add_text(growing, decode_upstream(_text, event.delta))

    def _add_text(self, growing: _Growing, text: str) -> None:
        if text:
            growing.pieces.append(text)
            self._emit(TextDelta(index=self._index, text=text))

    def _on_annotation(self, event: wire.Event) -> None:
        growing = self._of(event)
        if growing is not None and bytes(event.annotation) != b"null":
            growing.annotations.append(event.annotation)

    def _on_part_done(self, event: wire.Event) -> None:
        growing = self._of(event)
        if growing is None or growing.opened is Thinking:
            return
        block = part_block(event.part)
        if growing.opened is not None:
            self._close_open(growing, block)
        elif isinstance(block, Foreign):
            self._whole(block)
            growing.closed += 1

    def _on_arguments(self, event: wire.Event) -> None:
        growing = self._of(event)
        if growing is None or growing.opened is not ToolUse:
            return
        piece = decode_upstream(_text, event.delta)
        if piece:
            growing.pieces.append(piece)
            self._emit(ArgumentsDelta(index=self._index, json=Json(piece)))

    def _on_summary(self, event: wire.Event) -> None:
        self._think(event, "summary", event.summary_index)

    def _on_thought(self, event: wire.Event) -> None:
        self._think(event, "content", event.content_index)

    def _think(self, event: wire.Event, source: str, paragraph: int) -> None:
        growing = self._of(event)
        if growing is None or growing.opened is not Thinking:
            return
        growing.source = growing.source or source
        if growing.source != source:
            # A summary of thoughts that were shown in full already.
            return
        if paragraph > growing.paragraph:
            growing.paragraph = paragraph
            self._add_text(growing, SEPARATOR)
        if event.type.endswith(".delta"):
            self._add_text(growing, decode_upstream(_text, event.delta))

    def _on_item_done(self, event: wire.Event) -> None:
        growing = self._growing
        if growing is None:
            for block in item_blocks(event.item):
                self._whole(block)
        elif growing.output_index != event.output_index:
            self._aside[event.output_index] = event.item
        else:
            self._finish(growing, item_blocks(event.item))

    def _finish(self, growing: _Growing, blocks: list[Block]) -> None:
        """The growing item is complete, and so are those that waited for it."""
        missing = blocks[growing.closed :]
        if growing.opened is not None:
            self._close_open(growing, missing.pop(0) if missing else None)
        for block in missing:
            self._whole(block)
        self._growing = None
        waiting, self._aside = sorted(self._aside.items()), {}
        for _, raw in waiting:
            for block in item_blocks(raw):
                self._whole(block)

    def _close_open(self, growing: _Growing, block: Block | None) -> None:
        """``block`` is what the vendor says the open one has become, None if it does not say."""
        if type(block) is not growing.opened:
            block = None
        match block:
            case Text() | Thinking() | Refusal() if not growing.pieces:
                self._add_text(growing, block.text)
            case ToolUse() if not growing.pieces:
                self._emit(ArgumentsDelta(index=self._index, json=block.arguments))
        if growing.opened is Text:
            said = block.citations if isinstance(block, Text) else ()
            for citation in said or citations(growing.annotations, "".join(growing.pieces)):
                self._emit(CitationDelta(index=self._index, citation=citation))
        if isinstance(block, Thinking) and block.opaque is not None:
            self._emit(SignatureDelta(index=self._index, opaque=block.opaque))
        self._emit(Closed(index=self._index))
        growing.opened = None
        growing.closed += 1

    def _on_end(self, event: wire.Event) -> None:
        answer = decode_upstream(_answer, event.response)
        output = answer.output or []
        growing = self._growing
        if growing is not None:
            same = output[growing.output_index : growing.output_index + 1]
            self._finish(growing, item_blocks(same[0]) if same else [])
        elif self._index < 0:
            # A host that sends the end alone.
            for raw in output:
                for block in item_blocks(raw):
                    self._whole(block)
        answer = msgspec.structs.replace(answer, status=event.type.removeprefix("response."))
        stop = answer_stop(answer, self._kinds)
        self._emit(Ended(stop=stop, usage=answer_usage(answer)))

    def _on_failure(self, event: wire.Event) -> None:
        failure = event_failure(event)
        self._emit(Failed(kind=failure.kind, message=failure.message))


_Handler = Callable[[ResponsesStreamDecoder, wire.Event], None]

_HANDLERS: dict[str, _Handler] = {
    "response.created": ResponsesStreamDecoder._on_start,
    "response.queued": ResponsesStreamDecoder._on_start,
    "response.in_progress": ResponsesStreamDecoder._on_start,
    "response.output_item.added": ResponsesStreamDecoder._on_item,
    "response.content_part.added": ResponsesStreamDecoder._on_part,
    "response.output_text.delta": ResponsesStreamDecoder._on_text,
    "response.output_text.annotation.added": ResponsesStreamDecoder._on_annotation,
    "response.refusal.delta": ResponsesStreamDecoder._on_refusal,
    "response.content_part.done": ResponsesStreamDecoder._on_part_done,
    "response.function_call_arguments.delta": ResponsesStreamDecoder._on_arguments,
    "response.reasoning_summary_part.added": ResponsesStreamDecoder._on_summary,
    "response.reasoning_summary_text.delta": ResponsesStreamDecoder._on_summary,
    "response.reasoning_text.delta": ResponsesStreamDecoder._on_thought,
    "response.output_item.done": ResponsesStreamDecoder._on_item_done,
    "response.completed": ResponsesStreamDecoder._on_end,
    "response.incomplete": ResponsesStreamDecoder._on_end,
    "response.failed": ResponsesStreamDecoder._on_failure,
    "response.cancelled": ResponsesStreamDecoder._on_failure,
    "error": ResponsesStreamDecoder._on_failure,
}

_PARTS: dict[str, Text | Refusal] = {
    "output_text": Text(text=""),
    "text": Text(text=""),
    "refusal": Refusal(text=""),
}

_event = msgspec.json.Decoder(wire.Event)
_answer = msgspec.json.Decoder(wire.Answer)
_item = msgspec.json.Decoder(wire.Item)
_part = msgspec.json.Decoder(wire.Part)
_text = msgspec.json.Decoder(str)
