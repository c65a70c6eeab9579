"""What a Messages body asks for and what it could cost this key. Pure but for the catalogue passed.

The body is decoded one level deep and only where money or routing depends on it; the rest is the
vendor's to judge.
"""

from __future__ import annotations

import msgspec

from bytespike_contracts.catalogue import Catalogue, Model
from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_contracts.money import Rates
from bytespike_contracts.principal import Reading
from bytespike_edge.worst_case import WorstCase, worst_case
from bytespike_protocols.anthropic.request import read_count_tokens_head, read_head
from bytespike_protocols.errors import BadClientMessage
from bytespike_protocols.splice import shallow_at

__all__ = ["Offer", "make_offer", "read_counted"]


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A request priced before it runs; ``price_revision`` names the prices it was priced at."""

    reading: Reading
    rates: Rates
    price_revision: str
    bound: WorstCase


def make_offer(body: bytes, *, catalogue: Catalogue, group: str) -> Offer:
    """Price a ``POST /v1/messages`` body for a key of ``group``.

    Raises :class:`GatewayError`: 400 with the JSON path, 404 unknown model, 403 model outside the
    group, 503 model without a price.
    """
    try:
        fields, span = shallow_at(body, "model")
        head = read_head(fields)
    except BadClientMessage as error:
        raise _bad_body(error) from None
    model = _permitted_model(head.model, catalogue=catalogue, group=group)
    rates = catalogue.rates(group, model.id)
    if rates is None:
        raise GatewayError(
            ErrorCode.UNAVAILABLE,
            f"model {model.id} has no price yet and cannot be used",
            headers={"Retry-After": "60"},
        )
    bound = worst_case(len(body), fields, max_tokens=head.max_tokens, model=model, rates=rates)
    return Offer(
        reading=Reading(model=model.id, model_span=span, stream=head.stream),
        rates=rates,
        price_revision=catalogue.revision,
        bound=bound,
    )


def read_counted(body: bytes, *, catalogue: Catalogue, group: str) -> Reading:
    """What there is to know of a ``count_tokens`` body; raises as :func:`make_offer`."""
    try:
        fields, span = shallow_at(body, "model")
        head = read_count_tokens_head(fields)
    except BadClientMessage as error:
        raise _bad_body(error) from None
    model = _permitted_model(head.model, catalogue=catalogue, group=group)
    return Reading(model=model.id, model_span=span)


def _permitted_model(name: str, *, catalogue: Catalogue, group: str) -> Model:
    model = catalogue.resolve(name)
    if model is None:
        raise GatewayError(
            ErrorCode.MODEL_NOT_FOUND, f"there is no model {name[:100]!r}", param="model"
        )
    if not catalogue.in_group(group, model.id):
        raise GatewayError(
            ErrorCode.MODEL_NOT_IN_GROUP,
            f"model {model.id} is not available to the group of this key",
            param="model",
        )
    return model


def _bad_body(error: BadClientMessage) -> GatewayError:
    return GatewayError(ErrorCode.INVALID_REQUEST, error.message, param=error.path or None)
