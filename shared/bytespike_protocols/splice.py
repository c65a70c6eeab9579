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

__all__ = ["replace_field", "shallow"]

_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_key_decoder = msgspec.json.Decoder(str)

_BLANK = re.compile(rb"[ \t\n\r]*")
_KEY = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


def shallow(body: bytes) -> dict[str, msgspec.Raw]:
    """The fields of a JSON object, undecoded, in document order.

    Raises ``BadClientMessage`` on anything but an object with distinct keys.
    """
    fields = _decode(body)
    _spans(body, fields)
    return fields


def replace_field(body: bytes, name: str, value: bytes) -> bytes:
    """``body`` with the value of top-level ``name`` replaced by the JSON text ``value``.

    Raises ``BadClientMessage`` if ``body`` is not an object with distinct keys or lacks the field.
    """
    span = _spans(body, _decode(body)).get(name)
    if span is None:
        raise BadClientMessage(name, "field required")
    return b"".join((body[: span[0]], value, body[span[1] :]))


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


def _spans(body: bytes, fields: dict[str, msgspec.Raw]) -> dict[str, tuple[int, int]]:
    """Where each value lies in ``body``.

    The walk follows the decoded fields through the document and must meet exactly their keys and
    bytes. A dict keeps the first place and the last value of a repeated key, so the walk cannot
    arrive at the closing brace if there was one.
    """
    spans: dict[str, tuple[int, int]] = {}
    at = _skip_blank(body, _skip_blank(body, 0) + 1)
    for index, (name, raw) in enumerate(fields.items()):
        if index:
            at = _skip_blank(body, _expect(body, at, b","))
        key = _KEY.match(body, at)
        if key is None or _key_decoder.decode(key[0]) != name:
            raise _duplicate()
        start = _skip_blank(body, _expect(body, _skip_blank(body, key.end()), b":"))
        if not body.startswith(raw, start):
            raise _duplicate()
        end = start + len(memoryview(raw))
        spans[name] = (start, end)
        at = _skip_blank(body, end)
    _expect(body, at, b"}")
    return spans


def _skip_blank(body: bytes, at: int) -> int:
    blank = _BLANK.match(body, at)
    return at if blank is None else blank.end()


def _expect(body: bytes, at: int, mark: bytes) -> int:
    if body[at : at + 1] != mark:
        raise _duplicate()
    return at + 1


def _duplicate() -> BadClientMessage:
    # Valid JSON whose fields are not where the decoded ones say: only a repeated key does that.
    return BadClientMessage("", "the body repeats a top-level key")
