"""What a ``generateContent`` body holds besides text (how: see ``contents.anthropic``).

Google reads both spellings of every name, and a lone object where an array of one belongs; so must
this, or something could be hidden by spelling it differently.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from bytespike_edge.contents.quantities import DEFAULT_SEARCHES, Contents
from bytespike_protocols.heads import Fields

__all__ = ["note_contents"]

T = TypeVar("T")

#: Tools by which the vendor searches the web, in both spellings.
_SEARCHES = frozenset(
    {
        "googleSearch",
        "google_search",
        "googleSearchRetrieval",
        "google_search_retrieval",
        "enterpriseWebSearch",
        "enterprise_web_search",
    }
)
_DECLARATIONS = frozenset({"functionDeclarations", "function_declarations"})


class _View(msgspec.Struct, gc=False, rename="camel"):
    """camelCase; the other spelling of a name of two words is a field of its own."""


class _Inline(_View, gc=False):
    mime_type: str | None = None
    snake_mime_type: str | None = msgspec.field(default=None, name="mime_type")
    data: msgspec.Raw = msgspec.Raw(b"")

    @property
    def media_type(self) -> str:
        return self.mime_type or self.snake_mime_type or ""


class _VideoMetadata(_View, gc=False):
    fps: float | None = None


class _Result(_View, gc=False):
    parts: list[_Part] | _Part | None = None


class _Part(_View, gc=False):
    inline_data: _Inline | None = None
    snake_inline_data: _Inline | None = msgspec.field(default=None, name="inline_data")
    file_data: _Inline | None = None
    snake_file_data: _Inline | None = msgspec.field(default=None, name="file_data")
    function_response: _Result | None = None
    snake_function_response: _Result | None = msgspec.field(default=None, name="function_response")
    video_metadata: _VideoMetadata | None = None
    snake_video_metadata: _VideoMetadata | None = msgspec.field(default=None, name="video_metadata")


class _Content(_View, gc=False):
    parts: list[_Part] | _Part | None = None


_Tool = dict[str, msgspec.Raw]

# Lax: Google takes numbers in strings.
_decode_contents = msgspec.json.Decoder(list[_Content] | _Content | None, strict=False).decode
_decode_tools = msgspec.json.Decoder(list[_Tool] | _Tool | None).decode


def note_contents(fields: Fields, contents: Contents) -> None:
    """Raises what msgspec raises if a part that matters cannot be read."""
    for name in ("contents", "systemInstruction", "system_instruction"):
        if name in fields:
            for content in _each(_decode_contents(fields[name])):
                _note_parts(content.parts, contents)
    if "tools" in fields:
        for tool in _each(_decode_tools(fields["tools"])):
            _note_tool(tool, contents)
    for name in ("cachedContent", "cached_content"):
        if name in fields and memoryview(fields[name])[0] != ord("n"):
            contents.unmeasured = True  # the beginning of the prompt: named, not sent


def _each(values: list[T] | T | None) -> list[T]:
    if values is None:
        return []
    return values if isinstance(values, list) else [values]


def _note_tool(tool: _Tool, contents: Contents) -> None:
    for name, raw in tool.items():
        if memoryview(raw)[0] == ord("n"):
            continue
        contents.tools = True
        if name in _SEARCHES:
            contents.searches += DEFAULT_SEARCHES
        elif name not in _DECLARATIONS:
            contents.lookups += DEFAULT_SEARCHES


def _note_parts(parts: list[_Part] | _Part | None, contents: Contents) -> None:
    for part in _each(parts):
        video = part.video_metadata or part.snake_video_metadata
        frames_per_s = 1.0 if video is None or video.fps is None else video.fps
        for inline in (part.inline_data, part.snake_inline_data):
            if inline is not None:
                size = len(memoryview(inline.data))
                contents.add_media(inline.media_type, size, frames_per_s=frames_per_s)
        for file in (part.file_data, part.snake_file_data):
            if file is not None:
                contents.add_reference(file.media_type)
        for result in (part.function_response, part.snake_function_response):
            if result is not None:
                _note_parts(result.parts, contents)
