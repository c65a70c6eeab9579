"""Events as a Messages stream, in the very shapes Anthropic's clients parse.

A block is written when its first content comes, so that empty ones are never seen: a client would
send them back, and the vendor refuses them. A call waits for its second piece, since a signature
may arrive with the first and its carrier must stand before the call. The carrier of a text's
signature waits for the next block, since it may not be the last (see ``signatures.of_text``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from bytespike_protocols.anthropic import signatures
from bytespike_protocols.anthropic.draft import Wire, raw
from bytespike_protocols.anthropic.failure import encode_stream_error
from bytespike_protocols.anthropic.identity import safe_id
from bytespike_protocols.anthropic.response import (
    can_cite,
    encode_usage,
    message_id,
    shows_thoughts,
)
from bytespike_protocols.anthropic.stops import encode_stop
from bytespike_protocols.codec import ReplyContext
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
    Dialect,
    Foreign,
    Opaque,
    RedactedThinking,
    Refusal,
    StopReason,
    Text,
    Thinking,
    ToolUse,
    Usage,
)

__all__ = ["MessagesStreamEncoder"]

_encode = msgspec.json.Encoder().encode

_PING = b'event: ping\ndata: {"type":"ping"}\n\n'
_MESSAGE_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
# Nearly all of a stream is deltas: their frames are filled in, not built.
_DELTA = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,'
    b'"delta":{"type":"%b","%b":%b}}\n\n'
)
_BLOCK_STOP = (
    b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'
)  # fmt: skip

_CODES = {
    "overloaded": "upstream_overloaded",
    "rate_limited": "upstream_overloaded",
    "timeout": "upstream_timeout",
    "invalid_request": "invalid_request",
    "internal": "bad_upstream",
}


class MessagesStreamEncoder:
    """One answer for one client."""

    __slots__ = (
        "_after_text", "_block", "_called", "_context", "_guard", "_held", "_index", "_shown",
        "_signature", "_usage", "_written",
    )  # fmt: skip

    def __init__(self, context: ReplyContext) -> None:
        self._context = context
        self._guard = StreamGuard("ours")
        self._shown = shows_thoughts(context)
        self._usage = Usage()
        self._called = False
        #: The client's index of the next block: blocks it never sees are not counted.
        self._index = 0
        self._block: object = None
        self._written = False
        self._held: str | None = None
        self._signature: Opaque | None = None
        self._after_text: list[Opaque] = []

    def feed(self, event: Event) -> bytes:
        """Bytes to send now; may be empty."""
        self._guard.check(event)
        return _WRITERS[type(event)](self, event)

    def _start(self, event: Started) -> bytes:
        self._usage = event.usage or self._usage
        message: Wire = {
            "id": message_id(self._context),
            "type": "message",
            "role": "assistant",
            "model": self._context.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": encode_usage(self._usage),
        }
        return _frame("message_start", message=message) + _PING

    def _open(self, event: Opened) -> bytes:
        self._block, self._written = event.block, False
        self._held = self._signature = None
        match event.block:
            case ToolUse():
                self._called = True
            case RedactedThinking(opaque=opaque):
                data = signatures.of_thought(opaque)
                return self._write_start({"type": "redacted_thinking", "data": data})
            case Foreign(dialect=Dialect.ANTHROPIC, value=value):
                return self._write_start(raw(value))
        return b""

    def _add_text(self, event: TextDelta) -> bytes:
        thought = isinstance(self._block, Thinking)
        if not event.text or (thought and not self._shown):
            return b""
        kind = (b"thinking_delta", b"thinking") if thought else (b"text_delta", b"text")
        return self._ensure_start() + _DELTA % (self._index, *kind, _encode(event.text))

    def _add_arguments(self, event: ArgumentsDelta) -> bytes:
        if not isinstance(self._block, ToolUse):
            return b""
        if not self._written and self._held is None:
            self._held = event.json
            return b""
        return self._ensure_start() + self._write_json(event.json)

    def _add_citation(self, event: CitationDelta) -> bytes:
        if not can_cite(event.citation):
            return b""
        citation = event.citation.encode()
        return self._ensure_start() + _DELTA % (
            self._index, b"citations_delta", b"citation", citation,
        )  # fmt: skip

    def _add_signature(self, event: SignatureDelta) -> bytes:
        match self._block:
            case Thinking():
                signature = signatures.of_thought(event.opaque)
                return self._ensure_start() + self._write_signature(signature)
            case ToolUse() as call if not self._written:
                return self._write_carrier(signatures.of_call(event.opaque, safe_id(call.id)))
        self._signature = event.opaque
        return b""

    def _close(self, _: Closed) -> bytes:
        out = self._ensure_start() if isinstance(self._block, ToolUse) else b""
        if self._written:
            out += _BLOCK_STOP % self._index
            self._index += 1
        if self._signature is None:
            return out
        if isinstance(self._block, ToolUse):
            call_id = safe_id(self._block.id)
            return out + self._write_carrier(signatures.of_call(self._signature, call_id))
        self._after_text.append(self._signature)
        return out

    def _end(self, event: Ended) -> bytes:
        if event.stop.reason is StopReason.BROKEN_CALL:
            message = event.stop.detail or "the model made a call that is broken"
            return self._error("bad_upstream", message)
        usage = encode_usage(event.usage or self._usage)
        stop = encode_stop(event.stop, called=self._called)
        return _frame("message_delta", delta=stop, usage=usage) + _MESSAGE_STOP

    def _fail(self, event: Failed) -> bytes:
        return self._error(_CODES[event.kind], event.message)

    def _error(self, code: str, message: str) -> bytes:
        return encode_stream_error(code=code, message=message, request_id=self._context.request_id)

    def _ensure_start(self) -> bytes:
        if self._written:
            return b""
        match self._block:
            case Text() | Refusal():
                return self._write_start({"type": "text", "text": ""})
            case Thinking():
                return self._write_start({"type": "thinking", "thinking": "", "signature": ""})
            case ToolUse(id=call_id, name=name):
                call = {"type": "tool_use", "id": safe_id(call_id), "name": name, "input": {}}
                held = "" if self._held is None else self._held
                return self._write_start(call) + self._write_json(held)
        return b""

    def _write_start(self, block: Any) -> bytes:
        self._written = True
        out = self._write_after_text()
        return out + _frame("content_block_start", index=self._index, content_block=block)

    def _write_after_text(self) -> bytes:
        waiting, self._after_text = self._after_text, []
        return b"".join(self._write_carrier(signatures.of_text(one)) for one in waiting)

    def _write_json(self, piece: str) -> bytes:
        return _DELTA % (self._index, b"input_json_delta", b"partial_json", _encode(piece))

    def _write_signature(self, signature: str) -> bytes:
        return _DELTA % (self._index, b"signature_delta", b"signature", _encode(signature))

    def _write_carrier(self, signature: str) -> bytes:
        """A whole thinking block without words, in between."""
        thought = {"type": "thinking", "thinking": "", "signature": ""}
        out = self._write_after_text()
        out += _frame("content_block_start", index=self._index, content_block=thought)
        out += self._write_signature(signature) + _BLOCK_STOP % self._index
        self._index += 1
        return out


_WRITERS: dict[type, Callable[[MessagesStreamEncoder, Any], bytes]] = {
    TextDelta: MessagesStreamEncoder._add_text,
    ArgumentsDelta: MessagesStreamEncoder._add_arguments,
    Opened: MessagesStreamEncoder._open,
    Closed: MessagesStreamEncoder._close,
    SignatureDelta: MessagesStreamEncoder._add_signature,
    CitationDelta: MessagesStreamEncoder._add_citation,
    Started: MessagesStreamEncoder._start,
    Ended: MessagesStreamEncoder._end,
    Failed: MessagesStreamEncoder._fail,
}


def _frame(kind: str, **fields: Any) -> bytes:
    data = _encode({"type": kind, **fields})
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)
