"""One request from the edge's hand to its end: choose, call, try again, deliver, settle.

An exchange runs in its handler's task, which no leaving client cancels and for which the drain
waits: whatever happens, its hold is finished and its usage event is written exactly once.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from aiohttp import web
from msgspec.structs import replace

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_contracts.principal import COST_HEADER
from bytespike_contracts.settlement import Outcome
from bytespike_protocols.codec import Loss
from bytespike_protocols.errors import BadUpstreamMessage
from bytespike_protocols.failures import VendorFailure
from bytespike_protocols.ir import Dialect
from bytespike_protocols.loss_policy.strict import dropped_header
from bytespike_runtime.answer import WholeAnswer
from bytespike_runtime.connection import ClientGone, unless_gone
from bytespike_runtime.http_client import HttpResponse
from bytespike_text.attempts import (
    AttemptFailed,
    CallersFault,
    Failure,
    FailureKind,
    final_error,
    judge_status,
    may_try_next,
)
from bytespike_text.channels import Channels
from bytespike_text.client import ClientStream, KeepAlive
from bytespike_text.errors import Words, callers_fault, refusal
from bytespike_text.job import Job
from bytespike_text.metrics import TextMetrics
from bytespike_text.passage import Passage, passage
from bytespike_text.relay import StreamRelay
from bytespike_text.report import Facts, report
from bytespike_text.routing_table import RoutingTable
from bytespike_text.second_book import Stopwatch, UpstreamTry
from bytespike_text.supervisor import Supervisor
from bytespike_text.switches import Switches
from bytespike_text.token_count import least_prompt_tokens
from bytespike_text.trials import Trials
from bytespike_text.upstream import Upstream
from bytespike_text.usage import Books, Ending, Settlement, completion, departure
from bytespike_text.wording import KEEP_ALIVE

__all__ = ["Exchange", "Means"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What every exchange of the process works with."""

    table: Callable[[], RoutingTable]
    channels: Channels
    switches: Switches
    upstream: Upstream
    supervisor: Supervisor
    books: Books
    metrics: TextMetrics
    keepalive_s: float


#: Dialects whose vendors say what a prompt took only when the answer is complete.
_REPORT_LATE = (Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES)
_BROKEN = Ending(outcome=Outcome.BROKE_UPSTREAM, status=200)


