"""Replies queued by a test: exact bytes for the next requests that match, before anything else is
considered.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec

from bytespike_cli.simulator.dialect import Dialect
from bytespike_cli.simulator.faults import parse_faults
from bytespike_cli.simulator.issued import opaque_strings
from bytespike_cli.simulator.reply import Frame, Reply
from bytespike_contracts.money import TokenUsage

__all__ = ["Script", "ScriptFull", "ScriptedReply"]

#: A test that queues more than this has lost count.
_MAX_QUEUED = 10_000


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

    def reply(self, dialect: Dialect) -> Reply:
        """The reply with the headers the vendor would send, unless given."""
        streamed = self.sse is not None
        frames = self._frames()
        kind = dialect.stream_type if streamed else "application/json"
        headers = {"content-type": kind, **{k.lower(): v for k, v in self.headers.items()}}
        events = [event for frame in frames for event in _events(frame.data, streamed=streamed)]
        usage = dialect.meter.usage(events) if self.status < 300 else TokenUsage()
        if streamed:
            weigh = dialect.meter.weight
            frames = [Frame(data, weigh(_event(data))) for data, _ in frames]
        return Reply(self.status, headers, frames, streamed, dialect.error_after, usage)

    def opaque(self) -> Iterator[str]:
        """Opaque state in it, which the vendor thereby gives out."""
        for frame in self._frames():
            yield from opaque_strings(_events(frame.data, streamed=self.sse is not None))

    def _frames(self) -> list[Frame]:
        if self.sse is not None:
            return _split(self.sse.encode())
        text = self.text.encode() if self.text is not None else msgspec.json.encode(self.body)
        return [Frame(text, weight=1)]


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


def _split(stream: bytes) -> list[Frame]:
    """Events with their line ends; whatever follows the last blank line is an event too."""
    ends = b"\r\n\r\n" if b"\r\n\r\n" in stream else b"\n\n"
    pieces = stream.split(ends)
    frames = [piece + ends for piece in pieces[:-1]] + [piece for piece in pieces[-1:] if piece]
    return [Frame(frame) for frame in frames]


def _events(data: bytes, *, streamed: bool) -> list[dict[str, Any]]:
    """The JSON objects in a frame: of an event its data, of a body the body or its elements."""
    if streamed:
        return [_event(data)]
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
        body = msgspec.json.decode(data)
        return [item for item in (body if isinstance(body, list) else [body]) if _is_object(item)]
    return []


def _event(frame: bytes) -> dict[str, Any]:
    """The JSON of an event, or nothing if it has none (a test may script garbage)."""
    lines = [line[5:] for line in frame.splitlines() if line.startswith(b"data:")]
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
        event = msgspec.json.decode(b"\n".join(lines))
        return event if isinstance(event, dict) else {}
    return {}


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)
