"""What a Chat Completions body holds besides text (see ``contents.anthropic`` on how it is read).

Many hosts speak this dialect and have added parts and tools of their own. Whatever is not known to
be text or measurable is taken for something that may fill the context.
"""

from __future__ import annotations

import msgspec

from bytespike_edge.contents.quantities import DEFAULT_SEARCHES, CacheControl, Contents
from bytespike_protocols.heads import Fields

__all__ = ["SEARCH_SWITCHES", "note_contents"]

#: Parts whose bytes bound their tokens; the last ones are other hosts' and dialects'.
_TEXTS = frozenset(
    {None, "text", "refusal", "input_text", "output_text", "thinking", "reasoning", "reference"}
)
#: Tools the client runs; a vendor runs all others.
_CLIENT_TOOLS = frozenset({None, "function", "custom"})
#: Switches that make the vendor search: OpenAI's own and what older clients of ours send.
SEARCH_SWITCHES = ("web_search_options", "web_search", "grounding")


class _Anything(msgspec.Struct, gc=False):
    """An object whose fields are of no interest."""


class _ImageUrl(msgspec.Struct, gc=False):
    url: msgspec.Raw = msgspec.Raw(b'""')
    detail: str | None = None


class _Audio(msgspec.Struct, gc=False):
    data: msgspec.Raw = msgspec.Raw(b"")


class _File(msgspec.Struct, gc=False):
    file_data: msgspec.Raw = msgspec.Raw(b"null")


class _Part(msgspec.Struct, gc=False):
    type: str | None = None
    image_url: msgspec.Raw = msgspec.Raw(b"null")
    input_audio: _Audio | None = None
    file: _File | None = None
    cache_control: CacheControl | None = None


class _Message(msgspec.Struct, gc=False):
    content: str | list[_Part | str] | None = None
    audio: _Anything | None = None
    cache_control: CacheControl | None = None


class _Tool(msgspec.Struct, gc=False):
    type: str | None = None
    cache_control: CacheControl | None = None


_decode_messages = msgspec.json.Decoder(list[_Message]).decode
_decode_tools = msgspec.json.Decoder(list[_Tool] | None).decode
_decode_image_url = msgspec.json.Decoder(_ImageUrl).decode
_decode_cache_control = msgspec.json.Decoder(CacheControl | None).decode


def note_contents(fields: Fields, contents: Contents) -> None:
    """Raises what msgspec raises if a part that matters cannot be read."""
    for message in _decode_messages(fields["messages"]):
        _note_message(message, contents)
    if "tools" in fields:
        _note_tools(_decode_tools(fields["tools"]) or [], contents)
    if "functions" in fields:
        contents.tools = True
    if "cache_control" in fields:
        contents.add_cache(_decode_cache_control(fields["cache_control"]))
    for switch in SEARCH_SWITCHES:
        raw = fields.get(switch)
        if raw is not None and bytes(memoryview(raw)[:5]) not in (b"null", b"false"):
            contents.searches += DEFAULT_SEARCHES


def _note_message(message: _Message, contents: Contents) -> None:
    contents.add_cache(message.cache_control)
    if message.audio is not None:
        contents.unmeasured = True  # speech of an earlier answer: named, not sent
    if type(message.content) is list:
        for part in message.content:
            if type(part) is _Part:
                _note_part(part, contents)


def _note_tools(tools: list[_Tool], contents: Contents) -> None:
    for tool in tools:
        contents.tools = True
        contents.add_cache(tool.cache_control)
        if tool.type not in _CLIENT_TOOLS:
            contents.searches += DEFAULT_SEARCHES


def _note_part(part: _Part, contents: Contents) -> None:
    contents.add_cache(part.cache_control)
    if part.type == "image_url":
        _note_image(part.image_url, contents)
    elif part.type == "input_audio":
        if part.input_audio is not None:
            contents.add_audio(len(memoryview(part.input_audio.data)))
    elif part.type == "file":
        _note_file(part.file, contents)
    elif part.type not in _TEXTS:
        contents.unmeasured = True


def _note_image(raw: msgspec.Raw, contents: Contents) -> None:
    if memoryview(raw)[0] != ord("{"):
        contents.add_url(raw)  # some clients forget the object around it
        return
    image = _decode_image_url(raw)
    contents.add_url(image.url, large=image.detail == "original")


def _note_file(file: _File | None, contents: Contents) -> None:
    if file is None:
        contents.add_pages(0)
    else:
        contents.add_file(file.file_data)
