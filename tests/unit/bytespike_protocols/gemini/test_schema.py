"""Schemas for models that read only Google's own kind."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bytespike_protocols.errors import Unrepresentable
from bytespike_protocols.gemini.schema import from_google, to_google
from bytespike_protocols.ir import Json


def text(schema: Any) -> Json:
    return Json(msgspec.json.encode(schema).decode())


@pytest.mark.parametrize(
    ("schema", "google", "lost"),
    [
        ({"type": "string", "default": "a"}, {"type": "STRING"}, {"default"}),
        ({"type": ["string", "null"]}, {"type": "STRING", "nullable": True}, set()),
        (
            {"type": ["string", "integer"]},
            {"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}]},
            set(),
        ),
        (
            {"anyOf": [{"type": "string"}, {"type": "null"}], "description": "d"},
            {"type": "STRING", "nullable": True, "description": "d"},
            set(),
        ),
        (
            {"oneOf": [{"const": "a"}, {"type": "integer"}]},
            {"anyOf": [{"type": "STRING", "enum": ["a"]}, {"type": "INTEGER"}]},
            set(),
        ),
        (
            {"allOf": [{"type": "integer"}, {"minimum": 1}]},
            {"type": "INTEGER", "minimum": 1},
            set(),
        ),
        ({"enum": ["a", None]}, {"type": "STRING", "enum": ["a"], "nullable": True}, set()),
        ({"type": "integer", "enum": [1, 2]}, {"type": "INTEGER"}, {"enum"}),
        (
            {"type": "string", "format": "email", "maxLength": 4},
            {"type": "STRING", "maxLength": 4},
            {"format"},
        ),
        (
            {"type": "string", "format": "date-time"},
            {"type": "STRING", "format": "date-time"},
            set(),
        ),
        (
            {
                "$schema": "s",
                "type": "object",
                "properties": {"p": {"$ref": "#/$defs/P", "description": "d"}, "any": True},
                "required": ["p"],
                "additionalProperties": False,
                "$defs": {"P": {"type": "array", "items": {"type": "number"}}},
            },
            {
                "type": "OBJECT",
                "properties": {
                    "p": {"type": "ARRAY", "items": {"type": "NUMBER"}, "description": "d"},
                    "any": {},
                },
                "required": ["p"],
            },
            {"additionalProperties"},
        ),
    ],
)
def test_json_schema_in_googles_words(schema: Any, google: Any, lost: set[str]) -> None:
    written, missing = to_google(text(schema), "tools[0].parameters")
    assert msgspec.json.decode(written) == google
    assert set(missing) == lost


#: A few lines that are 2**15 nodes when written out.
DOUBLING = {
    f"T{level}": {"anyOf": [{"$ref": f"#/$defs/T{level + 1}"}] * 2} for level in range(14)
} | {"T14": {"type": "string"}}


@pytest.mark.parametrize(
    "schema",
    [
        {"$defs": DOUBLING, "$ref": "#/$defs/T0"},
        {"$ref": "#"},
        {"$defs": {"T": {"properties": {"t": {"$ref": "#/$defs/T"}}}}, "$ref": "#/$defs/T"},
        {"$ref": "https://elsewhere.test/schema"},
        {"$ref": "#/$defs/Nobody"},
    ],
)
def test_schemas_that_cannot_be_written_out(schema: Any) -> None:
    with pytest.raises(Unrepresentable) as caught:
        to_google(text(schema), "tools[0].parameters")
    assert caught.value.path == "tools[0].parameters"


@pytest.mark.parametrize(
    ("google", "schema"),
    [
        ({"type": "STRING", "nullable": True}, {"type": ["string", "null"]}),
        (
            {"type": "STRING", "enum": ["a"], "nullable": True},
            {"type": ["string", "null"], "enum": ["a", None]},
        ),
        (
            {"any_of": [{"type": "STRING"}], "nullable": True},
            {"anyOf": [{"type": "string"}, {"type": "null"}]},
        ),
        (
            {"type": "ARRAY", "items": {"type": "INTEGER"}, "min_items": "1"},
            {"type": "array", "items": {"type": "integer"}, "minItems": 1},
        ),
        (
            {"type": "OBJECT", "properties": {"type": {"type": "STRING"}}, "propertyOrdering": []},
            {"type": "object", "properties": {"type": {"type": "string"}}},
        ),
    ],
)
def test_googles_words_as_json_schema(google: Any, schema: Any) -> None:
    assert msgspec.json.decode(from_google(text(google))) == schema


def test_a_schema_in_plain_words_is_left_alone() -> None:
    written = Json('{ "type" : "object", "properties" : {} }')
    assert from_google(written) is written


def test_references_may_hold_slashes() -> None:
    schema = {"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "boolean"}}}
    assert to_google(text(schema), "") == ('{"type":"BOOLEAN"}', ())
