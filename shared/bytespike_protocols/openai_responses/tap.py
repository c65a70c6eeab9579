"""The tap of the Responses API."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import msgspec

from bytespike_protocols.errors import BadUpstreamMessage
from bytespike_protocols.ir import Usage
from bytespike_protocols.openai_responses import wire
from bytespike_protocols.openai_responses.answer import answer_usage, detail_failure, event_failure
from bytespike_protocols.openai_responses.failure import read_failure
from bytespike_protocols.sse import Frame
from bytespike_protocols.tap import TapState, lenient

__all__ = ["ResponsesTap"]

_FILTERED: Final = "content_filter"
_DELTA = re.compile(rb'"delta"\s*:\s*"([^"\\]*+(?:\\.[^"\\]*+)*+)"', re.DOTALL)
_TYPE = re.compile(rb'\s*\{\s*"type"\s*:\s*"([^"\\]*)"')
#: Deltas of text somebody reads or runs. Others (sound, pictures) are content that has no tokens
#: to be counted by their bytes.
_TEXTS = frozenset(
    (
        b"response.output_text.delta",
        b"response.function_call_arguments.delta",
        b"response.custom_tool_call_input.delta",
        b"response.reasoning_summary_text.delta",
        b"response.reasoning_text.delta",
        b"response.mcp_call_arguments.delta",
        b"response.code_interpreter_call_code.delta",
    )
)
_REFUSAL = b"response.refusal.delta"


class _Parts(msgspec.Struct, frozen=True):
    """An output item by its parts."""

    type: str = ""
    content: list[wire.Part] | None = None
    summary: list[wire.Part] | None = None


class _Numbered(msgspec.Struct, frozen=True):
    sequence_number: int | None = None


_numbered = msgspec.json.Decoder(_Numbered)
_events = msgspec.json.Decoder(wire.Event)
_answers = msgspec.json.Decoder(wire.Answer)
_items = msgspec.json.Decoder(_Parts)


class ResponsesTap(TapState):
    """Reads one answer; see ``tap.Tap``."""

    __slots__ = ("_latest", "_refusal", "_usage", "_word")

    def __init__(self) -> None:
        super().__init__()
        self._word: str | None = None
        self._refusal = False
        self._usage: Usage | None = None
        self._latest = b""

    @property
    def next_number(self) -> int | None:
        """See ``tap.Tap``."""
        latest = lenient(_numbered, self._latest)
        return (
            None if latest is None or latest.sequence_number is None else latest.sequence_number + 1
        )

    @property
    def usage(self) -> Usage | None:
        """See ``tap.Tap``. It comes with the end."""
        return self._usage

    @property
    def usage_so_far(self) -> Usage:
        """See ``tap.Tap``."""
        return self.at_least(self._usage)

    @property
    def refused(self) -> bool:
        """See ``tap.Tap``. The words of a refusal are not content."""
        return (self._refusal or self._word == _FILTERED) and not self.content_seen

    def feed(self, frame: Frame) -> None:
        """See ``tap.Tap``."""
        kind = frame.event
        if not kind.startswith((b"response.", b"error")):
            kind = _kind(frame.data)
        self._latest = frame.data
        if kind.endswith(b".delta"):
            self._note_delta(kind, frame.data)
            return
        note = _NOTES.get(kind)
        if note is None:
            return
        event = lenient(_events, frame.data)
        if event is not None:
            note(self, event)
        elif kind == b"error":
            self.error = self.error or detail_failure(None)

    def read_message(self, body: bytes) -> None:
        """See ``tap.Tap``."""
        answer = lenient(_answers, body)
        if answer is None or answer.object != "response":
            self.error = read_failure(200, body)
            if self.error is None:
                raise BadUpstreamMessage("the answer is neither a response nor an error")
            return
        self.started = True
        self._note_usage(answer)
        if answer.status == "failed" or answer.error is not None:
            self.error = detail_failure(answer.error)
            return
        self._note_answer(answer)

    def _note_delta(self, kind: bytes, data: bytes) -> None:
        piece = _DELTA.search(data)
        if kind in _TEXTS:
            if piece is not None:
                self.deliver(piece[1])
        elif kind != _REFUSAL:
            self.content_seen = True
        elif piece is not None:
            self._refusal = True
            self.measure(piece[1])

    def _note_start(self, event: wire.Event) -> None:
        del event
        self.started = True

    def _note_item(self, event: wire.Event) -> None:
        """An item opened, or is complete: not every host sends its pieces in between."""
        if not self.content_seen:
            self._note_output(event.item)

    def _note_end(self, event: wire.Event) -> None:
        answer = lenient(_answers, event.response)
        if answer is not None:
            self._note_usage(answer)
            self._note_answer(answer)
        self.finished = self.error is None

    def _note_failure(self, event: wire.Event) -> None:
        if event.type != "error":
            answer = lenient(_answers, event.response)
            if answer is not None:
                self._note_usage(answer)
        if self.error is None:
            # The vendor says it twice: as an event of its own, and in the response.
            try:
                self.error = event_failure(event)
            except BadUpstreamMessage:
                self.error = detail_failure(None)

    def _note_answer(self, answer: wire.Answer) -> None:
        self.finished = True
        details = answer.incomplete_details
        self._word = None if details is None else details.reason
        for raw in answer.output or ():
            self._note_output(raw)

    def _note_output(self, raw: msgspec.Raw) -> None:
        item = lenient(_items, raw)
        if item is None:
            return
        if item.type not in ("message", "reasoning", ""):
            # A tool call or a server tool's result is content the moment it opens.
            self.content_seen = True
            return
        for part in (*(item.content or ()), *(item.summary or ())):
            if part.type == "refusal":
                self._refusal = self._refusal or bool(part.refusal)
            elif part.text or part.type not in ("output_text", "text", *_THOUGHTS):
                self.content_seen = True

    def _note_usage(self, answer: wire.Answer) -> None:
        try:
            self._usage = answer_usage(answer) or self._usage
        except BadUpstreamMessage:
            return  # an item that cannot be read: what was used is not known either


_THOUGHTS: Final = ("summary_text", "reasoning_text")

_NOTES: dict[bytes, Callable[[ResponsesTap, wire.Event], None]] = {
    b"response.created": ResponsesTap._note_start,
    b"response.queued": ResponsesTap._note_start,
    b"response.in_progress": ResponsesTap._note_start,
    b"response.output_item.added": ResponsesTap._note_item,
    b"response.output_item.done": ResponsesTap._note_item,
    b"response.completed": ResponsesTap._note_end,
    b"response.incomplete": ResponsesTap._note_end,
    b"response.failed": ResponsesTap._note_failure,
    b"response.cancelled": ResponsesTap._note_failure,
    b"error": ResponsesTap._note_failure,
}


def _kind(data: bytes) -> bytes:
    """The event's name where no line names it; nearly always the first thing in its data."""
    found = _TYPE.match(data)
    if found is not None:
        return found[1]
    event = lenient(_events, data)
    if event is None:
        return b""
    return b"error" if event.error is not None else event.type.encode()
