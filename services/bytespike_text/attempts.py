"""What an upstream's failure means: whose fault it is, what may be tried next, what to say at last.

Pure. The one rule above all others: once a byte has reached the client, nothing is tried again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from math import ceil

from bytespike_contracts.errors import ErrorCode, GatewayError

__all__ = [
    "MAX_CHANNELS",
    "AttemptFailed",
    "CallersFault",
    "Failure",
    "FailureKind",
    "final_error",
    "judge_status",
    "may_try_next",
    "parse_retry_after",
]

#: Different channels one request may try, all within one hold.
MAX_CHANNELS = 3
#: A vendor's wish to be left alone is granted up to this; longer, and we look again ourselves.
MAX_RETRY_AFTER_S = 60.0
#: What we suggest when nobody told us: failures of this kind pass within seconds.
_DEFAULT_RETRY_AFTER_S = 2.0

#: The caller's fault, in the vendor's words: passed on, and no other channel would say better.
_CALLERS_FAULT = frozenset({400, 404, 413, 422})
_CREDENTIAL_REFUSED = frozenset({401, 402, 403})
_OVERLOADED = 529


class FailureKind(StrEnum):
    """Why an upstream call did not give an answer (closed set; a metric label)."""

    CONNECT_FAILED = "connect_failed"
    CONNECTION_BROKEN = "connection_broken"
    FIRST_BYTE_TIMEOUT = "first_byte_timeout"
    BAD_RESPONSE = "bad_response"
    TRUNCATED = "truncated"
    STALLED = "stalled"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    CREDENTIAL_REFUSED = "credential_refused"
    SERVER_ERROR = "server_error"


_TIMEOUTS = frozenset({FailureKind.FIRST_BYTE_TIMEOUT, FailureKind.STALLED})


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed call. ``status`` is the vendor's, 0 if none arrived.

    ``stale_connection``: the request died with a kept-alive connection, which the vendor most
    likely closed at the same moment; the channel itself is not suspect.
    """

    kind: FailureKind
    status: int = 0
    retry_after_s: float | None = None
    stale_connection: bool = False


class AttemptFailed(Exception):
    """An upstream call ended without an answer for the client."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.kind)
        self.failure = failure


class CallersFault(Exception):
    """The vendor says the request itself is wrong: ``body`` is for the client, with ``status``."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


def judge_status(status: int, *, retry_after_s: float | None = None) -> Failure | None:
    """None if the answer is for the client (a success, or its own fault); else what failed."""
    if 200 <= status < 300 or status in _CALLERS_FAULT:
        return None
    if status in _CREDENTIAL_REFUSED:
        kind = FailureKind.CREDENTIAL_REFUSED
    elif status == 429:
        kind = FailureKind.RATE_LIMITED
    elif status == _OVERLOADED:
        kind = FailureKind.OVERLOADED
    elif status >= 500:
        kind = FailureKind.SERVER_ERROR
    else:
        # Redirects, 405, 409, 415…: our own request or configuration must be wrong.
        kind = FailureKind.BAD_RESPONSE
    return Failure(kind, status, retry_after_s)


def may_try_next(failures: Sequence[Failure], *, committed: bool) -> bool:
    """Whether another call may be made after these failures."""
    # A stale connection is not a channel that was tried; it is forgiven once per request.
    stale = any(failure.stale_connection for failure in failures)
    return not committed and len(failures) - stale < MAX_CHANNELS


def final_error(failures: Sequence[Failure], *, benched_for_s: float | None = None) -> GatewayError:
    """What the client is told when nothing is left to try. Names no channel and no vendor.

    ``benched_for_s``: when the first channel that is left out will be back, if one is.
    """
    last = failures[-1] if failures else Failure(FailureKind.CONNECT_FAILED)
    waits = [f.retry_after_s for f in failures if f.retry_after_s is not None]
    if benched_for_s is not None:
        waits.append(benched_for_s)
    wait_s = min(waits, default=_DEFAULT_RETRY_AFTER_S)
    headers = {"retry-after": str(max(1, ceil(wait_s)))}
    if last.kind is FailureKind.OVERLOADED:
        message = "the model's provider is overloaded; try again later"
        return GatewayError(ErrorCode.UPSTREAM_OVERLOADED, message, headers=headers)
    if last.kind in _TIMEOUTS:
        message = "the model's provider did not answer in time"
        return GatewayError(ErrorCode.UPSTREAM_TIMEOUT, message, headers=headers)
    message = "no provider of this model could answer; try again later"
    return GatewayError(ErrorCode.UPSTREAM_UNAVAILABLE, message, headers=headers)


def parse_retry_after(value: str | None, *, now_s: float) -> float | None:
    """Seconds to wait as the header asks (a number or an HTTP date), within bounds; None if it
    asks for nothing sensible. ``now_s`` is Unix time.
    """
    if not value:
        return None
    try:
        wait_s = float(value)
    except ValueError:
        try:
            wait_s = parsedate_to_datetime(value).timestamp() - now_s
        except (ValueError, OverflowError):
            return None
    # Also refuses NaN, which compares false with everything.
    return min(wait_s, MAX_RETRY_AFTER_S) if wait_s > 0 else None
