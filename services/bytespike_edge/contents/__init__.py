"""What a request body holds besides text, dialect by dialect."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from bytespike_edge.contents import anthropic, gemini, openai_chat, openai_responses
from bytespike_edge.contents.quantities import Contents
from bytespike_protocols.heads import Fields
from bytespike_protocols.ir import Dialect

__all__ = ["Contents", "read_contents"]

_READERS: Mapping[Dialect, Callable[[Fields, Contents], None]] = {
    Dialect.ANTHROPIC: anthropic.note_contents,
    Dialect.OPENAI_CHAT: openai_chat.note_contents,
    Dialect.OPENAI_RESPONSES: openai_responses.note_contents,
    Dialect.GEMINI: gemini.note_contents,
}

#: Fields by which a body can make a vendor search.
_TOOLS = frozenset({"tools", *openai_chat.SEARCH_SWITCHES})


def read_contents(dialect: Dialect, fields: Fields) -> Contents:
    """What must be known of a body whose top level is ``fields`` to bound its cost.

    What cannot be read is taken at its dearest: mostly the vendor refuses it, and a refusal is
    free, but some vendors read more than is documented.
    """
    contents = Contents()
    try:
        _READERS[dialect](fields, contents)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Contents.unreadable(tools=not _TOOLS.isdisjoint(fields))
    return contents
