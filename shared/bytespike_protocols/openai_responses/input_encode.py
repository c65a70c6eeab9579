"""Turns to the items of ``input``.

Opaque state goes to its issuer alone: reasoning signed by somebody else is left out and reported.
What a request of another dialect may say but this vendor refuses (results without their call,
reasoning that led to nothing, empty messages) is mended or left out; a request of this dialect is
written as it was read.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import msgspec

from bytespike_protocols.errors import Unrepresentable
from bytespike_protocols.ir import (
    Block,
    Dialect,
    Foreign,
    RedactedThinking,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    Turn,
)
from bytespike_protocols.openai_responses.content_decode import is_part
from bytespike_protocols.openai_responses.content_encode import Losses, PartWriter
from bytespike_protocols.openai_responses.free_form import unwrap_text
from bytespike_protocols.openai_responses.names import call_id
from bytespike_protocols.openai_responses.namespaces import written_name

__all__ = ["ItemWriter"]

_OWN: Final = Dialect.OPENAI_RESPONSES
#: Items that reasoning may lead to; one that leads to nothing is a 400.
_ANSWERS: Final = ("assistant", "function_call", "custom_tool_call", "reasoning", "foreign")

_Placed = tuple[str, Block]


class ItemWriter:
    """Writes the items of one request."""

    __slots__ = ("_calls", "_custom", "_items", "_listed", "_losses", "_own", "_parts", "_thoughts")

    def __init__(
        self,
        origin: Dialect,
        losses: Losses,
        *,
        custom: Collection[str] = (),
        listed: Collection[int] = (),
    ) -> None:
        """``custom`` names free-form tools; items at ``listed`` must have their content as an
        array, since extras belong into it.
        """
        self._own = origin is _OWN
        self._losses = losses
        self._parts = PartWriter(origin, losses)
        self._custom = custom
        self._listed = listed
        self._items: list[Any] = []
        self._calls: dict[str, str] = {}
        #: Where the reasoning of an item comes from, by the item's place.
        self._thoughts: dict[int, str] = {}

    def items(self) -> list[Any]:
        """What was written."""
        return self._items if self._own else self._without_idle_reasoning()

    def _without_idle_reasoning(self) -> list[Any]:
        """Reasoning only where an item of the same answer follows."""
        kept: list[Any] = []
        following: Any = {}
        for index, item in reversed(list(enumerate(self._items))):
            if _kind(item) == "reasoning" and _kind(following) not in _ANSWERS:
                self._losses.dropped(self._thoughts[index])
                continue
            kept.append(item)
            following = item
        return kept[::-1]

    def instruct(self, path: str, text: Text) -> None:
        """An instruction beyond the first."""
        self._message("system", [(path, text)])

    def turn(self, path: str, turn: Turn) -> None:
        """All of a turn, in order: parts are gathered into messages, the rest are items."""
        if turn.name is not None:
            self._losses.dropped(f"{path}.name")
        parts: list[_Placed] = []
        for index, block in enumerate(turn.blocks):
            place = f"{path}.blocks[{index}]"
            if is_part(block):
                parts.append((place, block))
                continue
            self._message(turn.role, parts)
            parts = []
            self._item(place, block)
        self._message(turn.role, parts)

    def _message(self, role: str, parts: list[_Placed]) -> None:
        if not self._own:
            # Empty text says nothing, and some models refuse it.
            parts = [(path, block) for path, block in parts if block != Text(text="")]
        if not parts:
            return
        write = self._parts.outputs if role == "assistant" else self._parts.inputs
        self._items.append({"role": role, "content": self._compact(write(parts))})

    def _compact(self, parts: list[Any]) -> str | list[Any]:
        """Lone text as a string, which is legal for every role."""
        if len(parts) == 1 and isinstance(parts[0], dict) and len(self._items) not in self._listed:
            only: dict[str, Any] = parts[0]
            if only["type"] in ("input_text", "output_text"):
                return str(only["text"])
        return parts

    def _item(self, path: str, block: Block) -> None:
        match block:
            case ToolUse():
                self._call(path, block)
            case ToolResult():
                self._result(path, block)
            case Thinking() | RedactedThinking():
                self._reasoning(path, block)
            case Foreign() if block.dialect is _OWN:
                self._items.append(msgspec.Raw(block.value.encode()))
            case _:
                kind = block.kind if isinstance(block, Foreign) else type(block).__name__
                raise Unrepresentable(path, f"{kind} has no form at the model's vendor")

    def _call(self, path: str, block: ToolUse) -> None:
        self._note(path, block)
        item: dict[str, Any] = {"type": "function_call", "call_id": call_id(block.id)}
        item |= written_name(block.name)
        if block.name in self._custom:
            item["type"] = "custom_tool_call"
            item["input"] = unwrap_text(block.arguments)
        else:
            item["arguments"] = block.arguments
        self._calls[block.id] = item["type"]
        self._items.append(item)

    def _result(self, path: str, block: ToolResult) -> None:
        self._note(path, block)
        inner = [(f"{path}.content[{index}]", part) for index, part in enumerate(block.content)]
        kind = self._calls.get(block.id)
        parts = self._parts.inputs(inner)
        if block.is_error:
            self._losses.emulated(f"{path}.is_error")
            parts.insert(0, {"type": "input_text", "text": "The tool failed:"})
        if kind is None and not self._own:
            # A result of a call that is not in the history would be refused.
            self._losses.emulated(f"{path}.id")
            self._items.append({"role": "user", "content": self._compact(parts)})
            return
        item: dict[str, Any] = {"type": f"{kind or 'function_call'}_output"}
        item["call_id"] = call_id(block.id)
        item["output"] = self._compact(parts) if parts else ""
        self._items.append(item)

    def _note(self, path: str, block: ToolUse | ToolResult) -> None:
        if block.cache is not None:
            self._losses.emulated(f"{path}.cache")
        if isinstance(block, ToolUse) and block.opaque is not None:
            self._losses.dropped(f"{path}.opaque")

    def _reasoning(self, path: str, block: Thinking | RedactedThinking) -> None:
        opaque = block.opaque
        words = block.text if isinstance(block, Thinking) else ""
        summary = [{"type": "summary_text", "text": words}] if words else []
        item: dict[str, Any] = {"type": "reasoning", "summary": summary}
        if opaque is None or opaque.issuer is not _OWN:
            # Words alone would be taken for an item that the vendor keeps, and it keeps none.
            self._losses.dropped(path)
            return
        item["encrypted_content"] = opaque.payload
        self._thoughts[len(self._items)] = path
        self._items.append(item)


def _kind(item: Any) -> str:
    if not isinstance(item, dict):
        return "foreign"
    return str(item.get("type") or item["role"]) if item else ""
