"""The head of a Messages request: the few fields the gateway itself must understand.

Only what we price or route by is checked here. Everything else in the body belongs to the vendor,
who knows its own rules better and answers in its own words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from bytespike_protocols.errors import BadClientMessage

__all__ = ["CountTokensHead", "MessagesHead", "read_count_tokens_head", "read_head"]

T = TypeVar("T")

_string = msgspec.json.Decoder(str)
_integer = msgspec.json.Decoder(int)
_optional_boolean = msgspec.json.Decoder(bool | None)

#: Above this no vendor's limit lies; it keeps the worst-case price within 53 bits.
_MAX_TOKENS_LIMIT = 10_000_000


class MessagesHead(msgspec.Struct, frozen=True):
    """What the gateway reads of ``POST /v1/messages``. ``model`` is the client's spelling."""

    model: str
    max_tokens: int
    stream: bool


class CountTokensHead(msgspec.Struct, frozen=True):
    """What the gateway reads of ``POST /v1/messages/count_tokens``."""

    model: str


def read_head(fields: Mapping[str, msgspec.Raw]) -> MessagesHead:
    """Raises ``BadClientMessage`` with the field's path on a missing or mistyped field."""
    model = _read_model(fields)
    _check_messages(fields)
    max_tokens = _read(fields, "max_tokens", _integer, "an integer")
    if max_tokens < 0:
        raise BadClientMessage("max_tokens", "must be greater than or equal to 0")
    if max_tokens > _MAX_TOKENS_LIMIT:
        raise BadClientMessage("max_tokens", f"must be at most {_MAX_TOKENS_LIMIT}")
    stream = "stream" in fields and _read(fields, "stream", _optional_boolean, "a boolean")
    return MessagesHead(model, max_tokens, bool(stream))


def read_count_tokens_head(fields: Mapping[str, msgspec.Raw]) -> CountTokensHead:
    """Raises ``BadClientMessage`` with the field's path on a missing or mistyped field."""
    model = _read_model(fields)
    _check_messages(fields)
    return CountTokensHead(model)


def _read_model(fields: Mapping[str, msgspec.Raw]) -> str:
    model = _read(fields, "model", _string, "a string")
    if not model:
        raise BadClientMessage("model", "must not be empty")
    return model


def _check_messages(fields: Mapping[str, msgspec.Raw]) -> None:
    raw = fields.get("messages")
    if raw is None:
        raise BadClientMessage("messages", "field required")
    view = memoryview(raw)
    if view[0] != ord("["):
        raise BadClientMessage("messages", "must be an array")
    # Longer than this it holds something: blanks alone are not worth looking at.
    if len(view) < 64 and not bytes(view).strip(b"[] \t\r\n"):
        raise BadClientMessage("messages", "at least one message is required")


def _read(
    fields: Mapping[str, msgspec.Raw], name: str, decoder: msgspec.json.Decoder[T], kind: str
) -> T:
    raw = fields.get(name)
    if raw is None:
        raise BadClientMessage(name, "field required")
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadClientMessage(name, f"must be {kind}") from None
