"""Events to the stream a client of this dialect expects.

This side owns the sequence numbers, the item ids and the last event, which repeats the whole
answer; so everything is gathered here while it goes by. A run of text and refusal blocks is one
message; every other block is an item of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from bytespike_protocols.codec import ReplyContext, StreamEncoder
from bytespike_protocols.custody import wrap
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
    Dialect,
    Foreign,
    Json,
    Opaque,
    RedactedThinking,
    Refusal,
    Text,
    Thinking,
    ToolUse,
)
from bytespike_protocols.openai_responses.answer_encode import annotation, ending, envelope
from bytespike_protocols.openai_responses.failure import encode_stream_error, failure_code
from bytespike_protocols.openai_responses.free_form import free_form_names, unwrap_text
from bytespike_protocols.openai_responses.names import item_id
from bytespike_protocols.openai_responses.namespaces import written_name
from bytespike_protocols.openai_responses.usage import encode_usage

__all__ = ["ResponsesStreamEncoder"]

_OWN: Final = Dialect.OPENAI_RESPONSES

_encoder = msgspec.json.Encoder()


class _Item:
    """The output item under way: its place, its id, and what it will say when it is done."""

    __slots__ = ("fields", "place")

    def __init__(self, index: int, fields: dict[str, Any]) -> None:
        self.fields = fields
        self.place = {"item_id": fields["id"], "output_index": index}


class ResponsesStreamEncoder(StreamEncoder):
    """Writes one answer."""

    __slots__ = (
        "_block",
        "_citations",
        "_context",
        "_custom",
        "_envelope",
        "_final",
        "_guard",
        "_item",
        "_opaque",
        "_out",
        "_output",
        "_pieces",
        "_refused",
        "_sequence_number",
    )

    def __init__(self, context: ReplyContext) -> None:
        self._context = context
        self._envelope = envelope(context)
        self._custom = free_form_names(context.request.tools)
        self._guard = StreamGuard("ours")
        self._sequence_number = 0
        self._out: list[bytes] = []
        self._output: list[Any] = []
        self._item: _Item | None = None
        self._block: Block = Text(text="")
        self._pieces: list[str] = []
        self._citations: list[Json] = []
        self._opaque: Opaque | None = None
        self._refused = False
        self._final: dict[str, Any] | None = None

    def feed(self, event: Event) -> bytes:
        """Bytes to send now; may be empty."""
        self._guard.check(event)
        match event:
            case TextDelta():
                self._on_text(event.text)
            case ArgumentsDelta():
                self._on_arguments(event.json)
            case Opened():
                self._on_opened(event.block)
            case Closed():
                _CLOSERS[type(self._block)](self)
            case CitationDelta():
                self._citations.append(event.citation)
            case SignatureDelta():
                self._opaque = event.opaque
            case Started():
                self._on_started()
            case Ended():
                self._on_ended(event)
            case Failed():
                self._on_failed(event)
        out, self._out = self._out, []
        return b"".join(out)

    def whole(self) -> bytes:
        """The answer the last event repeated."""
        assert self._final is not None, "the answer has not ended"  # noqa: S101
        return _encoder.encode(self._final)

    def _send(self, kind: str, fields: dict[str, Any]) -> None:
        event = {"type": kind, "sequence_number": self._sequence_number, **fields}
        self._sequence_number += 1
        self._out.append(b"event: %b\ndata: %b\n\n" % (kind.encode(), _encoder.encode(event)))

    def _snapshot(self, **fields: Any) -> dict[str, Any]:
        return self._envelope | {"output": [], "usage": None} | fields

    def _on_started(self) -> None:
        under_way = self._snapshot(status="in_progress")
        self._send("response.created", {"response": under_way})
        self._send("response.in_progress", {"response": under_way})

    def _on_opened(self, block: Block) -> None:
        self._block, self._pieces, self._citations, self._opaque = block, [], [], None
        match block:
            case Text() | Refusal():
                self._open_part(block)
            case ToolUse():
                self._end_message()
                self._open_call(block)
            case Thinking() | RedactedThinking():
                self._end_message()
                self._add_item("reasoning", "rs", {"summary": []})
            case Foreign() if block.dialect is _OWN:
                self._end_message()

    def _add_item(self, kind: str, prefix: str, fields: dict[str, Any]) -> None:
        index = len(self._output)
        identity = {"id": item_id(prefix, self._context.request_id, index), "type": kind}
        self._item = _Item(index, identity | fields)
        added = {"output_index": index, "item": self._item.fields}
        self._send("response.output_item.added", added)

    def _end_item(self, **fields: Any) -> None:
        item = self._open_item()
        item.fields |= fields
        self._output.append(item.fields)
        done = {"output_index": item.place["output_index"], "item": item.fields}
        self._send("response.output_item.done", done)
        self._item = None

    def _open_item(self) -> _Item:
        assert self._item is not None, "no item is open"  # noqa: S101
        return self._item

    def _end_message(self, status: str = "completed") -> None:
        if self._item is not None:
            self._end_item(status=status)

    # Text and refusals: parts of a message.

    def _open_part(self, block: Text | Refusal) -> None:
        if self._item is None:
            fields = {"status": "in_progress", "role": "assistant", "content": []}
            self._add_item("message", "msg", fields)
        self._refused = self._refused or isinstance(block, Refusal)
        self._send("response.content_part.added", {**self._part_place(), "part": self._part()})

    def _part_place(self) -> dict[str, Any]:
        item = self._open_item()
        return {**item.place, "content_index": len(item.fields["content"])}

    def _part(self, text: str = "", annotations: list[Any] | None = None) -> dict[str, Any]:
        if isinstance(self._block, Refusal):
            return {"type": "refusal", "refusal": text}
        part: dict[str, Any] = {"type": "output_text", "annotations": annotations or []}
        return part | {"logprobs": [], "text": text}

    def _on_text(self, text: str) -> None:
        if isinstance(self._block, Thinking):
            if not self._pieces:
                self._open_summary()
            place = {**self._open_item().place, "summary_index": 0, "delta": text}
            self._send("response.reasoning_summary_text.delta", place)
        elif isinstance(self._block, Refusal):
            self._send("response.refusal.delta", {**self._part_place(), "delta": text})
        else:
            delta = {**self._part_place(), "delta": text, "logprobs": []}
            self._send("response.output_text.delta", delta)
        self._pieces.append(text)

    def _close_part(self) -> None:
        text, place = "".join(self._pieces), self._part_place()
        annotations = [annotation(citation, text) for citation in self._citations]
        for index, noted in enumerate(annotations):
            fields = {**place, "annotation_index": index, "annotation": noted}
            self._send("response.output_text.annotation.added", fields)
        if isinstance(self._block, Refusal):
            self._send("response.refusal.done", {**place, "refusal": text})
        else:
            self._send("response.output_text.done", {**place, "text": text, "logprobs": []})
        part = self._part(text, annotations)
        self._send("response.content_part.done", {**place, "part": part})
        # What was sent as the item's beginning must not grow with it.
        item = self._open_item()
        item.fields = item.fields | {"content": [*item.fields["content"], part]}
        if self._opaque is not None:
            self._end_message()
            self._add_signature(self._opaque)

    # Reasoning.

    def _open_summary(self) -> None:
        place = {**self._open_item().place, "summary_index": 0}
        part = {"type": "summary_text", "text": ""}
        self._send("response.reasoning_summary_part.added", {**place, "part": part})

    def _close_thinking(self) -> None:
        text, opaque = "".join(self._pieces), self._opaque
        # Others' thoughts without words keep an empty summary: without one they come back as
        # redacted.
        if not text and (opaque is None or opaque.issuer is _OWN):
            self._end_reasoning([], opaque)
            return
        if not self._pieces:
            self._open_summary()
        place = {**self._open_item().place, "summary_index": 0}
        part = {"type": "summary_text", "text": text}
        self._send("response.reasoning_summary_text.done", {**place, "text": text})
        self._send("response.reasoning_summary_part.done", {**place, "part": part})
        self._end_reasoning([part], opaque)

    def _close_redacted(self) -> None:
        block = self._block
        self._end_reasoning([], block.opaque if isinstance(block, RedactedThinking) else None)

    def _end_reasoning(self, summary: list[Any], opaque: Opaque | None) -> None:
        state = None if opaque is None else wrap(opaque, carrier=_OWN)
        self._end_item(summary=summary, encrypted_content=state)

    def _add_signature(self, opaque: Opaque) -> None:
        """The state of a call or of words, right after them: the only room there is."""
        self._add_item("reasoning", "rs", {"summary": []})
        self._end_reasoning([], opaque)

    # Calls.

    def _open_call(self, block: ToolUse) -> None:
        fields = {"status": "in_progress", "call_id": block.id} | written_name(block.name)
        if block.name in self._custom:
            self._add_item("custom_tool_call", "ctc", {**fields, "input": ""})
        else:
            self._add_item("function_call", "fc", {**fields, "arguments": ""})

    def _on_arguments(self, piece: Json) -> None:
        self._pieces.append(piece)
        if piece and isinstance(self._block, ToolUse) and self._block.name not in self._custom:
            delta = {**self._open_item().place, "delta": piece}
            self._send("response.function_call_arguments.delta", delta)

    def _close_call(self) -> None:
        arguments = Json("".join(self._pieces))
        place = self._open_item().place
        if self._open_item().fields["type"] == "custom_tool_call":
            text = unwrap_text(arguments)
            self._send("response.custom_tool_call_input.delta", {**place, "delta": text})
            self._send("response.custom_tool_call_input.done", {**place, "input": text})
            self._end_item(status="completed", input=text)
        else:
            if not arguments:
                # Clients parse what they are given, and nothing is not JSON.
                arguments = Json("{}")
                self._send("response.function_call_arguments.delta", {**place, "delta": "{}"})
            done = {**place, "arguments": arguments}
            self._send("response.function_call_arguments.done", done)
            self._end_item(status="completed", arguments=arguments)
        if self._opaque is not None:
            self._add_signature(self._opaque)

    # Items of the vendor's own tools.

    def _close_foreign(self) -> None:
        block = self._block
        if not isinstance(block, Foreign) or block.dialect is not _OWN:
            # Another vendor's own tool: what it found is in the words and their citations.
            return
        index, item = len(self._output), msgspec.Raw(block.value.encode())
        self._output.append(item)
        for kind in ("response.output_item.added", "response.output_item.done"):
            self._send(kind, {"output_index": index, "item": item})

    # The end.

    def _on_ended(self, event: Ended) -> None:
        end = ending(event.stop, refused_in_words=self._refused)
        status = end["status"]
        self._end_message("incomplete" if status == "incomplete" else "completed")
        usage = encode_usage(event.usage)
        self._final = self._snapshot(**end, output=self._output, usage=usage)
        self._send(f"response.{status}", {"response": self._final})

    def _on_failed(self, event: Failed) -> None:
        code = failure_code(event.kind)
        begun = self._sequence_number > 0
        self._out.append(
            encode_stream_error(
                code=code,
                message=event.message,
                request_id=self._context.request_id,
                number=self._sequence_number,
            )
        )
        self._sequence_number += 1
        if begun:
            error = {"code": code, "message": event.message}
            final = self._snapshot(status="failed", error=error, output=self._output)
            self._send("response.failed", {"response": final})


_CLOSERS: dict[type[Block], Callable[[ResponsesStreamEncoder], None]] = {
    Text: ResponsesStreamEncoder._close_part,
    Refusal: ResponsesStreamEncoder._close_part,
    Thinking: ResponsesStreamEncoder._close_thinking,
    RedactedThinking: ResponsesStreamEncoder._close_redacted,
    ToolUse: ResponsesStreamEncoder._close_call,
    Foreign: ResponsesStreamEncoder._close_foreign,
}
