"""Reading a client's JSON object field by field, with the path of whatever is wrong.

A typed view would drop what it does not name; here every field is either taken or left over, and
what is left over becomes extras. ``null`` counts as not said, as with the vendor.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from bytespike_protocols.errors import BadClientMessage
from bytespike_protocols.ir import Extra, Json

__all__ = ["Fields", "bad", "list_of", "raw_text", "value_of"]

_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_list: Final = msgspec.json.Decoder(list[msgspec.Raw])
_text: Final = msgspec.json.Decoder(str)
_integer: Final = msgspec.json.Decoder(int)
_number: Final = msgspec.json.Decoder(float)
_boolean: Final = msgspec.json.Decoder(bool)
_anything: Final = msgspec.json.Decoder()

_BAD_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def bad(path: str, message: str) -> BadClientMessage:
    """The error for a field; never quotes its value."""
    return BadClientMessage(path, message)


def raw_text(raw: msgspec.Raw) -> Json:
    """The JSON text as it was written. Raises ``BadClientMessage`` on broken UTF-8."""
    try:
        return Json(bytes(raw).decode())
    except UnicodeDecodeError:
        raise bad("", "the body is not valid UTF-8") from None


def value_of(raw: msgspec.Raw, decoder: msgspec.json.Decoder[Any], path: str, kind: str) -> Any:
    """One value, or ``BadClientMessage`` saying what it must be."""
    try:
        return decoder.decode(raw)
    except _BAD_JSON:
        raise bad(path, f"must be {kind}") from None


def list_of(raw: msgspec.Raw, path: str) -> Iterator[tuple[str, msgspec.Raw]]:
    """The elements of an array with their paths."""
    for index, element in enumerate(value_of(raw, _list, path, "an array")):
        yield f"{path}[{index}]", element


class Fields:
    """The fields of one object that nobody has taken yet."""

    __slots__ = ("_left", "path")

    def __init__(self, raw: msgspec.Raw | dict[str, msgspec.Raw], path: str = "") -> None:
        named = raw if isinstance(raw, dict) else value_of(raw, _object, path, "an object")
        self._left = {
            name: value for name, value in named.items() if bytes(memoryview(value)[:5]) != b"null"
        }
        self.path = path

    def at(self, name: str) -> str:
        """The path of a field."""
        return f"{self.path}.{name}" if self.path else name

    def raw(self, name: str) -> msgspec.Raw | None:
        """The field undecoded; it counts as taken."""
        return self._left.pop(name, None)

    def json(self, name: str) -> Json | None:
        """The field's JSON text; it counts as taken."""
        raw = self.raw(name)
        return None if raw is None else raw_text(raw)

    def peek_text(self, name: str) -> str | None:
        """A string field that stays to be taken."""
        raw = self._left.get(name)
        return None if raw is None else str(value_of(raw, _text, self.at(name), "a string"))

    def text(self, name: str) -> str | None:
        """A string field."""
        return self._take(name, _text, "a string")  # type: ignore[no-any-return]

    def required_text(self, name: str) -> str:
        """A string field that must be there."""
        text = self.text(name)
        if text is None:
            raise bad(self.at(name), "field required")
        return text

    def integer(self, name: str) -> int | None:
        """An integer field."""
        return self._take(name, _integer, "an integer")  # type: ignore[no-any-return]

    def number(self, name: str) -> float | None:
        """A number field."""
        return self._take(name, _number, "a number")  # type: ignore[no-any-return]

    def boolean(self, name: str) -> bool | None:
        """A boolean field."""
        return self._take(name, _boolean, "a boolean")  # type: ignore[no-any-return]

    def object(self, name: str) -> Fields | None:
        """An object field, to be read in turn."""
        raw = self.raw(name)
        return None if raw is None else Fields(raw, self.at(name))

    def elements(self, name: str) -> Iterator[tuple[str, msgspec.Raw]]:
        """The elements of an array field with their paths; none if it is absent."""
        raw = self.raw(name)
        return iter(()) if raw is None else list_of(raw, self.at(name))

    def names(self) -> tuple[str, ...]:
        """The names of the fields nobody has taken."""
        return tuple(self._left)

    def drop(self, *names: str) -> None:
        """Fields that say nothing worth keeping."""
        for name in names:
            self._left.pop(name, None)

    def drop_empty(self, *names: str) -> None:
        """Fields that say nothing when they are an empty list or object."""
        for name in names:
            raw = self._left.get(name)
            if raw is not None and not value_of(raw, _anything, self.at(name), "JSON"):
                del self._left[name]

    def extras(self, path: str | None = None) -> tuple[Extra, ...]:
        """What nobody took, under the object's path (or under another spelling of it)."""
        prefix = self.path if path is None else path
        return tuple(
            Extra(path=f"{prefix}.{name}" if prefix else name, value=raw_text(raw))
            for name, raw in self._left.items()
        )

    def _take(self, name: str, decoder: msgspec.json.Decoder[Any], kind: str) -> Any:
        raw = self.raw(name)
        return None if raw is None else value_of(raw, decoder, self.at(name), kind)
