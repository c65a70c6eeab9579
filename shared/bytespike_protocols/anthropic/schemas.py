"""JSON Schemas of other dialects as Anthropic takes them.

A schema that needs no change is passed on as the text it was.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from bytespike_protocols.errors import BadClientMessage, Unrepresentable
from bytespike_protocols.ir import Json

__all__ = ["Fitted", "fit_output", "fit_parameters"]

_EMPTY = msgspec.Raw(b'{"type":"object","properties":{}}')
_COMPOSITIONS = ("anyOf", "oneOf", "allOf")
_DEFINITIONS = ("$defs", "definitions")

# What a structured output's schema may say; anything else is told to the model in words.
_LISTS = {"anyOf", "allOf"}
_MAPS = {"properties", *_DEFINITIONS}
_PLAIN = {"$ref", "type", "enum", "const", "description", "title", "default", "required"}
_FORMATS = {
    "date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid",
}  # fmt: skip
_MIN_ITEMS = {0, 1}


class Fitted(NamedTuple):
    """A schema to send, and whether it says less or other than the client's."""

    schema: msgspec.Raw
    changed: bool


def fit_parameters(text: Json | None, path: str) -> Fitted:
    """A tool's parameters: an object schema with nothing composed at its root.

    Raises ``Unrepresentable`` for a root that is no object.
    """
    if text is None:
        return Fitted(_EMPTY, changed=False)
    schema = _object(text, path)
    root = schema.get("$ref")
    if isinstance(root, str):
        schema = _inline(schema, root, path)
    composed = [key for key in _COMPOSITIONS if key in schema]
    if not composed and schema is not None and schema.get("type") == "object" and root is None:
        return Fitted(msgspec.Raw(text.encode()), changed=False)
    kind = schema.get("type", "object" if "properties" in schema or not composed else None)
    if kind != "object":
        raise Unrepresentable(path, "the parameters of a tool must be an object schema")
    kept = {key: value for key, value in schema.items() if key not in composed}
    return Fitted(_encode({"type": "object", **kept}), changed=bool(composed))


def fit_output(text: Json, path: str) -> Fitted:
    """The schema of a structured output: closed objects, and only the keywords that are enforced;
    others become part of the description.
    """
    schema = _object(text, path)
    try:
        fitted = _close(schema)
    except RecursionError:
        raise BadClientMessage(path, "nested too deeply") from None
    if fitted == schema:
        return Fitted(msgspec.Raw(text.encode()), changed=False)
    return Fitted(_encode(fitted), changed=True)


def _object(text: Json, path: str) -> dict[str, Any]:
    try:
        schema = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise BadClientMessage(path, "must be a JSON Schema") from None
    if not isinstance(schema, dict):
        raise Unrepresentable(path, "must be an object schema")
    return schema


def _encode(schema: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(schema))


def _inline(schema: dict[str, Any], ref: str, path: str) -> dict[str, Any]:
    """A root that only points at one of its own definitions, with that definition in its place."""
    _, _, where = ref.partition("#/")
    group, _, name = where.partition("/")
    target = schema.get(group, {}).get(name) if group in _DEFINITIONS else None
    if not isinstance(target, dict) or "$ref" in target:
        raise Unrepresentable(path, "the root of a tool's parameters cannot be this reference")
    return target | {key: value for key, value in schema.items() if key != "$ref"}


def _close(schema: object) -> object:
    if not isinstance(schema, dict):
        return schema
    kept: dict[str, Any] = {}
    told: dict[str, Any] = {}
    for key, value in schema.items():
        name = "anyOf" if key == "oneOf" else key
        if name in _LISTS and isinstance(value, list):
            kept[name] = [_close(item) for item in value]
        elif name in _MAPS and isinstance(value, dict):
            kept[name] = {field: _close(item) for field, item in value.items()}
        elif name == "items":
            kept[name] = _close(value)
        elif name in _PLAIN or _enforced(name, value):
            kept[name] = value
        elif name != "additionalProperties":
            told[name] = value
    if _is_object(schema):
        kept["additionalProperties"] = False
    if told:
        words = msgspec.json.encode(told).decode()
        kept["description"] = (
            f"{kept['description']}\n\n{words}" if "description" in kept else words
        )
    return kept


def _enforced(key: str, value: object) -> bool:
    return (key == "format" and value in _FORMATS) or (key == "minItems" and value in _MIN_ITEMS)


def _is_object(schema: dict[str, Any]) -> bool:
    kind = schema.get("type")
    return (
        kind == "object" or "properties" in schema or (isinstance(kind, list) and "object" in kind)
    )
