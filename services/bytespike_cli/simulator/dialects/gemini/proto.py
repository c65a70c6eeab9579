"""JSON read as Google's servers read it into protocol buffers: both spellings of a field, unknown
ones refused with their place. Pure.

A kind takes a path (``contents[0].parts``) and a value and returns the value with the fields'
camelCase names, or raises :class:`VendorError`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Any

from bytespike_cli.simulator.reply import VendorError

__all__ = [
    "Kind",
    "anything",
    "boolean",
    "data",
    "enum",
    "integer",
    "invalid",
    "message",
    "number",
    "repeated",
    "string",
    "struct",
    "values",
]

Kind = Callable[[str, Any], Any]

_BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
_PACKAGE = "type.googleapis.com/google.ai.generativelanguage.v1beta"


def invalid(text: str, field: str | None = None) -> VendorError:
    """The 400 every refusal of a body is; ``field`` is where."""
    details = []
    if field is not None:
        violation = {"field": field, "description": text}
        details = [{"@type": _BAD_REQUEST, "fieldViolations": [violation]}]
    return VendorError(400, "INVALID_ARGUMENT", text, details=details)


def _wrong(path: str, type_: str, value: Any) -> VendorError:
    shown = f'"{value}"' if isinstance(value, str) else str(value).lower()
    return invalid(f"Invalid value at '{path}' ({type_}), {shown}", path)


def anything(_: str, value: Any) -> Any:
    """Taken as it is."""
    return value


def string(path: str, value: Any) -> str:
    """Text."""
    if not isinstance(value, str):
        raise _wrong(path, "TYPE_STRING", value)
    return value


def boolean(path: str, value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise _wrong(path, "TYPE_BOOL", value)
    return value


def integer(path: str, value: Any) -> int:
    """A whole number; long ones may come as text."""
    if isinstance(value, str) and re.fullmatch(r"-?\d+", value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong(path, "TYPE_INT32", value)
    return value


def number(path: str, value: Any) -> float:
    """Any number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(path, "TYPE_FLOAT", value)
    return value


def data(path: str, value: Any) -> str:
    """Base64 of either alphabet."""
    if not isinstance(value, str):
        raise _wrong(path, "TYPE_BYTES", value)
    plain = value.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except binascii.Error as error:
        text = f"Invalid value at '{path}' (TYPE_BYTES), Base64 decoding failed for \"{value}\""
        raise invalid(text, path) from error
    return value


def struct(path: str, value: Any) -> dict[str, Any]:
    """An object of any content."""
    if not isinstance(value, dict):
        raise _wrong(path, "type.googleapis.com/google.protobuf.Struct", value)
    return value


def enum(name: str, *words: str) -> Kind:
    """One of these words, in capitals or not."""

    def read(path: str, value: Any) -> str:
        if not isinstance(value, str) or value.upper() not in words:
            raise _wrong(path, f"{_PACKAGE}.{name}", value)
        return value.upper()

    return read


def repeated(kind: Kind) -> Kind:
    """A list. A single object stands for a list of one."""

    def read(path: str, value: Any) -> list[Any]:
        if isinstance(value, dict):
            return [kind(f"{path}[0]", value)]
        if not isinstance(value, list):
            raise _wrong(path, "repeated", value)
        return [kind(f"{path}[{at}]", item) for at, item in enumerate(value)]

    return read


def values(kind: Kind) -> Kind:
    """A map by name."""

    def read(path: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _wrong(path, "map", value)
        return {name: kind(f"{path}[{at}].value", v) for at, (name, v) in enumerate(value.items())}

    return read


def message(fields: Mapping[str, Kind], *, oneof: frozenset[str] = frozenset()) -> Kind:
    """An object of these fields (named in camelCase) and no others; of ``oneof`` at most one."""

    def read(path: str, value: Any) -> dict[str, Any]:
        if isinstance(value, list):
            text = "Proto field is not repeating, cannot start list."
            text = f"Invalid JSON payload received. Unknown name \"\" at '{path}': {text}"
            raise invalid(text, path)
        if not isinstance(value, dict):
            raise _wrong(path, "message", value)
        found: dict[str, Any] = {}
        for given, item in value.items():
            name = _camel(given)
            if name not in fields:
                where = f" at '{path}'" if path else ""
                text = f'Invalid JSON payload received. Unknown name "{given}"{where}'
                raise invalid(f"{text}: Cannot find field.", path)
            if item is None:
                continue
            if name in oneof and oneof & found.keys():
                text = f"oneof field 'data' is already set. Cannot set '{name}'"
                raise invalid(f"Invalid value at '{path}' (oneof), {text}", path)
            found[name] = fields[name](f"{path}.{_snake(name)}".lstrip("."), item)
        return found

    return read


def _camel(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])_([a-z])", lambda found: found[1].upper(), name)


def _snake(name: str) -> str:
    return re.sub(r"([A-Z])", lambda found: f"_{found[1].lower()}", name)
