"""Errors as the edge gets them: always in the caller's dialect, never with a word about vendors."""

from __future__ import annotations

from collections.abc import Mapping

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_protocols.anthropic.failure import encode_error, read_failure
from bytespike_runtime.answer import WholeAnswer

__all__ = ["malformed", "passed_through", "refusal"]

_CODE_BY_STATUS = {404: ErrorCode.NOT_FOUND, 413: ErrorCode.REQUEST_TOO_LARGE}


def refusal(
    error: GatewayError, request_id: str, headers: Mapping[str, str] | None = None
) -> WholeAnswer:
    """An error of ours; its own headers win over ``headers``."""
    body = encode_error(
        status=error.status,
        code=error.code.value,
        message=error.message,
        param=error.param,
        request_id=request_id,
    )
    return _json(error.status, body, {**(headers or {}), **error.headers})


def passed_through(
    status: int, body: bytes, request_id: str, headers: Mapping[str, str]
) -> WholeAnswer:
    """The vendor's word on a faulty request, byte for byte; if it is not in the vendor's own
    envelope (a proxy's page, nothing at all), a word of ours with the same status.
    """
    if read_failure(status, body) is None:
        code = _CODE_BY_STATUS.get(status, ErrorCode.INVALID_REQUEST)
        message = "the model's provider refused the request without saying why"
        body = encode_error(
            status=status, code=code.value, message=message, param=None, request_id=request_id
        )
    return _json(status, body, headers)


def malformed(status: int, reason: str) -> WholeAnswer:
    """For what the HTTP server itself refuses: malformed requests, crashed handlers."""
    code = ErrorCode.INVALID_REQUEST if status < 500 else ErrorCode.INTERNAL_ERROR
    body = encode_error(status=status, code=code.value, message=reason, param=None, request_id="")
    return _json(status, body, {})


def _json(status: int, body: bytes, headers: Mapping[str, str]) -> WholeAnswer:
    return WholeAnswer(
        status=status, body=body, headers={**headers, "content-type": "application/json"}
    )
