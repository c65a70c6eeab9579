"""The head of a request: the few fields the gateway itself must understand, in whatever dialect.

Only what we price or route by is checked here. Everything else in a body belongs to the vendor, who
knows its own rules better and answers in its own words. Each dialect has a reader made of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec

from bytespike_protocols.errors import BadClientMessage

__all__ = [
    "Fields",
    "Head",
    "bounded",
    "check_filled",
    "read_cap",
    "read_flag",
    "read_integer",
    "read_model",
]

T = TypeVar("T")

#: The top level of a body, as ``splice.shallow`` gives it.
Fields = Mapping[str, msgspec.Raw]

#: Above this no vendor's limit lies; it keeps the worst-case price within 53 bits.
_MAX_TOKENS_LIMIT: Final = 10_000_000

_string = msgspec.json.Decoder(str)
_integer = msgspec.json.Decoder(int)
_optional_integer = msgspec.json.Decoder(int | None)
_optional_boolean = msgspec.json.Decoder(bool | None)


class Head(msgspec.Struct, frozen=True):
    """What the gateway reads of a request. ``model`` is the client's spelling, empty where the path
    has it. ``max_tokens`` is the cap on each of ``candidates`` answers; None = as much as the model
    can. ``stream`` is False where the path says it.
    """

    model: str
    max_tokens: int | None = None
    stream: bool = False
    candidates: int = 1


def read_model(fields: Fields) -> str:
    """Raises ``BadClientMessage`` unless there is a name."""
    model = _read(fields, "model", _string, "a string")
    if not model:
        raise BadClientMessage("model", "must not be empty")
    return model


def read_integer(fields: Fields, name: str) -> int:
    """A number of tokens that must be given; 0 is one. Raises ``BadClientMessage``."""
    return bounded(_read(fields, name, _integer, "an integer"), name, least=0)


def read_cap(
    fields: Fields, name: str, *, least: int = 1, most: int = _MAX_TOKENS_LIMIT
) -> int | None:
    """A number that may be left out, or be null. Raises ``BadClientMessage``."""
    if name not in fields:
        return None
    number = _read(fields, name, _optional_integer, "an integer")
    return None if number is None else bounded(number, name, least=least, most=most)


def read_flag(fields: Fields, name: str) -> bool:
    """A switch; absent and null are off. Raises ``BadClientMessage``."""
    return name in fields and bool(_read(fields, name, _optional_boolean, "a boolean"))


def check_filled(fields: Fields, name: str, unit: str) -> None:
    """Raises ``BadClientMessage`` unless the field is an array with something in it."""
    raw = fields.get(name)
    if raw is None:
        raise BadClientMessage(name, "field required")
    view = memoryview(raw)
    if view[0] != ord("["):
        raise BadClientMessage(name, "must be an array")
    # Longer than this it holds something: blanks alone are not worth looking at.
    if len(view) < 64 and not bytes(view).strip(b"[] \t\r\n"):
        raise BadClientMessage(name, f"at least one {unit} is required")


def bounded(number: int, path: str, *, least: int = 1, most: int = _MAX_TOKENS_LIMIT) -> int:
    """``number`` if it lies within the limits, else ``BadClientMessage``."""
    if number < least:
        raise BadClientMessage(path, f"must be greater than or equal to {least}")
    if number > most:
        raise BadClientMessage(path, f"must be at most {most}")
    return number


def _read(fields: Fields, name: str, decoder: msgspec.json.Decoder[T], kind: str) -> T:
    raw = fields.get(name)
    if raw is None:
        raise BadClientMessage(name, "field required")
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadClientMessage(name, f"must be {kind}") from None
