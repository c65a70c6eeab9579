"""Views on Anthropic's wire objects: only the fields somebody here reads, decoded leniently.

A view is never encoded again (unknown fields would be lost); relayed bytes stay bytes.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

__all__ = [
    "BlockStart",
    "ErrorBody",
    "EventKind",
    "Message",
    "MessageDelta",
    "MessageStart",
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


class ErrorBody(msgspec.Struct, frozen=True):
    """``{"type": "error", "error": {…}}``: a JSON body or the data of an ``error`` event."""

    error: ErrorDetail
    type: str = ""


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
