"""Whole answers: a vendor's message as the canonical one, and back for a client."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from bytespike_protocols.anthropic import signatures, wire
from bytespike_protocols.anthropic.draft import Wire, raw
from bytespike_protocols.anthropic.identity import safe_id
from bytespike_protocols.anthropic.stops import decode_stop, encode_stop
from bytespike_protocols.anthropic.usage import buckets, read_usage
from bytespike_protocols.codec import ReplyContext
from bytespike_protocols.errors import BadUpstreamMessage
from bytespike_protocols.ir import (
    Block,
    Dialect,
    Foreign,
    Json,
    RedactedThinking,
    Refusal,
    Response,
    StopReason,
    Text,
    Thinking,
    ToolUse,
    Usage,
)

__all__ = [
    "AnyBlock",
    "can_cite",
    "decode_block",
    "decode_response",
    "encode_response",
    "encode_usage",
    "message_id",
    "shows_thoughts",
]

#: The blocks Anthropic answers with.
AnyBlock = Text | Thinking | RedactedThinking | ToolUse | Foreign

_encoder = msgspec.json.Encoder()
_answer = msgspec.json.Decoder(wire.Answer)
_block = msgspec.json.Decoder(wire.AnswerBlock)
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_citation = msgspec.json.Decoder(wire.EventKind)
_NO_ARGUMENTS = Json("{}")
_CUT = {StopReason.MAX_TOKENS, StopReason.CONTEXT_FULL}


def decode_response(body: bytes) -> Response:
    """Raises ``BadUpstreamMessage`` on anything but a message."""
    try:
        body.decode()
        answer = _answer.decode(body)
        blocks = tuple(decode_block(item) for item in answer.content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadUpstreamMessage("the answer is not a message") from None
    if answer.type != "message":
        raise BadUpstreamMessage("the answer is not a message")
    said = read_usage(answer.usage)
    return Response(
        id=answer.id,
        model=answer.model,
        blocks=blocks,
        stop=decode_stop(
            answer.stop_reason,
            sequence=answer.stop_sequence,
            details=answer.stop_details,
            called=any(isinstance(block, ToolUse) for block in blocks),
        ),
        usage=None if said is None else buckets(said, said.output_tokens or 0),
    )


def decode_block(item: msgspec.Raw) -> AnyBlock:
    """One block of an answer. Raises ``msgspec.DecodeError`` or ``BadUpstreamMessage`` if it is not
    one.
    """
    block = _block.decode(item)
    match block.type:
        case "text":
            return Text(text=block.text, citations=tuple(map(_text_of, block.citations or ())))
        case "thinking":
            return Thinking(text=block.thinking, opaque=signatures.read(block.signature or ""))
        case "redacted_thinking" if (opaque := signatures.read(block.data)) is not None:
            return RedactedThinking(opaque=opaque)
        case "tool_use":
            if not (block.id and block.name):
                raise BadUpstreamMessage("a call without id or name")
            _object.decode(block.input)
            return ToolUse(id=block.id, name=block.name, arguments=_text_of(block.input))
        case kind:
            return Foreign(dialect=Dialect.ANTHROPIC, kind=kind, value=_text_of(item))


def _text_of(item: msgspec.Raw) -> Json:
    return Json(bytes(item).decode())


def encode_response(response: Response, context: ReplyContext) -> bytes:
    """Raises ``BadUpstreamMessage`` on a broken call, for which Anthropic has no form."""
    if response.stop.reason is StopReason.BROKEN_CALL:
        raise BadUpstreamMessage(response.stop.detail or "the model made a call that is broken")
    shown = shows_thoughts(context)
    cut = response.stop.reason in _CUT
    blocks = [_told(block) if cut else block for block in response.blocks]
    content = _content(blocks, shown=shown)
    called = any(isinstance(block, ToolUse) for block in response.blocks)
    message: Wire = {
        "id": message_id(context),
        "type": "message",
        "role": "assistant",
        "model": context.model,
        "content": content,
        **encode_stop(response.stop, called=called),
        "usage": encode_usage(response.usage or Usage()),
    }
    return _encoder.encode(message)


def _told(block: Block) -> Block:
    """A call the token limit cut inside its arguments, told as text: Anthropic wants an object."""
    if not isinstance(block, ToolUse) or _is_object(block.arguments):
        return block
    return Text(text=f"{block.name}({block.arguments}")


def _is_object(arguments: Json) -> bool:
    try:
        _object.decode(arguments.strip() or _NO_ARGUMENTS)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def message_id(context: ReplyContext) -> str:
    """Our request's ULID in Anthropic's form."""
    return "msg_" + context.request_id.removeprefix("req_")


def shows_thoughts(context: ReplyContext) -> bool:
    """Whether the client asked for thinking and wants to read it. State is sent in any case."""
    asked = context.request.reasoning
    return asked is not None and asked.mode != "off" and asked.show is not False


def _content(blocks: Iterable[Block], *, shown: bool) -> list[Any]:
    """The blocks on the wire; a text's signature waits for what follows it."""
    content: list[Any] = []
    waiting: list[Any] = []
    for block in blocks:
        if items := _encode_block(block, shown=shown):
            content += waiting + items
            waiting = []
        if isinstance(block, Text) and block.opaque is not None:
            waiting.append(_carrier(signatures.of_text(block.opaque)))
    return content


