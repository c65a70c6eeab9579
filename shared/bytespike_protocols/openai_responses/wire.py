"""Views on the wire objects of answers: only the fields somebody here reads, decoded leniently."""

from __future__ import annotations

from typing import Annotated

import msgspec

__all__ = [
    "Answer",
    "ErrorDetail",
    "Event",
    "Item",
    "Part",
    "WireUsage",
]

#: Nothing real uses a billion tokens; a larger or negative number is a broken vendor, not a bill.
Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]


class InputDetails(msgspec.Struct, frozen=True):
    """Shares of the input tokens."""

    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None


class OutputDetails(msgspec.Struct, frozen=True):
    """Shares of the output tokens."""

    reasoning_tokens: Count | None = None


class WireUsage(msgspec.Struct, frozen=True):
    """``usage``: the input includes what was cached, the output what was only thought."""

    input_tokens: Count | None = None
    input_tokens_details: InputDetails | None = None
    output_tokens: Count | None = None
    output_tokens_details: OutputDetails | None = None


class ErrorDetail(msgspec.Struct, frozen=True):
    """What went wrong at the vendor. Some hosts number their codes."""

    type: str | None = None
    code: str | int | None = None
    message: str | None = None
    param: str | None = None


class IncompleteDetails(msgspec.Struct, frozen=True):
    """Why an answer stops short."""

    reason: str | None = None


class WebSearch(msgspec.Struct, frozen=True):
    """Searches billed apiece."""

    num_requests: Count | None = None


class ToolUsage(msgspec.Struct, frozen=True):
    """What hosted tools consumed."""

    web_search: WebSearch | None = None


class Part(msgspec.Struct, frozen=True):
    """A part of a message, a summary or raw reasoning."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    annotations: list[msgspec.Raw] | None = None


class Item(msgspec.Struct, frozen=True):
    """An output item of any kind. ``content`` and ``summary`` hold parts where they are known."""

    type: str = ""
    content: msgspec.Raw = msgspec.Raw(b"null")
    summary: msgspec.Raw = msgspec.Raw(b"null")
    call_id: str | None = None
    name: str | None = None
    arguments: msgspec.Raw = msgspec.Raw(b"null")
    input: msgspec.Raw = msgspec.Raw(b"null")
    encrypted_content: str | None = None


class Answer(msgspec.Struct, frozen=True):
    """A whole response, also inside the first and last events of a stream."""

    id: str = ""
    object: str = ""
    model: str | None = None
    created_at: float | None = None
    status: str | None = None
    output: list[msgspec.Raw] | None = None
    error: ErrorDetail | None = None
    incomplete_details: IncompleteDetails | None = None
    usage: WireUsage | None = None
    tool_usage: ToolUsage | None = None


class Event(msgspec.Struct, frozen=True):
    """A stream event of any kind. ``message``, ``code`` and ``param`` belong to flat errors."""

    type: str = ""
    output_index: int = 0
    content_index: int = 0
    summary_index: int = 0
    delta: msgspec.Raw = msgspec.Raw(b"null")
    annotation: msgspec.Raw = msgspec.Raw(b"null")
    item: msgspec.Raw = msgspec.Raw(b"{}")
    part: msgspec.Raw = msgspec.Raw(b"{}")
    text: str | None = None
    response: msgspec.Raw = msgspec.Raw(b"{}")
    error: ErrorDetail | None = None
    code: str | int | None = None
    message: str | None = None
    param: str | None = None
