"""What output items mean: the one truth for whole answers and for streams."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, TypeVar

import msgspec

from bytespike_protocols.custody import unwrap
from bytespike_protocols.errors import BadUpstreamMessage
from bytespike_protocols.failures import VendorFailure
from bytespike_protocols.ir import (
    Block,
    Dialect,
    Foreign,
    Json,
    Refusal,
    Stop,
    StopReason,
    Text,
    Thinking,
    ToolUse,
    Usage,
)
from bytespike_protocols.openai_failures import failure_of
from bytespike_protocols.openai_responses.free_form import wrap_text
from bytespike_protocols.openai_responses.usage import decode_usage
from bytespike_protocols.openai_responses.wire import Answer, ErrorDetail, Event, Item, Part

__all__ = [
    "CALLS",
    "SEPARATOR",
    "answer_stop",
    "answer_usage",
    "citations",
    "decode_upstream",
    "detail_failure",
    "event_failure",
    "item_blocks",
    "part_block",
]

T = TypeVar("T")

#: Items the client must act on.
CALLS: Final = ("function_call", "custom_tool_call")
#: Between the parts of a summary, which are paragraphs.
SEPARATOR = "\n\n"
_URL_CITATION = "url_citation"
_ENDINGS = {
    "max_output_tokens": StopReason.MAX_TOKENS,
    "content_filter": StopReason.REFUSED,
}

_answer = msgspec.json.Decoder(Answer)
_item = msgspec.json.Decoder(Item)
_part = msgspec.json.Decoder(Part)
_parts = msgspec.json.Decoder(list[msgspec.Raw] | None)
_text = msgspec.json.Decoder(str | None)


class _UrlCitation(msgspec.Struct, frozen=True):
    type: str = ""
    url: str = ""
    title: str | None = None
    start_index: int = 0
    end_index: int = 0


_citation = msgspec.json.Decoder(_UrlCitation)


def decode_upstream(decoder: msgspec.json.Decoder[T], data: bytes | msgspec.Raw) -> T:
    """Raises ``BadUpstreamMessage`` on anything but what the decoder expects."""
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadUpstreamMessage(f"not what the protocol says: {type(error).__name__}") from None


def item_blocks(raw: msgspec.Raw) -> list[Block]:
    """The blocks of a finished output item."""
    item = decode_upstream(_item, raw)
    if item.type == "message":
        return [part_block(part) for part in _elements(item.content)]
    if item.type == "reasoning":
        return [_thinking(item)]
    if item.type in CALLS:
        return [_call(item)]
    return [_foreign(item.type, raw)]


def part_block(raw: msgspec.Raw) -> Text | Refusal | Foreign:
    """The block of a finished part of a message."""
    part = decode_upstream(_part, raw)
    if part.type in ("output_text", "text"):
        text = part.text or ""
        return Text(text=text, citations=citations(part.annotations or (), text))
    if part.type == "refusal":
        return Refusal(text=part.refusal or "")
    return _foreign(part.type, raw)


def citations(annotations: Iterable[msgspec.Raw], text: str) -> tuple[Json, ...]:
    """Annotations as citations: web pages in Anthropic's shape, the quoted span as what was cited;
    others (files the vendor keeps) as they came.
    """
    return tuple(_cite(raw, text) for raw in annotations)


def answer_stop(answer: Answer, kinds: Iterable[type[Block]]) -> Stop:
    """Why it stopped; ``kinds`` are the kinds of its blocks. Calls decide, save over a limit."""
    if answer.status == "incomplete":
        details = answer.incomplete_details
        word = None if details is None else details.reason
        return Stop(reason=_ENDINGS.get(word or "", StopReason.OTHER), word=word)
    seen = set(kinds)
    if ToolUse in seen:
        return Stop(reason=StopReason.TOOL_USE)
    return Stop(reason=StopReason.REFUSED if Refusal in seen else StopReason.END)


def answer_usage(answer: Answer) -> Usage | None:
    """Token counts, and the web searches that are billed apiece."""
    tools = answer.tool_usage
    said = tools.web_search.num_requests if tools and tools.web_search else None
    if said is None:
        kinds = [decode_upstream(_item, raw).type for raw in answer.output or ()]
        said = kinds.count("web_search_call")
    return decode_usage(answer.usage, web_searches=said)


def event_failure(event: Event) -> VendorFailure:
    """What the vendor sent instead of an end: nested, flat, or inside a response that failed."""
    error = event.error
    if error is None and event.type.startswith("response."):
        error = decode_upstream(_answer, event.response).error
    elif error is None:
        error = ErrorDetail(code=event.code, message=event.message, param=event.param)
    return detail_failure(error)


def detail_failure(error: ErrorDetail | None) -> VendorFailure:
    """The same of an error object alone, found where no status says more."""
    said = msgspec.structs.asdict(error or ErrorDetail())
    said["message"] = said["message"] or "the model's vendor gave up"
    return failure_of(200, said)


def _elements(raw: msgspec.Raw) -> list[msgspec.Raw]:
    return decode_upstream(_parts, raw) or []


def _thinking(item: Item) -> Thinking:
    # Open-weight models show the thoughts themselves, the others a summary of them.
    for raw in (item.content, item.summary):
        words = [decode_upstream(_part, part).text or "" for part in _elements(raw)]
        if words:
            break
    text = SEPARATOR.join(words)
    state = item.encrypted_content
    if state is None:
        return Thinking(text=text)
    return Thinking(text=text, opaque=unwrap(state, carrier=Dialect.OPENAI_RESPONSES))


def _call(item: Item) -> ToolUse:
    if not item.call_id or not item.name:
        raise BadUpstreamMessage("a call without call_id or name")
    if item.type == "custom_tool_call":
        text = decode_upstream(_text, item.input) or ""
        arguments = wrap_text(text)
    else:
        arguments = Json(decode_upstream(_text, item.arguments) or "{}")
    return ToolUse(id=item.call_id, name=item.name, arguments=arguments)


def _foreign(kind: str, raw: msgspec.Raw) -> Foreign:
    if not kind:
        raise BadUpstreamMessage("an output item or part without a type")
    return Foreign(dialect=Dialect.OPENAI_RESPONSES, kind=kind, value=_json(raw))


def _cite(raw: msgspec.Raw, text: str) -> Json:
    citation = decode_upstream(_citation, raw)
    if citation.type != _URL_CITATION:
        return _json(raw)
    shaped: dict[str, Any] = {
        "type": "web_search_result_location",
        "url": citation.url,
        "title": citation.title,
        "cited_text": text[max(0, citation.start_index) : max(0, citation.end_index)],
        "encrypted_index": "",
    }
    return Json(msgspec.json.encode(shaped).decode())


def _json(raw: msgspec.Raw) -> Json:
    try:
        return Json(bytes(raw).decode())
    except UnicodeDecodeError:
        raise BadUpstreamMessage("not UTF-8") from None
