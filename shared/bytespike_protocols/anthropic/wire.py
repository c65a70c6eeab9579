"""Views on Anthropic's wire objects: only the fields somebody here reads, decoded leniently.

A view is never encoded again (unknown fields would be lost); relayed bytes stay bytes. There are
two sets: the tap's, who reads as little as can be, and the codec's (``Answer…``), who reads all.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

__all__ = [
    "Answer",
    "AnswerBlock",
    "AnswerBlockStart",
    "AnswerDelta",
    "AnswerEnd",
    "AnswerStart",
    "BlockIndex",
    "BlockStart",
    "ErrorBody",
    "EventKind",
    "Message",
    "MessageDelta",
    "MessageStart",
    "PlainErrorBody",
    "StopDetails",
    "WireUsage",
]

#: Nothing real uses a billion tokens; a larger or negative number is a broken vendor, not a bill.
Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]


class CacheCreation(msgspec.Struct, frozen=True):
    """Cache writes by lifetime."""

    ephemeral_5m_input_tokens: Count | None = None
    ephemeral_1h_input_tokens: Count | None = None


class OutputDetails(msgspec.Struct, frozen=True):
    """Shares of the output tokens."""

    thinking_tokens: Count | None = None


class ServerToolUse(msgspec.Struct, frozen=True):
    """Uses of server tools that are billed apiece."""

    web_search_requests: Count | None = None


class WireUsage(msgspec.Struct, frozen=True):
    """``usage`` of a message or a stream event. Streams repeat it cumulatively and in parts: None
    means not said here.
    """

    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation: CacheCreation | None = None
    output_tokens_details: OutputDetails | None = None
    server_tool_use: ServerToolUse | None = None


class ErrorDetail(msgspec.Struct, frozen=True):
    """What went wrong at the vendor."""

    type: str = "api_error"
    message: str = ""
    details: Any = None


class ErrorBody(msgspec.Struct, frozen=True):
    """``{"type": "error", "error": {…}}``: a JSON body or the data of an ``error`` event."""

    error: ErrorDetail
    type: str = ""


class PlainErrorBody(msgspec.Struct, frozen=True):
    """An error as other hosts of the protocol write it: words under one of these names."""

    error: Any = None
    message: Any = None
    detail: Any = None


class Message(msgspec.Struct, frozen=True):
    """A whole answer, or the message inside ``message_start``."""

    type: str = ""
    content: list[msgspec.Raw] = []
    stop_reason: str | None = None
    usage: msgspec.Raw = msgspec.Raw(b"null")


class MessageStart(msgspec.Struct, frozen=True):
    """Data of ``message_start``."""

    message: Message


class Delta(msgspec.Struct, frozen=True):
    """What ``message_delta`` changes."""

    stop_reason: str | None = None


class MessageDelta(msgspec.Struct, frozen=True):
    """Data of ``message_delta``."""

    delta: Delta = Delta()
    usage: msgspec.Raw = msgspec.Raw(b"null")


class Block(msgspec.Struct, frozen=True):
    """A content block as it opens; text and thinking usually open empty."""

    type: str = ""
    text: str = ""
    thinking: str = ""


class BlockStart(msgspec.Struct, frozen=True):
    """Data of ``content_block_start``."""

    content_block: Block = Block()


class EventKind(msgspec.Struct, frozen=True):
    """The ``type`` every event repeats in its data, for vendors that send no ``event:`` line."""

    type: str = ""


class StopDetails(msgspec.Struct, frozen=True):
    """Why an answer was refused."""

    explanation: str | None = None


class AnswerBlock(msgspec.Struct, frozen=True):
    """A content block of any kind; what a kind does not have stays empty."""

    type: str
    text: str = ""
    citations: list[msgspec.Raw] | None = None
    thinking: str = ""
    signature: str | None = None
    data: str = ""
    id: str = ""
    name: str = ""
    input: msgspec.Raw = msgspec.Raw(b"{}")


class Answer(msgspec.Struct, frozen=True):
    """A whole answer, or its head in ``message_start``."""

    type: str
    id: str
    model: str = ""
    content: list[msgspec.Raw] = []
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None
    usage: msgspec.Raw = msgspec.Raw(b"null")


class AnswerStart(msgspec.Struct, frozen=True):
    """Data of ``message_start``."""

    message: Answer


class AnswerBlockStart(msgspec.Struct, frozen=True):
    """Data of ``content_block_start``."""

    index: int
    content_block: msgspec.Raw


class BlockIndex(msgspec.Struct, frozen=True):
    """Data of ``content_block_stop``."""

    index: int


class _Piece(msgspec.Struct, frozen=True):
    """What a delta adds; each kind of delta fills one field."""

    type: str
    text: str = ""
    thinking: str = ""
    partial_json: str = ""
    signature: str = ""
    citation: msgspec.Raw = msgspec.Raw(b"")


class AnswerDelta(msgspec.Struct, frozen=True):
    """Data of ``content_block_delta``."""

    index: int
    delta: _Piece


class _Ending(msgspec.Struct, frozen=True):
    """What ``message_delta`` says about the end."""

    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None


class AnswerEnd(msgspec.Struct, frozen=True):
    """Data of ``message_delta``."""

    delta: _Ending = _Ending()
    usage: msgspec.Raw = msgspec.Raw(b"null")
