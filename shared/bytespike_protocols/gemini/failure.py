"""Errors in Google's envelope, written for clients."""

from __future__ import annotations

import msgspec

__all__ = ["encode_error", "encode_stream_error"]

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
_STREAM_STATUS_BY_CODE = {"internal_error": 500, "upstream_timeout": 504}

_encoder = msgspec.json.Encoder()


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
    status = _STREAM_STATUS_BY_CODE.get(code, 503)
    return b"data: " + _envelope(status, code, message, request_id) + b"\r\n\r\n"


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
