"""Google's errors, read."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bytespike_protocols.gemini.failure import (
    decode_error,
    encode_stream_error,
    error_body,
    failure_kind,
    is_bad_key,
    retry_after_s,
)
from bytespike_protocols.gemini.wire import ErrorInfo


def read(error: Any) -> ErrorInfo:
    found = decode_error(msgspec.json.encode({"error": error}))
    assert found is not None
    return found


def test_errors_come_alone_or_in_a_list() -> None:
    error = {"code": 503, "message": "busy", "status": "UNAVAILABLE"}
    assert read(error).message == "busy"
    listed = decode_error(msgspec.json.encode([{"error": error}]))
    assert listed == read(error)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"error":"words"}', b"\xff"])
def test_other_bodies_are_none(body: bytes) -> None:
    assert decode_error(body) is None


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        (503, "UNAVAILABLE", "overloaded"),
        (429, "RESOURCE_EXHAUSTED", "rate_limited"),
        (504, "DEADLINE_EXCEEDED", "timeout"),
        (400, "INVALID_ARGUMENT", "invalid_request"),
        (500, "INTERNAL", "internal"),
        (503, "", "overloaded"),
        (0, "NEW", "internal"),
    ],
)
def test_kinds(code: int, status: str, kind: str) -> None:
    assert failure_kind(ErrorInfo(code=code, status=status)) == kind


@pytest.mark.parametrize(
    ("delay", "seconds"), [("34.4s", 35), ("34s", 34), ("1.000s", 1), ("0.5s", 1), ("soon", None)]
)
def test_waits_are_in_the_body(delay: str, seconds: int | None) -> None:
    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}
    assert retry_after_s(read({"code": 429, "details": ["odd", detail]})) == seconds


def test_a_bad_key_is_told_by_its_reason() -> None:
    assert is_bad_key(read({"code": 400, "details": [{"reason": "API_KEY_INVALID"}]}))
    assert not is_bad_key(read({"code": 400, "details": [{"reason": "OTHER"}]}))


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("rate_limited", "RESOURCE_EXHAUSTED"),
        ("invalid_request", "INVALID_ARGUMENT"),
        ("internal_error", "INTERNAL"),
        ("upstream_timeout", "DEADLINE_EXCEEDED"),
        ("upstream_overloaded", "UNAVAILABLE"),
    ],
)
def test_errors_in_mid_stream(code: str, status: str) -> None:
    body = error_body(code=code, message="m", request_id="r")
    assert msgspec.json.decode(body)["error"]["status"] == status
    sent = encode_stream_error(code=code, message="m", request_id="r")
    assert sent == b"data: " + body + b"\r\n\r\n"
