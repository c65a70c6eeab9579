"""Errors in OpenAI's envelope as the Responses API sends it, for clients and from vendors."""

from __future__ import annotations

from typing import Literal

import msgspec

from bytespike_protocols.openai_responses.wire import ErrorDetail

__all__ = [
    "FailureKind",
    "decode_error",
    "encode_error",
    "encode_stream_error",
    "failure_code",
    "failure_kind",
]

FailureKind = Literal["overloaded", "rate_limited", "timeout", "invalid_request", "internal"]

_TYPE_BY_STATUS = {
    402: "insufficient_quota",
    403: "permission_error",
    429: "rate_limit_error",
}

#: The vendor's codes and types; what is not here is an internal failure. A stream may fail with
#: any code of the API, but these say something about whose fault it was.
_KIND_BY_CODE: dict[str, FailureKind] = {
    "rate_limit_exceeded": "rate_limited",
    "rate_limit_error": "rate_limited",
    "insufficient_quota": "rate_limited",
    "tokens": "rate_limited",
    "requests": "rate_limited",
    "service_unavailable": "overloaded",
    "overloaded_error": "overloaded",
    "server_is_overloaded": "overloaded",
    "slow_down": "overloaded",
    "timeout": "timeout",
    "vector_store_timeout": "timeout",
    "context_length_exceeded": "invalid_request",
    "failed_to_download_image": "invalid_request",
    "image_file_not_found": "invalid_request",
    "bio_policy": "invalid_request",
    "misalignment_policy_violation": "invalid_request",
}
_INVALID_MARKS = ("invalid", "unsupported", "empty_image", "image_")

_CODE_BY_KIND: dict[FailureKind, str] = {
    "overloaded": "service_unavailable",
    "rate_limited": "rate_limit_exceeded",
    "timeout": "server_error",
    "invalid_request": "invalid_prompt",
    "internal": "server_error",
}

_TYPE_BY_STREAM_CODE = {
    "invalid_request": "invalid_request_error",
    "invalid_prompt": "invalid_request_error",
    "rate_limit_exceeded": "rate_limit_error",
}


class _Nested(msgspec.Struct, frozen=True):
    """OpenAI's own envelope; some hosts write the error as bare words with a code beside it."""

    error: ErrorDetail | str | None = None
    code: str | int | None = None
    message: str | None = None
    detail: str | None = None
    type: str | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Nested)


def encode_error(
    *, status: int, code: str, message: str, param: str | None, request_id: str
) -> bytes:
    """The JSON body; the request id is an extra field, since this dialect keeps it in a header."""
    default = "server_error" if status >= 500 else "invalid_request_error"
    error = {
        "message": message,
        "type": _TYPE_BY_STATUS.get(status, default),
        "param": param,
        "code": code,
    }
    return _encoder.encode({"error": error, "request_id": request_id})


def encode_stream_error(
    *, code: str, message: str, request_id: str, sequence_number: int | None = None
) -> bytes:
    """A whole ``error`` event. The error is nested, as recorded: the flat form that the SDKs' types
    describe is not raised by them. Without its place in the stream the event goes unnumbered.
    """
    error = {
        "type": _TYPE_BY_STREAM_CODE.get(code, "server_error"),
        "code": code,
        "message": message,
        "param": None,
    }
    event: dict[str, object] = {"type": "error", "error": error, "request_id": request_id}
    if sequence_number is not None:
        event["sequence_number"] = sequence_number
    return b"event: error\ndata: " + _encoder.encode(event) + b"\n\n"


def decode_error(body: bytes) -> ErrorDetail | None:
    """The vendor's error in any host's spelling, or None if ``body`` is none of them."""
    try:
        said = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if isinstance(said.error, ErrorDetail):
        return said.error
    message = said.error or said.message or said.detail
    if message is None:
        return None
    return ErrorDetail(type=said.type, code=said.code, message=message)


def failure_kind(error: ErrorDetail) -> FailureKind:
    """Whose fault a failure in mid-stream was."""
    for word in (error.code, error.type):
        if isinstance(word, str):
            if word in _KIND_BY_CODE:
                return _KIND_BY_CODE[word]
            if any(mark in word for mark in _INVALID_MARKS):
                return "invalid_request"
    return "internal"


def failure_code(kind: FailureKind) -> str:
    """The dialect's word for a failure in mid-stream."""
    return _CODE_BY_KIND[kind]
