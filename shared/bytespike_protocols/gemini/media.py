"""Pictures, documents, sound and video: ``inlineData`` and ``fileData`` to blocks and back."""

from __future__ import annotations

import base64
from typing import Any

from bytespike_protocols.errors import BadClientMessage, Unrepresentable
from bytespike_protocols.gemini.fields import Fields
from bytespike_protocols.ir import (
    Audio,
    Base64,
    Document,
    FileId,
    Image,
    Inline,
    Source,
    Url,
    Video,
)

__all__ = ["Media", "file_data", "inline_data", "media_block", "media_part"]

Media = Image | Document | Audio | Video

#: Where Google keeps uploaded files; nobody else can read these.
_KEPT_FILES = ("https://generativelanguage.googleapis.com/", "gs://", "files/")
_DEFAULT_TYPES: dict[type, str] = {Image: "image/jpeg", Document: "application/pdf"}
_TYPE_BY_SUFFIX = {
    "png": "image/png",
    "webp": "image/webp",
    "gif": "image/gif",
    "txt": "text/plain",
}


def inline_data(fields: Fields) -> Base64:
    """Bytes in the body."""
    data, media_type = fields.string("data"), fields.string("mimeType")
    if data is None:
        raise BadClientMessage(fields.at("data"), "field required")
    if media_type is None:
        raise BadClientMessage(fields.at("mimeType"), "field required")
    return Base64(media_type=media_type, data=data)


def file_data(fields: Fields) -> Url | FileId:
    """Bytes somewhere else."""
    uri, media_type = fields.string("fileUri"), fields.string("mimeType") or ""
    if uri is None:
        raise BadClientMessage(fields.at("fileUri"), "field required")
    if uri.startswith(_KEPT_FILES):
        return FileId(id=uri, media_type=media_type)
    return Url(url=uri, media_type=media_type)


def media_block(source: Base64 | Url | FileId) -> Media:
    """The block of a source, by its media type. Only videos (YouTube) may go without one."""
    kind = source.media_type.partition("/")[0].lower()
    if kind == "image":
        return Image(source=source)
    if kind == "audio":
        return Audio(source=source)
    if kind == "video" or (isinstance(source, Url) and not source.media_type):
        return Video(source=source)
    return Document(source=source)


def media_part(block: Media, path: str, *, own: bool) -> dict[str, Any]:
    """The part that carries ``block``; ``own`` says that its file ids are Google's. Raises
    ``Unrepresentable`` for another vendor's files.
    """
    source = block.source
    if isinstance(source, FileId) and not (own or source.id.startswith(_KEPT_FILES)):
        raise Unrepresentable(
            f"{path}.source", "a file kept by another vendor cannot be sent to Gemini"
        )
    return _part_of(source, _DEFAULT_TYPES.get(type(block), ""))


def _part_of(source: Source, default_type: str) -> dict[str, Any]:
    match source:
        case Base64():
            media_type = source.media_type or default_type
            return {"inlineData": {"mimeType": media_type, "data": source.data}}
        case Url():
            suffix = source.url.partition("?")[0].rpartition(".")[2].lower()
            guess = default_type and _TYPE_BY_SUFFIX.get(suffix, default_type)
            return _file_part(source.url, source.media_type or guess)
        case FileId():
            return _file_part(source.id, source.media_type)
        case Inline():
            data = base64.b64encode(source.text.encode()).decode()
            return {"inlineData": {"mimeType": "text/plain", "data": data}}


def _file_part(uri: str, media_type: str) -> dict[str, Any]:
    shown = {"mimeType": media_type} if media_type else {}
    return {"fileData": {**shown, "fileUri": uri}}
