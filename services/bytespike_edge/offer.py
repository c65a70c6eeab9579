"""What a text request asks for and what it could cost this key. Pure but for the catalogue passed.

The body is decoded one level deep and only where money or routing depends on it; the rest is the
vendor's to judge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal
from urllib.parse import parse_qsl

import msgspec

import bytespike_protocols.anthropic.head as anthropic_head
import bytespike_protocols.gemini.head as gemini_head
import bytespike_protocols.openai_chat.head as chat_head
import bytespike_protocols.openai_responses.head as responses_head
from bytespike_contracts.catalogue import Catalogue, Model
from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_contracts.money import Rates
from bytespike_contracts.principal import Reading
from bytespike_edge.contents import read_contents
from bytespike_edge.model_access import permitted_model
from bytespike_edge.routes import Match
from bytespike_edge.worst_case import WorstCase, worst_case
from bytespike_protocols.errors import BadClientMessage
from bytespike_protocols.heads import Fields, Head
from bytespike_protocols.ir import Dialect
from bytespike_protocols.splice import Span, shallow, shallow_at

__all__ = ["Offer", "make_offer", "read_counted"]

ReadHead = Callable[[Fields], Head]

_METERED: Mapping[Dialect, ReadHead] = {
    Dialect.ANTHROPIC: anthropic_head.read_head,
    Dialect.OPENAI_CHAT: chat_head.read_head,
    Dialect.OPENAI_RESPONSES: responses_head.read_head,
    Dialect.GEMINI: gemini_head.read_head,
}
_COUNTED: Mapping[Dialect, ReadHead] = {
    Dialect.ANTHROPIC: anthropic_head.read_count_head,
    Dialect.GEMINI: gemini_head.read_count_head,
}


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A request priced before it runs; ``price_revision`` names the prices it was priced at."""

    reading: Reading
    rates: Rates
    price_revision: str
    bound: WorstCase


def make_offer(body: bytes, *, match: Match, query: str, catalogue: Catalogue, group: str) -> Offer:
    """Price the body of a call that costs money for a key of ``group``; ``query`` is the raw query
    string.

    Raises :class:`GatewayError`: 400 with the JSON path, 404 unknown model, 403 model outside the
    group, 503 model without a price.
    """
    fields, span, head = _read(body, match, _METERED)
    called = match.model or head.model
    model = permitted_model(called, catalogue=catalogue, group=group)
    rates = catalogue.rates(group, model.id)
    if rates is None:
        raise GatewayError(
            ErrorCode.UNAVAILABLE,
            f"model {model.id} has no price yet and cannot be used",
            headers={"Retry-After": "60"},
        )
    bound = worst_case(
        len(body), fields, dialect=match.route.dialect, head=head, model=model, rates=rates
    )
    streams = match.route.streams
    reading = Reading(
        model=model.id,
        model_span=span,
        called=_spelling(called, model),
        stream=streams or head.stream,
        framing=_framing(query) if streams else "sse",
        text_bytes=bound.text_bytes,
    )
    return Offer(reading=reading, rates=rates, price_revision=catalogue.revision, bound=bound)


def read_counted(body: bytes, *, match: Match, catalogue: Catalogue, group: str) -> Reading:
    """What there is to know of a body whose tokens are to be counted; raises as
    :func:`make_offer`.
    """
    fields, span, head = _read(body, match, _COUNTED)
    called = match.model or head.model
    model = permitted_model(called, catalogue=catalogue, group=group)
    media_bytes = read_contents(match.route.dialect, fields).media_bytes
    return Reading(
        model=model.id,
        model_span=span,
        called=_spelling(called, model),
        text_bytes=len(body) - media_bytes,
    )


def _read(
    body: bytes, match: Match, readers: Mapping[Dialect, ReadHead]
) -> tuple[Fields, Span | None, Head]:
    span: Span | None = None
    try:
        if match.model:
            fields = shallow(body)
        else:
            fields, span = shallow_at(body, "model")
        return fields, span, readers[match.route.dialect](fields)
    except BadClientMessage as error:
        raise GatewayError(
            ErrorCode.INVALID_REQUEST, error.message, param=error.path or None
        ) from None


def _spelling(called: str, model: Model) -> str:
    return "" if called == model.id else called


def _framing(query: str) -> Literal["sse", "array"]:
    """How the parts of a stream of Google's are to be told apart."""
    return "sse" if ("alt", "sse") in parse_qsl(query) else "array"
