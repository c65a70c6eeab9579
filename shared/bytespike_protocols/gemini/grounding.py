"""Sources: Google lists them beside the answer, with stretches of it; the IR has them as citations
(Anthropic's shape) on the text they belong to.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from bytespike_protocols.gemini.wire import (
    Candidate,
    CitationMetadata,
    Grounding,
    GroundingChunk,
)
from bytespike_protocols.ir import Json

__all__ = ["GroundingWriter", "citations_of"]


class _Location(msgspec.Struct):
    """What is read of a citation, whichever kind it is."""

    url: str | None = None
    source: str | None = None
    title: str | None = None
    document_title: str | None = None
    cited_text: str = ""


def citations_of(candidate: Candidate) -> list[Json]:
    """The citations a candidate's metadata amount to; ``cited_text`` is the stretch of the answer
    that a source supports, empty if Google does not say.
    """
    found: list[dict[str, Any]] = []
    if candidate.grounding_metadata is not None:
        found += _grounded(candidate.grounding_metadata)
    if candidate.citation_metadata is not None:
        found += _quoted(candidate.citation_metadata)
    return [Json(msgspec.json.encode(citation).decode()) for citation in found]


def _grounded(grounding: Grounding) -> Iterator[dict[str, Any]]:
    chunks = grounding.grounding_chunks or []
    if not grounding.grounding_supports:
        for index, chunk in enumerate(chunks):
            yield _citation(chunk, index, "")
    for support in grounding.grounding_supports or ():
        for index in support.grounding_chunk_indices or ():
            if 0 <= index < len(chunks):
                yield _citation(chunks[index], index, support.segment.text)


def _citation(chunk: GroundingChunk, index: int, text: str) -> dict[str, Any]:
    if chunk.web is not None or chunk.retrieved_context is None:
        url = (chunk.web.uri if chunk.web is not None else None) or ""
        return _web(url, chunk.web.title if chunk.web is not None else None, text)
    kept = chunk.retrieved_context
    return {
        "type": "search_result_location",
        "cited_text": text,
        "source": kept.uri or kept.file_search_store or "",
        "title": kept.title,
        "search_result_index": index,
        "start_block_index": 0,
        "end_block_index": 0,
    }


def _web(url: str, title: str | None, text: str) -> dict[str, Any]:
    return {
        "type": "web_search_result_location",
        "cited_text": text,
        "url": url,
        "title": title,
        "encrypted_index": "",
    }


def _quoted(metadata: CitationMetadata) -> Iterator[dict[str, Any]]:
    for source in metadata.citation_sources or metadata.citations or ():
        if source.uri:
            yield _web(source.uri, source.title, "")


class GroundingWriter:
    """Gathers an answer's citations and writes them as ``groundingMetadata``. Offsets count bytes
    of the whole answer's text, as Google's do.
    """

    __slots__ = ("_chunks", "_index", "_offset", "_supports")

    def __init__(self) -> None:
        self._chunks: list[dict[str, Any]] = []
        self._index: dict[tuple[str, str | None, bool], int] = {}
        self._supports: list[dict[str, Any]] = []
        self._offset = 0

    def add(self, text: str, citations: tuple[Json, ...]) -> None:
        """A finished block of text. What a citation quotes of its source is usually no part of the
        answer: then it supports the block as a whole.
        """
        for citation in citations:
            location = msgspec.json.decode(citation, type=_Location)
            chunk = self._chunk(location)
            if not location.cited_text:
                continue
            at = text.find(location.cited_text)
            quoted = location.cited_text if at >= 0 else text
            start = self._offset + len(text[: max(at, 0)].encode())
            segment = {"startIndex": start, "endIndex": start + len(quoted.encode())}
            self._supports.append(
                {
                    "segment": {**segment, "text": quoted},
                    "groundingChunkIndices": [chunk],
                }
            )
        self._offset += len(text.encode())

    def metadata(self) -> dict[str, Any] | None:
        """The whole, or None if nothing was cited."""
        if not self._chunks:
            return None
        supports = {"groundingSupports": self._supports} if self._supports else {}
        return {"groundingChunks": self._chunks, **supports}

    def _chunk(self, location: _Location) -> int:
        uri = location.url or location.source or ""
        title = location.title or location.document_title
        key = (uri, title, location.url is not None)
        if key not in self._index:
            self._index[key] = len(self._chunks)
            kind = "web" if location.url is not None else "retrievedContext"
            source = {"uri": uri} | ({"title": title} if title is not None else {})
            self._chunks.append({kind: source})
        return self._index[key]
