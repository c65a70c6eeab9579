"""Usage in a relayed stream: asked for in the client's place, and kept from it if it did not ask.

Without ``stream_options.include_usage`` a stream of this dialect ends without a word on what it
took, and nobody could bill it.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bytespike_protocols.errors import BadClientMessage
from bytespike_protocols.openai_chat.wire import WireUsage
from bytespike_protocols.splice import Span, replace_span, shallow_at
from bytespike_protocols.sse import Frame
from bytespike_protocols.tap import lenient

__all__ = ["asks_for_usage", "is_usage_only", "with_usage"]

_OPTIONS, _INCLUDE = "stream_options", "include_usage"
_BLANKS = b" \t\n\r"


class _Options(msgspec.Struct, frozen=True):
    include_usage: bool | None = None


class _Chunk(msgspec.Struct, frozen=True):
    """A chunk by what makes it a usage chunk."""

    choices: list[msgspec.Raw]
    usage: WireUsage
    error: None = None


_options = msgspec.json.Decoder(_Options | None)
_chunks = msgspec.json.Decoder(_Chunk)


def asks_for_usage(fields: Mapping[str, msgspec.Raw]) -> bool:
    """Whether the client itself wants usage in its stream; ``fields`` as ``splice.shallow``."""
    options = lenient(_options, fields.get(_OPTIONS, b"null"))
    return options is not None and options.include_usage is True


def with_usage(body: bytes, fields: Mapping[str, msgspec.Raw]) -> bytes:
    """The body of a streaming request, asking for usage, every other byte as it was; the very same
    body if it asks already, or if its options are none and the vendor will say so.
    """
    if asks_for_usage(fields):
        return body
    if _OPTIONS not in fields:
        return _insert(body, (0, len(body)), b'"stream_options":{"include_usage":true}')
    _, span = shallow_at(body, _OPTIONS)
    options = body[slice(*span)]
    if options == b"null":
        return replace_span(body, span, b'{"include_usage":true}')
    try:
        _, inner = shallow_at(options, _INCLUDE)
    except BadClientMessage:
        if not options.startswith(b"{") or f'"{_INCLUDE}"'.encode() in options:
            return body
        return _insert(body, span, b'"include_usage":true')
    return replace_span(body, (span[0] + inner[0], span[0] + inner[1]), b"true")


def is_usage_only(frame: Frame) -> bool:
    """Whether this is the chunk that has usage and nothing else, which a client that did not ask
    for usage must not see.
    """
    if b'"usage"' not in frame.data:
        return False
    chunk = lenient(_chunks, frame.data)
    return chunk is not None and not chunk.choices


def _insert(body: bytes, span: Span, field: bytes) -> bytes:
    """``body`` with one more field at the end of the object at ``span``."""
    text = body[slice(*span)].rstrip(_BLANKS)
    brace = span[0] + len(text) - 1
    empty = text[:-1].strip(_BLANKS) == b"{"
    return replace_span(body, (brace, brace), field if empty else b"," + field)
