"""Calls to vendors: the only user of the HTTP client, and the only place that sees its errors."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from bytespike_contracts.catalogue import Channel
from bytespike_runtime.http_client import (
    BadResponse,
    BodyTooLarge,
    ClientError,
    ConnectFailed,
    FirstByteTimeout,
    HttpClient,
    HttpResponse,
    IdleTimeout,
    RequestBroken,
)
from bytespike_text.attempts import (
    MAX_RETRY_AFTER_S,
    AttemptFailed,
    Failure,
    FailureKind,
    judge_status,
    parse_retry_after,
)
from bytespike_text.routing import Lane

__all__ = ["ANSWER_LIMIT_BYTES", "Call", "Upstream", "failure_of"]

#: Like the largest request: no vendor's whole answer comes near it.
ANSWER_LIMIT_BYTES = 32 * 1024 * 1024
#: A refusal is a line of JSON; reading it lets the connection be used again.
_REFUSAL_LIMIT_BYTES = 64 * 1024
_REFUSAL_WAIT_S = 1.0

_FAILURE_KINDS: tuple[tuple[type[ClientError], FailureKind], ...] = (
    (ConnectFailed, FailureKind.CONNECT_FAILED),
    (RequestBroken, FailureKind.CONNECTION_BROKEN),
    (FirstByteTimeout, FailureKind.FIRST_BYTE_TIMEOUT),
    (BadResponse, FailureKind.BAD_RESPONSE),
    (BodyTooLarge, FailureKind.BAD_RESPONSE),
    (IdleTimeout, FailureKind.STALLED),
)


def failure_of(error: ClientError, *, status: int = 0) -> Failure:
    """What a client error means for the attempt."""
    stale = isinstance(error, RequestBroken) and error.reused
    for kind_of_error, kind in _FAILURE_KINDS:
        if isinstance(error, kind_of_error):
            return Failure(kind, status, stale_connection=stale)
    return Failure(FailureKind.TRUNCATED, status)


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request but for its body; the lane adds address and credential. ``path`` is below the
    channel's base URL, query included.
    """

    path: str
    headers: Sequence[tuple[str, str]]
    stream: bool


class Upstream:
    """Sends calls to lanes."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client

    async def send(self, lane: Lane, call: Call, body: bytes) -> HttpResponse:
        """The vendor's response, its head complete: a success or the caller's own fault.

        Raises :class:`AttemptFailed` for everything else.
        """
        channel = lane.channel
        try:
            response = await self._client.request(
                "POST",
                lane.origin,
                lane.base_path + call.path,
                (*call.headers, *lane.auth),
                body,
                connect_timeout_s=channel.connect_timeout_s,
                first_byte_timeout_s=_patience_s(channel, call),
            )
        except ClientError as error:
            raise AttemptFailed(failure_of(error)) from error
        if judge_status(response.status) is not None:
            raise AttemptFailed(await _refused(lane, response))
        return response

    async def read(self, lane: Lane, response: HttpResponse) -> bytes:
        """The whole body. Raises :class:`AttemptFailed`."""
        try:
            return await response.read(
                limit_bytes=ANSWER_LIMIT_BYTES, idle_timeout_s=lane.channel.idle_timeout_s
            )
        except ClientError as error:
            raise AttemptFailed(failure_of(error, status=response.status)) from error


def _patience_s(channel: Channel, call: Call) -> float:
    """How long the response head may take. An answer in one piece begins only when its last token
    is made, so there the silence allowed within a stream is what its making may take.
    """
    if call.stream:
        return channel.first_byte_timeout_s
    return max(channel.first_byte_timeout_s, channel.idle_timeout_s)


async def _refused(lane: Lane, response: HttpResponse) -> Failure:
    """Why a vendor refused: its status, unless its words say better."""
    wait_s = parse_retry_after(response.headers.get("retry-after"), now_s=time.time())
    status, body = response.status, b""
    try:
        body = await response.read(limit_bytes=_REFUSAL_LIMIT_BYTES, idle_timeout_s=_REFUSAL_WAIT_S)
    except ClientError:
        pass  # only worth an attempt: the connection is closed instead of kept
    finally:
        response.abort()
    said = lane.codec.failures.read_failure(status, body)
    if said is not None:
        wait_s = said.retry_after_s if wait_s is None else wait_s
        if wait_s is not None:
            wait_s = min(wait_s, MAX_RETRY_AFTER_S)
        better = judge_status(said.status, retry_after_s=wait_s)
        if better is not None:
            return replace(better, status=status)
    failure = judge_status(status, retry_after_s=wait_s)
    return failure or Failure(FailureKind.BAD_RESPONSE, status)
