"""URL citations between this dialect's annotations and Anthropic's shape, which the IR uses.

An annotation marks a span of the answer, a citation quotes. So the marked words become
``cited_text``, and going back the quoted words are looked up; if the answer does not contain them
(Anthropic quotes the page), the whole block is marked.
"""

from __future__ import annotations

import msgspec

from bytespike_protocols.ir import Json
from bytespike_protocols.openai_chat.wire import Annotation

__all__ = ["annotation_of", "citation_of"]


class Citation(msgspec.Struct, frozen=True):
    """The fields of a citation that this dialect has room for."""

    url: str | None = None
    title: str | None = None
    cited_text: str | None = None


_decoder = msgspec.json.Decoder(Citation)


def citation_of(annotation: Annotation, text: str) -> Json | None:
    """The citation an annotation of ``text`` stands for; None for kinds that are not URLs."""
    page = annotation.url_citation
    if page is None:
        return None
    citation = {
        "type": "web_search_result_location",
        "url": page.url,
        "title": page.title,
        "encrypted_index": "",
        "cited_text": text[max(0, page.start_index or 0) : max(0, page.end_index or 0)],
    }
    return Json(msgspec.json.encode(citation).decode())


def annotation_of(citation: Json, text: str, *, offset: int) -> dict[str, object] | None:
    """The annotation for a citation of the block ``text``, which starts at ``offset`` of the
    message; None for citations of anything but a page.
    """
    try:
        page = _decoder.decode(citation)
    except msgspec.DecodeError:
        return None
    if page.url is None:
        return None
    quoted = page.cited_text if page.cited_text is not None else text
    start = text.find(quoted)
    if start < 0:
        start, quoted = 0, text
    span = {"start_index": offset + start, "end_index": offset + start + len(quoted)}
    return {
        "type": "url_citation",
        "url_citation": {"url": page.url, "title": page.title or "", **span},
    }
