"""The items of ``input`` to turns.

Items are flat; turns are not. Reasoning, words and calls of one answer become one assistant turn,
and results with the words after them one user turn, so that a run of items has exactly one reading
as turns, and one way back. Ids and statuses of items are the vendor's own book-keeping about things
it may have stored; they are left out, save where the id is all there is of an item.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from bytespike_protocols.custody import unwrap
from bytespike_protocols.ir import (
    Block,
    Content,
    Dialect,
    Extra,
    Foreign,
    Json,
    RedactedThinking,
    Refusal,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    Turn,
)
from bytespike_protocols.openai_responses.content_decode import decode_parts, is_part
from bytespike_protocols.openai_responses.fields import Fields, bad, list_of, raw_text, value_of
from bytespike_protocols.openai_responses.free_form import wrap_text
from bytespike_protocols.openai_responses.namespaces import read_call_name

__all__ = ["Input", "decode_input"]

_INSTRUCTING: Final = ("system", "developer")
_SPEAKERS: dict[str, Literal["user", "assistant"]] = {"user": "user", "assistant": "assistant"}

#: Items a client adds; whatever else is not known is taken for the model's doing.
_CLIENT_SUFFIXES = ("_output", "_response", "_reference", "_tools")
#: Gemini signs its calls and words; its state comes back as an empty reasoning item after them.
_SIGNS_BLOCKS = Dialect.GEMINI

_string = msgspec.json.Decoder(str)


class Input(msgspec.Struct, frozen=True):
    """What ``input`` holds."""

    system: tuple[Text, ...]
    turns: tuple[Turn, ...]
    extras: tuple[Extra, ...]


def decode_input(raw: msgspec.Raw, *, instructed: bool, offered: Collection[str]) -> Input:
    """``instructed``: there are ``instructions`` too; ``offered``: the tools' names. Paths of
    extras count items as they will be written again: the first instruction as ``instructions``, the
    further ones as items.
    """
    if memoryview(raw)[0] == ord('"'):
        block = Text(text=value_of(raw, _string, "input", "a string or an array"))
        return Input((), (Turn(role="user", blocks=(block,)),), ())
    items = [(item, Fields(item, path)) for path, item in list_of(raw, "input")]
    reading = _Reading(offered)
    leading = 0
    while leading < len(items) and reading.lead(items[leading][1]):
        leading += 1
    shift = max(0, len(reading.system) - (0 if instructed else 1)) - leading
    for index, (item, fields) in enumerate(items[leading:], leading):
        reading.take(item, fields, f"input[{index + shift}]")
    return Input(tuple(reading.system), reading.finish(), tuple(reading.extras))


def _reasoning_block(words: str | None, state: str | None) -> Thinking | RedactedThinking:
    """``words`` None: the item has no summary at all, which is how redacted thinking of others is
    written down; thinking without words has an empty one.
    """
    if state is None:
        return Thinking(text=words or "")
    opaque = unwrap(state, carrier=Dialect.OPENAI_RESPONSES)
    if words is None and opaque.issuer is not Dialect.OPENAI_RESPONSES:
        return RedactedThinking(opaque=opaque)
    return Thinking(text=words or "", opaque=opaque)


class _Reading:
    """Turns under construction."""

    __slots__ = ("_blocks", "_names", "_offered", "_role", "extras", "system", "turns")

    def __init__(self, offered: Collection[str]) -> None:
        self.system: list[Text] = []
        self.turns: list[Turn] = []
        self.extras: list[Extra] = []
        self._role: Literal["user", "assistant"] = "user"
        self._blocks: list[Block] = []
        self._names: dict[str, str] = {}
        self._offered = offered

    def lead(self, fields: Fields) -> bool:
        """Take an instruction that comes before everything else; False if it is none."""
        peeked = _peek(fields)
        if peeked.kind != "message" or peeked.role not in _INSTRUCTING:
            return False
        fields.drop("type", "role", "id", "status")
        self.system += _texts(_content(fields, fields.path, self.extras), fields.at("content"))
        self.extras += fields.extras()
        return True

    def take(self, item: msgspec.Raw, fields: Fields, place: str) -> None:
        """Take any item; its extras go under ``place``."""
        kind = _peek(fields).kind
        reader = _ITEMS.get(kind)
        if reader is None:
            role: Literal["user", "assistant"]
            role = "user" if kind.endswith(_CLIENT_SUFFIXES) else "assistant"
            value = raw_text(item)
            self._join(role, Foreign(dialect=Dialect.OPENAI_RESPONSES, kind=kind, value=value))
            return
        fields.drop("type", "status")
        reader(self, fields, place)
        fields.drop("id")
        self.extras += fields.extras(place)

    def finish(self) -> tuple[Turn, ...]:
        """All turns."""
        self._end_turn()
        return tuple(self.turns)

    def _end_turn(self) -> None:
        if self._blocks:
            self.turns.append(Turn(role=self._role, blocks=tuple(self._blocks)))
            self._blocks = []

    def _join(self, role: Literal["user", "assistant"], *blocks: Block) -> None:
        if role != self._role:
            self._end_turn()
            self._role = role
        self._blocks += blocks

    def _message(self, fields: Fields, place: str) -> None:
        role = fields.required_text("role")
        blocks = _content(fields, place, self.extras)
        if role in _INSTRUCTING:
            self._end_turn()
            texts = _texts(blocks, fields.at("content"))
            self.turns.append(Turn(role="system", blocks=texts))
            return
        speaker = _SPEAKERS.get(role)
        if speaker is None:
            raise bad(fields.at("role"), "must be user, assistant, system or developer")
        if self._role == speaker and self._blocks and is_part(self._blocks[-1]):
            self._end_turn()
        self._join(speaker, *blocks)

    def _reasoning(self, fields: Fields, place: str) -> None:
        summary = [_words(part, path) for path, part in fields.elements("summary")]
        content = [_words(part, path) for path, part in fields.elements("content")]
        words = content or summary
        state = fields.text("encrypted_content")
        block = _reasoning_block("\n\n".join(words) if words else None, state)
        if isinstance(block, RedactedThinking) and self._sign(block):
            return
        if state is None and not words and (kept := fields.raw("id")) is not None:
            # Only the id says which reasoning is meant.
            self.extras.append(Extra(path=f"{place}.id", value=raw_text(kept)))
        self._join("assistant", block)

    def _sign(self, block: RedactedThinking) -> bool:
        """Put Gemini's state back on the call or the words it belongs to."""
        if block.opaque.issuer is not _SIGNS_BLOCKS or self._role != "assistant":
            return False
        last = self._blocks[-1] if self._blocks else None
        if not isinstance(last, ToolUse | Text) or last.opaque is not None:
            return False
        self._blocks[-1] = replace(last, opaque=block.opaque)
        return True

    def _call(self, fields: Fields, place: str) -> None:
        del place
        arguments = Json(fields.text("arguments") or "{}")
        self._add_call(fields, arguments)

    def _custom_call(self, fields: Fields, place: str) -> None:
        del place
        self._add_call(fields, wrap_text(fields.text("input") or ""))

    def _add_call(self, fields: Fields, arguments: Json) -> None:
        call = ToolUse(
            id=fields.required_text("call_id"),
            name=read_call_name(fields, self._offered),
            arguments=arguments,
        )
        self._names[call.id] = call.name
        self._join("assistant", call)

    def _result(self, fields: Fields, place: str) -> None:
        if not all(isinstance(block, ToolResult) for block in self._blocks):
            self._end_turn()
        call_id = fields.required_text("call_id")
        raw = fields.raw("output")
        if raw is None:
            raise bad(fields.at("output"), "field required")
        content: list[Content] = []
        parts = decode_parts(raw, fields.at("output"), f"{place}.output", self.extras)
        for part in parts:
            if isinstance(part, Refusal):
                raise bad(fields.at("output"), "a refusal is not a tool's output")
            content.append(part)
        name = self._names.get(call_id)
        self._join("user", ToolResult(id=call_id, name=name, content=tuple(content)))


