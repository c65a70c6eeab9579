"""Replies queued by a test: exact bytes for the next requests that match, before anything else is
considered.
"""

from __future__ import annotations

import contextlib
from typing import Annotated, Any, NamedTuple

import msgspec

from bytespike_cli.simulator.faults import parse_faults
from bytespike_cli.simulator.wire import Frame
from bytespike_contracts.money import TokenUsage

__all__ = ["Reply", "Script", "ScriptFull", "ScriptedReply"]

#: A test that queues more than this has lost count.
_MAX_QUEUED = 10_000


class Reply(NamedTuple):
    """What goes out: ``frames`` are events of a stream, or the one body of a JSON answer. ``usage``
    is what a complete delivery bills.
    """

    status: int
    headers: dict[str, str]
    frames: list[Frame]
    streamed: bool
    usage: TokenUsage = TokenUsage()


class ScriptedReply(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of ``sse`` (stream text), ``text`` (body text) or ``body`` (JSON, encoded compactly) is
    the answer. ``model`` restricts it to requests for that model; ``times`` is how often it is
    given; ``faults`` damages its delivery.
    """

    model: str | None = None
    times: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    status: Annotated[int, msgspec.Meta(ge=200, le=599)] = 200
    headers: dict[str, str] = {}
    body: Any = None
    text: str | None = None
    sse: str | None = None
    faults: str = ""

    def __post_init__(self) -> None:
        if sum(part is not None for part in (self.body, self.text, self.sse)) != 1:
            raise ValueError("exactly one of body, text and sse is needed")
        parse_faults(self.faults)

    def reply(self) -> Reply:
        """The reply with the headers the vendor would send, unless given."""
        streamed = self.sse is not None
        if self.sse is not None:
            frames = _frames(self.sse.encode())
        else:
            text = self.text.encode() if self.text is not None else msgspec.json.encode(self.body)
            frames = [Frame(text, weight=1)]
        kind = "text/event-stream; charset=utf-8" if streamed else "application/json"
        headers = {"content-type": kind, **{k.lower(): v for k, v in self.headers.items()}}
        usage = _usage(frames, streamed=streamed) if self.status < 300 else TokenUsage()
        return Reply(self.status, headers, frames, streamed, usage)


class ScriptFull(Exception):
    """More replies queued than any test can mean."""


class Script:
    """The queue, first come first served among the replies that match."""

    def __init__(self) -> None:
        self._queue: list[tuple[ScriptedReply, int]] = []

    def __len__(self) -> int:
        return sum(left for _, left in self._queue)

    def add(self, reply: ScriptedReply) -> None:
        """Queue a reply. Raises :class:`ScriptFull`."""
        if len(self._queue) >= _MAX_QUEUED:
            raise ScriptFull
        self._queue.append((reply, reply.times))

    def take(self, model: str) -> ScriptedReply | None:
        """The next reply for a request naming ``model``, used up once."""
        for at, (reply, left) in enumerate(self._queue):
            if reply.model in (None, model):
                self._queue[at : at + 1] = [(reply, left - 1)] if left > 1 else []
                return reply
        return None

    def clear(self) -> None:
        """Drop what is left."""
        self._queue.clear()


def _frames(stream: bytes) -> list[Frame]:
    """Events with their line ends; whatever follows the last blank line is an event too."""
    ends = b"\r\n\r\n" if b"\r\n\r\n" in stream else b"\n\n"
    pieces = stream.split(ends)
    frames = [piece + ends for piece in pieces[:-1]] + [piece for piece in pieces[-1:] if piece]
    return [Frame(frame, weight=_content_bytes(frame)) for frame in frames]


def _event(frame: bytes) -> dict[str, Any]:
    """The JSON of an event, or nothing if it has none (a test may script garbage)."""
    lines = [line[5:] for line in frame.splitlines() if line.startswith(b"data:")]
    with contextlib.suppress(msgspec.DecodeError):
        event = msgspec.json.decode(b"\n".join(lines))
        return event if isinstance(event, dict) else {}
    return {}


def _content_bytes(frame: bytes) -> int:
    delta = _event(frame).get("delta")
    if not isinstance(delta, dict):
        return 0
    parts = (delta.get(name) for name in ("text", "thinking", "partial_json"))
    return sum(len(part.encode()) for part in parts if isinstance(part, str))


def _usage(frames: list[Frame], *, streamed: bool) -> TokenUsage:
    """What the reply itself says it consumed; nothing if it is an error or says nothing."""
    if streamed:
        events = [_event(frame.data) for frame in frames]
    else:
        with contextlib.suppress(msgspec.DecodeError):
            events = [msgspec.json.decode(frames[0].data)]
            return _read_usage(events[0].get("usage")) if isinstance(events[0], dict) else _NONE
        return _NONE
    reported: dict[str, Any] = {}
    for event in events:
        for holder in (event, event.get("message")):
            if isinstance(holder, dict) and isinstance(holder.get("usage"), dict):
                reported |= {k: v for k, v in holder["usage"].items() if v is not None}
    return _read_usage(reported)


_NONE = TokenUsage()


def _read_usage(reported: Any) -> TokenUsage:
    if not isinstance(reported, dict):
        return _NONE
    split = reported.get("cache_creation") or {}
    written = reported.get("cache_creation_input_tokens") or 0
    hour = min(split.get("ephemeral_1h_input_tokens") or 0, written)
    details = reported.get("output_tokens_details") or {}
    tools = reported.get("server_tool_use") or {}
    return TokenUsage(
        input_tokens=reported.get("input_tokens") or 0,
        cache_write_5m_tokens=written - hour,
        cache_write_1h_tokens=hour,
        cache_read_tokens=reported.get("cache_read_input_tokens") or 0,
        output_tokens=reported.get("output_tokens") or 0,
        reasoning_tokens=details.get("thinking_tokens") or 0,
        web_searches=tools.get("web_search_requests") or 0,
    )
