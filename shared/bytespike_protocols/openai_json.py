"""OpenAI's demands on JSON, alike in both of its APIs: the word where there is no schema, and
schemas that strict mode takes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from bytespike_protocols.ir import Json, Request, Text

__all__ = ["JSON_ONLY", "fits_strict", "lacks_the_word", "wants_any_json"]

#: For requests that ask for JSON by a setting alone, which other vendors allow.
JSON_ONLY: Final = "Answer with one valid JSON object."

#: Keywords that strict mode does not know.
_LOOSE: Final = frozenset(
    {
        "allOf",
        "dependentRequired",
        "dependentSchemas",
        "else",
        "if",
        "not",
        "oneOf",
        "patternProperties",
        "then",
    }
)
#: One of these says what a value may be.
_TELLING: Final = frozenset({"$ref", "anyOf", "const", "enum", "type"})


def wants_any_json(request: Request) -> bool:
    """Whether the answer must be JSON by no schema: OpenAI then wants the word in the messages."""
    return request.output is not None and request.output.schema is None


def lacks_the_word(request: Request, system: Iterable[Text]) -> bool:
    """Whether "json" stands neither in ``system`` nor in what the turns say."""
    said = (block for turn in request.turns for block in turn.blocks if isinstance(block, Text))
    return not any("json" in text.text.lower() for texts in (system, said) for text in texts)


def fits_strict(schema: Json) -> bool:
    """Whether strict mode takes the schema: an object at the root, every object closed and all of
    its properties required, nothing that cannot be enforced.
    """
    root = msgspec.json.decode(schema)
    return isinstance(root, dict) and root.get("type") == "object" and _fits(root)


def _fits(schema: Any) -> bool:
    if not isinstance(schema, dict):
        return True
    kind = schema.get("type")
    kinds = kind if isinstance(kind, list) else [kind]
    if schema.keys() & _LOOSE or not schema.keys() & _TELLING:
        return False
    if "array" in kinds and "items" not in schema:
        return False
    if "object" in kinds and not _is_closed(schema):
        return False
    return all(_fits(inner) for inner in _inner(schema))


def _is_closed(schema: dict[str, Any]) -> bool:
    required = schema.get("required") or ()
    properties = schema.get("properties") or {}
    return schema.get("additionalProperties") is False and set(properties) <= set(required)


def _inner(schema: dict[str, Any]) -> Iterable[Any]:
    for field in ("properties", "$defs", "definitions"):
        yield from (schema.get(field) or {}).values()
    yield schema.get("items")
    yield from schema.get("anyOf") or ()
