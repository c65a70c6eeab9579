"""Names, ids and media types as this dialect spells them.

A tool name the vendor would refuse is escaped, reversibly and without a table: the answer's decoder
knows nothing of the request. Ids only travel towards the vendor, so they may be hashed.
"""

from __future__ import annotations

import hashlib
import re

from bytespike_protocols.errors import Unrepresentable
from bytespike_protocols.ir import Base64, Url

__all__ = [
    "call_id",
    "data_url",
    "item_id",
    "media_source",
    "original_name",
    "tool_name",
]

#: Documented limits of names and ids; longer ones are a 400.
_NAME_CHARS = 64
_ID_CHARS = 64
_NAME = re.compile(rf"[A-Za-z0-9_-]{{1,{_NAME_CHARS}}}")
_ID = re.compile(rf"[A-Za-z0-9_-]{{1,{_ID_CHARS}}}")
_ESCAPED = "esc__"
_ESCAPE = re.compile(r"[^A-Za-z0-9-]")
_UNESCAPE = re.compile(r"_([0-9a-f]{1,6})_")
_DATA_URL = re.compile(r"data:([^;,]*)(?:;[^;,]*)*;base64,(.*)", re.DOTALL)
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def tool_name(name: str, path: str) -> str:
    """A name the vendor takes. Raises ``Unrepresentable`` if it would be too long."""
    if _NAME.fullmatch(name) and not name.startswith(_ESCAPED):
        return name
    escaped = _ESCAPED + _ESCAPE.sub(lambda char: f"_{ord(char[0]):x}_", name)
    if len(escaped) > _NAME_CHARS:
        raise Unrepresentable(path, f"the model's vendor takes names of {_NAME_CHARS} characters")
    return escaped


def original_name(name: str) -> str:
    """What :func:`tool_name` was given."""
    if not name.startswith(_ESCAPED):
        return name
    escaped = name.removeprefix(_ESCAPED)
    codes = [int(match[1], 16) for match in _UNESCAPE.finditer(escaped)]
    if any(code > 0x10FFFF or 0xD800 <= code <= 0xDFFF for code in codes):
        return name
    return _UNESCAPE.sub(lambda match: chr(int(match[1], 16)), escaped)


def call_id(client_id: str) -> str:
    """An id the vendor takes: the same for a call and its result."""
    if _ID.fullmatch(client_id):
        return client_id
    return "call_" + hashlib.sha256(client_id.encode()).hexdigest()[:32]


def item_id(prefix: str, request_id: str, index: int = 0) -> str:
    """An id of 48 hex digits made of the request's ULID and the item's place in the answer."""
    number = 0
    for char in request_id.rpartition("_")[2].upper():
        number = number * 32 + _CROCKFORD.index(char)
    return f"{prefix}_{number & (2**128 - 1):032x}{index:016x}"


def media_source(url: str, media_type: str = "") -> Base64 | Url:
    """A URL field's content: bytes if it is a data URL."""
    match = _DATA_URL.fullmatch(url)
    if match is None:
        return Url(url=url, media_type=media_type)
    return Base64(media_type=match[1] or media_type, data=match[2])


def data_url(source: Base64) -> str:
    """The bytes as a data URL."""
    return f"data:{source.media_type};base64,{source.data}"
