"""The models a key may use, as each vendor's own SDK expects its vendor to list them. Pure.

All shapes hold the same models, those of the key's group in the catalogue's order, under our ids. A
model that cannot be called now (no price, no channel) is listed, but offers no protocol.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

import msgspec

from bytespike_contracts.catalogue import Catalogue, Model
from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_contracts.protocols_offered import ALWAYS_CAPABLE, protocols_offered
from bytespike_edge.model_access import permitted_model
from bytespike_protocols import ir

__all__ = ["list_dialect", "list_models", "show_model"]

Shown = dict[str, Any]
Query = Mapping[str, Sequence[str]]

#: Page sizes of the vendors' own lists: unless told, and at most.
_ANTHROPIC_PAGE, _ANTHROPIC_PAGE_LIMIT = 20, 1000
_GEMINI_PAGE, _GEMINI_PAGE_LIMIT = 50, 1000

_INPUTS = {"vision": "image", "audio": "audio", "video": "video"}
_GEMINI_METHODS = ("generateContent", "streamGenerateContent", "countTokens")
#: Two words for one vendor: the cloud it sells through, and itself.
_VENDOR_WORDS = {"volcengine": "bytedance"}
#: The vendors' word for a date that is not known.
_EPOCH = datetime.date(1970, 1, 1)


def list_dialect(path: str, headers: Mapping[str, str]) -> ir.Dialect:
    """Whose list is asked for: ``/v1/models`` is a path of all three vendors.

    ``headers`` must look names up without regard to case.
    """
    if path.removeprefix("/v1").startswith("/v1beta") or path.startswith("/v1beta"):
        return ir.Dialect.GEMINI
    if "anthropic-version" in headers:
        return ir.Dialect.ANTHROPIC
    if "x-goog-api-key" in headers or "x-goog-api-client" in headers:
        return ir.Dialect.GEMINI
    return ir.Dialect.OPENAI_CHAT


def list_models(dialect: ir.Dialect, catalogue: Catalogue, *, group: str, query: str) -> bytes:
    """The JSON of ``GET .../models`` for a key of ``group``; ``query`` is the raw query string.

    OpenAI's shape takes ``capability`` (repeatable, all must hold) and ``family`` (a vendor);
    Anthropic's ``limit``, ``after_id``, ``before_id``; Google's ``pageSize``, ``pageToken``.
    Raises :class:`GatewayError`: 400 for a page that cannot be, 403 for a group without models.
    """
    models = [model for model in catalogue.models.values() if catalogue.in_group(group, model.id)]
    if not models:
        raise GatewayError(
            ErrorCode.PERMISSION_DENIED, "no model is available to the group of this key"
        )
    listing = _LISTINGS.get(dialect, _openai_list)
    return msgspec.json.encode(listing(models, _Offered(catalogue, group), parse_qs(query)))


def show_model(dialect: ir.Dialect, catalogue: Catalogue, *, group: str, name: str) -> bytes:
    """The JSON of ``GET .../models/{name}``; ``name`` is decoded, an id or an alias, and Google's
    may begin with ``models/``. Raises :class:`GatewayError`: 404 and 403 as a call would.
    """
    if dialect is ir.Dialect.GEMINI:
        name = name.removeprefix("models/")
    model = permitted_model(name, catalogue=catalogue, group=group)
    item = _ITEMS.get(dialect, _openai_item)
    return msgspec.json.encode(item(model, _Offered(catalogue, group)))


class _Offered:
    """By which protocols the keys of a group can call a model."""

    def __init__(self, catalogue: Catalogue, group: str) -> None:
        self._catalogue = catalogue
        self._group = group

    def protocols(self, model: Model) -> list[str]:
        """See :func:`protocols_offered`."""
        return protocols_offered(self._catalogue, self._group, model)


def _openai_list(models: list[Model], offered: _Offered, query: Query) -> Shown:
    wanted = query.get("capability", ())
    vendors = {_VENDOR_WORDS.get(word, word) for word in query.get("family", ())}
    data = [
        _openai_item(model, offered)
        for model in models
        if all(word in (*ALWAYS_CAPABLE, *model.capabilities) for word in wanted)
        and (not vendors or model.vendor in vendors)
    ]
    return {"object": "list", "data": data}


def _openai_item(model: Model, offered: _Offered) -> Shown:
    released = model.released or _EPOCH
    return {
        "id": model.id,
        "object": "model",
        "created": (released - _EPOCH).days * 86_400,
        "owned_by": model.vendor,
        "family": model.family,
        "display_name": _display_name(model),
        "capabilities": [*ALWAYS_CAPABLE, *model.capabilities],
        "context_window": model.context_window,
        "max_output_tokens": model.max_output_tokens,
        "input_modalities": [
            "text",
            *(word for capability, word in _INPUTS.items() if capability in model.capabilities),
        ],
        "output_modalities": ["text"],
        "protocols": offered.protocols(model),
        "pricing_url": f"/api/pricing/{model.id}",
    }


def _anthropic_list(models: list[Model], offered: _Offered, query: Query) -> Shown:
    limit = _whole_number(query, "limit", _ANTHROPIC_PAGE)
    if not 1 <= limit <= _ANTHROPIC_PAGE_LIMIT:
        raise _bad("limit", f"limit must be from 1 to {_ANTHROPIC_PAGE_LIMIT}")
    after, before = _only(query, "after_id"), _only(query, "before_id")
    if after and before:
        raise _bad("before_id", "after_id and before_id exclude each other")
    if before:
        end = _position(models, before, "before_id")
        begin = max(0, end - limit)
        has_more = begin > 0
    else:
        begin = _position(models, after, "after_id") + 1 if after else 0
        end = min(begin + limit, len(models))
        has_more = end < len(models)
    data = [_anthropic_item(model, offered) for model in models[begin:end]]
    return {
        "data": data,
        "has_more": has_more,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
    }


def _anthropic_item(model: Model, offered: _Offered) -> Shown:
    del offered  # this shape has no place for it
    return {
        "type": "model",
        "id": model.id,
        "display_name": _display_name(model),
        "created_at": f"{(model.released or _EPOCH).isoformat()}T00:00:00Z",
        "lifecycle": "active",
        "max_input_tokens": model.context_window,
        "max_tokens": model.max_output_tokens,
    }


def _gemini_list(models: list[Model], offered: _Offered, query: Query) -> Shown:
    size = _whole_number(query, "pageSize", 0)
    if size < 0:
        raise _bad("pageSize", "pageSize must not be negative")
    size = min(size or _GEMINI_PAGE, _GEMINI_PAGE_LIMIT)
    # The token is the last id of the page before: still right when the catalogue has changed.
    token = _only(query, "pageToken")
    begin = _position(models, token, "pageToken") + 1 if token else 0
    end = begin + size
    shown: Shown = {"models": [_gemini_item(model, offered) for model in models[begin:end]]}
    if end < len(models):
        shown["nextPageToken"] = models[end - 1].id
    return shown


def _gemini_item(model: Model, offered: _Offered) -> Shown:
    name = _display_name(model)
    return {
        "name": f"models/{model.id}",
        "baseModelId": model.id,
        "version": model.released.isoformat() if model.released else "unknown",
        "displayName": name,
        "description": f"{name} by {model.vendor}",
        "inputTokenLimit": model.context_window,
        "outputTokenLimit": model.max_output_tokens,
        "supportedGenerationMethods": _GEMINI_METHODS if offered.protocols(model) else [],
        "thinking": "thinking" in model.capabilities,
    }


_LISTINGS: Mapping[ir.Dialect, Callable[[list[Model], _Offered, Query], Shown]] = {
    ir.Dialect.ANTHROPIC: _anthropic_list,
    ir.Dialect.GEMINI: _gemini_list,
}
_ITEMS: Mapping[ir.Dialect, Callable[[Model, _Offered], Shown]] = {
    ir.Dialect.ANTHROPIC: _anthropic_item,
    ir.Dialect.GEMINI: _gemini_item,
}


def _display_name(model: Model) -> str:
    return model.display_name or model.id


def _only(query: Query, name: str) -> str:
    """The parameter's last value, or an empty text."""
    return query.get(name, ("",))[-1]


def _whole_number(query: Query, name: str, default: int) -> int:
    text = _only(query, name)
    if not text:
        return default
    # Longer numbers are out of every range; Python would still read them, slowly.
    if not text.removeprefix("-").isdecimal() or len(text) > 9:
        raise _bad(name, f"{name} must be a whole number")
    return int(text)


def _position(models: list[Model], model_id: str, parameter: str) -> int:
    for position, model in enumerate(models):
        if model.id == model_id:
            return position
    raise _bad(parameter, f"{parameter} names no model of this list")


def _bad(parameter: str, message: str) -> GatewayError:
    return GatewayError(ErrorCode.INVALID_REQUEST, message, param=parameter)
