"""Errors in OpenAI's envelope, written for clients."""

from __future__ import annotations

import msgspec

__all__ = ["encode_error", "encode_stream_error"]

_TYPE_BY_STATUS = {
    402: "insufficient_quota",
    403: "permission_error",
    429: "rate_limit_error",
}

_encoder = msgspec.json.Encoder()


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


def _envelope(kind: str, code: str, message: str, param: str | None, request_id: str) -> bytes:
    error = {"message": message, "type": kind, "param": param, "code": code}
    return _encoder.encode({"error": error, "request_id": request_id})
