"""Schemas between ordinary JSON Schema, which the IR holds, and Google's older ``Schema`` object.

``Schema`` is an OpenAPI subset parsed by protobuf: one key it does not know fails the whole
request, types are single upper-case words, null is a flag, and there are no references. Newer
models take JSON Schema as it is; for the older ones it is rewritten here, and what cannot be kept
is reported.
"""

from __future__ import annotations

from typing import Any

import msgspec

from bytespike_protocols.errors import Unrepresentable
from bytespike_protocols.ir import Json

__all__ = ["from_google", "to_google"]

Node = dict[str, Any]

#: Keys both worlds have, with the same meaning. Sizes are int64, which proto JSON may quote.
_SIZES = {"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"}
_PLAIN = {"title", "description", "pattern", "minimum", "maximum", "required", "format"} | _SIZES
#: Understood, or said by nothing but presentation: leaving these out changes no constraint.
_QUIET = {"$schema", "$id", "$comment", "$defs", "definitions", "examples", "propertyOrdering"}
_READ = {"type", "properties", "items", "anyOf", "oneOf", "allOf", "enum", "const", "$ref"}
#: The formats the older surface accepts for strings; others are a 400.
_STRING_FORMATS = {"enum", "date-time"}
#: No schema of a person's is nested deeper; a recursive one is.
_MAX_DEPTH = 32
#: References written out can grow a small schema without bound; the vendor's limit lies far below.
_MAX_NODES = 5000


def from_google(text: Json) -> Json:
    """Google's ``Schema`` as JSON Schema. A schema that already is one is left as it was."""
    node = msgspec.json.decode(text)
    rewritten = _lower(node)
    return text if rewritten == node else Json(msgspec.json.encode(rewritten).decode())


def to_google(text: Json, path: str) -> tuple[Json, tuple[str, ...]]:
    """JSON Schema as Google's ``Schema``, and the keywords that were lost on the way. Raises
    ``Unrepresentable`` if it is recursive or refers to something outside itself.
    """
    root = msgspec.json.decode(text)
    upper = _Upper(root if isinstance(root, dict) else {}, path)
    node = upper.convert(root, 0)
    return Json(msgspec.json.encode(node).decode()), tuple(sorted(upper.lost))


def _lower(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    result: Node = {}
    for key, value in node.items():
        name = _CAMEL.get(str(key), str(key))
        if name in _SIZES and isinstance(value, str) and value.isdigit():
            result[name] = int(value)
        elif name == "properties" and isinstance(value, dict):
            result[name] = {prop: _lower(child) for prop, child in value.items()}
        elif name == "items":
            result[name] = _lower(value)
        elif name == "anyOf" and isinstance(value, list):
            result[name] = [_lower(child) for child in value]
        elif name not in ("nullable", "type", "propertyOrdering"):
            result[name] = value
        elif name == "type":
            result[name] = value.lower() if isinstance(value, str) else value
    return _with_null(result) if node.get("nullable") is True else result


def _with_null(node: Node) -> Node:
    kind = node.get("type")
    if isinstance(kind, str) and kind != "null":
        values = {"enum": [*node["enum"], None]} if isinstance(node.get("enum"), list) else {}
        return {**node, "type": [kind, "null"], **values}
    if isinstance(node.get("anyOf"), list):
        return {**node, "anyOf": [*node["anyOf"], {"type": "null"}]}
    return node


_CAMEL = {
    "any_of": "anyOf",
    "min_items": "minItems",
    "max_items": "maxItems",
    "min_length": "minLength",
    "max_length": "maxLength",
    "min_properties": "minProperties",
    "max_properties": "maxProperties",
    "property_ordering": "propertyOrdering",
}


class _Upper:
    """One schema on its way to Google's form."""

    __slots__ = ("_nodes", "_path", "_root", "lost")

    def __init__(self, root: Node, path: str) -> None:
        self._root = root
        self._path = path
        self._nodes = 0
        self.lost: set[str] = set()

    def convert(self, node: Any, depth: int) -> Node:
        self._nodes += 1
        if depth > _MAX_DEPTH or self._nodes > _MAX_NODES:
            raise Unrepresentable(self._path, "this model takes no recursive or so large a schema")
        if not isinstance(node, dict):
            # true and {} allow anything: Google's way of saying so is a schema without a type.
            return {}
        if "$ref" in node:
            siblings = {key: value for key, value in node.items() if key != "$ref"}
            return self.convert({**self._resolve(node["$ref"]), **siblings}, depth + 1)
        result: Node = {key: value for key, value in node.items() if key in _PLAIN}
        if node.get("type") == "string" and result.get("format") not in _STRING_FORMATS:
            self._lose_format(result)
        self._alternatives(node, result, depth)
        self._type(node, result)
        self._children(node, result, depth)
        self._values(node, result)
        self.lost |= node.keys() - _PLAIN - _QUIET - _READ
        # In the order it was written: prompt caches compare bytes.
        return {key: result[key] for key in (*node, *result) if key in result}

    def _lose_format(self, result: Node) -> None:
        if result.pop("format", None) is not None:
            self.lost.add("format")

    def _resolve(self, reference: Any) -> Node:
        node: Any = self._root
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise Unrepresentable(self._path, "a schema may refer only to its own $defs")
        for step in reference.removeprefix("#").strip("/").split("/"):
            if step:
                name = step.replace("~1", "/").replace("~0", "~")
                node = node.get(name) if isinstance(node, dict) else None
        if not isinstance(node, dict):
            raise Unrepresentable(self._path, "a $ref of the schema leads nowhere")
        return node

    def _type(self, node: Node, result: Node) -> None:
        kinds = node.get("type", [])
        kinds = [kinds] if isinstance(kinds, str) else list(kinds)
        if "null" in kinds and len(kinds) > 1:
            kinds.remove("null")
            result["nullable"] = True
        if len(kinds) == 1:
            result["type"] = kinds[0].upper()
        elif kinds:
            result["anyOf"] = [{"type": kind.upper()} for kind in kinds]

    def _alternatives(self, node: Node, result: Node, depth: int) -> None:
        options = [*(node.get("anyOf") or ()), *(node.get("oneOf") or ())]
        real = [option for option in options if option != {"type": "null"}]
        if len(real) < len(options):
            result["nullable"] = True
        if len(real) == 1 and len(options) > 1:
            result.update({**self.convert(real[0], depth + 1), **result})
        elif real:
            result["anyOf"] = [self.convert(option, depth + 1) for option in real]
        for part in node.get("allOf") or ():
            result.update({**self.convert(part, depth + 1), **result})

    def _children(self, node: Node, result: Node, depth: int) -> None:
        properties = node.get("properties")
        if isinstance(properties, dict) and properties:
            result["properties"] = {
                name: self.convert(child, depth + 1) for name, child in properties.items()
            }
        if isinstance(node.get("items"), dict):
            result["items"] = self.convert(node["items"], depth + 1)

    def _values(self, node: Node, result: Node) -> None:
        values = [node["const"]] if "const" in node else node.get("enum")
        if not isinstance(values, list):
            return
        if None in values:
            result["nullable"] = True
        words = [value for value in values if value is not None]
        if all(isinstance(word, str) for word in words):
            result["enum"] = words
            result.setdefault("type", "STRING")
        else:
            # Google's enum holds strings only.
            self.lost.add("enum")
