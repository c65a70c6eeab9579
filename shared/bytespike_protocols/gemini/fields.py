"""Reading a client's JSON object field by field, so that nothing in it is overlooked.

Whatever a decoder does not take is left over as :class:`Extra`. Google's JSON (proto3) is lenient
and so is this reader: snake_case names, numbers in strings and null for "not said" are all read.
Nothing is decoded deeper than asked: arguments and schemas stay the text they were.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, TypeVar

import msgspec

from bytespike_protocols.errors import BadClientMessage
from bytespike_protocols.ir import Extra, Json

__all__ = ["Fields", "Path", "is_json_object", "json_text", "parse_path"]

T = TypeVar("T")
Path = tuple[str | int, ...]

_NULL = b"null"
_PLAIN_NAME = re.compile(r"[A-Za-z_$@][A-Za-z0-9_$@-]*")
_PATH_STEP = re.compile(r'\.?([A-Za-z_$@][A-Za-z0-9_$@-]*)|\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]')
_CAPITAL = re.compile(r"[A-Z]")

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_array = msgspec.json.Decoder(list[msgspec.Raw])
_KINDS: dict[Any, str] = {
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "a boolean",
    list[str]: "an array of strings",
}


class Fields:
    """One JSON object at ``path`` of the body. Every reader takes its field off the object; all
    raise ``BadClientMessage`` with the field's path if it has the wrong type.
    """

    __slots__ = ("_left", "_raw", "path")

    def __init__(self, raw: msgspec.Raw, path: str) -> None:
        self.path = path
        self._raw = raw
        self._left = _decode(raw, path, _object, "an object")

    def __contains__(self, name: str) -> bool:
        return name in self._left or _snake(name) in self._left

    def __iter__(self) -> Iterator[str]:
        return iter(self._left)

    @property
    def text(self) -> Json:
        """The whole object as it was written."""
        return json_text(self._raw)

    def at(self, name: str) -> str:
        """The path of one of its fields."""
        if _PLAIN_NAME.fullmatch(name) is None:
            return f"{self.path}[{msgspec.json.encode(name).decode()}]"
        return f"{self.path}.{name}" if self.path else name

    def peek(self, name: str) -> msgspec.Raw | None:
        """The undecoded value, left where it is."""
        return self._left.get(name, self._left.get(_snake(name)))

    def raw(self, name: str) -> msgspec.Raw | None:
        """The undecoded value; None if absent or null."""
        raw = self._left.pop(name, None)
        if raw is None:
            raw = self._left.pop(_snake(name), None)
        return None if raw is None or bytes(raw) == _NULL else raw

    def json(self, name: str) -> Json | None:
        """The value as JSON text."""
        raw = self.raw(name)
        return None if raw is None else json_text(raw)

    def object(self, name: str) -> Fields | None:
        """The value as an object of its own."""
        raw = self.raw(name)
        return None if raw is None else Fields(raw, self.at(name))

    def items(self, name: str) -> list[tuple[str, msgspec.Raw]] | None:
        """The elements of an array, each with its path."""
        raw = self.raw(name)
        if raw is None:
            return None
        values = _decode(raw, self.at(name), _array, "an array")
        return [(f"{self.at(name)}[{index}]", value) for index, value in enumerate(values)]

    def string(self, name: str) -> str | None:
        """The value as text."""
        return self._scalar(name, str)

    def integer(self, name: str) -> int | None:
        """The value as a whole number, in a string perhaps."""
        return self._scalar(name, int)

    def number(self, name: str) -> float | None:
        """The value as a number, in a string perhaps."""
        return self._scalar(name, float)

    def boolean(self, name: str) -> bool | None:
        """The value as true or false."""
        return self._scalar(name, bool)

    def strings(self, name: str) -> tuple[str, ...]:
        """The elements of an array of strings."""
        return tuple(self._scalar(name, list[str]) or ())

    def flag(self, name: str) -> bool:
        """Whether the value is true; left where it is if it is not."""
        raw = self._left.get(name)
        if raw is None or bytes(raw) != b"true":
            return False
        del self._left[name]
        return True

    def rest(self) -> tuple[Extra, ...]:
        """What nobody took."""
        return tuple(
            Extra(path=self.at(name), value=json_text(raw)) for name, raw in self._left.items()
        )

    def _scalar(self, name: str, kind: type[T]) -> T | None:
        raw = self.raw(name)
        if raw is None:
            return None
        try:
            # Lax only between numbers and their spellings: a number is never taken for text.
            return msgspec.json.decode(raw, type=kind, strict=kind not in (int, float))
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise BadClientMessage(self.at(name), f"must be {_KINDS[kind]}") from None


def json_text(raw: msgspec.Raw) -> Json:
    """The value as it was written."""
    return Json(bytes(raw).decode())


def is_json_object(text: str) -> bool:
    """Whether ``text`` is a JSON object and nothing else."""
    try:
        _object.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return True


def parse_path(path: str) -> Path:
    """The steps of a path that :meth:`Fields.at` made."""
    steps: list[str | int] = []
    for match in _PATH_STEP.finditer(path):
        plain, index, quoted = match.groups()
        if index is not None:
            steps.append(int(index))
        else:
            steps.append(plain or msgspec.json.decode(quoted, type=str))
    return tuple(steps)


def _decode(raw: msgspec.Raw, path: str, decoder: msgspec.json.Decoder[T], kind: str) -> T:
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadClientMessage(path, f"must be {kind}") from None


@cache
def _snake(name: str) -> str:
    # Only called with the names the decoders spell out, so the cache is bounded by the code.
    return _CAPITAL.sub(lambda match: f"_{match[0].lower()}", name)
