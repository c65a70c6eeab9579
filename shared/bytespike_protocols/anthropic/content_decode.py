"""Content blocks of a client's messages as canonical ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from bytespike_protocols.anthropic import signatures
from bytespike_protocols.anthropic.fields import Fields, items, json_text
from bytespike_protocols.errors import BadClientMessage
from bytespike_protocols.ir import (
    Base64,
    Block,
    CacheControl,
    Content,
    Dialect,
    Document,
    Extra,
    FileId,
    Foreign,
    Image,
    Inline,
    RedactedThinking,
    Source,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    Url,
)

__all__ = ["read_blocks", "read_cache", "read_contents"]

T = TypeVar("T")

_TTLS = {"5m", "1h"}
_string = msgspec.json.Decoder(str)


def read_blocks(raw: msgspec.Raw, path: str, extras: list[Extra]) -> tuple[Block, ...]:
    """The content of a message: a string or blocks of any kind."""
    if _is_string(raw):
        return _shorthand(raw, path)
    return tuple(_block(item, at, extras) for at, item in items(raw, path))


def read_contents(raw: msgspec.Raw, path: str, extras: list[Extra]) -> tuple[Content, ...]:
    """Blocks where only text and media may stand; others are somebody else's to understand."""
    if _is_string(raw):
        return _shorthand(raw, path)
    return tuple(_content(item, at, extras) for at, item in items(raw, path))


def _is_string(raw: msgspec.Raw) -> bool:
    return memoryview(raw)[0] == ord('"')


def _shorthand(raw: msgspec.Raw, path: str) -> tuple[Text, ...]:
    try:
        text = _string.decode(raw)
    except msgspec.DecodeError:
        raise BadClientMessage(path, "must be a string or an array") from None
    return (Text(text=text),) if text else ()


def _block(raw: msgspec.Raw, path: str, extras: list[Extra]) -> Block:
    found: list[Extra] = []
    fields = Fields(raw, path, found)
    kind = fields.required_string("type")
    read = _BLOCKS.get(kind)
    block = None if read is None else read(fields, found)
    return _known_or_foreign(block, fields, kind, found, extras)


def _content(raw: msgspec.Raw, path: str, extras: list[Extra]) -> Content:
    found: list[Extra] = []
    fields = Fields(raw, path, found)
    kind = fields.required_string("type")
    read = _CONTENTS.get(kind)
    block = None if read is None else read(fields, found)
    return _known_or_foreign(block, fields, kind, found, extras)


def _known_or_foreign(
    block: T | None, fields: Fields, kind: str, found: list[Extra], extras: list[Extra]
) -> T | Foreign:
    if block is None:
        return Foreign(dialect=Dialect.ANTHROPIC, kind=kind, value=fields.whole)
    fields.leave()
    extras.extend(found)
    return block


def _text(fields: Fields, _: list[Extra]) -> Text:
    return Text(
        text=fields.required_string("text"),
        citations=tuple(json_text(raw) for _, raw in fields.items("citations")),
        cache=read_cache(fields),
    )


def _image(fields: Fields, extras: list[Extra]) -> Image | None:
    source = _source(fields, extras)
    if source is None or isinstance(source, Inline):
        return None
    return Image(source=source, cache=read_cache(fields))


def _document(fields: Fields, extras: list[Extra]) -> Document | None:
    source = _source(fields, extras)
    if source is None:
        return None
    config = fields.object("citations")
    citations = None
    if config is not None:
        citations = config.boolean("enabled")
        config.leave()
    return Document(
        source=source,
        title=fields.string("title"),
        context=fields.string("context"),
        citations=citations,
        cache=read_cache(fields),
    )


def _source(fields: Fields, extras: list[Extra]) -> Source | None:
    """Where media comes from; None for a kind that is too new."""
    source = fields.object("source")
    if source is None:
        raise BadClientMessage(fields.at("source"), "field required")
    kind = source.required_string("type")
    read = _SOURCES.get(kind)
    found = None if read is None else read(source, extras)
    source.leave()
    return found


def _inline_text(source: Fields, _: list[Extra]) -> Inline:
    source.string("media_type")  # text/plain is the only one there is
    return Inline(text=source.required_string("data"))


def _inline_blocks(source: Fields, extras: list[Extra]) -> Inline:
    raw = source.raw("content")
    if raw is None:
        raise BadClientMessage(source.at("content"), "field required")
    return Inline(blocks=read_contents(raw, source.at("content"), extras))


_SOURCES: dict[str, Callable[[Fields, list[Extra]], Source]] = {
    "base64": lambda source, _: Base64(
        media_type=source.required_string("media_type"), data=source.required_string("data")
    ),
    "url": lambda source, _: Url(url=source.required_string("url")),
    "file": lambda source, _: FileId(id=source.required_string("file_id")),
    "text": _inline_text,
    "content": _inline_blocks,
}


def _tool_use(fields: Fields, _: list[Extra]) -> ToolUse:
    arguments = fields.object("input")
    if arguments is None:
        raise BadClientMessage(fields.at("input"), "field required")
    return ToolUse(
        id=fields.required_string("id"),
        name=fields.required_string("name"),
        arguments=arguments.whole,
        cache=read_cache(fields),
    )


def _tool_result(fields: Fields, extras: list[Extra]) -> ToolResult:
    content = fields.raw("content")
    return ToolResult(
        id=fields.required_string("tool_use_id"),
        content=() if content is None else read_contents(content, fields.at("content"), extras),
        is_error=fields.boolean("is_error") or False,
        cache=read_cache(fields),
    )


def _thinking(fields: Fields, _: list[Extra]) -> Thinking:
    return Thinking(
        text=fields.required_string("thinking"),
        opaque=signatures.read(fields.string("signature") or ""),
    )


def _redacted(fields: Fields, _: list[Extra]) -> RedactedThinking | None:
    opaque = signatures.read(fields.required_string("data"))
    return None if opaque is None else RedactedThinking(opaque=opaque)


_CONTENTS: dict[str, Callable[[Fields, list[Extra]], Content | None]] = {
    "text": _text,
    "image": _image,
    "document": _document,
}
_BLOCKS: dict[str, Callable[[Fields, list[Extra]], Block | None]] = {
    **_CONTENTS,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
}


def read_cache(fields: Fields) -> CacheControl | None:
    """The cache breakpoint on an object; one of a new kind is an extra."""
    raw = fields.raw("cache_control")
    if raw is None:
        return None
    control = Fields(raw, fields.at("cache_control"), [])
    kind, ttl = control.required_string("type"), control.string("ttl")
    if kind != "ephemeral" or (ttl is not None and ttl not in _TTLS):
        fields.keep("cache_control", raw)
        return None
    return CacheControl(ttl="1h" if ttl == "1h" else "5m" if ttl else None)
