"""Errors as the vendor and the hosts of its protocol write them."""

from __future__ import annotations

import pytest

from bytespike_protocols.anthropic.failure import decode_error


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (
            b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}',
            "overloaded_error",
            "Overloaded",
        ),
        (b'{"error":{"code":"1113","message":"no balance"}}', "api_error", "no balance"),
        (b'{"error":"words"}', "api_error", "words"),
        (b'{"detail":"words"}', "api_error", "words"),
        (b'{"code":7,"message":"words"}', "api_error", "words"),
    ],
)
def test_known_envelopes(body: bytes, kind: str, message: str) -> None:
    error = decode_error(body)
    assert error is not None
    assert (error.type, error.message) == (kind, message)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"error":null}', b"\xff"])
def test_anything_else_is_no_error_of_a_vendor(body: bytes) -> None:
    assert decode_error(body) is None
