"""The head of a ``generateContent`` request (see ``heads``). Model and verb stand in the path.

Google's JSON (proto3) is lenient and so is this reader: snake_case names, numbers in strings, a
lone object for an array of one, and zero or null for "not said" are all read. A setting spelled in
both ways is refused, since only the vendor knows which of them it would obey.
"""

from __future__ import annotations

from typing import Final

import msgspec

from bytespike_protocols.errors import BadClientMessage
from bytespike_protocols.heads import Fields, Head, bounded, check_filled
from bytespike_protocols.splice import shallow

__all__ = ["read_count_head", "read_head"]

#: More than any model of Google's gives.
_MAX_CANDIDATES: Final = 128

_lax_integer = msgspec.json.Decoder(int | None, strict=False)


def read_head(fields: Fields) -> Head:
    """``:generateContent`` and ``:streamGenerateContent``. Raises ``BadClientMessage`` with the
    field's path on a missing or mistyped field.
    """
    _check_contents(fields)
    raw, path = _spelled(fields, "", "generationConfig", "generation_config")
    if raw is None:
        return Head("")
    try:
        # The same walk as over a body: a repeated key must not hide what is obeyed.
        config = shallow(bytes(raw))
    except BadClientMessage:
        raise BadClientMessage(path, "must be an object with distinct keys") from None
    cap = _number(config, path, "maxOutputTokens", "max_output_tokens")
    candidates = _number(config, path, "candidateCount", "candidate_count", most=_MAX_CANDIDATES)
    return Head("", cap, False, candidates or 1)


def read_count_head(fields: Fields) -> Head:
    """``:countTokens``: contents alone, or a whole request; raises as :func:`read_head`."""
    raw, _ = _spelled(fields, "", "generateContentRequest", "generate_content_request")
    if raw is None:
        _check_contents(fields)
    return Head("")


def _check_contents(fields: Fields) -> None:
    raw = fields.get("contents")
    if raw is None or memoryview(raw)[0] != ord("{"):
        check_filled(fields, "contents", "content")


def _number(fields: Fields, path: str, name: str, snake: str, **limits: int) -> int | None:
    """A positive number; None if it is not said."""
    raw, where = _spelled(fields, path, name, snake)
    if raw is None:
        return None
    try:
        number = _lax_integer.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadClientMessage(where, "must be an integer") from None
    return bounded(number, where, **limits) if number else None


def _spelled(fields: Fields, path: str, name: str, snake: str) -> tuple[msgspec.Raw | None, str]:
    """The value under either spelling and its path; None if absent or null."""
    if name in fields and snake in fields:
        raise BadClientMessage(_join(path, name), f"is given twice, as {snake} too")
    used = snake if snake in fields else name
    raw = fields.get(used)
    if raw is not None and memoryview(raw)[0] == ord("n"):
        raw = None
    return raw, _join(path, used)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
