"""Errors every service answers with: one closed vocabulary, independent of the dialect it is spoken
in.

``code`` is the stable word clients branch on and the value of the ``error_type`` metric label. The
four families say whose fault it is: the caller's, a policy's (money, limits, permissions), the
provider's, ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

__all__ = ["ErrorCode", "Family", "GatewayError"]


class Family(StrEnum):
    """Whose fault an error is."""

    CALLER = "caller"
    POLICY = "policy"
    PROVIDER = "provider"
    GATEWAY = "gateway"


class ErrorCode(StrEnum):
    """The closed vocabulary, each word with its HTTP status and whose fault it is."""

    status: int
    family: Family

    def __new__(cls, value: str, status: int, family: Family) -> ErrorCode:
        member = str.__new__(cls, value)
        member._value_ = value
        member.status = status
        member.family = family
        return member

    INVALID_REQUEST = "invalid_request", 400, Family.CALLER
    UNSUPPORTED_FEATURE = "unsupported_feature", 400, Family.CALLER
    INVALID_API_KEY = "invalid_api_key", 401, Family.CALLER
    INSUFFICIENT_BALANCE = "insufficient_balance", 402, Family.POLICY
    QUOTA_EXCEEDED = "quota_exceeded", 402, Family.POLICY
    PERMISSION_DENIED = "permission_denied", 403, Family.POLICY
    MODEL_NOT_IN_GROUP = "model_not_in_group", 403, Family.POLICY
    NOT_FOUND = "not_found", 404, Family.CALLER
    MODEL_NOT_FOUND = "model_not_found", 404, Family.CALLER
    METHOD_NOT_ALLOWED = "method_not_allowed", 405, Family.CALLER
    REQUEST_TIMEOUT = "request_timeout", 408, Family.CALLER
    CONFLICT = "conflict", 409, Family.CALLER
    IDEMPOTENCY_CONFLICT = "idempotency_conflict", 409, Family.CALLER
    REQUEST_IN_PROGRESS = "request_in_progress", 409, Family.CALLER
    REVEAL_DISABLED = "reveal_disabled", 409, Family.POLICY
    REQUEST_TOO_LARGE = "request_too_large", 413, Family.CALLER
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type", 415, Family.CALLER
    RATE_LIMIT_EXCEEDED = "rate_limit_exceeded", 429, Family.POLICY
    CONCURRENCY_LIMIT = "concurrency_limit", 429, Family.POLICY
    INTERNAL_ERROR = "internal_error", 500, Family.GATEWAY
    BAD_UPSTREAM = "bad_upstream", 502, Family.PROVIDER
    UNAVAILABLE = "unavailable", 503, Family.GATEWAY
    UPSTREAM_UNAVAILABLE = "upstream_unavailable", 503, Family.PROVIDER
    UPSTREAM_TIMEOUT = "upstream_timeout", 504, Family.PROVIDER
    UPSTREAM_OVERLOADED = "upstream_overloaded", 529, Family.PROVIDER


class GatewayError(Exception):
    """A request that ends in an error of ours, to be written in the caller's dialect.

    ``message`` is for the caller (no secret, channel name or upstream address); ``param`` is the
    JSON path of the offending field; ``headers`` are extra response headers such as
    ``retry-after``.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param
        self.headers: Mapping[str, str] = headers or {}

    @property
    def status(self) -> int:
        """The HTTP status the caller gets."""
        return self.code.status
