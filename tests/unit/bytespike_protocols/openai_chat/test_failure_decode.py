"""Vendors' errors, in every envelope that was recorded."""

from __future__ import annotations

import msgspec
import pytest

from bytespike_protocols.openai_chat.failure import ErrorDetail, decode_error, kind_of
from tests.support.chat_corpus import requests


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (
            b'{"error":{"message":"m","type":"t","param":"p","code":"c"}}',
            ErrorDetail(message="m", type="t", param="p", code="c"),
        ),
        (
            b'{"error":{"message":"m","type":null,"param":null,"code":429}}',
            ErrorDetail(message="m", code="429"),
        ),
        (b'{"error":"m"}', ErrorDetail(message="m")),
        (b'{"code":"c","error":"m"}', ErrorDetail(message="m", code="c")),
        (b'{"detail":"m"}', ErrorDetail(message="m")),
        (
            b'{"detail":[{"loc":["body"],"msg":"m"},{"msg":"n"}]}',
            ErrorDetail(message="m; n"),
        ),
        (
            b'{"object":"error","message":"m","type":"t","param":null,"code":400}',
            ErrorDetail(message="m", type="t", code="400"),
        ),
        (b"<html>", None),
        (b"", None),
        (b"[]", None),
        (b'{"object":"chat.completion"}', None),
    ],
)
def test_envelopes(body: bytes, detail: ErrorDetail | None) -> None:
    assert decode_error(body) == detail


def test_every_recorded_error_is_read() -> None:
    for case in requests():
        if case.status >= 400:
            detail = decode_error(msgspec.json.encode(case.body))
            assert detail is not None, case.id
            assert detail.message, case.id


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("rate_limit_exceeded", "rate_limited"),
        ("insufficient_quota", "rate_limited"),
        ("503", "overloaded"),
        ("service_unavailable", "overloaded"),
        ("408", "timeout"),
        ("context_length_exceeded", "invalid_request"),
        ("invalid_request_error", "invalid_request"),
        ("500", "internal"),
        ("", "internal"),
    ],
)
def test_kinds(code: str, kind: str) -> None:
    assert kind_of(ErrorDetail(message="m", code=code)) == kind
    assert kind_of(ErrorDetail(message="m", type=code)) == kind
    assert kind_of(None) == "internal"
