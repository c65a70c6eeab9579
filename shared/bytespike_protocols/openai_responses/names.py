"""Names, ids and media types as this dialect spells them.

Ids only travel towards the vendor, so they may be hashed.
"""

from __future__ import annotations

import hashlib
import re

from bytespike_protocols.ir import Base64, Dialect, Url
from bytespike_protocols.renaming import NameRule

__all__ = [
    "NAMES",
    "call_id",
    "data_url",
    "item_id",
    "media_source",
]

#: Documented limits; what is longer is a 400.
_ID_CHARS = 64
NAMES = NameRule(Dialect.OPENAI_RESPONSES, re.compile(r"[A-Za-z0-9_-]+"), 64)
_ID = re.compile(rf"[A-Za-z0-9_-]{{1,{_ID_CHARS}}}")
_DATA_URL = re.compile(r"data:([^;,]*)(?:;[^;,]*)*;base64,(.*)", re.DOTALL)
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


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
