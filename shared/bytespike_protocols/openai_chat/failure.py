"""Errors of Chat Completions: OpenAI's envelope, and its own form in mid-stream."""

from __future__ import annotations

from bytespike_protocols.codec import Framing
from bytespike_protocols.failures import VendorFailure
from bytespike_protocols.failures import without_529 as client_status
from bytespike_protocols.openai_failures import encode_error, read_failure

__all__ = ["UNREADABLE", "client_status", "encode_error", "encode_stream_error", "read_failure"]

#: An error that cannot be read is one all the same.
UNREADABLE = VendorFailure(status=500, message="the vendor reported an error")


def encode_stream_error(
    *,
    code: str,
    message: str,
    request_id: str,
    framing: Framing = "sse",
    number: int | None = None,
) -> bytes:
    """A whole chunk with a top-level ``error``, which the SDKs raise; no ``event:`` line, which
    crashes some of them.
    """
    del framing, number
    error = encode_error(status=500, code=code, message=message, param=None, request_id=request_id)
    return b"data: " + error + b"\n\n"
