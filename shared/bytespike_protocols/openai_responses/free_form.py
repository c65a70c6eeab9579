"""Free-form (``custom``) tools, which take text, as the functions of one text every dialect knows.

The definition keeps its ``type`` among its extras; that mark is how a call is told to be free-form
again on its way back to the client.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from bytespike_protocols.ir import Json, ServerTool, Tool

__all__ = ["PARAMETERS", "free_form_names", "is_free_form", "unwrap_text", "wrap_text"]

#: What such a tool takes, for everybody else.
PARAMETERS: Final = Json(
    '{"type":"object","properties":{"input":{"type":"string"}},'
    '"required":["input"],"additionalProperties":false}'
)
_MARK: Final = Json('"custom"')


class _Wrapped(msgspec.Struct, frozen=True):
    input: str


_wrapped = msgspec.json.Decoder(_Wrapped)


def wrap_text(text: str) -> Json:
    """The text as the arguments of a function."""
    return Json(msgspec.json.encode({"input": text}).decode())


def unwrap_text(arguments: Json) -> str:
    """The text of a call; arguments that do not wrap one count as the text themselves."""
    try:
        return _wrapped.decode(arguments).input
    except (msgspec.DecodeError, RecursionError):
        return arguments


def is_free_form(tool: Tool) -> bool:
    """Whether the definition bears the mark."""
    return any(extra.path.endswith("].type") and extra.value == _MARK for extra in tool.extras)


def free_form_names(tools: Iterable[Tool | ServerTool]) -> frozenset[str]:
    """The names of the tools that bear the mark."""
    return frozenset(tool.name for tool in tools if isinstance(tool, Tool) and is_free_form(tool))
