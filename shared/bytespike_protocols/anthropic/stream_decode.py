"""A vendor's Messages stream as events.

Blocks only Anthropic knows are held until they are whole: nobody else could use their pieces.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from bytespike_protocols.anthropic import signatures, wire
from bytespike_protocols.anthropic.failure import read_failure
from bytespike_protocols.anthropic.response import AnyBlock, decode_block
from bytespike_protocols.anthropic.stops import decode_stop
from bytespike_protocols.anthropic.usage import buckets, merge, read_usage
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
from bytespike_protocols.ir import Foreign, Json, Text, Thinking, ToolUse, Usage
from bytespike_protocols.sse import Frame

__all__ = ["MessagesStreamDecoder"]

_kind = msgspec.json.Decoder(wire.EventKind)
_start = msgspec.json.Decoder(wire.AnswerStart)
_block_start = msgspec.json.Decoder(wire.AnswerBlockStart)
_delta = msgspec.json.Decoder(wire.AnswerDelta)
_block_stop = msgspec.json.Decoder(wire.BlockIndex)
_end = msgspec.json.Decoder(wire.AnswerEnd)
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])

_NO_ARGUMENTS = Json("{}")


class MessagesStreamDecoder:
    """One answer. A block's index is ours: the vendor's only has to be the same from start to stop.

    Raises ``BadUpstreamMessage`` on broken JSON and on events out of order; unknown events and
    deltas are passed over, and so is whatever follows the end.
    """

    __slots__ = (
        "_block", "_called", "_ending", "_guard", "_index", "_pieces", "_usage", "_vendor_index",
    )  # fmt: skip

    def __init__(self) -> None:
        self._guard = StreamGuard("upstream")
        self._usage: wire.WireUsage | None = None
        self._ending: wire.AnswerEnd | None = None
        self._called = False
        self._index = -1
        #: The open block as it started, and the pieces of its JSON so far.
        self._block: AnyBlock | None = None
        self._vendor_index = -1
        self._pieces: list[str] = []

    def feed(self, frame: Frame) -> list[Event]:
        """The events of one frame."""
        if self._guard.over:
            return []
        try:
            read = _READERS.get(frame.event or _kind.decode(frame.data).type.encode())
            events = [] if read is None else read(self, frame.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            name = frame.event.decode("ascii", "replace")[:40]
            raise BadUpstreamMessage(f"the data of a stream event is broken: {name}") from None
        for event in events:
            self._guard.check(event)
        return events

    def close(self) -> list[Event]:
        """Nothing more to say: only the vendor's own end is one."""
        if not self._guard.over:
            raise BadUpstreamMessage("the stream ended before its end")
        return []

    def _read_start(self, data: bytes) -> list[Event]:
        message = _start.decode(data).message
        self._note_usage(message.usage)
        return [Started(id=message.id, model=message.model, usage=self._counts())]

    def _read_block_start(self, data: bytes) -> list[Event]:
        event = _block_start.decode(data)
        if self._block is not None:
            raise BadUpstreamMessage("stream grammar: a block inside a block")
        block = decode_block(event.content_block)
        self._block, self._vendor_index, self._pieces = block, event.index, []
        if isinstance(block, Foreign):
            return []
        self._index += 1
        index = self._index
        match block:
            case Text(text=text, citations=citations):
                opened = Opened(index=index, block=Text(text=""))
                cited = [CitationDelta(index=index, citation=citation) for citation in citations]
                return [opened, *self._words(text), *cited]
            case Thinking(text=text):
                return [Opened(index=index, block=Thinking(text="")), *self._words(text)]
            case ToolUse():
                self._called = True
                empty = msgspec.structs.replace(block, arguments=Json(""))
                return [Opened(index=index, block=empty)]
            case _:
                return [Opened(index=index, block=block)]

    def _words(self, text: str) -> list[Event]:
        return [TextDelta(index=self._index, text=text)] if text else []

    def _read_delta(self, data: bytes) -> list[Event]:
        event = _delta.decode(data)
        if event.index != self._vendor_index or self._block is None:
            raise BadUpstreamMessage("stream grammar: a delta outside its block")
        piece = event.delta
        match piece.type:
            case "text_delta":
                return self._words(piece.text)
            case "thinking_delta":
                return self._words(piece.thinking)
            case "input_json_delta":
                return self._read_json(piece.partial_json)
            case "signature_delta":
                opaque = signatures.read(piece.signature)
                return [] if opaque is None else [SignatureDelta(index=self._index, opaque=opaque)]
            case "citations_delta":
                citation = Json(bytes(piece.citation).decode())
                return [CitationDelta(index=self._index, citation=citation)] if citation else []
            case _:
                return []

    def _read_json(self, piece: str) -> list[Event]:
        if not piece:
            return []
        self._pieces.append(piece)
        if isinstance(self._block, Foreign):
            return []
        return [ArgumentsDelta(index=self._index, json=Json(piece))]

    def _read_block_stop(self, data: bytes) -> list[Event]:
        block = self._block
        if _block_stop.decode(data).index != self._vendor_index or block is None:
            raise BadUpstreamMessage("stream grammar: the end of another block")
        self._block = None
        if isinstance(block, Foreign):
            self._index += 1
            whole = _with_input(block, "".join(self._pieces))
            return [Opened(index=self._index, block=whole), Closed(index=self._index)]
        return [*self._last_words(block), Closed(index=self._index)]

    def _last_words(self, block: AnyBlock) -> list[Event]:
        """What the start of the block already had, unless pieces came since."""
        match block:
            case ToolUse(arguments=arguments) if not self._pieces and arguments != _NO_ARGUMENTS:
                return [ArgumentsDelta(index=self._index, json=arguments)]
            case Thinking(opaque=opaque) if opaque is not None:
                return [SignatureDelta(index=self._index, opaque=opaque)]
            case _:
                return []

    def _read_message_delta(self, data: bytes) -> list[Event]:
        self._ending = _end.decode(data)
        self._note_usage(self._ending.usage)
        return []

    def _read_message_stop(self, _: bytes) -> list[Event]:
        if self._ending is None or self._block is not None:
            raise BadUpstreamMessage("stream grammar: the end came too early")
        ending = self._ending.delta
        stop = decode_stop(
            ending.stop_reason,
            sequence=ending.stop_sequence,
            details=ending.stop_details,
            called=self._called,
        )
        return [Ended(stop=stop, usage=self._counts())]

    def _read_error(self, data: bytes) -> list[Event]:
        failure = read_failure(200, data)
        if failure is None:
            raise BadUpstreamMessage("an error event without an error")
        return [Failed(kind=failure.kind, message=failure.message)]

    def _note_usage(self, raw: msgspec.Raw) -> None:
        said = read_usage(raw)
        if said is not None:
            self._usage = said if self._usage is None else merge(self._usage, said)

    def _counts(self) -> Usage | None:
        return None if self._usage is None else buckets(self._usage, self._usage.output_tokens or 0)


_READERS: dict[bytes, Callable[[MessagesStreamDecoder, bytes], list[Event]]] = {
    b"content_block_delta": MessagesStreamDecoder._read_delta,
    b"content_block_start": MessagesStreamDecoder._read_block_start,
    b"content_block_stop": MessagesStreamDecoder._read_block_stop,
    b"message_start": MessagesStreamDecoder._read_start,
    b"message_delta": MessagesStreamDecoder._read_message_delta,
    b"message_stop": MessagesStreamDecoder._read_message_stop,
    b"error": MessagesStreamDecoder._read_error,
}


def _with_input(block: Foreign, pieces: str) -> Foreign:
    """The block with the input that came in pieces; as it was if none did."""
    if not pieces:
        return block
    fields = _object.decode(block.value)
    msgspec.json.decode(pieces)
    fields["input"] = msgspec.Raw(pieces.encode())
    value = msgspec.json.encode(fields).decode()
    return msgspec.structs.replace(block, value=Json(value))
