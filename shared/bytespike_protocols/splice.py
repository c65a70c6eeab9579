"""Read and replace top-level fields of a JSON object without touching any other byte.

A relayed body must reach the vendor as the client wrote it: prompt caches compare bytes and
thinking signatures cover them. So a body is decoded one level deep only, and a replaced value is
cut in between the untouched bytes around it. A body that spells a key twice is refused, also where
one spelling is escaped: the vendor might obey the one that was not priced.
"""

from __future__ import annotations

import re

import msgspec

from bytespike_protocols.errors import BadClientMessage

__all__ = ["Span", "is_string", "replace_span", "shallow", "shallow_at"]

#: Where a value lies in a body: its first byte and the one after its last.
Span = tuple[int, int]


_QUOTE = ord('"')

_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_key_decoder = msgspec.json.Decoder(str)

_BLANK = rb"[ \t\n\r]*+"
_OPENING = re.compile(_BLANK + rb"\{")
#: A key up to the first byte of its value, and what may follow a value.
_KEY = re.compile(_BLANK + rb'("[^"\\]*+(?:\\.[^"\\]*+)*+")' + _BLANK + rb":" + _BLANK, re.DOTALL)
_AFTER = re.compile(_BLANK + rb"([,}])")


def shallow(body: bytes) -> dict[str, msgspec.Raw]:
    """The fields of a JSON object, undecoded, in document order.

    Raises ``BadClientMessage`` on anything but an object with distinct keys.
    """
    fields = _decode(body)
    if not _is_compact(body, fields):
        _spans(body, fields)
    return fields


def shallow_at(body: bytes, name: str) -> tuple[dict[str, msgspec.Raw], Span]:
    """As :func:`shallow`, and where the value of ``name`` lies, for :func:`replace_span`.

    Raises ``BadClientMessage`` also if there is no such field.
    """
    fields = _decode(body)
    if _is_compact(body, fields):
        span = _compact_span(fields, name)
    else:
        span = _spans(body, fields).get(name)
    if span is None:
        raise BadClientMessage(name, "field required")
    return fields, span


def is_string(body: bytes, span: Span) -> bool:
    """Whether ``span`` lies in ``body`` and what is there can be a JSON string."""
    start, end = span
    return 0 <= start < end - 1 < len(body) and body[start] == body[end - 1] == _QUOTE


def replace_span(body: bytes, span: Span, value: bytes) -> bytes:
    """``body`` with what lies at ``span`` replaced by ``value``."""
    view = memoryview(body)
    return b"".join((view[: span[0]], value, view[span[1] :]))


def _decode(body: bytes) -> dict[str, msgspec.Raw]:
    try:
        return _decoder.decode(body)
    except msgspec.ValidationError:
        raise BadClientMessage("", "the body must be a JSON object") from None
    except msgspec.DecodeError as error:
        raise BadClientMessage("", f"the body is not valid JSON: {error}") from None
    except UnicodeDecodeError:
        raise BadClientMessage("", "the body is not valid JSON: a key is not UTF-8") from None
    except RecursionError:
        raise BadClientMessage("", "the body is nested too deeply") from None


def _is_compact(body: bytes, fields: dict[str, msgspec.Raw]) -> bool:
    """Whether the distinct fields alone make up every byte, as with clients that write no blanks. A
    repeated key, an escape or a blank makes the body longer; nothing makes it shorter.
    """
    size = 1 + max(1, len(fields))  # braces and commas
    for name, raw in fields.items():
        size += len(name) + 3 + len(memoryview(raw))  # quotes and colon
    return size == len(body)


def _compact_span(fields: dict[str, msgspec.Raw], name: str) -> Span | None:
    """Where a value lies in a body of which :func:`_is_compact` holds."""
    start = 1
    for known, raw in fields.items():
        start += len(known) + 3
        size = len(memoryview(raw))
        if known == name:
            return start, start + size
        start += size + 1
    return None


def _spans(body: bytes, fields: dict[str, msgspec.Raw]) -> dict[str, Span]:
    """Where each value lies in ``body``.

    The walk follows the decoded fields through the document and must meet exactly their keys and
    bytes. A dict keeps the first place and the last value of a repeated key, so the walk cannot
    arrive at the closing brace if there was one.
    """
    spans: dict[str, Span] = {}
    after = _OPENING.match(body)
    for name, raw in fields.items():
        key = None if after is None else _KEY.match(body, after.end())
        if (
            key is None
            or _key_decoder.decode(key[1]) != name
            or not body.startswith(raw, key.end())
        ):
            raise _duplicate()
        start = key.end()
        spans[name] = (start, start + len(memoryview(raw)))
        after = _AFTER.match(body, spans[name][1])
    # Empty objects have no mark after a value; in all others the last one must close the object.
    if fields and (after is None or after[1] != b"}"):
        raise _duplicate()
    return spans


def _duplicate() -> BadClientMessage:
    # Valid JSON whose fields are not where the decoded ones say: only a repeated key does that.
    return BadClientMessage("", "the body repeats a top-level key")
