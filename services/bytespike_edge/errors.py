"""A gateway error as an HTTP response in the caller's dialect. One place writes error bodies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from aiohttp import web

import bytespike_protocols.anthropic.failure as anthropic_failure
import bytespike_protocols.gemini.failure as gemini_failure
import bytespike_protocols.openai_chat.failure as openai_failure
from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_edge.routes import Dialect
from bytespike_runtime.answer import WholeAnswer

__all__ = ["bad_request_response", "error_response", "stream_error"]


class _EncodeError(Protocol):
    def __call__(
        self, *, status: int, code: str, message: str, param: str | None, request_id: str
    ) -> bytes: ...


class _EncodeStreamError(Protocol):
    def __call__(self, *, code: str, message: str, request_id: str) -> bytes: ...


_ENCODERS: Mapping[Dialect, tuple[_EncodeError, _EncodeStreamError]] = {
    Dialect.ANTHROPIC: (anthropic_failure.encode_error, anthropic_failure.encode_stream_error),
    Dialect.OPENAI: (openai_failure.encode_error, openai_failure.encode_stream_error),
    Dialect.GEMINI: (gemini_failure.encode_error, gemini_failure.encode_stream_error),
}

#: What malformed HTTP is answered with; there is no path to take a dialect from.
_CODE_BY_STATUS = {413: ErrorCode.REQUEST_TOO_LARGE, 500: ErrorCode.INTERNAL_ERROR}


def error_response(
    error: GatewayError, *, dialect: Dialect, request_id: str, headers: Mapping[str, str]
) -> WholeAnswer:
    """``headers`` (ids, limits) come first; the error's own, such as ``Retry-After``, win."""
    body = _ENCODERS[dialect][0](
        status=error.status,
        code=error.code.value,
        message=error.message,
        param=error.param,
        request_id=request_id,
    )
    every = {**headers, **error.headers, "Content-Type": "application/json"}
    if error.code is ErrorCode.CONCURRENCY_LIMIT:
        every.pop("X-RateLimit-Reset", None)  # no window's end would free a slot
    return WholeAnswer(status=error.status, headers=every, body=body)


def stream_error(error: GatewayError, *, dialect: Dialect, request_id: str) -> bytes:
    """The bytes of a mid-stream error event, to be written at a frame boundary."""
    encode = _ENCODERS[dialect][1]
    return encode(code=error.code.value, message=error.message, request_id=request_id)


def bad_request_response(
    mint_request_id: Callable[[], str],
) -> Callable[[int, str], web.Response]:
    """What the server calls for bytes that never became a request: OpenAI's dialect, as R1 rules
    for everything without a prefix to go by.
    """

    def respond(status: int, reason: str) -> web.Response:
        request_id = mint_request_id()
        body = openai_failure.encode_error(
            status=status,
            code=_CODE_BY_STATUS.get(status, ErrorCode.INVALID_REQUEST).value,
            message=reason,
            param=None,
            request_id=request_id,
        )
        headers = {
            "Content-Type": "application/json",
            "X-Request-Id": request_id,
            "request-id": request_id,
            "Server": "ByteSpike",
        }
        return web.Response(status=status, body=body, headers=headers)

    return respond
