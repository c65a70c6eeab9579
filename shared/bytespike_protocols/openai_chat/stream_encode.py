"""Events as the chunks OpenAI's clients read.

Every chunk repeats the answer's id, time and model. The role comes with the first delta, a call's
id and name with its first piece only (clients concatenate what is repeated), the finish reason in a
chunk of its own, and usage after it, if the client asked, in a chunk without choices.
"""

from __future__ import annotations

import msgspec

from bytespike_protocols.codec import ReplyContext
from bytespike_protocols.custody import wrap
from bytespike_protocols.events import (
    ArgumentsDelta,
    CitationDelta,
    Closed,
    Ended,
    Event,
    Failed,
    Opened,
    SignatureDelta,
    Started,
    StreamGuard,
    TextDelta,
)
from bytespike_protocols.ir import (
    Dialect,
    Json,
    Opaque,
    RedactedThinking,
    Refusal,
    StopReason,
    Text,
    Thinking,
    ToolUse,
)
from bytespike_protocols.openai_chat.citations import annotation_of
from bytespike_protocols.openai_chat.failure import encode_stream_error
from bytespike_protocols.openai_chat.reasoning import detail_of
from bytespike_protocols.openai_chat.response import completion_id, shows_thoughts
from bytespike_protocols.openai_chat.stops import encode_stop
from bytespike_protocols.openai_chat.usage import encode_usage

__all__ = ["ChatStreamEncoder"]

Delta = dict[str, object]

_DONE = b"data: [DONE]\n\n"
_CODES = {
    "overloaded": "upstream_overloaded",
    "rate_limited": "upstream_overloaded",
    "timeout": "upstream_timeout",
    "invalid_request": "invalid_request",
    "internal": "upstream_error",
}
_FIELDS: dict[type, str] = {Text: "content", Thinking: "reasoning_content", Refusal: "refusal"}

_encoder = msgspec.json.Encoder()


