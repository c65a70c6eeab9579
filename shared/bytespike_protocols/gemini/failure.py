"""Errors in Google's envelope, written for clients and read from vendors."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from bytespike_protocols.gemini.wire import ErrorBody, ErrorInfo

__all__ = [
    "Kind",
    "decode_error",
    "encode_error",
    "encode_stream_error",
    "error_body",
    "failure_kind",
    "is_bad_key",
    "retry_after_s",
]

Kind = Literal["overloaded", "rate_limited", "timeout", "invalid_request", "internal"]

_STATUS_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    415: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    504: "DEADLINE_EXCEEDED",
}
_DEFAULT_NAME = "UNAVAILABLE"

# A stream's status line is long gone, so its errors go by our code alone.
_STREAM_STATUS_BY_CODE = {
    "invalid_request": 400,
    "rate_limited": 429,
    "internal_error": 500,
    "upstream_timeout": 504,
}

_KIND_BY_STATUS: dict[str, Kind] = {
    "INVALID_ARGUMENT": "invalid_request",
    "FAILED_PRECONDITION": "invalid_request",
    "OUT_OF_RANGE": "invalid_request",
    "NOT_FOUND": "invalid_request",
    "RESOURCE_EXHAUSTED": "rate_limited",
    "UNAVAILABLE": "overloaded",
    "DEADLINE_EXCEEDED": "timeout",
}
_KIND_BY_CODE: dict[int, Kind] = {
    400: "invalid_request",
    404: "invalid_request",
    429: "rate_limited",
    503: "overloaded",
    504: "timeout",
}
_RETRY_DELAY = re.compile(r"(\d{1,6})(\.\d+)?s")

_encoder = msgspec.json.Encoder()


class _Detail(msgspec.Struct, frozen=True, rename="camel"):
    """What is read of ``ErrorInfo`` and ``RetryInfo`` details."""

    reason: str = ""
    retry_delay: str = ""


def encode_error(
    *, status: int, code: str, message: str, param: str | None, request_id: str
) -> bytes:
    """The JSON body. ``error.code`` repeats the HTTP status (529, which Google does not know, reads
    503); our own word is the reason of an ``ErrorInfo`` detail, where its clients look for one.
    """
    text = f"{param}: {message}" if param else message
    return _envelope(503 if status == 529 else status, code, text, request_id)


def encode_stream_error(*, code: str, message: str, request_id: str) -> bytes:
    """A whole chunk. ``error`` must be its first key and the line end CRLF: the SDK looks at the
    text.
    """
    return b"data: " + error_body(code=code, message=message, request_id=request_id) + b"\r\n\r\n"


def error_body(*, code: str, message: str, request_id: str) -> bytes:
    """The JSON of an error in mid-stream, without framing: by itself an element of the array."""
    return _envelope(_STREAM_STATUS_BY_CODE.get(code, 503), code, message, request_id)


def decode_error(body: bytes) -> ErrorInfo | None:
    """The vendor's error, or None if ``body`` is not in its envelope (a proxy's HTML page). A call
    that asked for a stream may be answered with a list of one.
    """
    try:
        found = msgspec.json.decode(body, type=ErrorBody | list[ErrorBody])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if isinstance(found, ErrorBody):
        return found.error
    return found[0].error if found else None


def failure_kind(error: ErrorInfo) -> Kind:
    """What an error in mid-stream means; by its name, else by its number."""
    return _KIND_BY_STATUS.get(error.status) or _KIND_BY_CODE.get(error.code, "internal")


def is_bad_key(error: ErrorInfo) -> bool:
    """Google's 400 for a key it does not know: only the reason tells it from a bad request."""
    return any(detail.reason == "API_KEY_INVALID" for detail in _details(error))


def retry_after_s(error: ErrorInfo) -> int | None:
    """The wait Google asks for in the body (it sends no header), in whole seconds, rounded up."""
    for detail in _details(error):
        match = _RETRY_DELAY.fullmatch(detail.retry_delay)
        if match is not None:
            fraction = (match[2] or "").strip(".0")
            return int(match[1]) + bool(fraction)
    return None


def _details(error: ErrorInfo) -> list[_Detail]:
    details = []
    for raw in error.details or ():
        try:
            details.append(msgspec.json.decode(raw, type=_Detail))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    return details


def _envelope(status: int, code: str, message: str, request_id: str) -> bytes:
    detail = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": code.upper(),
        "domain": "bytespike",
        "metadata": {"request_id": request_id},
    }
    error = {
        "code": status,
        "message": message,
        "status": _STATUS_NAMES.get(status, _DEFAULT_NAME),
        "details": [detail],
    }
    return _encoder.encode({"error": error})
