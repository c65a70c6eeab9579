"""The parts of a client's answer that are not words: its settings, its end, its annotations."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from bytespike_protocols.codec import ReplyContext
from bytespike_protocols.ir import Json, Stop, StopReason
from bytespike_protocols.openai_responses.content_encode import Losses
from bytespike_protocols.openai_responses.knobs_encode import (
    encode_output,
    encode_reasoning,
    encode_tool_choice,
    encode_tools,
)
from bytespike_protocols.openai_responses.names import item_id

__all__ = ["annotation", "ending", "envelope"]

#: Why an answer is incomplete, in the dialect's words.
_INCOMPLETE: Final = {
    StopReason.MAX_TOKENS: "max_output_tokens",
    StopReason.CONTEXT_FULL: "max_output_tokens",
    StopReason.REFUSED: "content_filter",
}
#: Ends that no client may take for an answer.
_BROKEN: Final = (StopReason.BROKEN_CALL, StopReason.OTHER)

_OWN_ANNOTATIONS: Final = (
    "url_citation",
    "file_citation",
    "container_file_citation",
    "file_path",
)


class _Citation(msgspec.Struct, frozen=True):
    """A citation in Anthropic's shape, of a page or of a document."""

    type: str = ""
    url: str | None = None
    title: str | None = None
    cited_text: str | None = None
    document_title: str | None = None
    file_id: str | None = None


_citation = msgspec.json.Decoder(_Citation)


def envelope(context: ReplyContext) -> dict[str, Any]:
    """A response without status, output and usage. Settings of the request are repeated in it:
    typed clients demand them.
    """
    request = context.request
    ignored = Losses()
    sampling = request.sampling
    settings: dict[str, Any] = {
        "instructions": request.system[0].text if request.system else None,
        "max_output_tokens": request.max_output_tokens,
        "metadata": dict(request.metadata),
        "parallel_tool_calls": request.parallel_tools is not False,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None}
        | (encode_reasoning(request.reasoning, ignored) or {}),
        "safety_identifier": request.user,
        "service_tier": request.service_tier or "default",
        "store": False,
        "temperature": 1.0 if sampling.temperature is None else sampling.temperature,
        "text": encode_output(request.output) or {"format": {"type": "text"}},
        "tool_choice": encode_tool_choice(request) or "auto",
        "tools": encode_tools(request, ignored),
        "top_logprobs": sampling.top_logprobs or 0,
        "top_p": 1.0 if sampling.top_p is None else sampling.top_p,
        "truncation": "disabled",
    }
    head = {
        "id": item_id("resp", context.request_id),
        "object": "response",
        "created_at": context.created_s,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": context.model,
    }
    # Three events of a stream repeat the settings: they are written once.
    written = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in settings.items()}
    return head | written


def ending(stop: Stop, *, refused_in_words: bool) -> dict[str, Any]:
    """``status`` and what explains it. A refusal in words is an answer like any other."""
    if stop.reason in _BROKEN:
        message = stop.detail or f"The model stopped for no usable reason ({stop.word or 'other'})."
        return {"status": "failed", "error": {"code": "server_error", "message": message}}
    reason = _INCOMPLETE.get(stop.reason)
    if reason is None or (stop.reason is StopReason.REFUSED and refused_in_words):
        return {"status": "completed"}
    return {"status": "incomplete", "incomplete_details": {"reason": reason}}


def annotation(citation: Json, text: str) -> Any:
    """A citation as an annotation of ``text``: of the cited words if they stand in it, of all of it
    if they are the source's words.
    """
    cited = _citation.decode(citation)
    if cited.type in _OWN_ANNOTATIONS:
        return msgspec.Raw(citation.encode())
    if cited.url is None:
        return {
            "type": "file_citation",
            "file_id": cited.file_id or "",
            "filename": cited.document_title or cited.title or "",
            "index": len(text),
        }
    start = text.find(cited.cited_text) if cited.cited_text else -1
    end = start + len(cited.cited_text or "") if start >= 0 else len(text)
    return {
        "type": "url_citation",
        "url": cited.url,
        "title": cited.title or "",
        "start_index": max(0, start),
        "end_index": end,
    }
