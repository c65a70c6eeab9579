"""The tap: what a relayed Anthropic answer consumed and how it ended, read off in passing."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from bytespike_protocols.anthropic import wire
from bytespike_protocols.anthropic.failure import read_failure
from bytespike_protocols.anthropic.usage import NOTHING_SAID, buckets, merge, read_usage
from bytespike_protocols.errors import BadUpstreamMessage
from bytespike_protocols.failures import VendorFailure
from bytespike_protocols.ir import Usage
from bytespike_protocols.sse import Frame
from bytespike_protocols.tap import TapState, lenient

__all__ = ["MessagesTap"]

# The piece of a delta: text, thinking, or the JSON of a tool call. Inside a JSON string every quote
# is escaped, so these names cannot be imitated by content.
_PIECE = re.compile(
    rb'"(?:text|thinking|partial_json)"\s*:\s*"([^"\\]*+(?:\\.[^"\\]*+)*+)"', re.DOTALL
)


class MessagesTap(TapState):
    """Reads one answer; see ``tap.Tap``."""

    __slots__ = ("_output_reported", "_usage", "stop_reason")

    def __init__(self) -> None:
        super().__init__()
        self.stop_reason: str | None = None
        self._usage = NOTHING_SAID
        self._output_reported = False

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
        return buckets(self._usage, max(self.counted_tokens, self._usage.output_tokens or 0))

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
        message = lenient(_message_decoder, body)
        if message is not None and message.type == "message":
            self.started = self.finished = True
            self.stop_reason = message.stop_reason
            self.content_seen = bool(message.content)
            self._note_usage(message.usage, final=True)
            return
        self.error = read_failure(200, body)
        if self.error is None:
            raise BadUpstreamMessage("the answer is neither a message nor an error")

    def _note_delta(self, data: bytes) -> None:
        piece = _PIECE.search(data)
        if piece is None:
            # Signatures and citations: content was delivered, though none that can be counted.
            self.content_seen = True
            return
        self.deliver(piece[1])

    def _note_start(self, data: bytes) -> None:
        self.started = True
        event = lenient(_start_decoder, data)
        if event is not None:
            self._note_usage(event.message.usage, final=False)

    def _note_block(self, data: bytes) -> None:
        event = lenient(_block_decoder, data)
        if event is None:
            return
        block = event.content_block
        opening = block.text or block.thinking
        self.delivered_bytes += len(opening.encode())
        # A tool call or a server tool's result is content the moment it opens.
        if opening or block.type not in ("text", "thinking"):
            self.content_seen = True

    def _note_message_delta(self, data: bytes) -> None:
        event = lenient(_delta_decoder, data)
        if event is not None:
            self.stop_reason = event.delta.stop_reason or self.stop_reason
            self._note_usage(event.usage, final=True)

    def _note_stop(self, data: bytes) -> None:
        del data
        self.finished = True

    def _note_error(self, data: bytes) -> None:
        self.error = read_failure(200, data) or VendorFailure(status=500, message="")

    def _note_usage(self, raw: msgspec.Raw, *, final: bool) -> None:
        said = read_usage(raw)
        if said is None:
            return
        self._usage = merge(self._usage, said)
        self._output_reported = self._output_reported or (final and said.output_tokens is not None)


_NOTES: dict[bytes, Callable[[MessagesTap, bytes], None]] = {
    b"message_start": MessagesTap._note_start,
    b"content_block_start": MessagesTap._note_block,
    b"message_delta": MessagesTap._note_message_delta,
    b"message_stop": MessagesTap._note_stop,
    b"error": MessagesTap._note_error,
}

_message_decoder = msgspec.json.Decoder(wire.Message)
_start_decoder = msgspec.json.Decoder(wire.MessageStart)
_block_decoder = msgspec.json.Decoder(wire.BlockStart)
_delta_decoder = msgspec.json.Decoder(wire.MessageDelta)
_kind_decoder = msgspec.json.Decoder(wire.EventKind)


def _kind(data: bytes) -> bytes:
    kind = lenient(_kind_decoder, data)
    return b"" if kind is None else kind.type.encode()
