"""Views on Google's answers: only the fields somebody here reads, decoded leniently.

A view is never encoded again. Parts stay undecoded until their kind is known: those of a kind only
Google has are passed on as they are.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

__all__ = [
    "Answer",
    "AnswerPart",
    "Call",
    "Candidate",
    "CitationMetadata",
    "ErrorBody",
    "ErrorInfo",
    "Grounding",
    "WireUsage",
]

#: Nothing real uses a billion tokens; a larger or negative number is a broken vendor, not a bill.
Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]


class View(msgspec.Struct, frozen=True, rename="camel"):
    """What all have in common: camelCase on the wire."""


class WireUsage(View, frozen=True):
    """``usageMetadata``; None means not said."""

    prompt_token_count: Count | None = None
    candidates_token_count: Count | None = None
    thoughts_token_count: Count | None = None
    cached_content_token_count: Count | None = None
    tool_use_prompt_token_count: Count | None = None


class Call(View, frozen=True):
    """``functionCall``. ``partial_args`` only come to those who ask for them."""

    name: str = ""
    id: str = ""
    args: msgspec.Raw = msgspec.Raw(b"{}")
    partial_args: list[msgspec.Raw] | None = None
    will_continue: bool | None = None


class AnswerPart(View, frozen=True):
    """One part. All None: a kind only Google has."""

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: Call | None = None


class AnswerContent(View, frozen=True):
    """``content`` of a candidate."""

    parts: list[msgspec.Raw] | None = None


class Chunk(View, frozen=True):
    """One source: a page of the web or a piece of the caller's own files."""

    uri: str | None = None
    title: str | None = None
    file_search_store: str | None = None


class GroundingChunk(View, frozen=True):
    """One entry of ``groundingChunks``."""

    web: Chunk | None = None
    retrieved_context: Chunk | None = None


class Segment(View, frozen=True):
    """The stretch of the answer that a source supports."""

    text: str = ""


class GroundingSupport(View, frozen=True):
    """Which sources support a stretch."""

    segment: Segment = Segment()
    grounding_chunk_indices: list[int] | None = None


class Grounding(View, frozen=True):
    """``groundingMetadata``."""

    grounding_chunks: list[GroundingChunk] | None = None
    grounding_supports: list[GroundingSupport] | None = None
    web_search_queries: list[str] | None = None


class CitationSource(View, frozen=True):
    """One source the model quoted at length."""

    uri: str | None = None
    title: str | None = None


class CitationMetadata(View, frozen=True):
    """``citationMetadata``; AI Studio and Vertex name the list differently."""

    citation_sources: list[CitationSource] | None = None
    citations: list[CitationSource] | None = None


class Candidate(View, frozen=True):
    """One answer. Enums are numbers where the caller asked for that."""

    content: AnswerContent | None = None
    finish_reason: str | int | None = None
    finish_message: str | None = None
    index: int | None = None
    grounding_metadata: Grounding | None = None
    citation_metadata: CitationMetadata | None = None


class PromptFeedback(View, frozen=True):
    """Why the prompt was not answered at all."""

    block_reason: str | int | None = None
    block_reason_message: str | None = None


class ErrorInfo(View, frozen=True):
    """What went wrong at the vendor. ``details`` are typed by ``@type``."""

    code: int = 0
    message: str = ""
    status: str = ""
    details: list[msgspec.Raw] | None = None


class ErrorBody(View, frozen=True):
    """``{"error": {…}}``."""

    error: ErrorInfo


class Answer(View, frozen=True):
    """``GenerateContentResponse``: a whole answer, or one chunk of a stream."""

    candidates: list[Candidate] | None = None
    prompt_feedback: PromptFeedback | None = None
    usage_metadata: WireUsage | None = None
    model_version: str | None = None
    response_id: str | None = None
    error: ErrorInfo | None = None
