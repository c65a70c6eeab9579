"""Reads one JSON object of a request field by field, and remembers what nobody asked for.

Each object knows two paths: where the client put it, for complaints, and where it will stand when
the same dialect writes it back, for extras. They differ only behind a system prompt of several
parts. A null is the same as an absent field.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeVar

import msgspec

from bytespike_protocols.errors import BadClientMessage
from bytespike_protocols.ir import Extra, Json
from bytespike_protocols.splice import shallow

__all__ = ["Fields", "json_text", "put"]

T = TypeVar("T")

_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])
_arrays = msgspec.json.Decoder(list[msgspec.Raw])
_texts = msgspec.json.Decoder(str)
_integers = msgspec.json.Decoder(int)
_numbers = msgspec.json.Decoder(float)
_booleans = msgspec.json.Decoder(bool)

#: How the only null there is begins.
_NULL = ord("n")
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_STEP = re.compile(r'\.?([A-Za-z_][A-Za-z0-9_-]*)|\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]')


class Fields:
    """An object at ``path``, to be written back at ``home``."""

    __slots__ = ("_raw", "home", "path")

    def __init__(self, raw: dict[str, msgspec.Raw], *, path: str, home: str) -> None:
        self._raw = {name: value for name, value in raw.items() if memoryview(value)[0] != _NULL}
        self.path = path
        self.home = home

    @classmethod
    def of_body(cls, body: bytes) -> Fields:
        """The whole body. Raises ``BadClientMessage`` unless it is an object."""
        return cls(shallow(body), path="", home="")

    @classmethod
    def of(cls, raw: bytes | msgspec.Raw, *, path: str, home: str) -> Fields:
        """A nested object."""
        return cls(_read(raw, _objects, path, "an object"), path=path, home=home)

    def at(self, name: str) -> str:
        """The client's path of a field."""
        return _join(self.path, name)

    def fail(self, name: str, message: str) -> BadClientMessage:
        """What to raise about a field (about the object itself if ``name`` is empty)."""
        return BadClientMessage(self.at(name) if name else self.path, message)

    def starts(self, name: str) -> str:
        """The first character of a field's JSON, which tells its type; empty if it is absent."""
        raw = self._raw.get(name)
        return bytes(memoryview(raw)[:1]).decode("latin-1") if raw is not None else ""

    def names(self) -> list[str]:
        """The fields that nobody took yet."""
        return list(self._raw)

    def text(self, name: str) -> str | None:
        """A string."""
        return self._take(name, _texts, "a string")

    def need_text(self, name: str) -> str:
        """A string that must be there."""
        value = self.text(name)
        if value is None:
            raise self.fail(name, "field required")
        return value

    def integer(self, name: str) -> int | None:
        """A whole number."""
        return self._take(name, _integers, "an integer")

    def number(self, name: str) -> float | None:
        """Any number."""
        return self._take(name, _numbers, "a number")

    def boolean(self, name: str) -> bool | None:
        """True or false."""
        return self._take(name, _booleans, "a boolean")

    def json(self, name: str) -> Json | None:
        """A value as it was written."""
        raw = self._raw.pop(name, None)
        return None if raw is None else json_text(raw, self.at(name))

    def texts(self, name: str) -> list[str] | None:
        """An array of strings."""
        found = self._take(name, _arrays, "an array")
        if found is None:
            return None
        return [
            _read(raw, _texts, f"{self.at(name)}[{index}]", "a string")
            for index, raw in enumerate(found)
        ]

    def object(self, name: str) -> Fields | None:
        """A nested object; its own leftovers are for the caller to collect."""
        raw = self._raw.pop(name, None)
        if raw is None:
            return None
        return Fields.of(raw, path=self.at(name), home=_join(self.home, name))

    def items(self, name: str) -> list[tuple[msgspec.Raw, str, str]]:
        """The members of an array, each with its two paths; empty if the field is absent."""
        found = self._take(name, _arrays, "an array")
        path, home = self.at(name), _join(self.home, name)
        return [
            (raw, f"{path}[{index}]", f"{home}[{index}]") for index, raw in enumerate(found or [])
        ]

    def objects(self, name: str) -> Iterator[Fields]:
        """The members of an array of objects."""
        for raw, path, home in self.items(name):
            yield Fields.of(raw, path=path, home=home)

    def rest(self) -> list[Extra]:
        """Every field that nobody took."""
        return [
            Extra(path=_join(self.home, name), value=json_text(raw, self.at(name)))
            for name, raw in self._raw.items()
        ]

    def _take(self, name: str, decoder: msgspec.json.Decoder[T], kind: str) -> T | None:
        raw = self._raw.pop(name, None)
        return None if raw is None else _read(raw, decoder, self.at(name), kind)


def put(root: dict[str, object], extra: Extra) -> bool:
    """Write an extra back into a body under construction; False if its place is not there."""
    steps = [_key(step) for step in _STEP.finditer(extra.path)]
    here: object = root
    for step in steps[:-1]:
        here = _enter(here, step)
    if not steps or not isinstance(here, dict):
        return False
    here[steps[-1]] = msgspec.Raw(extra.value.encode())
    return True


def _enter(here: object, step: str | int) -> object:
    if isinstance(here, list) and isinstance(step, int):
        return here[step] if step < len(here) else None
    if not isinstance(here, dict):
        return None
    if step == "content" and isinstance(here.get(step), str):
        # A single text is written in the short form, which has no room for a part's extras.
        here[step] = [{"type": "text", "text": here[step]}]
    return here.get(step)


def _key(step: re.Match[str]) -> str | int:
    if step[2] is not None:
        return int(step[2])
    return step[1] if step[1] is not None else _texts.decode(step[3])


def _join(path: str, name: str) -> str:
    if not _PLAIN_KEY.fullmatch(name):
        return f"{path}[{msgspec.json.encode(name).decode()}]"
    return f"{path}.{name}" if path else name


def _read(raw: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[T], path: str, kind: str) -> T:
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadClientMessage(path, f"must be {kind}") from None


def json_text(raw: msgspec.Raw, path: str) -> Json:
    """A value as it was written."""
    try:
        return Json(bytes(raw).decode())
    except UnicodeDecodeError:
        raise BadClientMessage(path, "is not UTF-8") from None
