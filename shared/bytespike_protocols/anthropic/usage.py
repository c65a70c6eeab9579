"""The tap: what a relayed Anthropic answer consumed and how it ended, read off in passing.

It never changes, delays or keeps a byte of the answer. Content deltas, nearly all of a stream, are
not decoded: their text is found by its bytes and only measured, for the one case in which nobody
else counted it (the client left before the vendor reported usage).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

import msgspec

from bytespike_protocols.anthropic import wire
from bytespike_protocols.errors import BadUpstreamMessage
from bytespike_protocols.ir import Usage
from bytespike_protocols.sse import Frame

__all__ = ["BYTES_PER_TOKEN", "Usage", "UsageTap", "buckets", "merge", "read_usage"]

T = TypeVar("T")

#: Delivered text is counted at this many UTF-8 bytes a token, rounded up. Tokenisers of the family
#: make 3 to 4 bytes a token of English and fewer of anything else, so the count is a lower bound:
#: where we must guess, the guess is in the customer's favour.
BYTES_PER_TOKEN = 4

# The piece of a delta: text, thinking, or the JSON of a tool call. Inside a JSON string every quote
# is escaped, so these names cannot be imitated by content.
_PIECE = re.compile(
    rb'"(?:text|thinking|partial_json)"\s*:\s*"([^"\\]*+(?:\\.[^"\\]*+)*+)"', re.DOTALL
)


class UsageTap:
    """Reads one answer: either :meth:`feed` every frame of a stream, or :meth:`read_message` once.

    ``started``: the vendor has begun a message. ``finished``: its terminal event (or whole body)
    was seen. ``content_seen``: at least one token of content has been delivered. ``error``: type
    and message of an error the vendor sent instead of an end.
    """

    __slots__ = (
        "_delivered_bytes",
        "_output_reported",
        "_usage",
        "content_seen",
        "error",
        "finished",
        "started",
        "stop_reason",
    )

    def __init__(self) -> None:
        self.started = False
        self.finished = False
        self.content_seen = False
        self.stop_reason: str | None = None
        self.error: tuple[str, str] | None = None
        self._usage = wire.WireUsage()
        self._output_reported = False
        self._delivered_bytes = 0

    @property
    def usage(self) -> Usage | None:
        """What the vendor reported, once it has reported both sides; None until then."""
        if not self._output_reported or self._usage.input_tokens is None:
            return None
        return buckets(self._usage, self._usage.output_tokens or 0)

    @property
    def usage_so_far(self) -> Usage:
        """The best known now: reported numbers, the output counted by us if not reported."""
        reported = self.usage
        if reported is not None:
            return reported
        counted = -(-self._delivered_bytes // BYTES_PER_TOKEN)
        return buckets(self._usage, max(counted, self._usage.output_tokens or 0))

    @property
    def refused(self) -> bool:
        """Whether the model's safety system declined without delivering any content."""
        return self.stop_reason == "refusal" and not self.content_seen

    def feed(self, frame: Frame) -> None:
        """Take note of one whole frame. Unknown events pass; broken data counts as not sent."""
        event = frame.event or _kind(frame.data)
        if event == b"content_block_delta":
            self._note_delta(frame.data)
            return
        note = _NOTES.get(event)
        if note is not None:
            note(self, frame.data)

    def read_message(self, body: bytes) -> None:
        """Take note of a whole JSON answer. Raises ``BadUpstreamMessage`` unless it is a message or
        an error object.
        """
        message = _decode(_message_decoder, body)
        if message is not None and message.type == "message":
            self.started = self.finished = True
            self.stop_reason = message.stop_reason
            self.content_seen = bool(message.content)
            self._note_usage(message.usage, final=True)
            return
        failure = _decode(_error_decoder, body)
        if failure is None:
            raise BadUpstreamMessage("the answer is neither a message nor an error")
        self.error = (failure.error.type, failure.error.message)

    def _note_delta(self, data: bytes) -> None:
        piece = _PIECE.search(data)
        if piece is None:
            # Signatures and citations: content was delivered, though none that can be counted.
            self.content_seen = True
            return
        text = piece[1]
        if text:
            self.content_seen = True
            self._delivered_bytes += len(text) - text.count(b"\\")

    def _note_start(self, data: bytes) -> None:
        self.started = True
        event = _decode(_start_decoder, data)
        if event is not None:
            self._note_usage(event.message.usage, final=False)

    def _note_block(self, data: bytes) -> None:
        event = _decode(_block_decoder, data)
        if event is None:
            return
        block = event.content_block
        opening = block.text or block.thinking
        self._delivered_bytes += len(opening.encode())
        # A tool call or a server tool's result is content the moment it opens.
        if opening or block.type not in ("text", "thinking"):
            self.content_seen = True

    def _note_message_delta(self, data: bytes) -> None:
        event = _decode(_delta_decoder, data)
        if event is not None:
            self.stop_reason = event.delta.stop_reason or self.stop_reason
            self._note_usage(event.usage, final=True)

    def _note_stop(self, data: bytes) -> None:
        del data
        self.finished = True

    def _note_error(self, data: bytes) -> None:
        failure = _decode(_error_decoder, data)
        detail = wire.ErrorDetail() if failure is None else failure.error
        self.error = (detail.type, detail.message)

    def _note_usage(self, raw: msgspec.Raw, *, final: bool) -> None:
        said = read_usage(raw)
        if said is None:
            return
        self._usage = merge(self._usage, said)
        self._output_reported = self._output_reported or (final and said.output_tokens is not None)


