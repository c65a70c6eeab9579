"""Reading a client's JSON object field by field, with the path of everything that is wrong.

What nobody asked for by the end is not lost: it becomes an :class:`Extra`. Values that are not ours
to read stay the text they were.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TypeVar

import msgspec

from bytespike_protocols.errors import BadClientMessage
from bytespike_protocols.ir import Extra, Json

__all__ = ["Fields", "join_path", "json_text", "split_path"]

T = TypeVar("T")

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_array = msgspec.json.Decoder(list[msgspec.Raw])
_string = msgspec.json.Decoder(str)
_strings = msgspec.json.Decoder(list[str])
_integer = msgspec.json.Decoder(int)
_number = msgspec.json.Decoder(float)
_boolean = msgspec.json.Decoder(bool)

_PLAIN_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*")
#: The last step of a path: a plain name, or any other name quoted in brackets.
_LAST_STEP = re.compile(r'(?:(?:^|\.)([A-Za-z_$][A-Za-z0-9_$-]*)|\[("(?:[^"\\]|\\.)*")\])$')
_NULL = b"null"


def join_path(owner: str, name: str) -> str:
    """The path of field ``name`` of the object at ``owner`` (``""`` is the body itself)."""
    if _PLAIN_NAME.fullmatch(name) is None:
        return f"{owner}[{json.dumps(name)}]"
    return f"{owner}.{name}" if owner else name


def split_path(path: str) -> tuple[str, str]:
    """A field's path as its object's path and its name: undoes :func:`join_path`."""
    step = _LAST_STEP.search(path)
    if step is None:
        raise AssertionError(f"not the path of a field: {path}")
    name = step[1] if step[1] is not None else json.loads(step[2])
    return path[: step.start()], name


def json_text(raw: msgspec.Raw) -> Json:
    """The value as it was written."""
    return Json(bytes(raw).decode())


class Fields:
    """One object. A field that is null counts as absent; one that was read is no extra."""

    __slots__ = ("_extras", "_left", "_whole", "path")

    def __init__(self, raw: msgspec.Raw, path: str, extras: list[Extra]) -> None:
        self.path = path
        self._whole = raw
        self._left = _decode(_object, raw, path, "an object")
        self._extras = extras

    @property
    def whole(self) -> Json:
        """The object as it was written."""
        return json_text(self._whole)

    def at(self, name: str) -> str:
        """The path of a field of this object."""
        return join_path(self.path, name)

    def raw(self, name: str) -> msgspec.Raw | None:
        """The field, unread; None if absent or null."""
        raw = self._left.pop(name, None)
        return None if raw is None or memoryview(raw) == _NULL else raw

    def json(self, name: str) -> Json | None:
        """The field as the text it was."""
        raw = self.raw(name)
        return None if raw is None else json_text(raw)

    def string(self, name: str) -> str | None:
        """An optional string."""
        return self._read(name, _string, "a string")

    def required_string(self, name: str) -> str:
        """A string that must be there."""
        value = self.string(name)
        if value is None:
            raise BadClientMessage(self.at(name), "field required")
        return value

    def strings(self, name: str) -> tuple[str, ...]:
        """An optional array of strings; empty if absent."""
        values = self._read(name, _strings, "an array of strings")
        return () if values is None else tuple(values)

    def integer(self, name: str) -> int | None:
        """An optional whole number."""
        return self._read(name, _integer, "an integer")

    def number(self, name: str) -> float | None:
        """An optional number."""
        return self._read(name, _number, "a number")

    def boolean(self, name: str) -> bool | None:
        """An optional boolean."""
        return self._read(name, _boolean, "a boolean")

    def object(self, name: str) -> Fields | None:
        """An optional object, to be read the same way."""
        raw = self.raw(name)
        return None if raw is None else Fields(raw, self.at(name), self._extras)

    def items(self, name: str) -> Iterator[tuple[str, msgspec.Raw]]:
        """Path and value of each element of an optional array."""
        raw = self.raw(name)
        if raw is not None:
            yield from items(raw, self.at(name))

    def keep(self, name: str, raw: msgspec.Raw) -> None:
        """Make an extra of a field that was read and not understood."""
        self._extras.append(Extra(path=self.at(name), value=json_text(raw)))

    def leave(self) -> None:
        """Nothing more will be read: the rest are extras."""
        for name, raw in self._left.items():
            self._extras.append(Extra(path=self.at(name), value=json_text(raw)))
        self._left = {}

    def _read(self, name: str, decoder: msgspec.json.Decoder[T], kind: str) -> T | None:
        raw = self.raw(name)
        return None if raw is None else _decode(decoder, raw, self.at(name), kind)


def items(raw: msgspec.Raw, path: str) -> Iterator[tuple[str, msgspec.Raw]]:
    """Path and value of each element of the array ``raw``."""
    elements = _decode(_array, raw, path, "an array")
    for index, item in enumerate(elements):
        yield f"{path}[{index}]", item


def _decode(decoder: msgspec.json.Decoder[T], raw: msgspec.Raw, path: str, kind: str) -> T:
    try:
        return decoder.decode(raw)
    except RecursionError:
        raise BadClientMessage(path, "nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadClientMessage(path, f"must be {kind}") from None
