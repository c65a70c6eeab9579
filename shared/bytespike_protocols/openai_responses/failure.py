"""Errors of the Responses API: OpenAI's envelope, and its own form in mid-stream."""

from __future__ import annotations

import msgspec

from bytespike_protocols.codec import Framing
from bytespike_protocols.failures import Kind
from bytespike_protocols.failures import without_529 as client_status
from bytespike_protocols.openai_failures import encode_error, read_failure

__all__ = ["client_status", "encode_error", "encode_stream_error", "failure_code", "read_failure"]

_CODE_BY_KIND: dict[Kind, str] = {
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


_encoder = msgspec.json.Encoder()


def encode_stream_error(
    *,
    code: str,
    message: str,
    request_id: str,
    framing: Framing = "sse",
    number: int | None = None,
) -> bytes:
    """A whole ``error`` event. The error is nested, as recorded: the flat form that the SDKs' types
    describe is not raised by them. Without its place in the stream the event goes unnumbered.
    """
    del framing
    error = {
        "type": _TYPE_BY_STREAM_CODE.get(code, "server_error"),
        "code": code,
        "message": message,
        "param": None,
    }
    event: dict[str, object] = {"type": "error", "error": error, "request_id": request_id}
    if number is not None:
        event["sequence_number"] = number
    return b"event: error\ndata: " + _encoder.encode(event) + b"\n\n"


def failure_code(kind: Kind) -> str:
    """The dialect's word for a failure in mid-stream."""
    return _CODE_BY_KIND[kind]
