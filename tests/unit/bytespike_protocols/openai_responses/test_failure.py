"""Errors in every host's spelling, and in ours."""

from __future__ import annotations

import json

import pytest

from bytespike_protocols.openai_responses.failure import (
    decode_error,
    encode_error,
    encode_stream_error,
    failure_kind,
)
from tests.support.responses_corpus import REQUEST_ID
from tests.support.responses_grammar import check_stream

#: What hosts send -> message, code
ERRORS: dict[str, tuple[str, str | None]] = {
    '{"error":{"message":"m","type":"t","code":"c"}}': ("m", "c"),
    '{"code":"invalid-argument","error":"m"}': ("m", "invalid-argument"),
    '{"error":"m"}': ("m", None),
    '{"detail":"m"}': ("m", None),
    '{"object":"error","message":"m","code":null}': ("m", None),
}


@pytest.mark.parametrize("body", ERRORS)
def test_every_hosts_error_is_read(body: str) -> None:
    error = decode_error(body.encode())
    assert error is not None
    assert (error.message, error.code) == ERRORS[body]


@pytest.mark.parametrize("body", [b"<html>", b"", b"[]", b"{}", b'{"error":null}', b"\xff"])
def test_a_page_of_a_proxy_is_no_error_of_the_vendor(body: bytes) -> None:
    assert decode_error(body) is None


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("rate_limit_exceeded", "rate_limited"),
        ("service_unavailable", "overloaded"),
        ("vector_store_timeout", "timeout"),
        ("context_length_exceeded", "invalid_request"),
        ("invalid_prompt", "invalid_request"),
        ("image_too_large", "invalid_request"),
        ("server_error", "internal"),
        ("never_heard_of", "internal"),
    ],
)
def test_a_failure_has_somebody_at_fault(code: str, kind: str) -> None:
    error = decode_error(json.dumps({"error": {"message": "m", "code": code}}).encode())
    assert error is not None
    assert failure_kind(error) == kind


def test_our_errors_are_in_the_vendors_envelope() -> None:
    body = encode_error(
        status=402, code="quota_exceeded", message="m", param="model", request_id=REQUEST_ID
    )
    assert json.loads(body) == {
        "error": {
            "message": "m",
            "type": "insufficient_quota",
            "param": "model",
            "code": "quota_exceeded",
        },
        "request_id": REQUEST_ID,
    }
    event = encode_stream_error(code="upstream_timeout", message="m", request_id=REQUEST_ID)
    assert event.startswith(b"event: error\ndata: {")
    assert check_stream(event).end == "error"
