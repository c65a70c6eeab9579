"""The order an OpenAI Responses stream must keep, checked event by event.

Written from the protocol's description and recordings, on purpose without any of our own parsers:
it judges what vendors send as well as what we write. ``strict`` is for our own streams: numbered
without gaps, every item opened and closed, nothing unknown.
"""

from __future__ import annotations

import json
import re
from typing import Any, Literal, NamedTuple

__all__ = ["CheckedStream", "GrammarError", "check_stream"]

Json = dict[str, Any]
End = Literal["completed", "incomplete", "failed", "error", "truncated"]

_ENDS: dict[str, End] = {
    "response.completed": "completed",
    "response.incomplete": "incomplete",
    "response.failed": "failed",
}
#: Events that may come within an open item, and the kinds of item they belong to.
_WITHIN: dict[str, str] = {
    "response.content_part.added": "message",
    "response.content_part.done": "message",
    "response.output_text.delta": "message",
    "response.output_text.done": "message",
    "response.output_text.annotation.added": "message",
    "response.refusal.delta": "message",
    "response.refusal.done": "message",
    "response.function_call_arguments.delta": "function_call",
    "response.function_call_arguments.done": "function_call",
    "response.custom_tool_call_input.delta": "custom_tool_call",
    "response.custom_tool_call_input.done": "custom_tool_call",
    "response.reasoning_summary_part.added": "reasoning",
    "response.reasoning_summary_part.done": "reasoning",
    "response.reasoning_summary_text.delta": "reasoning",
    "response.reasoning_summary_text.done": "reasoning",
    "response.reasoning_text.delta": "reasoning",
    "response.reasoning_text.done": "reasoning",
}
#: The field of an item that its deltas and its ``done`` event add up to.
_WHOLE = {
    "response.function_call_arguments": "arguments",
    "response.custom_tool_call_input": "input",
}
_PREFIXES = {
    "message": "msg_",
    "function_call": "fc_",
    "custom_tool_call": "ctc_",
    "reasoning": "rs_",
}
_HEX_ID = re.compile(r"[a-z]+_[0-9a-f]{48}")


class GrammarError(AssertionError):
    """The stream is not one the vendor could have sent."""


class CheckedStream(NamedTuple):
    """What the stream said: its finished items, its last response, how it ended."""

    items: list[Json]
    response: Json
    end: End


def check_stream(stream: bytes | str, *, strict: bool = False) -> CheckedStream:
    """Walk a whole stream. Raises :class:`GrammarError` naming the event that broke the order; a
    stream that merely stops early is reported as ``truncated``.
    """
    text = stream.decode() if isinstance(stream, bytes) else stream
    walk = _Walk(strict)
    frames = [frame.strip("\n") for frame in text.replace("\r\n", "\n").split("\n\n")]
    # Comments keep the connection alive and belong to no event.
    for number, frame in enumerate(frame for frame in frames if frame and frame[0] != ":"):
        try:
            walk.step(*_read(frame))
        except GrammarError as error:
            raise GrammarError(f"event {number}: {error}: {frame[:200]!r}") from None
    return walk.result()


def _read(frame: str) -> tuple[str, Json]:
    lines = frame.split("\n")
    data = [line for line in lines if line.startswith("data: ")]
    if len(data) != 1:
        raise GrammarError("not one data line")
    event: Json = json.loads(data[0][6:])
    named = [line[7:] for line in lines if line.startswith("event: ")]
    if named and named != [event["type"]]:
        raise GrammarError("event line and type differ")
    return event["type"], event


def _must(holds: bool, complaint: str) -> None:
    if not holds:
        raise GrammarError(complaint)


