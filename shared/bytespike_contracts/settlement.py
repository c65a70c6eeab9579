"""The success table: what the customer pays is a pure function of how the request ended.

Two services need the same answer at different times: the router when it finishes the hold, the
ledger when it settles the event. Both call :func:`charge`; nothing else in the system decides
whether something is billed.
"""

from __future__ import annotations

from enum import StrEnum
from typing import assert_never

from bytespike_contracts.money import MicroUsd, Rates, TokenUsage, price

__all__ = ["CLIENT_SUCCESS", "Outcome", "charge"]


class Outcome(StrEnum):
    """How a request ended, as one row of the success table (closed set; also a metric label)."""

    #: 2xx to the client, terminal event or whole body seen, usage reported.
    COMPLETED = "completed"
    #: 2xx and complete, but the vendor reported no usage: free, counted and alerted.
    USAGE_UNKNOWN = "usage_unknown"
    #: The client got a non-2xx, whatever the cause (includes a vendor's 200 whose body is an
    #: error).
    FAILED = "failed"
    #: The vendor's stream ended by an error event or by truncation after it had begun.
    BROKE_UPSTREAM = "broke_upstream"
    #: The model's safety system refused and delivered no content.
    FILTERED = "filtered"
    #: The client went away before the first content token.
    CLIENT_LEFT_EARLY = "client_left_early"
    #: The client went away after the first content token: it pays what was delivered so far.
    CLIENT_LEFT_LATE = "client_left_late"


#: Outcomes whose response line to the client was a success (they appear in the customer's usage
#: list).
CLIENT_SUCCESS = frozenset(Outcome) - {Outcome.FAILED}


def charge(outcome: Outcome, usage: TokenUsage | None, rates: Rates) -> MicroUsd:
    """The customer's price of a finished request in micro-USD.

    ``usage`` is what the vendor reported or, for :attr:`Outcome.CLIENT_LEFT_LATE`, what was counted
    up to the cut. A success without usage is a contradiction in the caller and raises
    ``ValueError``: money is never guessed here.
    """
    match outcome:
        case Outcome.COMPLETED | Outcome.CLIENT_LEFT_LATE:
            if usage is None:
                raise ValueError(f"{outcome} needs usage")
            return price(usage, rates)
        case (
            Outcome.USAGE_UNKNOWN
            | Outcome.FAILED
            | Outcome.BROKE_UPSTREAM
            | Outcome.FILTERED
            | Outcome.CLIENT_LEFT_EARLY
        ):
            return MicroUsd(0)
        case _:
            assert_never(outcome)