_ITEMS: dict[str, Callable[[_Reading, Fields, str], None]] = {
    "message": _Reading._message,
    "reasoning": _Reading._reasoning,
    "function_call": _Reading._call,
    "custom_tool_call": _Reading._custom_call,
    "function_call_output": _Reading._result,
    "custom_tool_call_output": _Reading._result,
}


class _Peeked(msgspec.Struct, frozen=True):
    kind: str
    role: str | None


def _peek(fields: Fields) -> _Peeked:
    kind, role = fields.peek_text("type"), fields.peek_text("role")
    if kind is None and role is None:
        raise bad(fields.at("type"), "field required")
    return _Peeked(kind or "message", role)


def _content(fields: Fields, place: str, extras: list[Extra]) -> tuple[Content | Refusal, ...]:
    raw = fields.raw("content")
    if raw is None:
        return (Text(text=""),)
    blocks = decode_parts(raw, fields.at("content"), f"{place}.content", extras)
    return blocks or (Text(text=""),)


def _texts(blocks: tuple[Content | Refusal, ...], path: str) -> tuple[Text, ...]:
    texts = tuple(block for block in blocks if isinstance(block, Text))
    if len(texts) != len(blocks):
        raise bad(path, "instructions can only be text")
    return texts


def _words(part: msgspec.Raw, path: str) -> str:
    return Fields(part, path).required_text("text")