class ChatStreamEncoder:
    """For one answer."""

    __slots__ = (
        "_annotations",
        "_block",
        "_calls",
        "_citations",
        "_details",
        "_guard",
        "_head",
        "_offset",
        "_pieces",
        "_refused",
        "_request_id",
        "_role_sent",
        "_shows",
        "_tail",
        "_usage_wanted",
    )

    def __init__(self, context: ReplyContext) -> None:
        self._guard = StreamGuard("ours")
        self._request_id = context.request_id
        self._shows = shows_thoughts(context)
        self._usage_wanted = context.request.stream_usage is True
        head = {
            "id": completion_id(context.request_id),
            "object": "chat.completion.chunk",
            "created": context.created_s,
            "model": context.model,
            "system_fingerprint": None,
        }
        self._head = b"data: " + _encoder.encode(head)[:-1] + b',"choices":['
        self._tail = b'],"usage":null}\n\n' if self._usage_wanted else b"]}\n\n"
        self._role_sent = self._refused = False
        self._block: object = None
        #: Words (or whether there were arguments) of the open block.
        self._pieces: list[str] = []
        self._citations: list[Json] = []
        self._annotations = self._calls = self._details = self._offset = 0

    def feed(self, event: Event) -> bytes:
        """Raises ``AssertionError`` on events in the wrong order."""
        self._guard.check(event)
        match event:
            case TextDelta():
                return self._words(event.text)
            case ArgumentsDelta():
                return self._arguments(event.json)
            case Opened():
                return self._opened(event.block)
            case Closed():
                return self._closed()
            case SignatureDelta():
                return self._signature(event.opaque)
            case CitationDelta():
                self._citations.append(event.citation)
            case Ended():
                return self._ended(event)
            case Failed():
                return self._failed(_CODES[event.kind], event.message)
            case Started():
                # Which content the first delta must have is not known before the first block.
                pass
        return b""

    def _chunk(self, delta: Delta, finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return self._head + _encoder.encode(choice) + self._tail

    def _with_role(self, delta: Delta, content: str | None) -> Delta:
        """``delta``, preceded by what only the first one has."""
        if self._role_sent:
            return delta
        self._role_sent = True
        return {"role": "assistant", "content": content, "refusal": None, **delta}

    def _opened(self, block: object) -> bytes:
        self._block, self._pieces, self._citations = block, [], []
        match block:
            case Text():
                opening = self._with_role({}, "")
            case ToolUse():
                opening = self._with_role({"tool_calls": [self._call(block)]}, None)
            case RedactedThinking():
                opening = self._with_role(self._detail(block), None)
            case Thinking() | Refusal():
                opening = self._with_role({}, None)
            case _:
                # Blocks only another dialect knows.
                return b""
        sent = self._chunk(opening) if opening else b""
        return sent + self._content_of(block)

    def _content_of(self, block: object) -> bytes:
        """What a block holds already as it opens."""
        match block:
            case Text() | Thinking() | Refusal() if block.text:
                return self._words(block.text)
            case ToolUse() if block.arguments:
                return self._arguments(block.arguments)
        return b""

    def _call(self, block: ToolUse) -> Delta:
        self._calls += 1
        return {
            "index": self._calls - 1,
            "id": block.id,
            "type": "function",
            "function": {"name": block.name, "arguments": ""},
        }

    def _words(self, text: str) -> bytes:
        kind = type(self._block)
        if kind is Thinking and not self._shows:
            return b""
        self._pieces.append(text)
        self._refused = self._refused or kind is Refusal
        return self._chunk({_FIELDS[kind]: text}) if text else b""

    def _arguments(self, json: str) -> bytes:
        if not isinstance(self._block, ToolUse) or not json:
            return b""
        self._pieces.append(json)
        return self._chunk(self._piece(function={"arguments": json}))

    def _piece(self, **fields: object) -> Delta:
        return {"tool_calls": [{"index": self._calls - 1, **fields}]}

    def _signature(self, opaque: Opaque) -> bytes:
        match self._block:
            case Thinking():
                # Whole, with the words it proves, for clients that keep only this.
                thought = Thinking(text="".join(self._pieces), opaque=opaque)
                detail = self._detail(thought)
                return self._chunk(detail) if detail else b""
            case ToolUse():
                signature = wrap(opaque, carrier=Dialect.OPENAI_CHAT)
                extra = {"google": {"thought_signature": signature}}
                # Clients demand a function of every piece.
                return self._chunk(self._piece(function={"arguments": ""}, extra_content=extra))
        # There is no place for a signature on words of the answer.
        return b""

    def _detail(self, block: Thinking | RedactedThinking) -> Delta:
        detail = detail_of(block, index=self._details)
        if detail is None:
            return {}
        self._details += 1
        return {"reasoning_details": [detail]}

    def _closed(self) -> bytes:
        if isinstance(self._block, ToolUse) and not self._pieces:
            # Clients parse the arguments, and nothing is not JSON.
            return self._arguments("{}")
        if not isinstance(self._block, Text):
            return b""
        text = "".join(self._pieces)
        found = (annotation_of(c, text, offset=self._offset) for c in self._citations)
        # Clients add to a list by the index its new entries have, and give up if they have none.
        annotations = [
            {"index": index, **annotation}
            for index, annotation in enumerate(filter(None, found), start=self._annotations)
        ]
        self._annotations += len(annotations)
        self._offset += len(text)
        return self._chunk({"annotations": annotations}) if annotations else b""

    def _ended(self, ended: Ended) -> bytes:
        if ended.stop.reason is StopReason.BROKEN_CALL:
            message = ended.stop.detail or "the model made a call that cannot be read"
            return self._failed("upstream_error", message)
        opening = self._with_role({}, "")
        sent = self._chunk(opening) if opening else b""
        sent += self._chunk({}, encode_stop(ended.stop, refused=self._refused))
        if self._usage_wanted and ended.usage is not None:
            usage = _encoder.encode(encode_usage(ended.usage))
            sent += self._head + b'],"usage":' + usage + b"}\n\n"
        return sent + _DONE

    def _failed(self, code: str, message: str) -> bytes:
        return encode_stream_error(code=code, message=message, request_id=self._request_id)
