"""``contents`` to turns: one turn for each content and one block for each part.

That the two sides keep step is what lets an extra of a part find its place again. Only results that
stand behind other parts are moved to the front, where everybody else wants them.
"""

from __future__ import annotations

from typing import NamedTuple, TypeGuard

import msgspec

from bytespike_protocols.errors import BadClientMessage
from bytespike_protocols.gemini.fields import Fields, is_json_object
from bytespike_protocols.gemini.media import file_data, inline_data, media_block
from bytespike_protocols.gemini.names import CallBook
from bytespike_protocols.gemini.signature import read_signature, read_thought
from bytespike_protocols.ir import (
    Block,
    Content,
    Dialect,
    Extra,
    Foreign,
    Json,
    Role,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    Turn,
)

__all__ = ["decode_contents"]

#: ``function`` is how results were once sent; a content without a role is the user's.
_ROLES: dict[str | None, Role] = {
    None: "user",
    "user": "user",
    "function": "user",
    "model": "assistant",
}
_BESIDE_DATA = {"thoughtSignature", "thought_signature", "thought"}


def decode_contents(contents: list[tuple[str, msgspec.Raw]]) -> tuple[list[Turn], list[Extra]]:
    """The conversation and what only Gemini can say in it. Raises ``BadClientMessage``."""
    calls = CallBook()
    turns, extras = [], []
    for path, raw in contents:
        turn, more = _decode_content(Fields(raw, path), calls)
        turns.append(turn)
        extras.extend(more)
    return turns, extras


def _decode_content(content: Fields, calls: CallBook) -> tuple[Turn, list[Extra]]:
    role = content.string("role")
    if role not in _ROLES:
        raise BadClientMessage(content.at("role"), "must be user or model")
    parts = [_decode_part(Fields(raw, path), calls) for path, raw in content.items("parts") or ()]
    # Stable: results first, everything else in its order.
    parts.sort(key=lambda part: not isinstance(part.block, ToolResult))
    parts = _join_thoughts(parts)
    extras = list(content.rest())
    for index, part in enumerate(parts):
        place = f"{content.path}.parts[{index}]"
        extras += [
            Extra(path=place + extra.path.removeprefix(part.path), value=extra.value)
            for extra in part.left
        ]
    return Turn(role=_ROLES[role], blocks=tuple(part.block for part in parts)), extras


class _Part(NamedTuple):
    """A part's block, and what the block does not hold of it."""

    block: Block
    path: str
    left: tuple[Extra, ...] = ()


def _join_thoughts(parts: list[_Part]) -> list[_Part]:
    """One block of another vendor's thinking again, as it was before it was streamed to a client in
    pieces with its signature last: only whole does it match the signature.
    """
    joined: list[_Part] = []
    for part in parts:
        whole = part.block
        if isinstance(whole, Thinking) and whole.opaque and whole.opaque.issuer != Dialect.GEMINI:
            texts = [whole.text]
            while joined and _is_unsigned_thought(before := joined[-1].block):
                texts.append(before.text)
                joined.pop()
            whole = Thinking(text="".join(reversed(texts)), opaque=whole.opaque)
        joined.append(part._replace(block=whole))
    return joined


def _is_unsigned_thought(block: Block) -> TypeGuard[Thinking]:
    return isinstance(block, Thinking) and block.opaque is None


def _decode_part(part: Fields, calls: CallBook) -> _Part:
    inside: list[Extra] = []
    block = _data_block(part, calls, inside)
    if isinstance(block, Foreign):
        return _Part(block, part.path)
    return _Part(block, part.path, (*inside, *part.rest()))


def _data_block(part: Fields, calls: CallBook, inside: list[Extra]) -> Block:
    if (call := part.object("functionCall")) is not None:
        return _call(part, call, calls, inside)
    if (answer := part.object("functionResponse")) is not None:
        return _result(answer, calls, inside)
    if (inline := part.object("inlineData")) is not None:
        source = inline_data(inline)
        inside.extend(inline.rest())
        return media_block(source)
    if (file := part.object("fileData")) is not None:
        kept = file_data(file)
        inside.extend(file.rest())
        return media_block(kept)
    return _text_or_foreign(part)


def _text_or_foreign(part: Fields) -> Block:
    kinds = [name for name in part if name not in _BESIDE_DATA]
    if "text" not in part and kinds:
        return Foreign(dialect=Dialect.GEMINI, kind=kinds[0], value=part.text)
    text = part.string("text")
    signature = part.string("thoughtSignature")
    if text is None and signature is None:
        raise BadClientMessage(part.path, "a part needs text, data, a call or a response")
    if part.flag("thought"):
        return read_thought(text or "", signature)
    return Text(text=text or "", opaque=read_signature(signature) if signature else None)


def _call(part: Fields, call: Fields, calls: CallBook, inside: list[Extra]) -> ToolUse:
    name = call.string("name")
    if not name:
        raise BadClientMessage(call.at("name"), "field required")
    arguments = call.object("args")
    signature = part.string("thoughtSignature")
    block = ToolUse(
        id=calls.call(call.string("id"), name),
        name=name,
        arguments=arguments.text if arguments is not None else Json("{}"),
        opaque=read_signature(signature) if signature else None,
    )
    inside.extend(call.rest())
    return block


def _result(answer: Fields, calls: CallBook, inside: list[Extra]) -> ToolResult:
    call_id, name = answer.string("id"), answer.string("name")
    if not (call_id or name):
        raise BadClientMessage(answer.at("name"), "field required")
    call_id, name = calls.result(call_id, name)
    is_error, content = _read_response(answer.object("response"))
    for path, raw in answer.items("parts") or ():
        content = (*content, _result_part(Fields(raw, path), inside))
    inside.extend(answer.rest())
    return ToolResult(id=call_id, name=name, content=content, is_error=is_error)


def _read_response(response: Fields | None) -> tuple[bool, tuple[Content, ...]]:
    """``{"output": "words"}`` and ``{"error": "words"}`` are the wrapping of words; every other
    object is the result itself, as JSON text. Words that are an object's JSON stay wrapped, or
    their wrapping would be lost on the way back.
    """
    if response is None:
        return False, ()
    names, whole = list(response), response.text
    is_error = "error" in names
    if names in (["output"], ["error"]):
        value = response.raw(names[0])
        words = _words(value) if value is not None else None
        if words is not None:
            return is_error, (Text(text=words),)
    return is_error, (Text(text=whole),)


def _words(value: msgspec.Raw) -> str | None:
    if not bytes(value).startswith(b'"'):
        return None
    words = msgspec.json.decode(value, type=str)
    return None if is_json_object(words) else words


def _result_part(part: Fields, inside: list[Extra]) -> Content:
    if (inline := part.object("inlineData")) is not None:
        source = inline_data(inline)
        inside.extend((*inline.rest(), *part.rest()))
        return media_block(source)
    if (file := part.object("fileData")) is not None:
        kept = file_data(file)
        inside.extend((*file.rest(), *part.rest()))
        return media_block(kept)
    raise BadClientMessage(part.path, "a part of a function response needs inlineData or fileData")
