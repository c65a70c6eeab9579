"""Errors in OpenAI's envelope: written for clients, and read from vendors in every accent."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["ErrorDetail", "decode_error", "encode_error", "encode_stream_error", "kind_of"]

_TYPE_BY_STATUS = {
    402: "insufficient_quota",
    403: "permission_error",
    429: "rate_limit_error",
}

Kind = Literal["overloaded", "rate_limited", "timeout", "invalid_request", "internal"]

#: Words in a vendor's code or type (or status numbers in their place) and what they mean to us.
_KINDS: tuple[tuple[Kind, tuple[str, ...]], ...] = (
    ("rate_limited", ("rate_limit", "ratelimit", "429", "quota", "tokens")),
    ("overloaded", ("overload", "unavailable", "503", "502", "529")),
    ("timeout", ("timeout", "504", "408")),
    ("invalid_request", ("invalid_request", "400", "422", "context_length", "tool_use_failed")),
)

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(dict[str, object])


class ErrorDetail(msgspec.Struct, frozen=True, kw_only=True):
    """What a vendor said went wrong; fields it did not give are empty."""

    message: str
    type: str = ""
    code: str = ""
    param: str = ""


def encode_error(
    *, status: int, code: str, message: str, param: str | None, request_id: str
) -> bytes:
    """The JSON body; the request id is an extra field, since this dialect keeps it in a header."""
    default = "server_error" if status >= 500 else "invalid_request_error"
    return _envelope(_TYPE_BY_STATUS.get(status, default), code, message, param, request_id)


def encode_stream_error(*, code: str, message: str, request_id: str) -> bytes:
    """A whole chunk with a top-level ``error``, which the SDKs raise; no ``event:`` line, which
    crashes some of them.
    """
    return b"data: " + _envelope("server_error", code, message, None, request_id) + b"\n\n"


def decode_error(body: bytes) -> ErrorDetail | None:
    """The vendor's error, or None if ``body`` is in nobody's envelope (a proxy's HTML page).

    Read are OpenAI's ``{"error": {…}}`` (codes may be numbers), ``{"error": "text"}`` (Venice),
    ``{"code", "error"}`` (xAI), ``{"detail"}`` (Mistral) and flat ``{"object": "error", …}``.
    """
    try:
        fields = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    error = fields.get("error")
    if isinstance(error, dict):
        return _detail(error, {})
    if isinstance(error, str):
        return _detail({"message": error}, fields)
    if "detail" in fields:
        return _detail({"message": _detail_text(fields["detail"])}, fields)
    return _detail(fields, {}) if isinstance(fields.get("message"), str) else None


def kind_of(error: ErrorDetail | None) -> Kind:
    """What an error means to us, where it came without a status."""
    if error is not None:
        said = f"{error.code} {error.type}".lower()
        for kind, words in _KINDS:
            if any(word in said for word in words):
                return kind
    return "internal"


def _detail(error: dict[str, object], around: dict[str, object]) -> ErrorDetail:
    return ErrorDetail(
        message=_text(error.get("message")),
        type=_text(error.get("type")),
        code=_text(error.get("code") or around.get("code")),
        param=_text(error.get("param")),
    )


def _detail_text(detail: object) -> str:
    """Validators list their complaints as objects."""
    if isinstance(detail, list):
        messages = [item.get("msg") for item in detail if isinstance(item, dict)]
        return "; ".join(message for message in messages if isinstance(message, str))
    return _text(detail)


def _text(value: object) -> str:
    return str(value) if isinstance(value, str | int) else ""


def _envelope(kind: str, code: str, message: str, param: str | None, request_id: str) -> bytes:
    error = {"message": message, "type": kind, "param": param, "code": code}
    return _encoder.encode({"error": error, "request_id": request_id})