class _Walk:
    """Where in the stream we are."""

    def __init__(self, strict: bool) -> None:
        self._strict = strict
        self._number = 0
        self._begun = False
        self._open: dict[int, Json] = {}
        self._text: dict[int, str] = {}
        self._part: Json | None = None
        self._done: dict[int, Json] = {}
        self._response: Json = {}
        self._end: End = "truncated"

    def step(self, kind: str, event: Json) -> None:
        failed_after_error = self._end == "error" and kind == "response.failed"
        _must(self._end == "truncated" or failed_after_error, "something after the end")
        self._count(event)
        if kind == "error":
            error = event.get("error", event)
            _must("message" in error, "an error without a message")
            self._end = "error"
            return
        if kind == "response.created":
            _must(not self._begun, "a second response.created")
            _must(event["response"]["output"] == [], "created with output")
            self._begun = True
            return
        _must(self._begun, "before response.created")
        if kind in _ENDS:
            self._finish(kind, event["response"])
        elif kind == "response.output_item.added":
            self._add(event)
        elif kind == "response.output_item.done":
            self._close(event)
        elif kind in _WITHIN:
            self._grow(kind, event)
        else:
            _must(not self._strict or kind == "response.in_progress", "an unknown event")

    def result(self) -> CheckedStream:
        items = [self._done[index] for index in sorted(self._done)]
        return CheckedStream(items, self._response, self._end)

    def _count(self, event: Json) -> None:
        if self._strict or "sequence_number" in event:
            _must(event["sequence_number"] >= self._number, "sequence number out of order")
            gap = event["sequence_number"] != self._number
            _must(not (self._strict and gap), "a gap in the sequence numbers")
            self._number = event["sequence_number"] + 1

    def _add(self, event: Json) -> None:
        index, item = event["output_index"], event["item"]
        _must(index not in self._open and index not in self._done, "an item added twice")
        if self._strict:
            _must(not self._open, "an item inside an item")
            _must(index == len(self._done), "output_index out of order")
            kind = item["type"]
            _must(item["id"].startswith(_PREFIXES.get(kind, "")), "the id does not fit the item")
            _must(kind not in _PREFIXES or bool(_HEX_ID.fullmatch(item["id"])), "not 48 digits")
        if item["type"] == "function_call":
            _must(item["arguments"] == "", "a call added with arguments")
        self._open[index], self._text[index], self._part = item, "", None

    def _grow(self, kind: str, event: Json) -> None:
        index = event["output_index"]
        item = self._open.get(index)
        if item is None:
            raise GrammarError("not inside an item")
        # Open-weight hosts announce the parts of raw thoughts like those of messages.
        shown = item["type"] == "reasoning" and kind.startswith("response.content_part.")
        _must(shown or item["type"] == _WITHIN[kind], f"inside a {item['type']}")
        _must(event["item_id"] == item["id"], "another item's id")
        stem, _, verb = kind.rpartition(".")
        if kind.endswith("part.added"):
            _must(self._part is None, "a part inside a part")
            self._part, self._text[index] = event["part"], ""
        elif verb == "delta":
            alone = stem in _WHOLE or stem == "response.reasoning_text"
            _must(alone or self._part is not None, "a delta outside a part")
            self._text[index] += event["delta"]
        elif kind.endswith("part.done"):
            part = event["part"]
            _must(self._part is not None, "a part done that was not added")
            said = part.get("text", part.get("refusal"))
            _must(said == self._text[index], "the part is not what its deltas say")
            self._part = None
        elif verb == "done":
            field = _WHOLE.get(stem, "refusal" if stem == "response.refusal" else "text")
            _must(event[field] == self._text[index], "the end is not what the deltas say")

    def _close(self, event: Json) -> None:
        index, item = event["output_index"], event["item"]
        added = self._open.pop(index, None)
        if added is None:
            raise GrammarError("an item done that was not added")
        _must(added.get("id") == item.get("id"), "another item's id")
        _must(added["type"] == item["type"], "the item became another kind")
        _must(self._part is None, "an item done with a part open")
        for field in _WHOLE.values():
            if field in item and item["type"] in ("function_call", "custom_tool_call"):
                _must(item[field] == self._text[index], "the item is not what its deltas say")
        self._done[index] = item

    def _finish(self, kind: str, response: Json) -> None:
        _must(not self._open or kind == "response.failed", "the end with an item open")
        _must(response["status"] == _ENDS[kind], "event and status differ")
        if kind != "response.failed":
            ids = [item.get("id") for item in response["output"]]
            _must(ids == [item.get("id") for item in self.result().items], "other items at the end")
        if self._strict and kind != "response.failed":
            _must(response["output"] == self.result().items, "the end does not repeat the items")
        self._response, self._end = response, _ENDS[kind]
