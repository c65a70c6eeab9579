"""Errors of OpenAI and of hosts that speak its dialects, in every envelope that was recorded."""

from __future__ import annotations

import msgspec
import pytest

from bytespike_protocols.failures import VendorFailure
from bytespike_protocols.openai_failures import read_failure
from tests.support.chat_corpus import requests


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"error":{"message":"m","type":"t","param":"p","code":"c"}}', ("m", "c", "p")),
        (b'{"error":{"message":"m","type":"t","param":null,"code":null}}', ("m", "t", "")),
        (b'{"error":{"message":"m","type":null,"param":null,"code":429}}', ("m", "429", "")),
        (b'{"error":"m"}', ("m", "", "")),
        (b'{"code":"c","error":"m"}', ("m", "c", "")),
        (b'{"detail":"m"}', ("m", "", "")),
        (b'{"detail":[{"loc":["body"],"msg":"m"},{"msg":"n"}]}', ("m; n", "", "")),
        (b'{"object":"error","message":"m","type":"t","param":null,"code":400}', ("m", "400", "")),
    ],
)
def test_envelopes(body: bytes, expected: tuple[str, str, str]) -> None:
    message, code, param = expected
    failure = VendorFailure(status=418, message=message, code=code, param=param)
    assert read_failure(418, body) == failure


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"", b"[]", b"{}", b'{"error":null}', b"\xff", b'{"object":"chat.completion"}'],
)
def test_a_page_of_a_proxy_is_no_error_of_the_vendor(body: bytes) -> None:
    assert read_failure(502, body) is None


def test_every_recorded_error_is_read() -> None:
    refused = [case for case in requests() if case.status >= 400]
    for case in refused:
        failure = read_failure(case.status, msgspec.json.encode(case.body))
        assert failure is not None, case.id
        assert failure.message, case.id


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("rate_limit_exceeded", 429, "rate_limited"),
        ("tokens", 429, "rate_limited"),
        ("insufficient_quota", 402, "rate_limited"),
        ("503", 529, "overloaded"),
        ("502", 529, "overloaded"),
        ("service_unavailable", 529, "overloaded"),
        ("server_is_overloaded", 529, "overloaded"),
        ("408", 504, "timeout"),
        ("vector_store_timeout", 504, "timeout"),
        ("context_length_exceeded", 400, "invalid_request"),
        ("invalid_request_error", 400, "invalid_request"),
        ("invalid_prompt", 400, "invalid_request"),
        ("image_too_large", 400, "invalid_request"),
        ("model_not_found", 404, "invalid_request"),
        ("invalid_api_key", 401, "internal"),
        ("500", 500, "internal"),
        ("server_error", 500, "internal"),
        ("never_heard_of", 500, "internal"),
        ("", 500, "internal"),
    ],
)
def test_inside_a_success_the_words_tell(code: str, status: int, kind: str) -> None:
    for field in ("code",) if code.isdigit() else ("code", "type"):
        failure = read_failure(200, msgspec.json.encode({"error": {"message": "m", field: code}}))
        assert failure is not None
        assert (failure.status, failure.kind) == (status, kind)


@pytest.mark.parametrize(
    ("sent", "code", "meant"),
    [
        (429, "rate_limit_exceeded", 429),
        (429, "insufficient_quota", 402),
        (400, "model_not_found", 404),
        (400, "context_length_exceeded", 400),
        (400, "insufficient_quota", 400),
        (404, "model_not_found", 404),
        (401, "invalid_api_key", 401),
        (503, "server_error", 529),
        (500, "rate_limit_exceeded", 500),
    ],
)
def test_a_status_is_corrected_only_where_it_is_known_to_mislead(
    sent: int, code: str, meant: int
) -> None:
    failure = read_failure(sent, msgspec.json.encode({"error": {"message": "m", "code": code}}))
    assert failure is not None
    assert failure.status == meant
