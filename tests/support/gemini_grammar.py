"""The order a ``streamGenerateContent`` stream must keep, checked chunk by chunk.

Written from the protocol's description and recordings, on purpose without any of our own parsers:
it judges what vendors send and what our clients receive. The Python SDK is the strictest reader, so
its demands are the grammar's: nothing but ``data: `` lines, and errors with ``error`` first.
"""

from __future__ import annotations

import json
from typing import Any, Literal, NamedTuple

__all__ = ["CheckedStream", "GrammarError", "check_array", "check_stream"]

Json = dict[str, Any]
End = Literal["finish", "blocked", "error", "truncated"]

_DATA = {
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
}


class GrammarError(AssertionError):
    """The stream is not one the vendor could have sent."""


class CheckedStream(NamedTuple):
    """What the first candidate said, why it stopped, the last usage, and how the stream ended."""

    text: str
    thoughts: str
    calls: list[Json]
    parts: list[Json]
    finish_reason: str | None
    usage: Json
    end: End


def check_stream(stream: bytes, *, recorded: bool = False) -> CheckedStream:
    """Walk a whole SSE stream. Raises :class:`GrammarError` naming the chunk that broke the rules;
    a stream that merely stops early is reported as ``truncated``. In ``recorded`` ones the line
    ends may be those of the recorder.
    """
    text, line_end = stream.decode(), "\r\n"
    if recorded:
        text, line_end = text.replace("\r\n", "\n").rstrip("\n") + "\n\n", "\n"
    frames = text.split(line_end * 2)
    _must(frames.pop() == "", "the last frame is not closed")
    chunks = []
    for number, frame in enumerate(frames):
        if not frame.startswith("data: ") or "\n" in frame.strip("\n") or "\r" in frame:
            raise GrammarError(f"chunk {number} is not one data line: {frame[:100]!r}")
        chunks.append(frame[6:])
    return _check(chunks)


def check_array(body: bytes) -> CheckedStream:
    """The same for the JSON array that is sent without ``alt=sse``."""
    return _check([json.dumps(element) for element in json.loads(body)])


def _check(chunks: list[str]) -> CheckedStream:
    walk = _Walk()
    for number, chunk in enumerate(chunks):
        try:
            walk.step(chunk)
        except GrammarError as error:
            raise GrammarError(f"chunk {number}: {error}: {chunk[:200]!r}") from None
    return walk.result()


def _must(holds: bool, complaint: str) -> None:
    if not holds:
        raise GrammarError(complaint)


class _Walk:
    """Where in the stream we are."""

    def __init__(self) -> None:
        self._parts: list[Json] = []
        self._finish: str | None = None
        self._usage: Json = {}
        self._response_id: str | None = None
        self._end: End = "truncated"

    def step(self, chunk: str) -> None:
        _must(self._end != "error", "something after an error")
        answer = json.loads(chunk)
        if "error" in answer:
            _must(chunk.replace(" ", "").startswith('{"error":'), "error is not the first key")
            _must({"code", "message", "status"} <= set(answer["error"]), "an incomplete error")
            self._end = "error"
            return
        response_id = answer.get("responseId")
        _must(self._response_id in (None, response_id), "the response id changed")
        self._response_id = response_id
        self._count(answer.get("usageMetadata") or {})
        for candidate in answer.get("candidates") or ():
            if not candidate.get("index"):
                self._candidate(candidate)
        if (answer.get("promptFeedback") or {}).get("blockReason"):
            _must(not self._parts, "a blocked prompt with an answer")
            self._end = "blocked"

    def result(self) -> CheckedStream:
        shown = [part for part in self._parts if "text" in part]
        return CheckedStream(
            text="".join(part["text"] for part in shown if not part.get("thought")),
            thoughts="".join(part["text"] for part in shown if part.get("thought")),
            calls=[part["functionCall"] for part in self._parts if "functionCall" in part],
            parts=self._parts,
            finish_reason=self._finish,
            usage=self._usage,
            end=self._end,
        )

    def _count(self, usage: Json) -> None:
        if "totalTokenCount" in usage:
            kinds = ("prompt", "candidates", "thoughts", "toolUsePrompt")
            counted = sum(usage.get(f"{kind}TokenCount", 0) for kind in kinds)
            _must(usage["totalTokenCount"] == counted, "the total is not the sum")
        self._usage = usage or self._usage

    def _candidate(self, candidate: Json) -> None:
        content = candidate.get("content") or {}
        _must(content.get("role", "model") == "model", "a role that is not model")
        for part in content.get("parts") or ():
            self._part(part)
        reason = candidate.get("finishReason")
        if reason is not None:
            _must(self._finish is None, "a second finish reason")
            self._finish, self._end = str(reason), "finish"

    def _part(self, part: Json) -> None:
        _must(self._finish is None, "content after the finish reason")
        _must(len(_DATA & part.keys()) <= 1, "two kinds of data in one part")
        _must(bool(_DATA & part.keys()) or "thoughtSignature" in part, "an empty part")
        call = part.get("functionCall")
        if call is not None:
            _must(bool(call.get("name")), "a call without a name")
            _must(isinstance(call.get("args", {}), dict), "arguments that are not an object")
        self._parts.append(part)