_NOTES: dict[bytes, Callable[[UsageTap, bytes], None]] = {
    b"message_start": UsageTap._note_start,
    b"content_block_start": UsageTap._note_block,
    b"message_delta": UsageTap._note_message_delta,
    b"message_stop": UsageTap._note_stop,
    b"error": UsageTap._note_error,
}

_message_decoder = msgspec.json.Decoder(wire.Message)
_start_decoder = msgspec.json.Decoder(wire.MessageStart)
_block_decoder = msgspec.json.Decoder(wire.BlockStart)
_delta_decoder = msgspec.json.Decoder(wire.MessageDelta)
_error_decoder = msgspec.json.Decoder(wire.ErrorBody)
_usage_decoder = msgspec.json.Decoder(wire.WireUsage | None)
_kind_decoder = msgspec.json.Decoder(wire.EventKind)


def _decode(decoder: msgspec.json.Decoder[T], data: bytes | msgspec.Raw) -> T | None:
    """None for bytes that are not what they should be: a tap must never break the relay."""
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _kind(data: bytes) -> bytes:
    kind = _decode(_kind_decoder, data)
    return b"" if kind is None else kind.type.encode()


def read_usage(raw: msgspec.Raw) -> wire.WireUsage | None:
    """The counts of an answer or event; None if it has none that can be believed."""
    return _decode(_usage_decoder, raw)


def merge(earlier: wire.WireUsage, later: wire.WireUsage) -> wire.WireUsage:
    """What is known after ``later`` was said too: its counts are cumulative and may be partial."""
    names = later.__struct_fields__
    known = {name: value for name in names if (value := getattr(later, name)) is not None}
    return msgspec.structs.replace(earlier, **known)


def buckets(said: wire.WireUsage, output_tokens: int) -> Usage:
    """The vendor's overlapping counts as disjoint ones; ``output_tokens`` may be counted by us."""
    by_lifetime = said.cache_creation or wire.CacheCreation()
    hour = by_lifetime.ephemeral_1h_input_tokens or 0
    written = said.cache_creation_input_tokens
    if written is None:
        written = hour + (by_lifetime.ephemeral_5m_input_tokens or 0)
    # The total wins over a split that does not add up; what is not said to be 1 h is 5 min.
    hour = min(hour, written)
    details = said.output_tokens_details or wire.OutputDetails()
    tools = said.server_tool_use or wire.ServerToolUse()
    return Usage(
        input_tokens=said.input_tokens or 0,
        cache_write_5m_tokens=written - hour,
        cache_write_1h_tokens=hour,
        cache_read_tokens=said.cache_read_input_tokens or 0,
        output_tokens=output_tokens,
        reasoning_tokens=min(details.thinking_tokens or 0, output_tokens),
        web_searches=tools.web_search_requests or 0,
    )
