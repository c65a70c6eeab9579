"""Events to the chunks Google's clients read.

One line of compact JSON each, CRLF, no event names, no comments and no ``[DONE]``: the Python SDK
breaks on any of these. Or, without ``alt=sse``, the elements of one JSON array. Calls come whole.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

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
from bytespike_protocols.gemini.failure import encode_stream_error
from bytespike_protocols.gemini.grounding import GroundingWriter
from bytespike_protocols.gemini.parts_encode import (
    Part,
    call_part,
    one_line,
    redacted_part,
    text_part,
)
from bytespike_protocols.gemini.response import final_candidate, identity, shows_thoughts
from bytespike_protocols.gemini.usage import encode_usage
from bytespike_protocols.ir import (
    Dialect,
    Foreign,
    Json,
    Opaque,
    RedactedThinking,
    Refusal,
    StopReason,
    Text,
    Thinking,
    ToolUse,
    Usage,
)

__all__ = ["GeminiStreamEncoder"]

Opening = Text | Thinking | RedactedThinking | ToolUse | Refusal | Foreign

_CODE_BY_KIND = {
    "overloaded": "upstream_overloaded",
    "rate_limited": "rate_limited",
    "timeout": "upstream_timeout",
    "invalid_request": "invalid_request",
    "internal": "internal_error",
}


class GeminiStreamEncoder:
    """Encodes one answer; see ``codec.StreamEncoder``."""

    __slots__ = (
        "_array",
        "_block",
        "_broken_call",
        "_citations",
        "_guard",
        "_opaque",
        "_pieces",
        "_request_id",
        "_sent",
        "_show",
        "_sources",
        "_tail",
        "_usage",
    )

    def __init__(self, context: ReplyContext) -> None:
        self._guard = StreamGuard("ours")
        self._array = context.framing == "array"
        self._request_id = context.request_id
        self._show = shows_thoughts(context)
        self._tail = identity(context)
        self._usage: dict[str, Any] = {}
        self._sent = False
        self._broken_call = False
        self._sources = GroundingWriter()
        self._block: Opening | None = None
        self._pieces: list[str] = []
        self._citations: list[Json] = []
        self._opaque: Opaque | None = None

    def feed(self, event: Event) -> bytes:
        """The chunks to send now. An order the grammar forbids is an ``AssertionError``."""
        self._guard.check(event)
        match event:
            case TextDelta():
                return self._text(event.text)
            case ArgumentsDelta():
                self._pieces.append(event.json)
            case Opened():
                self._block, self._pieces, self._citations = event.block, [], []
                self._opaque = None
            case SignatureDelta():
                self._opaque = event.opaque
            case CitationDelta():
                self._citations.append(event.citation)
            case Closed():
                return self._close()
            case Started():
                self._count(event.usage)
            case Ended():
                return self._end(event)
            case Failed():
                body = encode_stream_error(
                    code=_CODE_BY_KIND[event.kind],
                    message=event.message,
                    request_id=self._request_id,
                    framing="array",
                )
                return self._framed(body, last=True)
        return b""

    def _text(self, text: str) -> bytes:
        thought = isinstance(self._block, Thinking)
        if isinstance(self._block, Text):
            self._pieces.append(text)
        if not text or (thought and not self._show):
            return b""
        return self._chunk(text_part(text, thought=thought))

    def _close(self) -> bytes:
        block = self._block
        match block:
            case Text():
                self._sources.add("".join(self._pieces), tuple(self._citations))
                return self._signed(thought=False)
            case Thinking():
                return self._signed(thought=True)
            case RedactedThinking():
                return self._chunk(redacted_part(block))
            case ToolUse():
                return self._call(block)
            case Foreign() if block.dialect is Dialect.GEMINI:
                return self._chunk(one_line(block.value))
        return b""

    def _signed(self, *, thought: bool) -> bytes:
        """The signature on an empty part, as Google itself does: the text is long gone."""
        if self._opaque is None:
            return b""
        return self._chunk(text_part("", thought=thought, opaque=self._opaque))

    def _call(self, block: ToolUse) -> bytes:
        arguments = Json("".join(self._pieces) or block.arguments)
        part = call_part(replace(block, arguments=arguments, opaque=self._opaque))
        if part is None:
            self._broken_call = True
            return b""
        return self._chunk(part)

    def _end(self, event: Ended) -> bytes:
        self._count(event.usage)
        candidate = final_candidate(event.stop, self._sources, broken_call=self._broken_call)
        if event.stop.reason is not StopReason.REFUSED:
            # Some clients take a candidate without content for a broken answer.
            candidate = {"content": {"parts": [{"text": ""}], "role": "model"}, **candidate}
        return self._framed(self._body(candidate), last=True)

    def _count(self, usage: Usage | None) -> None:
        if usage is not None:
            self._usage = {"usageMetadata": encode_usage(usage)}

    def _chunk(self, part: Part | msgspec.Raw) -> bytes:
        candidate = {"content": {"parts": [part], "role": "model"}, "index": 0}
        return self._framed(self._body(candidate), last=False)

    def _body(self, candidate: dict[str, Any]) -> bytes:
        return msgspec.json.encode({"candidates": [candidate], **self._usage, **self._tail})

    def _framed(self, body: bytes, *, last: bool) -> bytes:
        if not self._array:
            return b"data: " + body + b"\r\n\r\n"
        opening = b",\r\n" if self._sent else b"["
        self._sent = True
        return opening + body + (b"]" if last else b"")
