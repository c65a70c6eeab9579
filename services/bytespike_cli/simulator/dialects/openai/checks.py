"""Checks of JSON values with OpenAI's refusals: same paths, codes and wording. Pure.

A check takes a path (``messages[0].role``) and a value and raises :class:`VendorError`. What OpenAI
lets be null counts as absent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bytespike_cli.simulator.reply import VendorError

__all__ = [
    "Check",
    "anything",
    "array",
    "boolean",
    "integer",
    "json_object",
    "missing",
    "number",
    "one_of",
    "record",
    "refused",
    "tagged",
    "text",
    "unknown_parameter",
    "words_or",
]

Check = Callable[[str, Any], None]

_NAMES: tuple[tuple[type, str], ...] = (
    (bool, "a boolean"),
    (int, "an integer"),
    (float, "a decimal"),
    (str, "a string"),
    (list, "an array"),
    (dict, "an object"),
)


def refused(message: str, param: str | None, code: str | None) -> VendorError:
    """The 400 every refusal of a body is."""
    return VendorError(400, "invalid_request_error", message, param=param, code=code)


def unknown_parameter(path: str) -> VendorError:
    """For a field that does not exist."""
    return refused(f"Unknown parameter: '{path}'.", path, "unknown_parameter")


def missing(path: str) -> VendorError:
    """For a field that has to be there."""
    return refused(f"Missing required parameter: '{path}'.", path, "missing_required_parameter")


def _wrong_type(path: str, wanted: str, value: Any) -> VendorError:
    got = next((name for type_, name in _NAMES if isinstance(value, type_)), "null")
    message = f"Invalid type for '{path}': expected {wanted}, but got {got} instead."
    return refused(message, path, "invalid_type")


def _outside(path: str, problem: str, wanted: str, got: object, code: str) -> VendorError:
    message = f"Invalid '{path}': {problem}. Expected {wanted}, but got {got} instead."
    return refused(message, path, code)


def anything(_: str, __: Any) -> None:
    """Taken as it is."""


def text(*, most: int | None = None, least: int = 0, pattern: str | None = None) -> Check:
    """A string, of so many characters, that matches."""

    def check(path: str, value: Any) -> None:
        if not isinstance(value, str):
            raise _wrong_type(path, "a string", value)
        length = f"a string with length {len(value)}"
        if most is not None and len(value) > most:
            wanted = f"a string with maximum length {most}"
            raise _outside(path, "string too long", wanted, length, "string_above_max_length")
        if len(value) < least:
            got = "an empty string" if not value else length
            wanted = f"a string with minimum length {least}"
            problem = "empty string" if not value else "string too short"
            code = "empty_string" if not value else "string_below_min_length"
            raise _outside(path, problem, wanted, got, code)
        if pattern is not None and not re.fullmatch(pattern, value):
            message = (
                f"Invalid '{path}': string does not match pattern."
                f" Expected a string that matches the pattern '^{pattern}$'."
            )
            raise refused(message, path, "invalid_value")

    return check


def integer(low: int | None = None, high: int | None = None) -> Check:
    """A whole number within bounds."""

    def check(path: str, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            raise _wrong_type(path, "an integer", value)
        _bounded(path, "integer", value, low, high)

    return check


def number(low: float | None = None, high: float | None = None) -> Check:
    """A number within bounds."""

    def check(path: str, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _wrong_type(path, "a decimal", value)
        _bounded(path, "decimal", value, low, high)

    return check


def _bounded(path: str, kind: str, value: float, low: float | None, high: float | None) -> None:
    if low is not None and value < low:
        problem, wanted = f"{kind} below minimum value", f"a value >= {low}"
        raise _outside(path, problem, wanted, value, f"{kind}_below_min_value")
    if high is not None and value > high:
        problem, wanted = f"{kind} above maximum value", f"a value <= {high}"
        raise _outside(path, problem, wanted, value, f"{kind}_above_max_value")


def boolean(path: str, value: Any) -> None:
    """True or false."""
    if not isinstance(value, bool):
        raise _wrong_type(path, "a boolean", value)


def json_object(path: str, value: Any) -> None:
    """An object of any content."""
    if not isinstance(value, dict):
        raise _wrong_type(path, "an object", value)


def one_of(*values: str) -> Check:
    """One of these words."""

    def check(path: str, value: Any) -> None:
        if not isinstance(value, str):
            raise _wrong_type(path, f"one of {_listed(values)}", value)
        if value not in values:
            message = f"Invalid value: '{value}'. Supported values are: {_listed(values)}."
            raise refused(message, path, "invalid_value")

    return check


def _listed(values: Sequence[str]) -> str:
    quoted = [f"'{value}'" for value in values]
    if len(quoted) < 3:
        return " and ".join(quoted)
    return f"{', '.join(quoted[:-1])}, and {quoted[-1]}"


def array(of: Check, *, least: int = 0, most: int | None = None) -> Check:
    """An array whose every item passes."""

    def check(path: str, value: Any) -> None:
        if not isinstance(value, list):
            raise _wrong_type(path, "an array", value)
        got = "an empty array" if not value else f"an array with length {len(value)}"
        if len(value) < least:
            wanted = f"an array with minimum length {least}"
            raise _outside(path, "empty array", wanted, got, "empty_array")
        if most is not None and len(value) > most:
            wanted = f"an array with maximum length {most}"
            raise _outside(path, "array too long", wanted, got, "array_above_max_length")
        for at, item in enumerate(value):
            of(f"{path}[{at}]", item)

    return check


def words_or(items: Check, *, wanted: str = "one of a string or array of objects") -> Check:
    """A plain string, or an array checked by ``items``."""

    def check(path: str, value: Any) -> None:
        if isinstance(value, str):
            return
        if not isinstance(value, list):
            raise _wrong_type(path, wanted, value)
        items(path, value)

    return check


def record(fields: Mapping[str, Check], required: tuple[str, ...] = ()) -> Check:
    """An object of these fields and no others."""

    def check(path: str, value: Any) -> None:
        if not isinstance(value, dict):
            raise _wrong_type(path, "an object", value)
        prefix = f"{path}." if path else ""
        for name in value:
            if name not in fields:
                raise unknown_parameter(prefix + name)
        for name in required:
            if value.get(name) is None:
                raise missing(prefix + name)
        for name, item in value.items():
            if item is not None:
                fields[name](prefix + name, item)

    return check


def tagged(field: str, kinds: Mapping[str, Check], *, default: str | None = None) -> Check:
    """An object whose ``field`` says which check it must pass."""
    known = one_of(*kinds)

    def check(path: str, value: Any) -> None:
        if not isinstance(value, dict):
            raise _wrong_type(path, "an object", value)
        kind = value.get(field, default)
        if kind is None:
            raise missing(f"{path}.{field}")
        known(f"{path}.{field}", kind)
        kinds[kind](path, value)

    return check
