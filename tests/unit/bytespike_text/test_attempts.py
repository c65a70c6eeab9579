"""What a failure means: who is to blame, what may follow, what the client is told."""

from __future__ import annotations

import pytest

from bytespike_contracts.errors import ErrorCode
from bytespike_text.attempts import (
    Failure,
    FailureKind,
    final_error,
    judge_status,
    may_try_next,
    parse_retry_after,
)

BROKEN = Failure(FailureKind.SERVER_ERROR, 500)
STALE = Failure(FailureKind.CONNECTION_BROKEN, stale_connection=True)


@pytest.mark.parametrize("status", [200, 201, 400, 404, 413, 422])
def test_successes_and_the_callers_faults_are_answers(status: int) -> None:
    assert judge_status(status) is None


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, FailureKind.BAD_RESPONSE),
        (401, FailureKind.CREDENTIAL_REFUSED),
        (402, FailureKind.CREDENTIAL_REFUSED),
        (403, FailureKind.CREDENTIAL_REFUSED),
        (405, FailureKind.BAD_RESPONSE),
        (429, FailureKind.RATE_LIMITED),
        (500, FailureKind.SERVER_ERROR),
        (503, FailureKind.SERVER_ERROR),
        (529, FailureKind.OVERLOADED),
    ],
)
def test_everything_else_is_a_failure_of_its_kind(status: int, kind: FailureKind) -> None:
    failure = judge_status(status, retry_after_s=3.0)
    assert failure == Failure(kind, status, 3.0)


@pytest.mark.parametrize(
    ("failures", "committed", "allowed"),
    [
        ([BROKEN], False, True),
        ([BROKEN, BROKEN], False, True),
        ([BROKEN, BROKEN, BROKEN], False, False),
        ([STALE, BROKEN, BROKEN], False, True),
        ([STALE, STALE, BROKEN, BROKEN], False, False),
        ([BROKEN], True, False),
    ],
)
def test_three_channels_may_be_tried_and_none_after_the_first_byte(
    failures: list[Failure], committed: bool, allowed: bool
) -> None:
    assert may_try_next(failures, committed=committed) is allowed


@pytest.mark.parametrize(
    ("last", "code"),
    [
        (Failure(FailureKind.OVERLOADED, 529), ErrorCode.UPSTREAM_OVERLOADED),
        (Failure(FailureKind.FIRST_BYTE_TIMEOUT), ErrorCode.UPSTREAM_TIMEOUT),
        (Failure(FailureKind.STALLED), ErrorCode.UPSTREAM_TIMEOUT),
        (Failure(FailureKind.CONNECT_FAILED), ErrorCode.UPSTREAM_UNAVAILABLE),
        (Failure(FailureKind.CREDENTIAL_REFUSED, 401), ErrorCode.UPSTREAM_UNAVAILABLE),
        (Failure(FailureKind.RATE_LIMITED, 429), ErrorCode.UPSTREAM_UNAVAILABLE),
    ],
)
def test_the_last_failure_decides_the_error(last: Failure, code: ErrorCode) -> None:
    error = final_error([BROKEN, last])
    assert error.code is code
    assert int(error.headers["retry-after"]) >= 1


def test_the_shortest_known_wait_is_passed_on() -> None:
    limited = [Failure(FailureKind.RATE_LIMITED, 429, wait_s) for wait_s in (30.0, 7.2)]
    assert final_error(limited).headers["retry-after"] == "8"
    assert final_error([], benched_for_s=41.5).headers["retry-after"] == "42"
    assert final_error(limited, benched_for_s=0.2).headers["retry-after"] == "1"


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        (None, None),
        ("", None),
        ("7", 7.0),
        ("0.5", 0.5),
        ("0", None),
        ("-4", None),
        ("nan", None),
        ("inf", 60.0),
        ("86400", 60.0),
        ("soon", None),
        ("Thu, 01 Jan 1970 00:16:50 GMT", 10.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", None),
    ],
)
def test_retry_after_is_read_within_bounds(value: str | None, wait_s: float | None) -> None:
    assert parse_retry_after(value, now_s=1000.0) == wait_s
