"""Errors in Google's envelope, written for clients and read from vendors."""

from __future__ import annotations

import re

import msgspec

from bytespike_protocols.codec import Framing
from bytespike_protocols.failures import VendorFailure, numbered
from bytespike_protocols.failures import without_529 as client_status
from bytespike_protocols.gemini.wire import ErrorBody, ErrorInfo

__all__ = [
    "client_status",
    "encode_error",
    "encode_stream_error",
    "info_failure",
    "read_failure",
]

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

_STATUS_BY_NAME = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
    "UNAVAILABLE": 529,
    "DEADLINE_EXCEEDED": 504,
}
_RETRY_DELAY = re.compile(r"(\d{1,6}(?:\.\d{1,9})?)s")

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
    return _envelope(client_status(status), code, text, request_id)


def encode_stream_error(
    *,
    code: str,
    message: str,
    request_id: str,
    framing: Framing = "sse",
    number: int | None = None,
) -> bytes:
    """A whole chunk. ``error`` must be its first key and the line end CRLF: the SDK looks at the
    text.
    """
    del number
    status = _STREAM_STATUS_BY_CODE.get(code, 503)
    body = _envelope(status, code, message, request_id)
    return body if framing == "array" else b"data: " + body + b"\r\n\r\n"


def read_failure(status: int, body: bytes) -> VendorFailure | None:
    """The vendor's error, or None if ``body`` is not in its envelope (a proxy's HTML page). A call
    that asked for a stream may be answered with a list of one. ``status`` is the HTTP status it
    came with; inside a success the error's own name or number tells.
    """
    try:
        found = msgspec.json.decode(body, type=ErrorBody | list[ErrorBody])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if isinstance(found, ErrorBody):
        return info_failure(status, found.error)
    return info_failure(status, found[0].error) if found else None


def info_failure(status: int, error: ErrorInfo) -> VendorFailure:
    """An error object, freed from its envelope."""
    if status < 400:
        status = _STATUS_BY_NAME.get(error.status) or numbered(error.code) or 500
    # Only the reason tells a key Google does not know from a bad request.
    if any(detail.reason == "API_KEY_INVALID" for detail in _details(error)):
        status = 401
    return VendorFailure(
        status=529 if status == 503 else status,
        message=error.message,
        code=error.status,
        retry_after_s=_retry_after_s(error),
    )


def _retry_after_s(error: ErrorInfo) -> float | None:
    """The wait is in the body: Google sends no header."""
    for detail in _details(error):
        match = _RETRY_DELAY.fullmatch(detail.retry_delay)
        if match is not None:
            return float(match[1])
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
