"""The order an Anthropic Messages stream must keep, checked event by event.

Written from the protocol's description and recordings, on purpose without any of our own parsers:
it judges what vendors send, what the simulator makes and what our clients receive.
"""

from __future__ import annotations

import json
from typing import Any, Literal, NamedTuple

__all__ = ["CheckedStream", "GrammarError", "check_stream"]

Json = dict[str, Any]
End = Literal["stop", "error", "truncated"]

#: Which deltas each kind of block may be extended by. Kinds not named come whole.
_DELTAS: dict[str, set[str]] = {
    "text": {"text_delta", "citations_delta"},
    "thinking": {"thinking_delta", "signature_delta"},
    "tool_use": {"input_json_delta"},
    "server_tool_use": {"input_json_delta"},
    "mcp_tool_use": {"input_json_delta"},
    "compaction": {"compaction_delta"},
}
#: Stops by a limit: whatever was under way then ends there.
_LIMITS = {"max_tokens", "model_context_window_exceeded"}
_KNOWN_DELTAS = set[str]().union(*_DELTAS.values())


class GrammarError(AssertionError):
    """The stream is not one the vendor could have sent."""


class CheckedStream(NamedTuple):
    """What the stream said: finished blocks, why it stopped, its last usage, how it ended."""

    message: Json
    blocks: list[Json]
    stop_reason: str | None
    usage: Json
    end: End
    pings: int


def check_stream(stream: bytes | str) -> CheckedStream:
    """Walk a whole stream. Raises :class:`GrammarError` naming the event that broke the order; a
    stream that merely stops early is reported as ``truncated``.
    """
    text = stream.decode() if isinstance(stream, bytes) else stream
    walk = _Walk()
    for number, frame in enumerate(_frames(text)):
        try:
            walk.step(*_read(frame))
        except GrammarError as error:
            raise GrammarError(f"event {number}: {error}: {frame[:200]!r}") from None
    return walk.result()


def _frames(text: str) -> list[str]:
    pieces = text.replace("\r\n", "\n").split("\n\n")
    return [piece for piece in pieces if piece.strip("\n")]


def _read(frame: str) -> tuple[str, Json]:
    lines = frame.strip("\n").split("\n")
    if len(lines) != 2 or not lines[0].startswith("event: ") or not lines[1].startswith("data: "):
        raise GrammarError("not one event line and one data line")
    event: Json = json.loads(lines[1][6:])
    if event.get("type") != lines[0][7:]:
        raise GrammarError("event line and type differ")
    return event["type"], event


def _must(holds: bool, complaint: str) -> None:
    if not holds:
        raise GrammarError(complaint)


class _Walk:
    """Where in the stream we are."""

    def __init__(self) -> None:
        self._message: Json = {}
        self._blocks: list[Json] = []
        self._open: Json | None = None
        self._partial = ""
        self._stop_reason: str | None = None
        self._usage: Json = {}
        self._delta_seen = False
        self._cut = False
        self._end: End = "truncated"
        self._pings = 0

    def step(self, kind: str, event: Json) -> None:
        _must(self._end == "truncated", "something after the end")
        if kind == "ping":
            self._pings += 1
        elif kind == "error":
            _must({"type", "message"} <= set(event["error"]), "error without type or message")
            self._end = "error"
        elif kind == "message_start":
            self._start(event)
        else:
            _must(bool(self._message), "before message_start")
            getattr(self, f"_{kind}", self._unknown)(event)

    def result(self) -> CheckedStream:
        return CheckedStream(
            self._message, self._blocks, self._stop_reason, self._usage, self._end, self._pings
        )

    def _unknown(self, _: Json) -> None:
        raise GrammarError("unknown event")

    def _start(self, event: Json) -> None:
        _must(not self._message, "second message_start")
        self._message = event["message"]
        _must(self._message["content"] == [], "message_start with content")
        _must(self._message["stop_reason"] is None, "message_start with a stop reason")
        self._usage = dict(self._message.get("usage") or {})

    def _content_block_start(self, event: Json) -> None:
        _must(self._open is None, "block inside a block")
        _must(not self._cut, "block after a cut one")
        _must(not self._delta_seen, "block after message_delta")
        _must(event["index"] == len(self._blocks), "index out of order")
        self._open, self._partial = dict(event["content_block"]), ""

    def _content_block_delta(self, event: Json) -> None:
        block, delta = self._open, event["delta"]
        if block is None:
            raise GrammarError("delta outside a block")
        _must(event["index"] == len(self._blocks), "delta for another block")
        kind = delta["type"]
        fits = kind in _DELTAS.get(block["type"], set()) or kind not in _KNOWN_DELTAS
        _must(fits, f"{kind} in a {block['type']} block")
        if kind == "input_json_delta":
            self._partial += delta["partial_json"]
        elif kind == "citations_delta":
            block["citations"] = [*(block.get("citations") or []), delta["citation"]]
        elif kind == "signature_delta":
            _must(not block.get("signature"), "second signature")
            block["signature"] = delta["signature"]
        elif kind in {"text_delta", "thinking_delta"}:
            _must(not block.get("signature"), "thought after its signature")
            field = kind.removesuffix("_delta")
            block[field] += delta[field]

    def _content_block_stop(self, event: Json) -> None:
        if self._open is None:
            raise GrammarError("stop outside a block")
        _must(event["index"] == len(self._blocks), "stop of another block")
        if self._partial:
            self._read_input(self._open)
        self._blocks.append(self._open)
        self._open = None

    def _read_input(self, block: Json) -> None:
        """Only the token limit may cut a call's arguments; then the text of them is kept."""
        try:
            block["input"] = json.loads(self._partial)
        except json.JSONDecodeError:
            self._cut, block["input"] = True, self._partial

    def _message_delta(self, event: Json) -> None:
        _must(self._open is None, "message_delta inside a block")
        self._delta_seen = True
        self._stop_reason = event["delta"]["stop_reason"]
        _must(not self._cut or self._stop_reason in _LIMITS, "broken arguments of a call")
        self._usage |= {k: v for k, v in (event.get("usage") or {}).items() if v is not None}

    def _message_stop(self, _: Json) -> None:
        _must(self._delta_seen, "message_stop without message_delta")
        self._end = "stop"
