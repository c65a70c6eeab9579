"""What a Messages body holds besides text.

The body is read by structure, not by searching for words, so nothing can be hidden by escapes or
faked inside a text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from bytespike_edge.contents.quantities import DEFAULT_SEARCHES, CacheControl, Contents
from bytespike_protocols.heads import Fields

__all__ = ["note_contents"]

#: How the types of tools begin that the vendor has designed and the client runs; the vendor runs
#: all others by itself, in steps of its own.
_CLIENT_TOOLS = ("bash_", "computer_", "memory_", "text_editor_")


# Views of the parts that matter; everything they do not name is skipped, not checked. Where the
# vendor allows several shapes, so do they. They live for one call and form no cycles: no gc.


class _Anything(msgspec.Struct, gc=False):
    """An object whose fields are of no interest."""


class _Source(msgspec.Struct, gc=False):
    type: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"")
    content: str | list[_Block | str] | None = None


class _Block(msgspec.Struct, gc=False):
    type: str | None = None
    cache_control: CacheControl | None = None
    source: str | _Source | None = None
    content: str | list[_Block | str] | _Anything | None = None


class _Turn(msgspec.Struct, gc=False):
    content: str | list[_Block | str] | None = None


class _Tool(msgspec.Struct, gc=False):
    type: str | None = None
    max_uses: int | None = None
    cache_control: CacheControl | None = None


_decode_turns = msgspec.json.Decoder(list[_Turn]).decode
_decode_system = msgspec.json.Decoder(str | list[_Block | str] | None).decode
_decode_tools = msgspec.json.Decoder(list[_Tool] | None).decode
_decode_servers = msgspec.json.Decoder(list[msgspec.Raw] | None).decode
_decode_cache_control = msgspec.json.Decoder(CacheControl | None).decode


def note_contents(fields: Fields, contents: Contents) -> None:
    """Raises what msgspec raises if a part that matters cannot be read."""
    for turn in _decode_turns(fields["messages"]):
        if type(turn.content) is list:
            _note_blocks(turn.content, contents)
    if "system" in fields:
        system = _decode_system(fields["system"])
        if type(system) is list:
            _note_blocks(system, contents)
    if "tools" in fields:
        _note_tools(_decode_tools(fields["tools"]) or [], contents)
    if "mcp_servers" in fields and _decode_servers(fields["mcp_servers"]):
        contents.lookups += DEFAULT_SEARCHES
    if "cache_control" in fields:
        contents.add_cache(_decode_cache_control(fields["cache_control"]))


def _note_tools(tools: list[_Tool], contents: Contents) -> None:
    for tool in tools:
        contents.tools = True
        contents.add_cache(tool.cache_control)
        if tool.type is None or tool.type == "custom":
            continue
        uses = DEFAULT_SEARCHES if tool.max_uses is None else max(0, tool.max_uses)
        if tool.type.startswith("web_search_"):
            contents.searches += uses
        elif tool.type.startswith(_CLIENT_TOOLS):
            contents.known_tools += 1
        else:
            contents.lookups += uses


def _note_blocks(blocks: list[_Block | str], contents: Contents) -> None:
    for block in _flat(blocks):
        contents.add_cache(block.cache_control)
        if block.type == "image":
            contents.add_image(_encoded_bytes(block.source))
        elif block.type == "document":
            _note_document(block.source, contents)


def _flat(blocks: list[_Block | str]) -> Iterator[_Block]:
    """The blocks and those inside tool results and documents. Nowhere else does the vendor read
    blocks: an image's shape inside a tool's arguments is text to the model.
    """
    pending: list[Any] = [blocks]
    while pending:
        for block in pending.pop():
            if type(block) is not _Block:
                continue
            yield block
            if block.type == "tool_result" and type(block.content) is list:
                pending.append(block.content)
            elif type(block.source) is _Source and type(block.source.content) is list:
                pending.append(block.source.content)


def _encoded_bytes(source: str | _Source | None) -> int:
    if type(source) is not _Source or source.type != "base64":
        return 0
    return len(memoryview(source.data))


def _note_document(source: str | _Source | None, contents: Contents) -> None:
    # Text counts by its bytes, nested blocks are met on their own.
    if type(source) is _Source and source.type not in ("text", "content"):
        contents.add_pages(_encoded_bytes(source))
