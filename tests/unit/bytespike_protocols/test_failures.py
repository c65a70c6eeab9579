"""Our errors in the envelopes of three dialects, and the vendor's read back."""

from __future__ import annotations

import msgspec
import pytest

from bytespike_protocols.anthropic import failure as anthropic
from bytespike_protocols.gemini import failure as gemini
from bytespike_protocols.openai_chat import failure as openai


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (405, "invalid_request_error"),
        (408, "timeout_error"),
        (409, "invalid_request_error"),
        (413, "request_too_large"),
        (415, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (503, "api_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ],
)
def test_anthropic_types_follow_the_status(status: int, kind: str) -> None:
    body = anthropic.encode_error(
        status=status, code="some_code", message="words", param=None, request_id="req_1"
    )
    decoded = msgspec.json.decode(body)
    assert decoded["type"] == "error"
    assert decoded["error"]["type"] == kind
    assert decoded["error"]["code"] == "some_code"
    assert decoded["request_id"] == "req_1"


def test_anthropic_messages_carry_path_and_402_code() -> None:
    def message(status: int, code: str, words: str, param: str | None) -> str:
        body = anthropic.encode_error(
            status=status, code=code, message=words, param=param, request_id=""
        )
        text: str = msgspec.json.decode(body)["error"]["message"]
        return text

    assert message(400, "invalid_request", "field required", "max_tokens") == (
        "max_tokens: field required"
    )
    assert message(402, "quota_exceeded", "no more", None) == "quota_exceeded: no more"
    assert (
        message(402, "quota_exceeded", "quota_exceeded: 1 of 1", None) == "quota_exceeded: 1 of 1"
    )


def test_anthropic_stream_errors_are_whole_events() -> None:
    event = anthropic.encode_stream_error(
        code="upstream_timeout", message="late", request_id="req_1"
    )
    assert event.startswith(b"event: error\ndata: {")
    assert event.endswith(b"}\n\n")
    assert msgspec.json.decode(event.split(b"data: ")[1])["error"]["type"] == "timeout_error"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "invalid_request_error"),
        (402, "insufficient_quota"),
        (404, "invalid_request_error"),
        (429, "rate_limit_error"),
        (503, "server_error"),
    ],
)
def test_openai_envelope(status: int, kind: str) -> None:
    body = openai.encode_error(
        status=status, code="the_code", message="words", param="model", request_id="req_1"
    )
    error = msgspec.json.decode(body)["error"]
    assert error == {"message": "words", "type": kind, "param": "model", "code": "the_code"}
    event = openai.encode_stream_error(code="c", message="m", request_id="r")
    assert event.startswith(b'data: {"error":')
    assert event.endswith(b"\n\n")


@pytest.mark.parametrize(
    ("status", "code", "name"),
    [
        (400, 400, "INVALID_ARGUMENT"),
        (401, 401, "UNAUTHENTICATED"),
        (402, 402, "FAILED_PRECONDITION"),
        (404, 404, "NOT_FOUND"),
        (429, 429, "RESOURCE_EXHAUSTED"),
        (503, 503, "UNAVAILABLE"),
        (529, 503, "UNAVAILABLE"),
    ],
)
def test_google_envelope(status: int, code: int, name: str) -> None:
    body = gemini.encode_error(
        status=status, code="quota_exceeded", message="words", param=None, request_id="req_1"
    )
    error = msgspec.json.decode(body)["error"]
    assert (error["code"], error["status"], error["message"]) == (code, name, "words")
    assert error["details"][0]["reason"] == "QUOTA_EXCEEDED"
    event = gemini.encode_stream_error(code="upstream_timeout", message="m", request_id="r")
    assert event.startswith(b'data: {"error":{')
    assert event.endswith(b"\r\n\r\n")
