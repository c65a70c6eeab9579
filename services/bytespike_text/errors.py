"""Errors as the edge gets them: always in the caller's dialect, never with a word about vendors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_protocols.codec import Failures
from bytespike_protocols.dialects import CODECS
from bytespike_protocols.failures import VendorFailure
from bytespike_protocols.ir import Dialect
from bytespike_runtime.answer import WholeAnswer

__all__ = ["Words", "callers_fault", "malformed", "refusal"]

_CODE_BY_STATUS = {404: ErrorCode.NOT_FOUND, 413: ErrorCode.REQUEST_TOO_LARGE}


class Words(NamedTuple):
    """What to tell a client in mid-stream; ``status`` as it would have been sent before."""

    status: int
    code: str
    message: str
    request_id: str


def refusal(
    error: GatewayError,
    request_id: str,
    *,
    dialect: Dialect,
    headers: Mapping[str, str] | None = None,
) -> WholeAnswer:
    """An error of ours; its own headers win over ``headers``."""
    failures = CODECS[dialect].failures
    body = failures.encode_error(
        status=error.status,
        code=error.code.value,
        message=error.message,
        param=error.param,
        request_id=request_id,
    )
    every = {**(headers or {}), **error.headers}
    return _json(failures.client_status(error.status), body, every)


def callers_fault(
    failure: VendorFailure | None,
    status: int,
    request_id: str,
    *,
    dialect: Dialect,
    headers: Mapping[str, str],
    verbatim: bytes = b"",
) -> WholeAnswer:
    """The vendor's word on a faulty request. ``verbatim``: its own bytes, if they are of the
    caller's dialect; None for ``failure``: the vendor gave none (a proxy's page, nothing at all).
    """
    if verbatim and failure is not None:
        return _json(status, verbatim, headers)
    body = CODECS[dialect].failures.encode_error(
        status=status,
        code=_code(failure, status),
        message=(
            "the model's provider refused the request without saying why"
            if failure is None
            else failure.message
        ),
        # The vendor's path is of the translated request, which the caller has not written.
        param=None,
        request_id=request_id,
    )
    return _json(status, body, headers)


def malformed(status: int, reason: str) -> WholeAnswer:
    """For what the HTTP server itself refuses: malformed requests, crashed handlers."""
    code = ErrorCode.INVALID_REQUEST if status < 500 else ErrorCode.INTERNAL_ERROR
    failures: Failures = CODECS[Dialect.ANTHROPIC].failures
    body = failures.encode_error(
        status=status, code=code.value, message=reason, param=None, request_id=""
    )
    return _json(status, body, {})


def _code(failure: VendorFailure | None, status: int) -> str:
    if failure is not None and failure.code == "context_length_exceeded":
        return failure.code  # agents compact their history on this word
    return _CODE_BY_STATUS.get(status, ErrorCode.INVALID_REQUEST).value


def _json(status: int, body: bytes, headers: Mapping[str, str]) -> WholeAnswer:
    return WholeAnswer(
        status=status, body=body, headers={**headers, "content-type": "application/json"}
    )
