"""Blocks to the content parts of messages and tool outputs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from bytespike_protocols.codec import Loss
from bytespike_protocols.errors import Unrepresentable
from bytespike_protocols.ir import (
    Audio,
    Base64,
    Block,
    Dialect,
    Document,
    FileId,
    Foreign,
    Image,
    Inline,
    Refusal,
    Source,
    Text,
    Url,
)
from bytespike_protocols.openai_responses.names import data_url

__all__ = ["Losses", "PartWriter"]

#: Files of these two APIs are the same vendor's.
_SAME_FILES: Final = (Dialect.OPENAI_RESPONSES, Dialect.OPENAI_CHAT)

_AUDIO_FORMATS = {"audio/mpeg": "mp3", "audio/mp3": "mp3", "audio/wav": "wav", "audio/x-wav": "wav"}

#: A file given as bytes must have a name, whose end says what it is.
_FILE_ENDINGS = {"application/pdf": "pdf", "text/plain": "txt", "text/markdown": "md"}


class Losses:
    """What the vendor will not see as it was meant, each path once, in order."""

    __slots__ = ("_by_path",)

    def __init__(self) -> None:
        self._by_path: dict[str, Loss] = {}

    def dropped(self, path: str) -> None:
        """Not said at all."""
        self._by_path.setdefault(path, Loss(path))

    def emulated(self, path: str) -> None:
        """Said by other means."""
        self._by_path.setdefault(path, Loss(path, "emulated"))

    def all(self) -> tuple[Loss, ...]:
        """In the order they were met."""
        return tuple(self._by_path.values())


class PartWriter:
    """Writes parts for one request, of which only the origin and the losses matter here."""

    __slots__ = ("_losses", "_origin")

    def __init__(self, origin: Dialect, losses: Losses) -> None:
        self._origin = origin
        self._losses = losses

    def inputs(self, blocks: Iterable[tuple[str, Block]]) -> list[Any]:
        """Parts of what a client says, from blocks with their paths."""
        return [part for path, block in blocks for part in self._input(path, block)]

    def outputs(self, blocks: Iterable[tuple[str, Block]]) -> list[Any]:
        """Parts of what the model said."""
        return [self._output(path, block) for path, block in blocks]

    def _output(self, path: str, block: Block) -> Any:
        match block:
            case Text():
                return {"type": "output_text", "text": self._words(path, block)}
            case Refusal():
                return {"type": "refusal", "refusal": block.text}
            case Foreign():
                return self._foreign(path, block)
            case _:
                raise Unrepresentable(path, "the model's own words can only be text")

    def _input(self, path: str, block: Block) -> list[Any]:
        match block:
            case Text():
                return [_input_text(self._words(path, block))]
            case Refusal():
                return [_input_text(block.text)]
            case Image():
                return [self._image(path, block)]
            case Document():
                return self._document(path, block)
            case Audio():
                return [self._audio(path, block)]
            case Foreign():
                return [self._foreign(path, block)]
            case _:
                raise Unrepresentable(path, "the model's vendor does not take this kind of content")

    def _words(self, path: str, block: Text) -> str:
        self._note_cache(path, block)
        if block.citations:
            self._losses.dropped(f"{path}.citations")
        if block.opaque is not None:
            self._losses.dropped(f"{path}.opaque")
        return block.text

    def _note_cache(self, path: str, block: Text | Image | Document) -> None:
        if block.cache is not None:
            # The vendor caches prefixes by itself.
            self._losses.emulated(f"{path}.cache")

    def _image(self, path: str, block: Image) -> dict[str, Any]:
        self._note_cache(path, block)
        part: dict[str, Any] = {"type": "input_image"}
        match block.source:
            case Base64():
                part["image_url"] = data_url(block.source)
            case Url():
                part["image_url"] = block.source.url
            case FileId():
                part["file_id"] = self._file_id(path, block.source)
            case Inline():
                raise Unrepresentable(f"{path}.source", "an image cannot be text")
        if block.detail is not None:
            part["detail"] = block.detail
        return part

    def _document(self, path: str, block: Document) -> list[Any]:
        self._note_cache(path, block)
        if block.citations:
            self._losses.dropped(f"{path}.citations")
        leading = []
        if block.context is not None:
            self._losses.emulated(f"{path}.context")
            leading.append(_input_text(block.context))
        if isinstance(block.source, Inline):
            self._losses.emulated(f"{path}.source")
            return [*leading, *self._inline(path, block, block.source)]
        part: dict[str, Any] = {"type": "input_file"}
        source: Source = block.source
        match source:
            case Base64():
                ending = _FILE_ENDINGS.get(source.media_type, "bin")
                part["filename"] = block.title or f"document.{ending}"
                part["file_data"] = data_url(source)
            case Url():
                part["file_url"] = source.url
            case FileId():
                part["file_id"] = self._file_id(path, source)
        if block.title is not None:
            part["filename"] = block.title
        return [*leading, part]

    def _inline(self, path: str, block: Document, source: Inline) -> list[Any]:
        parts = [] if block.title is None else [_input_text(block.title)]
        if source.text:
            parts.append(_input_text(source.text))
        inner = (
            (f"{path}.source.blocks[{index}]", item) for index, item in enumerate(source.blocks)
        )
        return [*parts, *self.inputs(inner)]

    def _audio(self, path: str, block: Audio) -> dict[str, Any]:
        source = block.source
        form = _AUDIO_FORMATS.get(source.media_type) if isinstance(source, Base64) else None
        if form is None and isinstance(source, Base64) and self._origin in _SAME_FILES:
            form = source.media_type.removeprefix("audio/")
        if form is None or not isinstance(source, Base64):
            raise Unrepresentable(path, "the model's vendor takes audio as mp3 or wav bytes only")
        return {"type": "input_audio", "input_audio": {"data": source.data, "format": form}}

    def _file_id(self, path: str, source: FileId) -> str:
        if self._origin not in _SAME_FILES:
            raise Unrepresentable(
                f"{path}.source", "a file kept by one vendor cannot be read by another"
            )
        return source.id

    def _foreign(self, path: str, block: Foreign) -> msgspec.Raw:
        if block.dialect is not Dialect.OPENAI_RESPONSES:
            raise Unrepresentable(path, f"{block.kind} has no form at the model's vendor")
        return msgspec.Raw(block.value.encode())


def _input_text(text: str) -> dict[str, Any]:
    return {"type": "input_text", "text": text}
