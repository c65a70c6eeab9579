"""Errors in Anthropic's envelope, written for clients and read from vendors."""

from __future__ import annotations

import msgspec

from bytespike_protocols.anthropic.wire import ErrorBody, PlainErrorBody
from bytespike_protocols.codec import Framing
from bytespike_protocols.failures import VendorFailure

__all__ = ["client_status", "encode_error", "encode_stream_error", "read_failure"]

#: The SDKs choose the exception class by status; the type is for people and for raw clients.
_TYPE_BY_STATUS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    409: "invalid_request_error",
    413: "request_too_large",
    415: "invalid_request_error",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_DEFAULT_TYPE = "api_error"

_STATUS_BY_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_DEFAULT_STATUS = 500
#: Comes as a 429, but waiting does not help: the account's owner has set the limit.
_SPENT = "enforced_spend_limit_reached"

# A stream's status line is long gone, so its errors go by our code alone.
_STREAM_TYPE_BY_CODE = {
    "invalid_request": "invalid_request_error",
    "upstream_timeout": "timeout_error",
    "upstream_overloaded": "overloaded_error",
}

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(ErrorBody)
_plain_decoder = msgspec.json.Decoder(PlainErrorBody)


def client_status(status: int) -> int:
    """The status as clients of this dialect know it: they know all of ours."""
    return status


def encode_error(
    *, status: int, code: str, message: str, param: str | None, request_id: str
) -> bytes:
    """The JSON body. Anthropic has no field for a code or a path: the path leads the message, as
    with the vendor, and ``error.code`` is an extra field (in the message too for 402, which clients
    can tell apart only by words).
    """
    text = f"{param}: {message}" if param else message
    if status == 402 and code not in text:
        text = f"{code}: {text}"
    kind = _TYPE_BY_STATUS.get(status, _DEFAULT_TYPE)
    return _envelope(kind, code, text, request_id)


def encode_stream_error(
    *,
    code: str,
    message: str,
    request_id: str,
    framing: Framing = "sse",
    number: int | None = None,
) -> bytes:
    """A whole ``error`` event, to be written at a frame boundary."""
    del framing, number
    kind = _STREAM_TYPE_BY_CODE.get(code, _DEFAULT_TYPE)
    return b"event: error\ndata: " + _envelope(kind, code, message, request_id) + b"\n\n"


def read_failure(status: int, body: bytes) -> VendorFailure | None:
    """The vendor's error, or None if ``body`` is in no known envelope (a proxy's HTML page).
    ``status`` is the HTTP status it came with; inside a success the type tells.

    Compatible hosts leave the envelope out in several ways; their words are read all the same.
    """
    try:
        error = _decoder.decode(body).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _read_plain(status, body)
    if status < 400:
        status = _STATUS_BY_TYPE.get(error.type, _DEFAULT_STATUS)
    if isinstance(error.details, dict) and error.details.get("error_code") == _SPENT:
        status = 402
    return VendorFailure(status=status, message=error.message, code=error.type)


def _read_plain(status: int, body: bytes) -> VendorFailure | None:
    try:
        plain = _plain_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    said = (plain.error, plain.message, plain.detail)
    words = next((text for text in said if isinstance(text, str) and text), None)
    if words is None:
        return None
    return VendorFailure(status=_DEFAULT_STATUS if status < 400 else status, message=words)


def _envelope(kind: str, code: str, message: str, request_id: str) -> bytes:
    error = {"type": kind, "message": message, "code": code}
    return _encoder.encode({"type": "error", "error": error, "request_id": request_id})
