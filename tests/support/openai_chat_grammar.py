"""The order a Chat Completions stream must keep, checked chunk by chunk.

Written from the protocol's description and recordings, on purpose without any of our own parsers.
``strict`` is what OpenAI itself sends and what our clients must get; without it the accents of
other hosts pass too (usage on any chunk, no final mark, whole calls, repeated roles).
"""

from __future__ import annotations

import json
from typing import Any, Literal, NamedTuple

__all__ = ["CheckedStream", "GrammarError", "check_stream"]

Json = dict[str, Any]
End = Literal["done", "error", "truncated"]

_REASONS = {"stop", "length", "tool_calls", "content_filter", "function_call"}
_DELTA_FIELDS = {
    "role",
    "content",
    "refusal",
    "tool_calls",
    "annotations",
    "reasoning_content",
    "reasoning_details",
}


class GrammarError(AssertionError):
    """The stream is not one the vendor could have sent."""


class CheckedStream(NamedTuple):
    """What the stream said about its first choice, and how it ended."""

    content: str
    refusal: str
    calls: list[Json]
    finish_reason: str | None
    usage: Json | None
    end: End


def check_stream(stream: bytes | str, *, strict: bool, usage: bool = False) -> CheckedStream:
    """Walk a whole stream; ``usage`` is whether the client asked for it. Raises
    :class:`GrammarError` naming the chunk that broke the order.
    """
    text = stream.decode() if isinstance(stream, bytes) else stream
    walk = _Walk(strict=strict, usage=usage)
    for number, frame in enumerate(_frames(text, strict=strict)):
        try:
            walk.step(frame)
        except GrammarError as error:
            raise GrammarError(f"chunk {number}: {error}: {frame[:200]!r}") from None
    return walk.result()


def _frames(text: str, *, strict: bool) -> list[str]:
    pieces = [piece for piece in text.replace("\r\n", "\n").split("\n\n") if piece.strip("\n")]
    if strict:
        _must(not text or text.endswith("\n\n"), "the last frame is not complete")
        _must(all(p.startswith("data: ") and "\n" not in p for p in pieces), "not data alone")
        return [piece[6:] for piece in pieces]
    lines = [line for piece in pieces for line in piece.split("\n") if line.startswith("data:")]
    return [line[5:].strip() for line in lines]


def _must(holds: bool, complaint: str) -> None:
    if not holds:
        raise GrammarError(complaint)


class _Walk:
    """Where in the stream we are."""

    def __init__(self, *, strict: bool, usage: bool) -> None:
        self._strict = strict
        self._usage_wanted = usage
        self._head: tuple[Any, ...] | None = None
        self._role_seen = False
        self._content = ""
        self._refusal = ""
        self._calls: list[Json] = []
        self._finish: str | None = None
        self._usage: Json | None = None
        self._end: End = "truncated"

    def step(self, frame: str) -> None:
        _must(self._end == "truncated", "something after the end")
        if frame == "[DONE]":
            _must(self._finish is not None or not self._strict, "done without a finish reason")
            self._end = "done"
            return
        chunk: Json = json.loads(frame)
        if chunk.get("error"):
            _must(isinstance(chunk["error"], dict | str), "an error without words")
            self._end = "error"
            return
        if self._strict:
            self._check_chunk(chunk)
        if chunk.get("usage"):
            self._usage = chunk["usage"]
        for choice in chunk.get("choices") or []:
            if not choice.get("index"):
                self._choice(choice)

    def result(self) -> CheckedStream:
        return CheckedStream(
            self._content, self._refusal, self._calls, self._finish, self._usage, self._end
        )

    def _check_chunk(self, chunk: Json) -> None:
        head = (chunk["id"], chunk["created"], chunk["model"])
        _must(chunk["object"] == "chat.completion.chunk", "not a chunk")
        _must(self._head in {None, head}, "id, time or model changed")
        self._head = head
        _must(self._usage is None, "a chunk after usage")
        if chunk["choices"]:
            _must(len(chunk["choices"]) == 1, "not one choice")
            _must(chunk.get("usage") is None, "usage beside a choice")
        else:
            _must(self._finish is not None, "usage before the finish reason")
            _must(isinstance(chunk["usage"], dict), "neither choice nor usage")
        _must(("usage" in chunk) is self._usage_wanted, "usage field against the client's wish")

    def _choice(self, choice: Json) -> None:
        delta: Json = choice.get("delta") or {}
        if self._strict:
            self._check_delta(choice, delta)
        if isinstance(delta.get("content"), str):
            self._content += delta["content"]
        self._refusal += delta.get("refusal") or ""
        for piece in delta.get("tool_calls") or []:
            self._call(piece)
        self._finish = choice.get("finish_reason") or self._finish

    def _check_delta(self, choice: Json, delta: Json) -> None:
        _must(self._finish is None, "a delta after the finish reason")
        _must(set(delta) <= _DELTA_FIELDS, "a field no client knows")
        _must(("role" in delta) is not self._role_seen, "the role must come once, and first")
        _must(delta.get("role", "assistant") == "assistant", "not the assistant")
        self._role_seen = True
        if choice["finish_reason"] is not None:
            _must(choice["finish_reason"] in _REASONS, "unknown finish reason")
            _must(delta == {}, "the finish reason is not alone")

    def _call(self, piece: Json) -> None:
        index = piece.get("index")
        function = piece.get("function") or {}
        if self._strict:
            _must(isinstance(index, int) and 0 <= index <= len(self._calls), "call index")
        if index is None or index >= len(self._calls):
            _must(bool(function.get("name")), "a call that opens without a name")
            if self._strict:
                _must(bool(piece["id"]) and piece["type"] == "function", "a call without identity")
                _must(index == len(self._calls), "call indexes with gaps")
                _must(function["arguments"] == "", "arguments in the opening")
            self._calls.append({"id": piece.get("id"), "name": function["name"], "arguments": ""})
            index = len(self._calls) - 1
        elif self._strict:
            _must("id" not in piece and "name" not in function, "identity twice")
            _must(index == len(self._calls) - 1, "a piece of an earlier call")
        self._calls[index]["arguments"] += function.get("arguments") or ""