class Exchange:
    """Runs one :class:`Job`. ``answer`` is what the handler returns to the server after that."""

    def __init__(self, job: Job, request: web.BaseRequest, means: Means) -> None:
        self._job = job
        self._means = means
        self._request_id = job.principal.request_id
        self._request = request
        self._client = ClientStream(request)
        self._relay: StreamRelay | None = None
        self._try: UpstreamTry | None = None
        self._trials = Trials(job, means.table(), means.channels, means.switches)
        self._keep_alive = KEEP_ALIVE[job.dialect]
        self._losses: tuple[Loss, ...] = ()
        self._left: Ending | None = None
        self._least_prompt_tokens = 0
        self._error_type = ""
        self._arrived_s = time.monotonic()
        self._vendor_time = Stopwatch()
        self._first_byte_s: float | None = None
        grant = job.principal.grant
        self._settlement: Settlement | None = None
        if grant is not None:
            self._settlement = Settlement(
                job.principal, grant, job.reading, dialect=job.dialect.value, books=means.books
            )
        self.answer: web.StreamResponse

    async def run(self) -> None:
        """To the very end; never raises what belongs to the request."""
        keepalive = None
        if self._job.reading.stream:
            self._means.metrics.streams.inc()
            if self._keep_alive:
                keepalive = KeepAlive(self._client, self._means.keepalive_s, self._fill_silence)
        response: web.StreamResponse | None = None
        try:
            response = await self._serve()
        finally:
            # Also after a crash or a drain that took too long: nothing may stay open.
            if keepalive is not None:
                keepalive.stop()
            if self._job.reading.stream:
                self._means.metrics.streams.dec()
            self.answer = self._give_up() if response is None else response
            try:
                if self._settlement is not None and not self._job.reading.stream:
                    # Whoever has the answer may ask again at once, and finds the slot and the money
                    # of this call free.
                    await self._settlement.freed()
            finally:
                self._report(self.answer.status)

    async def _serve(self) -> web.StreamResponse:
        try:
            return await self._attempts()
        except CallersFault as fault:
            return self._pass_on(fault)
        except GatewayError as error:
            return self._refuse(error)
        except ClientGone:
            return self._abandon()

    async def _attempts(self) -> web.StreamResponse:
        """Call one lane after another until one answers or none is left to try."""
        while True:
            lane = self._trials.next_lane()
            try:
                way = passage(lane, self._job)
            except GatewayError as error:
                self._trials.unfit(error)
                continue
            attempt = self._try = UpstreamTry(lane)
            breaker = self._means.channels[lane.id]
            breaker.started(attempt.started_s)
            try:
                if lane.channel.disconnect == "cancel":
                    return await unless_gone(self._request, self._call(attempt, way))
                return await self._call(attempt, way)
            except AttemptFailed as failed:
                self._note_failure(attempt, failed.failure)
            finally:
                breaker.ended()
                self._record(attempt)
            if self._client.left:
                raise ClientGone
            if not may_try_next(self._trials.failures, committed=self._client.committed):
                raise final_error(self._trials.failures)

    async def _call(self, attempt: UpstreamTry, way: Passage) -> web.StreamResponse:
        lane, job = attempt.lane, self._job
        self._losses = way.losses
        with self._vendor_time:
            response = await self._means.upstream.send(lane, way.call, way.body)
        attempt.status = response.status
        try:
            if response.headers.get("content-encoding") not in (None, "identity"):
                raise AttemptFailed(Failure(FailureKind.BAD_RESPONSE, response.status))
            if job.reading.stream and response.status == 200 and _is_stream(response, job):
                return await self._stream(attempt, way, response)
            return await self._deliver(attempt, way, response)
        finally:
            response.abort()

    async def _deliver(
        self, attempt: UpstreamTry, way: Passage, response: HttpResponse
    ) -> web.StreamResponse:
        """An answer in one piece."""
        with self._vendor_time:
            body = await self._means.upstream.read(attempt.lane, response)
        if response.status >= 400:
            self._judge_fault(attempt, body)
        self._inspect(attempt, body)
        try:
            answer = way.whole(body)
        except BadUpstreamMessage as error:
            raise AttemptFailed(Failure(FailureKind.BAD_RESPONSE, attempt.status)) from error
        self._note_success(attempt)
        if self._client.committed:
            # A keep-alive has promised events by now; a whole message cannot follow it.
            raise AttemptFailed(Failure(FailureKind.BAD_RESPONSE, response.status))
        self._note_first_byte()
        headers = self._headers()
        headers["content-type"] = response.headers.get("content-type") or "application/json"
        if self._settlement is not None:
            self._record(attempt)
            left = Ending(outcome=Outcome.CLIENT_LEFT_EARLY, status=200)
            self._settle(left if self._client.left else completion(attempt.tap))
            headers[COST_HEADER] = str(self._settlement.charge_uusd)
        return WholeAnswer(headers=headers, body=answer)

    def _judge_fault(self, attempt: UpstreamTry, body: bytes) -> NoReturn:
        """A status that is the caller's fault, unless the vendor's words say that it is ours."""
        said = attempt.lane.codec.failures.read_failure(attempt.status, body)
        failure = None if said is None else judge_status(said.status)
        if failure is not None:
            raise AttemptFailed(dataclasses.replace(failure, status=attempt.status))
        self._note_success(attempt)
        translated = attempt.lane.dialect is not self._job.dialect
        raise CallersFault(said.status if translated and said else attempt.status, body)

    def _inspect(self, attempt: UpstreamTry, body: bytes) -> None:
        """Look whether a 200 is the success it claims to be, and read its usage."""
        if self._settlement is None:
            said = attempt.lane.codec.failures.read_failure(attempt.status, body)
        else:
            try:
                attempt.tap.read_message(body)
            except BadUpstreamMessage as error:
                raise AttemptFailed(Failure(FailureKind.BAD_RESPONSE, attempt.status)) from error
            said = attempt.tap.error
        if said is None:
            return
        failure = judge_status(said.status)
        if failure is not None:
            raise AttemptFailed(failure)
        raise CallersFault(said.status, body)

    async def _stream(
        self, attempt: UpstreamTry, way: Passage, response: HttpResponse
    ) -> web.StreamResponse:
        """An answer in events."""
        idle_timeout_s = attempt.lane.channel.idle_timeout_s
        relay = StreamRelay(
            response,
            self._client,
            tap=attempt.tap,
            passage=way,
            on_finished=lambda: self._complete(attempt),
            spawn=self._means.supervisor.spawn,
        )
        self._client.when_left(self._departed)
        with self._vendor_time:
            await relay.first_event(idle_timeout_s=idle_timeout_s)
        self._note_success(attempt)
        self._means.channels[attempt.lane.id].observe_latency(time.monotonic() - attempt.started_s)
        self._note_first_byte()
        await self._open(way.content_type(response.headers.get("content-type")))
        self._relay = relay
        if attempt.lane.dialect in _REPORT_LATE:
            self._least_prompt_tokens = least_prompt_tokens(self._job.body)
        self._job.body = way.body = b""  # nothing can be sent again; streams live for minutes
        await relay.relay(idle_timeout_s=idle_timeout_s)
        if not relay.tap.finished:
            # It ended by an error event of the vendor's own, which the client has.
            self._error_type = ErrorCode.BAD_UPSTREAM.value
            self._record(attempt)
            self._settle(self._left or replace(_BROKEN, error_type=self._error_type))
        return self._opened()

    # How it ends.

    def _complete(self, attempt: UpstreamTry) -> None:
        """The terminal event has come and is about to be relayed."""
        self._note_first_byte()
        self._record(attempt)
        ending = completion(attempt.tap)
        if self._left is not None:
            # Read to the end for the exact usage: what the client owes was decided when it left.
            late = self._left.outcome is Outcome.CLIENT_LEFT_LATE and ending.usage is not None
            ending = (
                replace(self._left, usage=ending.usage, estimated=False) if late else self._left
            )
        self._settle(ending)

    def _pass_on(self, fault: CallersFault) -> web.StreamResponse:
        said = self._fault_in(fault)
        if self._client.committed:
            message = "the request was refused" if said is None else said.message
            return self._refuse(GatewayError(ErrorCode.INVALID_REQUEST, message))
        self._error_type = ErrorCode.INVALID_REQUEST.value
        self._settle(_failed(fault.status, self._error_type))
        attempt, job = self._try, self._job
        own_words = attempt is not None and attempt.lane.dialect is job.dialect
        return callers_fault(
            said,
            fault.status,
            self._request_id,
            dialect=job.dialect,
            headers=self._headers(),
            verbatim=fault.body if own_words else b"",
        )

    def _fault_in(self, fault: CallersFault) -> VendorFailure | None:
        if self._try is None:
            return None
        return self._try.lane.codec.failures.read_failure(fault.status, fault.body)

    def _refuse(self, error: GatewayError) -> web.StreamResponse:
        self._error_type = error.code.value
        if self._client.committed:
            return self._break_off(error)
        told = refusal(error, self._request_id, dialect=self._job.dialect, headers=self._headers())
        self._settle(_failed(told.status, self._error_type))
        return told

    def _break_off(self, error: GatewayError) -> web.StreamResponse:
        """The stream cannot be brought to its end: say so where the framing allows it, and close
        so that it cannot be taken for complete.
        """
        self._settle(self._left or replace(_BROKEN, error_type=error.code.value))
        words = Words(error.status, error.code.value, error.message, self._request_id)
        if self._relay is None:
            # Promised by a keep-alive and never begun.
            failures = self._job.codec.failures
            self._client.send(
                failures.encode_stream_error(
                    code=words.code, message=words.message, request_id=words.request_id
                )
            )
        else:
            self._relay.break_off(words)
        self._client.cut()
        return self._opened()

    def _abandon(self) -> web.StreamResponse:
        """The client has left and its channel does not drain."""
        self._settle(self._departed())
        return self._opened()

    def _give_up(self) -> web.StreamResponse:
        """A crash of ours, or a drain that took too long."""
        error = GatewayError(ErrorCode.INTERNAL_ERROR, "the request could not be completed")
        return self._refuse(error)

    def _departed(self) -> Ending:
        """The client has left: what it owes is decided now."""
        if self._left is None:
            # What a tap has seen before the relay began was held back, not delivered.
            tap = self._job.codec.tap() if self._relay is None else self._relay.tap
            self._left = departure(tap, self._least_prompt_tokens)
        return self._left

    def _settle(self, ending: Ending) -> None:
        if self._settlement is not None:
            first_byte_ms = None
            if self._first_byte_s is not None:
                first_byte_ms = _ms(self._first_byte_s - self._arrived_s)
            self._settlement.settle(ending, first_byte_ms=first_byte_ms)

    # Notes taken on the way.

    def _note_success(self, attempt: UpstreamTry) -> None:
        self._means.channels[attempt.lane.id].succeeded(time.monotonic())

    def _note_failure(self, attempt: UpstreamTry, failure: Failure) -> None:
        attempt.failure = failure
        attempt.status = failure.status or attempt.status
        self._trials.failed(attempt.lane, failure)

    def _note_first_byte(self) -> None:
        if self._first_byte_s is None:
            self._first_byte_s = time.monotonic()

    def _record(self, attempt: UpstreamTry) -> None:
        """Enter the attempt in the second book, once."""
        if attempt.recorded:
            return
        attempt.recorded = True
        line = attempt.line(self._job.reading.model)
        metrics = self._means.metrics
        metrics.attempts.add(line.channel, line.error_type or "answered")
        if self._settlement is not None:
            self._settlement.attempts.append(line)

    # The client's side.

    async def _open(self, content_type: str) -> None:
        await self._client.open({**self._headers(), "content-type": content_type})

    def _headers(self) -> dict[str, str]:
        headers = {
            "x-bytespike-attempts": str(self._trials.count),
            "x-bytespike-upstream-ms": f"{self._vendor_time.total_s * 1000:.3f}",
        }
        if self._losses:
            headers["x-bytespike-dropped"] = dropped_header(self._losses)
        return headers

    def _opened(self) -> web.StreamResponse:
        """The stream as the server must see it; the bare response is for a client that has left."""
        return self._client.response or web.Response(status=499)

    def _fill_silence(self) -> None:
        if self._client.left:
            return
        if not self._client.committed:
            self._means.supervisor.spawn(self._open_early())
        elif self._relay is None or self._relay.at_boundary:
            self._ping()

    async def _open_early(self) -> None:
        """Nothing has come yet: promise the stream, so that nobody on the way gives up on it."""
        if not self._client.committed:
            await self._open("text/event-stream; charset=utf-8")
            self._ping()

    def _ping(self) -> None:
        self._client.send(self._keep_alive)
        self._means.metrics.pings.inc()

    def _report(self, status: int) -> None:
        settlement, attempt = self._settlement, self._try
        report(
            self._means.metrics,
            Facts(
                job=self._job,
                lane=None if attempt is None else attempt.lane,
                status=status,
                ending=None if settlement is None else settlement.ending,
                charge_uusd=0 if settlement is None else settlement.charge_uusd,
                error_type=self._error_type,
                attempts=self._trials.count,
                arrived_s=self._arrived_s,
                first_byte_s=self._first_byte_s,
                ended_s=time.monotonic(),
                vendor_s=self._vendor_time.total_s,
                client_left=self._client.left,
            ),
        )


def _failed(status: int, error_type: str) -> Ending:
    return Ending(outcome=Outcome.FAILED, status=status, error_type=error_type)


def _is_stream(response: HttpResponse, job: Job) -> bool:
    declared = response.headers.get("content-type") or ""
    return declared.startswith("text/event-stream") or job.reading.framing == "array"


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
