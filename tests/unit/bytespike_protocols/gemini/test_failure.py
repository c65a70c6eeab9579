"""Google's errors, read."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bytespike_protocols.failures import VendorFailure
from bytespike_protocols.gemini.failure import encode_stream_error, read_failure


def read(error: Any, status: int = 200) -> VendorFailure:
    found = read_failure(status, msgspec.json.encode({"error": error}))
    assert found is not None
    return found


def test_errors_come_alone_or_in_a_list() -> None:
    error = {"code": 429, "message": "busy", "status": "RESOURCE_EXHAUSTED"}
    expected = VendorFailure(status=429, message="busy", code="RESOURCE_EXHAUSTED")
    assert read(error) == expected
    assert read_failure(429, msgspec.json.encode([{"error": error}])) == expected


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"error":"words"}', b"\xff"])
def test_other_bodies_are_none(body: bytes) -> None:
    assert read_failure(500, body) is None


@pytest.mark.parametrize(
    ("code", "name", "status", "kind"),
    [
        (503, "UNAVAILABLE", 529, "overloaded"),
        (429, "RESOURCE_EXHAUSTED", 429, "rate_limited"),
        (504, "DEADLINE_EXCEEDED", 504, "timeout"),
        (400, "INVALID_ARGUMENT", 400, "invalid_request"),
        (404, "NOT_FOUND", 404, "invalid_request"),
        (403, "PERMISSION_DENIED", 403, "internal"),
        (500, "INTERNAL", 500, "internal"),
        (503, "", 529, "overloaded"),
        (0, "NEW", 500, "internal"),
    ],
)
def test_inside_a_success_the_name_or_the_number_tells(
    code: int, name: str, status: int, kind: str
) -> None:
    failure = read({"code": code, "status": name})
    assert (failure.status, failure.kind) == (status, kind)


@pytest.mark.parametrize(("sent", "meant"), [(400, 400), (429, 429), (503, 529), (418, 418)])
def test_a_status_of_its_own_is_kept(sent: int, meant: int) -> None:
    assert read({"code": 500, "status": "INTERNAL"}, sent).status == meant


@pytest.mark.parametrize(
    ("delay", "seconds"), [("34.4s", 34.4), ("34s", 34), ("0.5s", 0.5), ("soon", None), ("", None)]
)
def test_waits_are_in_the_body(delay: str, seconds: float | None) -> None:
    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}
    assert read({"code": 429, "details": ["odd", detail]}, 429).retry_after_s == seconds


def test_a_bad_key_is_told_by_its_reason() -> None:
    bad = {"code": 400, "status": "INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID"}]}
    assert read(bad, 400).status == 401
    assert read({**bad, "details": [{"reason": "OTHER"}]}, 400).status == 400


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
    body = encode_stream_error(code=code, message="m", request_id="r", framing="array")
    assert msgspec.json.decode(body)["error"]["status"] == status
    sent = encode_stream_error(code=code, message="m", request_id="r")
    assert sent == b"data: " + body + b"\r\n\r\n"
