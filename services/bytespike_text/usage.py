"""The end of a paid request: one outcome, one usage event, one finished hold, whatever happened."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from bytespike_contracts.money import MicroUsd, TokenUsage
from bytespike_contracts.principal import Grant, Principal, Reading
from bytespike_contracts.settlement import Outcome, charge
from bytespike_contracts.usage import Attempt, UsageEvent
from bytespike_protocols.ir import Usage
from bytespike_protocols.tap import Tap
from bytespike_runtime.logs import get_logger
from bytespike_text.leases import Holds
from bytespike_text.metrics import TextMetrics
from bytespike_text.publisher import Publisher
from bytespike_text.spool import Position, Spool, SpoolError

__all__ = [
    "Books",
    "Ending",
    "Settlement",
    "completion",
    "departure",
    "token_usage",
]

_log = get_logger()


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How a request ended. ``status`` is what the client got; ``estimated`` = counted by us."""

    outcome: Outcome
    status: int
    usage: TokenUsage | None = None
    estimated: bool = False
    error_type: str = ""


def token_usage(usage: Usage) -> TokenUsage:
    """The protocol's reading in the contracts' words (the two packages do not know each other)."""
    return TokenUsage(
        input_tokens=usage.input_tokens,
        cache_write_5m_tokens=usage.cache_write_5m_tokens,
        cache_write_1h_tokens=usage.cache_write_1h_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        web_searches=usage.web_searches,
    )


def completion(tap: Tap) -> Ending:
    """The ending of an answer that reached its terminal event or was read as a whole."""
    reported = tap.usage
    usage = None if reported is None else token_usage(reported)
    if tap.refused:
        return Ending(outcome=Outcome.FILTERED, status=200, usage=usage)
    if usage is None:
        return Ending(outcome=Outcome.USAGE_UNKNOWN, status=200)
    return Ending(outcome=Outcome.COMPLETED, status=200, usage=usage)


def departure(tap: Tap, least_prompt_tokens: int = 0) -> Ending:
    """The ending if the client leaves now: it pays for what was delivered, if anything was. Most
    dialects report the input only at the end; until then it is counted by us, too.
    """
    if not tap.content_seen:
        return Ending(outcome=Outcome.CLIENT_LEFT_EARLY, status=200)
    usage = token_usage(tap.usage_so_far)
    if not (usage.input_tokens or usage.cache_read_tokens or usage.cache_write_5m_tokens):
        usage = replace(usage, input_tokens=least_prompt_tokens)
    return Ending(
        outcome=Outcome.CLIENT_LEFT_LATE,
        status=200,
        usage=usage,
        estimated=tap.usage is None,
    )


@dataclass(frozen=True, slots=True)
class Books:
    """Where the end of a request is written to."""

    spool: Spool
    holds: Holds
    publisher: Publisher
    metrics: TextMetrics


class Settlement:
    """The paid side of one request. :meth:`settle` takes effect once; later calls do nothing."""

    __slots__ = (
        "_admitted",
        "_books",
        "_dialect",
        "_grant",
        "_let_go_of",
        "_position",
        "_reading",
        "_waiting",
        "attempts",
        "charge_uusd",
        "ending",
    )

    def __init__(
        self, principal: Principal, grant: Grant, reading: Reading, *, dialect: str, books: Books
    ) -> None:
        self._admitted = principal
        self._dialect = dialect
        self._grant = grant
        self._reading = reading
        self._books = books
        self._position: Position | None = None
        self._let_go_of = False
        self._waiting: asyncio.Future[None] | None = None
        self.attempts: list[Attempt] = []
        self.ending: Ending | None = None
        self.charge_uusd = MicroUsd(0)
        books.holds.keep(principal.request_id, principal.account_id, grant)

    def settle(self, ending: Ending, *, first_byte_ms: int | None) -> None:
        """Decide the charge, put the event on disk and order the hold's end: call it before the
        client's last byte.
        """
        if self.ending is not None:
            return
        self.ending = ending
        self.charge_uusd = charge(ending.outcome, ending.usage, self._grant.rates)
        event = self._event(ending, first_byte_ms)
        try:
            self._position = self._books.spool.append(event)
        except SpoolError as error:
            # What cannot be recorded is not charged: the hold is given back in full.
            self.charge_uusd = MicroUsd(0)
            self._books.metrics.spool_refusals.inc()
            _log.error("usage event lost", request_id=event.request_id, reason=str(error))
        # A stream's last bytes do not wait for :meth:`freed`; a whole answer does.
        self._books.holds.finish(
            event.request_id, self.charge_uusd, at_once=self._reading.stream, then=self._let_go
        )
        self._count(ending)

    async def freed(self) -> None:
        """Wait until slot and money are free for the client's next call (or Redis cannot say)."""
        if self.ending is not None and not self._let_go_of:
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting

    def _let_go(self) -> None:
        """The hold is finished and the event may go: the ledger must never see them reversed."""
        self._let_go_of = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
        if self._position is not None:
            self._books.spool.release(self._position)
            self._books.publisher.notify()

    def _event(self, ending: Ending, first_byte_ms: int | None) -> UsageEvent:
        admitted, grant = self._admitted, self._grant
        return UsageEvent(
            request_id=admitted.request_id,
            account_id=admitted.account_id,
            key_id=admitted.key_id,
            org_id=admitted.org_id,
            group=admitted.group,
            model=self._reading.model,
            dialect=self._dialect,
            price_revision=grant.price_revision,
            admitted_ms=grant.admitted_ms,
            finished_ms=round(time.time() * 1000),
            status=ending.status,
            outcome=ending.outcome,
            hold_uusd=grant.hold_uusd,
            charge_uusd=self.charge_uusd,
            stream=self._reading.stream,
            first_byte_ms=first_byte_ms,
            usage=ending.usage,
            estimated=ending.estimated,
            error_type=ending.error_type,
            attempts=tuple(self.attempts),
        )

    def _count(self, ending: Ending) -> None:
        metrics = self._books.metrics
        metrics.outcomes.add(ending.outcome.value)
        if ending.outcome is Outcome.USAGE_UNKNOWN:
            _log.warning("answer without usage", request_id=self._admitted.request_id)
