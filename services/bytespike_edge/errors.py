"""A gateway error as an HTTP response in the caller's dialect. One place writes error bodies."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aiohttp import web

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_protocols.codec import Failures, Framing
from bytespike_protocols.dialects import CODECS
from bytespike_protocols.ir import Dialect
from bytespike_runtime.answer import WholeAnswer

__all__ = ["bad_request_response", "error_response", "stream_error"]


_FAILURES: Mapping[Dialect, Failures] = {
    dialect: codec.failures for dialect, codec in CODECS.items()
}
#: The SDKs of OpenAI and Anthropic repeat every 409 and 429 by themselves, with these in vain.
_NOT_TO_BE_REPEATED = frozenset({ErrorCode.CONFLICT, ErrorCode.IDEMPOTENCY_CONFLICT})
#: They ignore a longer wait than this and come back too soon.
_LONGEST_WAIT_S = 60

#: What malformed HTTP is answered with; there is no path to take a dialect from.
_CODE_BY_STATUS = {413: ErrorCode.REQUEST_TOO_LARGE, 500: ErrorCode.INTERNAL_ERROR}


def error_response(
    error: GatewayError, *, dialect: Dialect, request_id: str, headers: Mapping[str, str]
) -> WholeAnswer:
    """``headers`` (ids, limits) come first; the error's own, such as ``Retry-After``, win."""
    failures = _FAILURES[dialect]
    body = failures.encode_error(
        status=error.status,
        code=error.code.value,
        message=error.message,
        param=error.param,
        request_id=request_id,
    )
    every = {**headers, **error.headers, "Content-Type": "application/json"}
    if error.code is ErrorCode.CONCURRENCY_LIMIT:
        every.pop("X-RateLimit-Reset", None)  # no window's end would free a slot
    if error.code in _NOT_TO_BE_REPEATED or int(error.headers.get("Retry-After", 0)) > (
        _LONGEST_WAIT_S
    ):
        every["x-should-retry"] = "false"
    return WholeAnswer(status=failures.client_status(error.status), headers=every, body=body)


def stream_error(
    error: GatewayError, *, dialect: Dialect, request_id: str, framing: Framing
) -> bytes:
    """The bytes of a mid-stream error, to be written where a frame has ended: an event, or the bare
    element of an array.
    """
    return _FAILURES[dialect].encode_stream_error(
        code=error.code.value, message=error.message, request_id=request_id, framing=framing
    )


def bad_request_response(
    mint_request_id: Callable[[], str],
) -> Callable[[int, str], web.Response]:
    """What the server calls for bytes that never became a request: OpenAI's dialect, as R1 rules
    for everything without a prefix to go by.
    """

    def respond(status: int, reason: str) -> web.Response:
        request_id = mint_request_id()
        body = _FAILURES[Dialect.OPENAI_CHAT].encode_error(
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
