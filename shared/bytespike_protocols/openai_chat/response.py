"""Whole answers. Reading goes through the stream's decoder, so both forms have one meaning."""

from __future__ import annotations

import msgspec

from bytespike_protocols.codec import ReplyContext
from bytespike_protocols.custody import wrap
from bytespike_protocols.errors import BadUpstreamMessage
from bytespike_protocols.folding import fold
from bytespike_protocols.ir import (
    Dialect,
    Foreign,
    RedactedThinking,
    Refusal,
    Response,
    StopReason,
    Text,
    Thinking,
    ToolUse,
)
from bytespike_protocols.openai_chat.citations import annotation_of
from bytespike_protocols.openai_chat.failure import UNREADABLE, read_failure
from bytespike_protocols.openai_chat.reasoning import detail_of
from bytespike_protocols.openai_chat.stops import encode_stop
from bytespike_protocols.openai_chat.stream_decode import ChatStreamDecoder, read_chunk
from bytespike_protocols.openai_chat.usage import encode_usage

__all__ = ["completion_id", "decode_response", "encode_response", "shows_thoughts"]

_encoder = msgspec.json.Encoder()


def completion_id(request_id: str) -> str:
    """The dialect's form of our request id."""
    return f"chatcmpl-{request_id.rpartition('_')[2]}"


def shows_thoughts(context: ReplyContext) -> bool:
    """Whether the client may see the words of thoughts; their state always goes along."""
    reasoning = context.request.reasoning
    return reasoning is None or reasoning.show is not False


def decode_response(body: bytes) -> Response:
    """Raises ``BadUpstreamMessage``, also for an error that came with a good status."""
    chunk = read_chunk(body)
    if chunk.error:
        raise BadUpstreamMessage((read_failure(200, body) or UNREADABLE).message)
    return fold(ChatStreamDecoder().whole(chunk))


def encode_response(response: Response, context: ReplyContext) -> bytes:
    """Blocks only other dialects know (server tool calls and results) are left out: their text and
    citations say what they found. Raises ``BadUpstreamMessage`` if the model failed to call.
    """
    stop = response.stop
    if stop.reason is StopReason.BROKEN_CALL:
        raise BadUpstreamMessage(stop.detail or "the model made a call that cannot be read")
    message = _Message(shows_thoughts(context))
    for block in response.blocks:
        message.add(block)
    choice = {
        "index": 0,
        "message": message.written(),
        "logprobs": None,
        "finish_reason": encode_stop(stop, refused=bool(message.refusals)),
    }
    answer: dict[str, object] = {
        "id": completion_id(context.request_id),
        "object": "chat.completion",
        "created": context.created_s,
        "model": context.model,
        "choices": [choice],
        "system_fingerprint": None,
    }
    if response.usage is not None:
        answer["usage"] = encode_usage(response.usage)
    return _encoder.encode(answer)


class _Message:
    """Sorts blocks into the one message this dialect has."""

    __slots__ = ("_annotations", "_calls", "_details", "_shows", "_texts", "_thoughts", "refusals")

    def __init__(self, shows: bool) -> None:
        self._shows = shows
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._details: list[object] = []
        self._annotations: list[object] = []
        self._calls: list[object] = []
        self.refusals: list[str] = []

    def add(self, block: object) -> None:
        """Take in the next block."""
        match block:
            case Text():
                self._add_text(block)
            case Thinking() | RedactedThinking():
                self._add_thought(block)
            case ToolUse():
                self._add_call(block)
            case Refusal():
                self.refusals.append(block.text)
            case Foreign():
                pass
            case _:
                raise AssertionError(f"a {type(block).__name__} block cannot be in an answer")

    def written(self) -> dict[str, object]:
        """The message."""
        nothing = None if self._calls or self.refusals else ""
        message: dict[str, object] = {
            "role": "assistant",
            "content": "".join(self._texts) if self._texts else nothing,
            "refusal": "".join(self.refusals) if self.refusals else None,
            "annotations": self._annotations,
        }
        if self._thoughts:
            message["reasoning_content"] = "".join(self._thoughts)
        if self._details:
            message["reasoning_details"] = self._details
        if self._calls:
            message["tool_calls"] = self._calls
        return message

    def _add_text(self, block: Text) -> None:
        offset = sum(map(len, self._texts))
        self._texts.append(block.text)
        found = (annotation_of(citation, block.text, offset=offset) for citation in block.citations)
        self._annotations += [annotation for annotation in found if annotation is not None]

    def _add_thought(self, block: Thinking | RedactedThinking) -> None:
        if isinstance(block, Thinking):
            if not self._shows:
                block = msgspec.structs.replace(block, text="")
            if block.text:
                self._thoughts.append(block.text)
        detail = detail_of(block, index=len(self._details))
        if detail is not None:
            self._details.append(detail)

    def _add_call(self, block: ToolUse) -> None:
        function = {"name": block.name, "arguments": block.arguments or "{}"}
        call: dict[str, object] = {"id": block.id, "type": "function", "function": function}
        if block.opaque is not None:
            signature = wrap(block.opaque, carrier=Dialect.OPENAI_CHAT)
            call["extra_content"] = {"google": {"thought_signature": signature}}
        self._calls.append(call)
