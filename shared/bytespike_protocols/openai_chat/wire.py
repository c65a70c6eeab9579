"""Views on Chat Completions answers: only the fields somebody here reads, decoded leniently.

One view serves whole answers and chunks, and every host that speaks the dialect with an accent.
A view is never encoded again (unknown fields would be lost).
"""

from __future__ import annotations

from typing import Annotated

import msgspec

__all__ = [
    "Annotation",
    "CallPiece",
    "Choice",
    "Chunk",
    "Delta",
    "FunctionPiece",
    "WireUsage",
]

#: Nothing real uses a billion tokens; a larger or negative number is a broken vendor, not a bill.
Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]


class PromptDetails(msgspec.Struct, frozen=True):
    """Shares of the prompt."""

    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None


class CompletionDetails(msgspec.Struct, frozen=True):
    """Shares of the completion."""

    reasoning_tokens: Count | None = None


class WireUsage(msgspec.Struct, frozen=True):
    """``usage``. The last three are other hosts' spelling of the cache shares."""

    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    total_tokens: Count | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    prompt_cache_hit_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None


class UrlCitation(msgspec.Struct, frozen=True):
    """A page that words of the answer rest on; the indexes are into the answer."""

    url: str = ""
    title: str | None = None
    start_index: int | None = None
    end_index: int | None = None


class Annotation(msgspec.Struct, frozen=True):
    """A remark on the text."""

    type: str = ""
    url_citation: UrlCitation | None = None


class FunctionPiece(msgspec.Struct, frozen=True):
    """A call's name and arguments, or a piece of them; an object is some hosts' slip."""

    name: str | None = None
    arguments: str | dict[str, msgspec.Raw] | None = None


class GoogleExtra(msgspec.Struct, frozen=True):
    """What Gemini's compatibility layer adds to a call."""

    thought_signature: str | None = None


class ExtraContent(msgspec.Struct, frozen=True):
    """``extra_content`` of a call."""

    google: GoogleExtra | None = None


class CallPiece(msgspec.Struct, frozen=True):
    """A call, or a piece of one."""

    index: int | None = None
    id: str | None = None
    function: FunctionPiece | None = None
    extra_content: ExtraContent | None = None


class Delta(msgspec.Struct, frozen=True):
    """The message of a whole answer, or what a chunk adds to it. ``content`` is a string, or parts
    with some hosts; ``reasoning_*`` are other hosts' names for thoughts.
    """

    content: str | list[dict[str, object]] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[dict[str, object]] | None = None
    tool_calls: list[CallPiece] | None = None
    function_call: FunctionPiece | None = None
    annotations: list[Annotation] | None = None


class Choice(msgspec.Struct, frozen=True):
    """One of the alternative answers; ``message`` in a whole answer, ``delta`` in a chunk."""

    index: int | None = None
    message: Delta | None = None
    delta: Delta | None = None
    finish_reason: str | None = None


class Chunk(msgspec.Struct, frozen=True):
    """A whole answer or a chunk of a streamed one."""

    id: str | None = None
    model: str | None = None
    created: float | None = None
    choices: list[Choice] | None = None
    usage: WireUsage | None = None
    error: object = None
