"""What a service behind answered, as the client gets it: listed headers, ours beside them."""

from __future__ import annotations

from bytespike_contracts.errors import ErrorCode
from bytespike_contracts.principal import COST_HEADER
from bytespike_edge.call import Call
from bytespike_runtime.answer import WholeAnswer
from bytespike_runtime.http_client import HttpResponse

__all__ = ["is_stream", "note_head", "passed_headers", "whole_answer"]

#: Service -> client; everything else a service may send is between the services.
_PASSED = {
    "content-type": "Content-Type",
    "retry-after": "Retry-After",
    "allow": "Allow",
    "cache-control": "Cache-Control",
    "content-disposition": "Content-Disposition",
    "content-security-policy": "Content-Security-Policy",
    "referrer-policy": "Referrer-Policy",
    "www-authenticate": "WWW-Authenticate",
    "x-content-type-options": "X-Content-Type-Options",
}
#: Service -> client as well, but known before the body and part of the gateway's own headers.
_OURS = {
    "x-bytespike-attempts": "X-ByteSpike-Attempts",
    "x-bytespike-dropped": "X-ByteSpike-Dropped",
    "x-bytespike-estimated": "X-ByteSpike-Estimated",
}
_UPSTREAM_MS = "x-bytespike-upstream-ms"

#: The error word of an answer that a service wrote itself, for metrics and log.
_WORD_BY_STATUS = {
    code.status: code.value
    for code in (
        ErrorCode.INVALID_REQUEST,
        ErrorCode.INVALID_API_KEY,
        ErrorCode.PERMISSION_DENIED,
        ErrorCode.NOT_FOUND,
        ErrorCode.METHOD_NOT_ALLOWED,
        ErrorCode.CONFLICT,
        ErrorCode.REQUEST_TOO_LARGE,
        ErrorCode.UNSUPPORTED_MEDIA_TYPE,
        ErrorCode.RATE_LIMIT_EXCEEDED,
        ErrorCode.INTERNAL_ERROR,
        ErrorCode.BAD_UPSTREAM,
        ErrorCode.UPSTREAM_UNAVAILABLE,
        ErrorCode.UPSTREAM_TIMEOUT,
        ErrorCode.UPSTREAM_OVERLOADED,
    )
}


def note_head(call: Call, upstream: HttpResponse) -> None:
    """Take what the head of a service's answer says about the request."""
    cost: str | None = None
    for name, value in upstream.headers.items():
        if name in _OURS:
            call.upstream_headers[_OURS[name]] = value
        elif name == COST_HEADER:
            cost = value
        elif name == _UPSTREAM_MS:
            call.upstream_s = float(value) / 1000
    if upstream.status >= 400:
        fallback = ErrorCode.INVALID_REQUEST if upstream.status < 500 else ErrorCode.INTERNAL_ERROR
        call.error_type = _WORD_BY_STATUS.get(upstream.status, fallback.value)
    elif cost is not None:
        call.cost_uusd = int(cost)


def passed_headers(upstream: HttpResponse) -> dict[str, str]:
    """The service's headers that a client may see."""
    return {_PASSED[name]: value for name, value in upstream.headers.items() if name in _PASSED}


def is_stream(upstream: HttpResponse) -> bool:
    """Whether the answer is a live stream rather than a document. Only of a document a service
    knows the length beforehand, and always says it; the type tells nothing, as a stream may be a
    JSON array.
    """
    return upstream.headers.get("content-length") is None


def whole_answer(call: Call, upstream: HttpResponse, body: bytes) -> WholeAnswer:
    """A complete answer with the gateway's headers."""
    call.bytes_out = len(body)
    headers = call.headers()
    headers.update(passed_headers(upstream))
    return WholeAnswer(status=upstream.status, headers=headers, body=body)
