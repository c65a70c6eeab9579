"""Errors of ours in the dialect's forms."""

from __future__ import annotations

import json

from bytespike_protocols.openai_responses.failure import (
    encode_error,
    encode_stream_error,
)
from tests.support.responses_corpus import REQUEST_ID
from tests.support.responses_grammar import check_stream


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
