"""JSON schemas in words: the type of a field, its bounds, its fields, an example. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["SchemaField", "Schemas"]

Json = Mapping[str, Any]

#: A schema that contains itself ends here.
_MAX_DEPTH = 6
_BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "pattern": "matches `{}`",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaField:
    """One line of a table; ``depth`` counts the things it is inside of."""

    name: str
    kind: str
    required: bool
    words: str
    depth: int


class Schemas:
    """The named schemas of a document, and what can be said about any that refers to them."""

    def __init__(self, named: Mapping[str, Json]) -> None:
        self._named = named

    def kind(self, schema: Json) -> str:
        """The type in a word or two, such as ``list of Key`` or ``string or null``."""
        if "$ref" in schema:
            return str(schema["$ref"]).rpartition("/")[2]
        for choice in ("anyOf", "oneOf"):
            if choice in schema:
                return " or ".join(dict.fromkeys(self.kind(one) for one in schema[choice]))
        if "enum" in schema:
            return " | ".join(json.dumps(value) for value in schema["enum"])
        if schema.get("type") == "array":
            return f"list of {self.kind(schema.get('items', {}))}"
        kind = schema.get("type", "anything")
        kind = kind if isinstance(kind, str) else " or ".join(kind)
        return f"{kind} ({schema['format']})" if "format" in schema else kind

    def words(self, schema: Json) -> str:
        """Description, bounds and default."""
        described = self._resolved(schema)
        found = [described["description"]] if "description" in described else []
        for one in (described, *described.get("anyOf", ())):
            found += [words.format(one[name]) for name, words in _BOUNDS.items() if name in one]
        if described.get("default") is not None:
            found.append(f"default: `{json.dumps(described['default'])}`")
        return "; ".join(str(one).rstrip(".") for one in found)

    def fields(self, schema: Json, depth: int = 0) -> Iterator[SchemaField]:
        """Every field, those of nested things right after the field that holds them."""
        described = self._within(schema)
        if depth > _MAX_DEPTH:
            return
        for name, field in described.get("properties", {}).items():
            yield SchemaField(
                name=name,
                kind=self.kind(field),
                required=name in described.get("required", ()),
                words="" if "$ref" in field else self.words(field),
                depth=depth,
            )
            yield from self.fields(field, depth + 1)

    def example(self, schema: Json) -> str:
        """The smallest body that could be sent, as JSON: its required fields."""
        described = self._within(schema)
        wanted = [name for name in described.get("required", ()) if name in described["properties"]]
        body = {name: self._sample(described["properties"][name]) for name in wanted}
        return json.dumps(body, ensure_ascii=False).replace("'", "\\u0027")

    def _sample(self, schema: Json) -> object:
        described = self._resolved(schema)
        if "default" in described:
            return described["default"]
        if "enum" in described:
            return described["enum"][0]
        if "anyOf" in described:
            return self._sample(described["anyOf"][-1])
        match described.get("type"):
            case "integer" | "number":
                return described.get("minimum", 1)
            case "boolean":
                return True
            case "array":
                return [self._sample(described.get("items", {}))]
            case "object":
                return json.loads(self.example(described))
        return "10.00" if "pattern" in described else "…"

    def _resolved(self, schema: Json) -> Json:
        while "$ref" in schema:
            schema = self._named[str(schema["$ref"]).rpartition("/")[2]]
        return schema

    def _within(self, schema: Json) -> Json:
        """The thing that a field holds, through lists and "or null"."""
        schema = self._resolved(schema)
        if schema.get("type") == "array":
            return self._within(schema.get("items", {}))
        for choice in schema.get("anyOf", ()):
            if "$ref" in choice or choice.get("type") in {"array", "object"}:
                return self._within(choice)
        return schema
