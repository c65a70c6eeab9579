"""Canonical content blocks as Anthropic's, for a request.

None means the block is left out: it is empty, or it is reasoning whose state is somebody else's
(which is a loss). What may not be left out and cannot be said raises ``Unrepresentable``.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any, TypeGuard

import msgspec

from bytespike_protocols.anthropic.draft import Draft, Wire, raw
from bytespike_protocols.anthropic.fields import join_path
from bytespike_protocols.errors import BadClientMessage, Unrepresentable
from bytespike_protocols.ir import (
    Base64,
    Block,
    Dialect,
    Document,
    FileId,
    Foreign,
    Image,
    Inline,
    Json,
    Opaque,
    RedactedThinking,
    Refusal,
    Source,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    Url,
)

__all__ = ["encode_block", "encode_text"]

#: Picture types by the first characters of their base64; declared types are often wrong, and the
#: vendor compares.
_MAGIC = {
    "iVBORw0KGgo": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
}
_arguments = msgspec.json.Decoder(dict[str, msgspec.Raw])


def encode_block(draft: Draft, block: Block, path: str) -> Wire | None:
    """One block of a message."""
    encode = _ENCODERS.get(type(block))
    if encode is None:
        raise Unrepresentable(path, f"{type(block).__name__.lower()} input is not supported")
    return encode(draft, block, path)


def encode_text(draft: Draft, block: Text, path: str) -> Wire | None:
    """A text; blank ones are refused by the vendor and say nothing."""
    if block.opaque is not None:
        draft.lose(join_path(path, "opaque"))
    if not block.text.strip():
        return None
    wire: Wire = {"type": "text", "text": block.text}
    if block.citations:
        if draft.own:
            wire["citations"] = [raw(citation) for citation in block.citations]
        else:
            draft.lose(join_path(path, "citations"))
    wire = draft.finish(path, wire)
    draft.breakpoint(wire, block.cache, path)
    return wire


def _image(draft: Draft, block: Image, path: str) -> Wire:
    if block.detail not in {None, "auto"}:
        draft.lose(join_path(path, "detail"))
    where = join_path(path, "source")
    match block.source:
        case Base64(media_type=declared, data=data):
            media_type = declared if draft.own else _picture_type(declared, data, where)
            source = {"type": "base64", "media_type": media_type, "data": data}
        case other:
            source = _reference(draft, other, where)
    wire = draft.finish(path, {"type": "image", "source": draft.finish(where, source)})
    draft.breakpoint(wire, block.cache, path)
    return wire


def _picture_type(declared: str, data: str, path: str) -> str:
    for start, media_type in _MAGIC.items():
        if data.startswith(start):
            return media_type
    if declared not in _MAGIC.values():
        raise Unrepresentable(path, "the picture must be PNG, JPEG, GIF or WebP")
    return declared


def _reference(draft: Draft, source: Source, path: str) -> Wire:
    match source:
        case Url(url=url):
            return {"type": "url", "url": url}
        case FileId(id=file_id) if draft.own:
            return {"type": "file", "file_id": file_id}
        case FileId():
            raise Unrepresentable(path, "a file kept by another vendor cannot be read")
        case _:
            raise Unrepresentable(path, "this source is not supported here")


def _document(draft: Draft, block: Document, path: str) -> Wire:
    where = join_path(path, "source")
    match block.source:
        case Base64(media_type=media_type, data=data):
            source = _document_bytes(draft, media_type, data, where)
        case Inline(blocks=blocks) if blocks:
            source = {"type": "content", "content": _nested(draft, blocks, f"{where}.content")}
        case Inline(text=text):
            source = _plain(text)
        case other:
            source = _reference(draft, other, where)
    wire: Wire = {"type": "document", "source": draft.finish(where, source)}
    if block.title is not None:
        wire["title"] = block.title
    if block.context is not None:
        wire["context"] = block.context
    if block.citations is not None:
        config = join_path(path, "citations")
        wire["citations"] = draft.finish(config, {"enabled": block.citations})
    wire = draft.finish(path, wire)
    draft.breakpoint(wire, block.cache, path)
    return wire


def _document_bytes(draft: Draft, media_type: str, data: str, path: str) -> Wire:
    if draft.own or media_type == "application/pdf":
        return {"type": "base64", "media_type": media_type, "data": data}
    if not media_type.startswith("text/"):
        raise Unrepresentable(path, "a document must be a PDF or text")
    try:
        return _plain(base64.b64decode(data).decode())
    except (binascii.Error, UnicodeDecodeError):
        raise BadClientMessage(path, "must be base64 of UTF-8 text") from None


def _plain(text: str) -> Wire:
    return {"type": "text", "media_type": "text/plain", "data": text}


def _tool_use(draft: Draft, block: ToolUse, path: str) -> Wire:
    if block.opaque is not None:
        draft.lose(join_path(path, "opaque"))
    wire = draft.finish(
        path,
        {
            "type": "tool_use",
            "id": draft.identities.call(block.id),
            "name": block.name,
            "input": _input(block.arguments, join_path(path, "arguments")),
        },
    )
    draft.breakpoint(wire, block.cache, path)
    return wire


def _input(arguments: Json, path: str) -> msgspec.Raw:
    """Arguments as they are; a call without any is often written as empty text elsewhere."""
    if not arguments.strip():
        return msgspec.Raw(b"{}")
    try:
        _arguments.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        raise BadClientMessage(path, "must be the text of a JSON object") from None
    return raw(arguments)


def _tool_result(draft: Draft, block: ToolResult, path: str) -> Wire:
    wire: Wire = {"type": "tool_result", "tool_use_id": draft.identities.result(block.id)}
    content = _nested(draft, block.content, join_path(path, "content"))
    if content:
        wire["content"] = content
    if block.is_error:
        wire["is_error"] = True
    wire = draft.finish(path, wire)
    draft.breakpoint(wire, block.cache, path)
    return wire


def _nested(draft: Draft, blocks: tuple[Block, ...], path: str) -> list[Wire]:
    encoded = (encode_block(draft, b, f"{path}[{i}]") for i, b in enumerate(blocks))
    return [wire for wire in encoded if wire is not None]


def _thinking(draft: Draft, block: Thinking, path: str) -> Wire | None:
    if not _is_ours(block.opaque):
        draft.lose(path)
        return None
    return draft.finish(
        path,
        {"type": "thinking", "thinking": block.text, "signature": block.opaque.payload},
    )


def _redacted(draft: Draft, block: RedactedThinking, path: str) -> Wire | None:
    if not _is_ours(block.opaque):
        draft.lose(path)
        return None
    return draft.finish(path, {"type": "redacted_thinking", "data": block.opaque.payload})


def _is_ours(opaque: Opaque | None) -> TypeGuard[Opaque]:
    """Whether Anthropic issued it: nothing else is a signature to it."""
    return opaque is not None and opaque.issuer is Dialect.ANTHROPIC


def _refusal(draft: Draft, block: Refusal, path: str) -> Wire | None:
    return encode_text(draft, Text(text=block.text), path)


def _foreign(draft: Draft, block: Foreign, path: str) -> Any:
    if block.dialect is not Dialect.ANTHROPIC:
        raise Unrepresentable(path, "this kind of block is known to its own protocol only")
    return raw(block.value)


_ENCODERS: dict[type, Callable[[Draft, Any, str], Wire | None]] = {
    Text: encode_text,
    Image: _image,
    Document: _document,
    ToolUse: _tool_use,
    ToolResult: _tool_result,
    Thinking: _thinking,
    RedactedThinking: _redacted,
    Refusal: _refusal,
    Foreign: _foreign,
}
