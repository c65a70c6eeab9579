"""How one attempt to deliver ended, and what follows from it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["RETRY_DELAYS_S", "Attempt", "Result", "of_status"]

#: Pauses before the second and the third attempt; after the third it has failed.
RETRY_DELAYS_S = (30.0, 300.0)


class Result(StrEnum):
    """The end of an attempt (closed set; the label of the metric)."""

    DELIVERED = "delivered"
    REDIRECT = "redirect"
    RATE_LIMITED = "rate_limited"
    CLIENT_ERROR = "client_error"
    SERVER_ERROR = "server_error"
    TIMEOUT = "timeout"
    NETWORK = "network"
    #: The guard would not have it: the URL, or an address of its host.
    REFUSED = "refused"
    #: Our own doing: the secret could not be opened, or a defect.
    UNSIGNED = "unsigned"
    INTERNAL = "internal"
    #: The webhook is not active any more.
    CANCELLED = "cancelled"

    @property
    def retried(self) -> bool:
        """Whether another attempt may end differently. What a receiver answers to be wrong with
        the call stays wrong; what the guard refuses is not tried again to find out more.
        """
        return self not in _FINAL


_FINAL = frozenset(
    {Result.DELIVERED, Result.CLIENT_ERROR, Result.REFUSED, Result.CANCELLED},
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """``status`` is the receiver's, 0 = none came; ``error`` is for the delivery log."""

    result: Result
    status: int = 0
    error: str | None = None


def of_status(status: int) -> Attempt:
    """What an answer means. Redirects are failures: they are never followed."""
    if 200 <= status < 300:
        return Attempt(Result.DELIVERED, status)
    if status < 400:
        return Attempt(Result.REDIRECT, status, "redirects are not followed")
    if status == 429:
        return Attempt(Result.RATE_LIMITED, status, "the receiver asks for fewer calls")
    if status < 500:
        return Attempt(Result.CLIENT_ERROR, status, "the receiver refused the call")
    return Attempt(Result.SERVER_ERROR, status, "the receiver failed")
