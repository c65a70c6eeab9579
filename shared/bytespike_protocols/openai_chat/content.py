"""Content parts to blocks and back: text, images, files and sound."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable

import msgspec

from bytespike_protocols.errors import BadClientMessage, Unrepresentable
from bytespike_protocols.ir import (
    Audio,
    Base64,
    CacheControl,
    Content,
    Dialect,
    Document,
    Extra,
    FileId,
    Foreign,
    Image,
    Inline,
    Refusal,
    Source,
    Text,
    Url,
)
from bytespike_protocols.openai_chat.fields import Fields, json_text

__all__ = ["Part", "PartWriter", "decode_part"]

OURS = Dialect.OPENAI_CHAT
Part = dict[str, object] | msgspec.Raw

_DATA_URL = re.compile(r"data:([^,;]*)((?:;[^,;]*)*),", re.IGNORECASE)
_DEFAULT_FILE_TYPE = "application/pdf"
_AUDIO_TYPES = {"mp3": "audio/mpeg", "wav": "audio/wav"}
_AUDIO_FORMATS = {
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
}


def decode_part(raw: msgspec.Raw, path: str, home: str, extras: list[Extra]) -> Content | Refusal:
    """A content part; what the IR has no field for goes to ``extras``. Raises
    ``BadClientMessage``.
    """
    part = Fields.of(raw, path=path, home=home)
    kind = part.need_text("type")
    reader = _READERS.get(kind)
    if reader is None:
        return Foreign(dialect=OURS, kind=kind, value=json_text(raw, path))
    block = reader(part, extras)
    extras += part.rest()
    return block


def _read_text(part: Fields, extras: list[Extra]) -> Text:
    return Text(text=part.need_text("text"), cache=_read_cache(part, extras))


def _read_refusal(part: Fields, _: list[Extra]) -> Refusal:
    return Refusal(text=part.need_text("refusal"))


def _read_image(part: Fields, extras: list[Extra]) -> Image:
    if part.starts("image_url") == '"':
        # Not in the reference, but many clients and hosts know it.
        return Image(source=_source_of(part.need_text("image_url"), part, "image_url"))
    image = part.object("image_url")
    if image is None:
        raise part.fail("image_url", "field required")
    block = Image(
        source=_source_of(image.need_text("url"), image, "url"),
        detail=image.text("detail"),
        cache=_read_cache(part, extras),
    )
    extras += image.rest()
    return block


def _read_file(part: Fields, extras: list[Extra]) -> Document:
    file = part.object("file")
    if file is None:
        raise part.fail("file", "field required")
    data, file_id, title = file.text("file_data"), file.text("file_id"), file.text("filename")
    source: Source
    if data is not None:
        source = _file_source(data, file)
    elif file_id is not None:
        source = FileId(id=file_id)
    else:
        raise file.fail("", "one of file_data and file_id is required")
    extras += file.rest()
    return Document(source=source, title=title, cache=_read_cache(part, extras))


def _file_source(data: str, file: Fields) -> Source:
    if data[:5].lower() == "data:":
        return _source_of(data, file, "file_data")
    if data.startswith(("https://", "http://")):
        return Url(url=data)
    return Base64(media_type=_DEFAULT_FILE_TYPE, data=data)


def _read_audio(part: Fields, extras: list[Extra]) -> Audio:
    audio = part.object("input_audio")
    if audio is None:
        raise part.fail("input_audio", "field required")
    data, form = audio.need_text("data"), audio.need_text("format")
    extras += audio.rest()
    return Audio(source=Base64(media_type=_AUDIO_TYPES.get(form, f"audio/{form}"), data=data))


_READERS: dict[str, Callable[[Fields, list[Extra]], Content | Refusal]] = {
    "text": _read_text,
    "refusal": _read_refusal,
    "image_url": _read_image,
    "file": _read_file,
    "input_audio": _read_audio,
}


def _source_of(url: str, fields: Fields, name: str) -> Source:
    if url[:5].lower() != "data:":
        return Url(url=url)
    match = _DATA_URL.match(url)
    if match is None or not match[2].lower().endswith(";base64"):
        raise fields.fail(name, "must be a URL or a base64 data URL")
    return Base64(media_type=match[1].lower(), data=url[match.end() :])


def _read_cache(part: Fields, extras: list[Extra]) -> CacheControl | None:
    """``cache_control`` as the hosts take it that pass it on to Anthropic."""
    control = part.object("cache_control")
    if control is None:
        return None
    ttl = control.text("ttl")
    control.text("type")
    if ttl is not None and ttl not in {"5m", "1h"}:
        raise control.fail("ttl", "must be 5m or 1h")
    extras += control.rest()
    return CacheControl(ttl="1h" if ttl == "1h" else "5m" if ttl == "5m" else None)


class PartWriter:
    """Writes blocks as parts and notes what had to be said by other means."""

    __slots__ = ("_emulated", "_own")

    def __init__(self, *, own: bool, emulated: Callable[[str], None]) -> None:
        self._own = own
        self._emulated = emulated

    def write(self, block: Content, path: str) -> list[Part]:
        """The parts for one block. Raises ``Unrepresentable``."""
        match block:
            case Text():
                parts: list[Part] = [self._with_cache({"type": "text", "text": block.text}, block)]
            case Image():
                parts = [self._with_cache(self._image(block, path), block)]
            case Document():
                parts = self._document(block, path)
            case Audio():
                parts = [_audio(block, path)]
            case Foreign() if block.dialect is OURS:
                parts = [msgspec.Raw(block.value.encode())]
            case Foreign():
                raise Unrepresentable(path, f"{block.kind} blocks have no form in this dialect")
            case _:
                raise Unrepresentable(path, "video has no form in this dialect")
        return parts

    def _with_cache(self, part: Part, block: Text | Image | Document) -> Part:
        if self._own and block.cache is not None and isinstance(part, dict):
            ttl = {"ttl": block.cache.ttl} if block.cache.ttl else {}
            part["cache_control"] = {"type": "ephemeral", **ttl}
        return part

    def _image(self, image: Image, path: str) -> dict[str, object]:
        match image.source:
            case Base64() as source:
                url = f"data:{source.media_type};base64,{source.data}"
            case Url() as source:
                url = source.url
            case _:
                raise Unrepresentable(f"{path}.source", "an image must be given by bytes or by URL")
        detail = {"detail": image.detail} if image.detail is not None else {}
        return {"type": "image_url", "image_url": {"url": url, **detail}}

    def _document(self, document: Document, path: str) -> list[Part]:
        parts: list[Part] = []
        if document.context:
            self._emulated(f"{path}.context")
            parts.append({"type": "text", "text": document.context})
        match document.source:
            case Inline() as source:
                parts += self._inline(source, document.title, path)
            case Base64() as source if source.media_type.startswith("text/"):
                text = _decoded_text(source, path)
                parts += self._inline(Inline(text=text), document.title, path)
            case _:
                file = self._file(document, path)
                parts.append(self._with_cache({"type": "file", "file": file}, document))
        return parts

    def _inline(self, source: Inline, title: str | None, path: str) -> list[Part]:
        self._emulated(f"{path}.source")
        head = f"{title}\n\n" if title else ""
        parts: list[Part] = []
        if head or source.text:
            parts.append({"type": "text", "text": head + source.text})
        for index, block in enumerate(source.blocks):
            parts += self.write(block, f"{path}.source.blocks[{index}]")
        return parts

    def _file(self, document: Document, path: str) -> dict[str, object]:
        match document.source:
            case Base64() as source:
                name = document.title or (None if self._own else "document.pdf")
                file: dict[str, object] = {} if name is None else {"filename": name}
                file["file_data"] = f"data:{source.media_type};base64,{source.data}"
            case FileId() as source if self._own:
                file = {"file_id": source.id}
                if document.title is not None:
                    file["filename"] = document.title
            case FileId():
                raise Unrepresentable(f"{path}.source", "a file kept by another vendor")
            case Url() as source if self._own:
                file = {"file_data": source.url}
            case _:
                raise Unrepresentable(f"{path}.source", "a document cannot be given by URL")
        return file


def _audio(audio: Audio, path: str) -> Part:
    if not isinstance(audio.source, Base64):
        raise Unrepresentable(f"{path}.source", "sound must be given by bytes")
    media_type = audio.source.media_type
    form = _AUDIO_FORMATS.get(media_type, media_type.removeprefix("audio/"))
    return {"type": "input_audio", "input_audio": {"data": audio.source.data, "format": form}}


def _decoded_text(source: Base64, path: str) -> str:
    try:
        return base64.b64decode(source.data, validate=True).decode()
    except (binascii.Error, ValueError):
        raise BadClientMessage(f"{path}.source.data", "must be base64 of UTF-8 text") from None