def _encode_block(block: Block, *, shown: bool) -> list[Any]:
    """What a client sees of a block: nothing of empty ones and of other dialects' own kinds, and
    one more for a call's signature, which needs a carrier.
    """
    match block:
        case Text(text=text):
            return [_text(block)] if text else []
        case Refusal(text=text):
            return [{"type": "text", "text": text}] if text else []
        case Thinking():
            return _thinking(block, shown=shown)
        case RedactedThinking(opaque=opaque):
            return [{"type": "redacted_thinking", "data": signatures.of_thought(opaque)}]
        case ToolUse():
            return _tool_use(block)
        case Foreign(dialect=Dialect.ANTHROPIC, value=value):
            return [raw(value)]
        case Foreign():
            return []
        case _:
            raise AssertionError(f"a {type(block).__name__} block cannot be in an answer")


def _text(block: Text) -> Wire:
    item: Wire = {"type": "text", "text": block.text}
    citations = [raw(citation) for citation in block.citations if can_cite(citation)]
    if citations:
        item["citations"] = citations
    return item


def can_cite(citation: Json) -> bool:
    """Whether it is of a kind Anthropic has: not of a file in another vendor's keeping."""
    try:
        return _citation.decode(citation).type.endswith("_location")
    except msgspec.DecodeError:
        return False


def _thinking(block: Thinking, *, shown: bool) -> list[Wire]:
    signature = "" if block.opaque is None else signatures.of_thought(block.opaque)
    words = block.text if shown else ""
    if not words and not signature:
        return []
    return [{"type": "thinking", "thinking": words, "signature": signature}]


def _tool_use(block: ToolUse) -> list[Any]:
    if not _is_object(block.arguments):
        raise BadUpstreamMessage("the arguments of a call are not a JSON object")
    call_id = safe_id(block.id)
    call = {
        "type": "tool_use",
        "id": call_id,
        "name": block.name,
        "input": raw(Json(block.arguments.strip() or _NO_ARGUMENTS)),
    }
    if block.opaque is None:
        return [call]
    return [_carrier(signatures.of_call(block.opaque, call_id)), call]


def _carrier(signature: str) -> Wire:
    return {"type": "thinking", "thinking": "", "signature": signature}


def encode_usage(usage: Usage) -> Wire:
    """Anthropic's counts; it has them disjoint as we do, but for the output."""
    said: Wire = {
        "input_tokens": usage.input_tokens,
        "cache_creation_input_tokens": usage.cache_write_5m_tokens + usage.cache_write_1h_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_5m_tokens,
            "ephemeral_1h_input_tokens": usage.cache_write_1h_tokens,
        },
        "output_tokens": usage.output_tokens,
    }
    if usage.reasoning_tokens:
        said["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    if usage.web_searches:
        said["server_tool_use"] = {"web_search_requests": usage.web_searches}
    return said
