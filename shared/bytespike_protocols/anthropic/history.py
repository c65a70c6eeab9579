"""Turns of a conversation in the order Anthropic demands.

Its rules: roles alternate; every call is answered in the very next message; results stand before
anything else in it. Other dialects spread the same over more messages, so turns are folded; what a
fold cannot mend is refused here, in words, rather than by the vendor in its own.
"""

from __future__ import annotations

from itertools import chain, pairwise
from typing import Any, NamedTuple

from bytespike_protocols.anthropic.content_encode import encode_block
from bytespike_protocols.anthropic.draft import Draft, Wire
from bytespike_protocols.errors import BadClientMessage, Unrepresentable
from bytespike_protocols.ir import Document, Image, Role, Text, ToolResult, ToolUse, Turn

__all__ = ["History", "encode_turns"]

_THOUGHTS = {"thinking", "redacted_thinking"}
_ORPHAN = "Result of a tool call that is no longer part of this conversation:"


class History(NamedTuple):
    """The messages. ``thoughtless_loop``: calls were just answered, and the message that made them
    does not begin with a thought, which manual thinking demands.
    """

    messages: list[Wire]
    thoughtless_loop: bool


class _Message:
    """One message under way. Calls and results go by the ids the vendor will see; ``calls`` and
    ``answers`` hold their paths.
    """

    __slots__ = ("answers", "calls", "path", "rest", "results", "role")

    def __init__(self, role: Role, path: str) -> None:
        self.role = role
        self.path = path
        self.answers: dict[str, str] = {}
        self.calls: dict[str, str] = {}
        self.results: dict[str, Wire] = {}
        self.rest: list[Any] = []

    @property
    def content(self) -> list[Any]:
        return [*self.results.values(), *self.rest]

    def join(self, later: _Message) -> None:
        self.answers |= later.answers
        self.calls |= later.calls
        self.results |= later.results
        self.rest += later.rest


def encode_turns(draft: Draft, turns: tuple[Turn, ...]) -> History:
    """Raises ``BadClientMessage`` on a call nobody answered and ``Unrepresentable`` on content or
    an ending the model does not take.
    """
    messages: list[_Message] = []
    for index, turn in enumerate(turns):
        message = _encode_turn(draft, turn, index, after=messages[-1].role if messages else None)
        if not message.content:
            continue
        if messages and messages[-1].role == message.role and not draft.own:
            messages[-1].join(message)
        else:
            messages.append(message)
    if not draft.own:
        _pair(draft, messages)
        _check_ending(draft, messages)
    wires = [
        draft.finish(message.path, {"role": message.role, "content": message.content})
        for message in messages
    ]
    return History(wires, _is_thoughtless_loop(messages))


def _encode_turn(draft: Draft, turn: Turn, index: int, *, after: Role | None) -> _Message:
    path = f"messages[{index}]" if draft.own else f"turns[{index}]"
    message = _Message(_role(draft, turn, path, after), path)
    if turn.name is not None:
        draft.lose(f"{path}.name")
    for position, block in enumerate(turn.blocks):
        at = draft.block_path(index, position)
        if message.role == "assistant" and isinstance(block, Image | Document) and not draft.own:
            raise Unrepresentable(at, "an assistant's message cannot hold media")
        wire = encode_block(draft, block, at)
        if wire is None:
            continue
        if isinstance(block, ToolResult):
            message.results[wire["tool_use_id"]] = wire
            message.answers[wire["tool_use_id"]] = at
            continue
        if isinstance(block, ToolUse):
            message.calls[wire["id"]] = at
        message.rest.append(wire)
    return message


def _role(draft: Draft, turn: Turn, path: str, after: Role | None) -> Role:
    """An instruction in mid-conversation stands after a user's message, on models that know it;
    elsewhere the user says it.
    """
    if turn.role != "system" or draft.own:
        return turn.role
    words_only = all(isinstance(block, Text) for block in turn.blocks)
    if draft.abilities.system_turns and after == "user" and words_only:
        return "system"
    draft.lose(f"{path}.role", "emulated")
    return "user"


def _pair(draft: Draft, messages: list[_Message]) -> None:
    first = _Message("assistant", "")
    for before, message in pairwise(chain([first], messages)):
        _demote_orphans(draft, message, before.calls)
        _check_answered(before, message.results)
    if messages:
        _check_answered(messages[-1], {})


def _demote_orphans(draft: Draft, message: _Message, calls: dict[str, str]) -> None:
    """Results whose call was cut off the history, told as text."""
    for call_id in [call_id for call_id in message.results if call_id not in calls]:
        result = message.results.pop(call_id)
        draft.lose(f"{message.answers[call_id]}.id", "emulated")
        message.rest[:0] = [{"type": "text", "text": _ORPHAN}, *result.get("content", ())]


def _check_answered(message: _Message, results: dict[str, Wire]) -> None:
    for call_id, path in message.calls.items():
        if call_id not in results:
            raise BadClientMessage(path, "the call has no result in what follows")


def _check_ending(draft: Draft, messages: list[_Message]) -> None:
    last = messages[-1] if messages else None
    if last is None or last.role != "assistant":
        return
    if not draft.abilities.prefill:
        raise Unrepresentable(last.path, "this model does not continue an assistant's message")
    ending = last.rest[-1]
    if isinstance(ending, dict) and ending["type"] == "text":
        ending["text"] = ending["text"].rstrip()


def _is_thoughtless_loop(messages: list[_Message]) -> bool:
    if len(messages) < 2 or not messages[-1].results:
        return False
    first = messages[-2].rest[0]
    return not (isinstance(first, dict) and first["type"] in _THOUGHTS)
