"""OpenAI's demands on JSON Schemas: for functions, for structured output, for strict ones. Pure."""

from __future__ import annotations

from typing import Any

from bytespike_cli.simulator.dialects.openai.checks import refused

__all__ = ["check_format_schema", "check_function_schema", "made_strict"]

Json = dict[str, Any]

#: Keywords that strict mode does not know.
_LOOSE = (
    "allOf",
    "not",
    "dependentRequired",
    "dependentSchemas",
    "if",
    "then",
    "else",
    "oneOf",
    "patternProperties",
)


class _Complaint(Exception):
    """What is wrong, and where in the schema."""


def check_function_schema(name: str, schema: Any, path: str, *, strict: bool) -> None:
    """The parameters of a function."""
    try:
        _check_root(schema)
        if strict:
            _check_strict(schema, ())
    except _Complaint as complaint:
        message = f"Invalid schema for function '{name}': {complaint}"
        raise refused(message, path, "invalid_function_parameters") from complaint


def check_format_schema(name: str, schema: Any, field: str, path: str, *, strict: bool) -> None:
    """The schema of a structured answer; ``field`` is what the dialect calls the setting."""
    try:
        if strict:
            _check_root(schema)
            _check_strict(schema, ())
    except _Complaint as complaint:
        message = f"Invalid schema for {field} '{name}': {complaint}"
        raise refused(message, path, None) from complaint


def made_strict(schema: Any) -> Any:
    """The schema as Responses takes it from a function that does not mention ``strict``: objects
    that say nothing of further properties closed, every property required.
    """
    if isinstance(schema, list):
        return [made_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: made_strict(item) for name, item in schema.items()}
    if schema.get("type") == "object":
        made.setdefault("additionalProperties", False)
        made["required"] = list(schema.get("properties") or {})
    return made


def _check_root(schema: Json) -> None:
    kind = schema.get("type")
    if kind != "object":
        wanted = "schema must be a JSON Schema of 'type: \"object\"'"
        raise _Complaint(f"{wanted}, got 'type: \"{kind}\"'.")


def _check_strict(schema: Any, context: tuple[str, ...]) -> None:
    """Every object closed, every property required, nothing that cannot be enforced."""
    if not isinstance(schema, dict):
        return
    if complaint := _strict_complaint(schema):
        steps = ", ".join(f"'{step}'" for step in context) + ("," if len(context) == 1 else "")
        raise _Complaint(f"In context=({steps}), {complaint}")
    for field in ("properties", "$defs", "definitions"):
        for name, inner in (schema.get(field) or {}).items():
            _check_strict(inner, (*context, field, name))
    if "items" in schema:
        _check_strict(schema["items"], (*context, "items"))
    for at, inner in enumerate(schema.get("anyOf") or ()):
        _check_strict(inner, (*context, "anyOf", str(at)))


def _strict_complaint(schema: Json) -> str | None:
    for keyword in _LOOSE:
        if keyword in schema:
            return f"'{keyword}' is not permitted."
    if not {"$ref", "type", "anyOf", "enum", "const"} & schema.keys():
        return "schema must have a 'type' key."
    if schema.get("type") == "array" and "items" not in schema:
        return "array schema missing items."
    if schema.get("type") != "object":
        return None
    if schema.get("additionalProperties") is not False:
        return "'additionalProperties' is required to be supplied and to be false."
    required = schema.get("required") or []
    lacking = [name for name in schema.get("properties") or {} if name not in required]
    if lacking:
        return (
            "'required' is required to be supplied and to be an array including every key in"
            f" properties. Missing '{lacking[0]}'."
        )
    return None
