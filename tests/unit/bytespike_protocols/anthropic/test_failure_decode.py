"""Errors as the vendor and the hosts of its protocol write them."""

from __future__ import annotations

import msgspec
import pytest

from bytespike_protocols.anthropic.failure import read_failure
from bytespike_protocols.failures import VendorFailure


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (
            b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}',
            "overloaded_error",
            "Overloaded",
        ),
        (b'{"error":{"code":"1113","message":"no balance"}}', "api_error", "no balance"),
        (b'{"error":"words"}', "", "words"),
        (b'{"detail":"words"}', "", "words"),
        (b'{"code":7,"message":"words"}', "", "words"),
    ],
)
def test_known_envelopes(body: bytes, code: str, message: str) -> None:
    expected = VendorFailure(status=418, code=code, message=message)
    assert read_failure(418, body) == expected


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"error":null}', b"\xff", b'{"input_tokens": 4}']
)
def test_anything_else_is_no_error_of_a_vendor(body: bytes) -> None:
    assert read_failure(400, body) is None


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("invalid_request_error", 400, "invalid_request"),
        ("authentication_error", 401, "internal"),
        ("billing_error", 402, "rate_limited"),
        ("permission_error", 403, "internal"),
        ("not_found_error", 404, "invalid_request"),
        ("request_too_large", 413, "invalid_request"),
        ("rate_limit_error", 429, "rate_limited"),
        ("api_error", 500, "internal"),
        ("timeout_error", 504, "timeout"),
        ("overloaded_error", 529, "overloaded"),
        ("something new", 500, "internal"),
    ],
)
def test_inside_a_success_the_type_tells(code: str, status: int, kind: str) -> None:
    body = msgspec.json.encode({"type": "error", "error": {"type": code, "message": "m"}})
    failure = read_failure(200, body)
    assert failure == VendorFailure(status=status, code=code, message="m")
    assert failure.kind == kind


def test_a_spend_limit_is_not_a_rate() -> None:
    details = {"error_code": "enforced_spend_limit_reached"}
    error = {"type": "rate_limit_error", "message": "m", "details": details}
    failure = read_failure(429, msgspec.json.encode({"type": "error", "error": error}))
    assert failure is not None
    assert failure.status == 402
