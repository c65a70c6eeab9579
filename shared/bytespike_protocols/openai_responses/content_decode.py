"""Content parts of messages and tool outputs to blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from bytespike_protocols.ir import (
    Audio,
    Base64,
    Block,
    Content,
    Dialect,
    Document,
    Extra,
    FileId,
    Foreign,
    Image,
    RedactedThinking,
    Refusal,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
)
from bytespike_protocols.openai_responses.fields import (
    Fields,
    bad,
    list_of,
    raw_text,
    value_of,
)
from bytespike_protocols.openai_responses.names import media_source

__all__ = ["decode_parts", "is_part"]

#: How the types of content parts begin; items are called otherwise.
_PART_PREFIXES: Final = ("input_", "output_")

#: OpenAI names audio formats, not media types; these are the same by another name.
_AUDIO_TYPES = {"mp3": "audio/mpeg", "wav": "audio/wav"}

_text = msgspec.json.Decoder(str)


def decode_parts(
    raw: msgspec.Raw, path: str, place: str, extras: list[Extra]
) -> tuple[Content | Refusal, ...]:
    """A string, or the parts of an array in order. What has no field goes to ``extras`` under
    ``place``, which may count items otherwise than ``path``.
    """
    if memoryview(raw)[0] == ord('"'):
        return (Text(text=value_of(raw, _text, path, "a string")),)
    blocks = []
    for index, (part_path, part) in enumerate(list_of(raw, path)):
        fields = Fields(part, part_path)
        kind = fields.required_text("type")
        decode = _PARTS.get(kind)
        if decode is not None:
            blocks.append(decode(fields))
            extras += fields.extras(f"{place}[{index}]")
        elif kind.startswith(_PART_PREFIXES):
            value = raw_text(part)
            blocks.append(Foreign(dialect=Dialect.OPENAI_RESPONSES, kind=kind, value=value))
        else:
            raise bad(f"{part_path}.type", "is not a kind of content")
    return tuple(blocks)


def is_part(block: Block) -> bool:
    """Whether the block belongs inside a message; the others are items of their own."""
    if isinstance(block, Foreign):
        return block.kind.startswith(_PART_PREFIXES)
    return not isinstance(block, ToolUse | ToolResult | Thinking | RedactedThinking)


def _decode_text(fields: Fields) -> Text:
    # A vendor's own notes on words it once wrote: empty in most of what clients send back.
    fields.drop_empty("annotations", "logprobs")
    return Text(text=fields.required_text("text"))


def _decode_refusal(fields: Fields) -> Refusal:
    return Refusal(text=fields.required_text("refusal"))


def _decode_image(fields: Fields) -> Image:
    detail = fields.text("detail")
    url = fields.text("image_url")
    if url is not None:
        return Image(source=media_source(url), detail=detail)
    file_id = fields.text("file_id")
    if file_id is None:
        raise bad(fields.at("image_url"), "an image needs image_url or file_id")
    return Image(source=FileId(id=file_id), detail=detail)


def _decode_file(fields: Fields) -> Document:
    title = fields.text("filename")
    data, url, file_id = (fields.text(name) for name in ("file_data", "file_url", "file_id"))
    if data is not None:
        source = media_source(data)
        if not isinstance(source, Base64):
            # Bare base64: the one kind of file every model takes.
            source = Base64(media_type="application/pdf", data=data)
        return Document(source=source, title=title)
    if url is not None:
        return Document(source=media_source(url), title=title)
    if file_id is None:
        raise bad(fields.at("file_data"), "a file needs file_data, file_url or file_id")
    return Document(source=FileId(id=file_id), title=title)


def _decode_audio(fields: Fields) -> Audio:
    audio = fields.object("input_audio")
    if audio is None:
        raise bad(fields.at("input_audio"), "field required")
    form = audio.required_text("format")
    media_type = _AUDIO_TYPES.get(form, f"audio/{form}")
    return Audio(source=Base64(media_type=media_type, data=audio.required_text("data")))


_PARTS: dict[str, Callable[[Fields], Content | Refusal]] = {
    "input_text": _decode_text,
    "output_text": _decode_text,
    "text": _decode_text,
    "refusal": _decode_refusal,
    "input_image": _decode_image,
    "input_file": _decode_file,
    "input_audio": _decode_audio,
}
