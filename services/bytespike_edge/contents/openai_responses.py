"""What a Responses body holds besides text (see ``contents.anthropic`` on how it is read).

Conversations that the vendor keeps are named, not sent: their size is not known here.
"""

from __future__ import annotations

import msgspec

from bytespike_edge.contents.quantities import DEFAULT_SEARCHES, Contents
from bytespike_protocols.heads import Fields

__all__ = ["note_contents"]

#: Parts whose bytes bound their tokens.
_TEXTS = frozenset(
    {None, "input_text", "output_text", "text", "refusal", "summary_text", "reasoning_text"}
)
#: Tools the client runs; a vendor runs all others.
_CLIENT_TOOLS = frozenset(
    {None, "function", "custom", "namespace", "local_shell", "shell", "apply_patch"}
)
#: What goes on from something that the vendor keeps.
_KEPT = ("previous_response_id", "conversation", "prompt")


class _Audio(msgspec.Struct, gc=False):
    data: msgspec.Raw = msgspec.Raw(b"")


class _Part(msgspec.Struct, gc=False):
    type: str | None = None
    image_url: msgspec.Raw = msgspec.Raw(b"null")
    detail: str | None = None
    file_data: msgspec.Raw = msgspec.Raw(b"null")
    input_audio: _Audio | None = None


class _Item(msgspec.Struct, gc=False):
    type: str | None = None
    content: str | list[_Part | str] | None = None
    output: str | list[_Part | str] | _Part | None = None
    result: msgspec.Raw = msgspec.Raw(b"null")


class _Tool(msgspec.Struct, gc=False):
    type: str | None = None


_decode_input = msgspec.json.Decoder(list[_Item | str] | str | None).decode
_decode_tools = msgspec.json.Decoder(list[_Tool] | None).decode
_decode_limit = msgspec.json.Decoder(int | None).decode


def note_contents(fields: Fields, contents: Contents) -> None:
    """Raises what msgspec raises if a part that matters cannot be read."""
    if "input" in fields:
        given = _decode_input(fields["input"])
        if type(given) is list:
            for item in given:
                if type(item) is _Item:
                    _note_item(item, contents)
    for name in _KEPT:
        raw = fields.get(name)
        if raw is not None and memoryview(raw)[0] != ord("n"):
            contents.unmeasured = True
    if "tools" in fields:
        _note_tools(_decode_tools(fields["tools"]) or [], _tool_calls(fields), contents)


def _tool_calls(fields: Fields) -> int:
    """How often the vendor's tools may run. A lower limit does not count: another vendor may not
    know it.
    """
    limit = _decode_limit(fields["max_tool_calls"]) if "max_tool_calls" in fields else None
    return max(DEFAULT_SEARCHES, limit or 0)


def _note_tools(tools: list[_Tool], calls: int, contents: Contents) -> None:
    for tool in tools:
        contents.tools = True
        if tool.type in _CLIENT_TOOLS:
            continue
        if tool.type is not None and tool.type.startswith("web_search"):
            contents.searches += calls
        else:
            contents.lookups += calls


def _note_item(item: _Item, contents: Contents) -> None:
    if item.type == "item_reference":
        contents.unmeasured = True
    elif item.type == "image_generation_call":
        contents.add_image(len(memoryview(item.result)))
    for given in (item.content, item.output):
        for part in given if type(given) is list else (given,):
            if type(part) is _Part:
                _note_part(part, contents)


def _note_part(part: _Part, contents: Contents) -> None:
    if part.type in ("input_image", "computer_screenshot"):
        contents.add_url(part.image_url, large=part.detail == "original")
    elif part.type == "input_file":
        contents.add_file(part.file_data)
    elif part.type == "input_audio":
        if part.input_audio is not None:
            contents.add_audio(len(memoryview(part.input_audio.data)))
    elif part.type not in _TEXTS:
        contents.unmeasured = True
