"""The end of a paid request: decided once, written once, finished once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from bytespike_contracts.money import Rates, TokenUsage
from bytespike_contracts.principal import Grant, Principal, Reading
from bytespike_contracts.settlement import Outcome
from bytespike_contracts.usage import UsageEvent
from bytespike_protocols.anthropic.tap import MessagesTap
from bytespike_protocols.sse import Frame
from bytespike_runtime.bus import Bus
from bytespike_runtime.kv import ScriptPipe
from bytespike_text.leases import SCRIPTS, Holds
from bytespike_text.metrics import TextMetrics
from bytespike_text.publisher import Publisher
from bytespike_text.spool import Spool
from bytespike_text.token_count import least_prompt_tokens
from bytespike_text.usage import Books, Ending, Settlement, completion, departure

GRANT = Grant(
    rates=Rates(
        input_uusd=3_000_000,
        output_uusd=15_000_000,
        cache_read_uusd=300_000,
        cache_write_5m_uusd=3_750_000,
        cache_write_1h_uusd=6_000_000,
    ),
    price_revision="rev",
    hold_uusd=9_000,
    admitted_ms=1,
    scopes=("key_1",),
)
PRINCIPAL = Principal(
    request_id="req_1",
    account_id="acct_1",
    key_id="key_1",
    group="default",
    scopes=("inference",),
    grant=GRANT,
)
WHOLE = Reading(model="m", model_span=(9, 12))
STREAM = Reading(model="m", model_span=(9, 12), stream=True)
COMPLETED = Ending(
    outcome=Outcome.COMPLETED,
    status=200,
    usage=TokenUsage(input_tokens=100, output_tokens=20),
)


@pytest.fixture
def books(tmp_path: Path) -> Books:
    """Real books; Redis and NATS are simply not there, as they may be in production."""
    metrics = TextMetrics(CollectorRegistry())
    spool = Spool.create(tmp_path, "spool", limit_bytes=1 << 20)
    holds = Holds(ScriptPipe("redis://127.0.0.1:1", SCRIPTS), metrics=metrics)
    publisher = Publisher(Bus("nats://127.0.0.1:1"), spool, [], metrics=metrics)
    return Books(spool, holds, publisher, metrics)


def written(books: Books) -> list[UsageEvent]:
    lines = books.spool.read_released(64).lines
    return [msgspec.json.decode(line.event, type=UsageEvent) for line in lines]


async def test_only_the_first_ending_counts(books: Books) -> None:
    settlement = Settlement(PRINCIPAL, GRANT, WHOLE, dialect="anthropic", books=books)
    settlement.settle(COMPLETED, first_byte_ms=5)
    settlement.settle(Ending(outcome=Outcome.FAILED, status=500), first_byte_ms=None)
    assert settlement.charge_uusd == 600
    (event,) = written(books)
    assert (event.outcome, event.charge_uusd, event.first_byte_ms) == (Outcome.COMPLETED, 600, 5)


class UnansweredHolds(Holds):
    """Redis has the order and has not answered yet."""

    answered: Callable[[], None]

    def finish(
        self, request_id: str, cost_uusd: int, *, at_once: bool, then: Callable[[], None]
    ) -> None:
        self.answered = then


async def test_the_event_goes_only_after_the_hold_is_finished(books: Books) -> None:
    holds = UnansweredHolds(ScriptPipe("redis://127.0.0.1:1", SCRIPTS), metrics=books.metrics)
    settlement = Settlement(
        PRINCIPAL, GRANT, WHOLE, dialect="anthropic", books=replace(books, holds=holds)
    )
    settlement.settle(COMPLETED, first_byte_ms=None)
    assert written(books) == []
    holds.answered()
    assert len(written(books)) == 1


async def test_what_cannot_be_recorded_is_not_charged(books: Books) -> None:
    books.spool.close()
    settlement = Settlement(PRINCIPAL, GRANT, WHOLE, dialect="anthropic", books=books)
    settlement.settle(COMPLETED, first_byte_ms=None)
    assert settlement.charge_uusd == 0


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome.FAILED,
        Outcome.BROKE_UPSTREAM,
        Outcome.FILTERED,
        Outcome.CLIENT_LEFT_EARLY,
        Outcome.USAGE_UNKNOWN,
    ],
)
def test_free_outcomes_are_free_whatever_was_used(books: Books, outcome: Outcome) -> None:
    settlement = Settlement(PRINCIPAL, GRANT, STREAM, dialect="anthropic", books=books)
    usage = TokenUsage(input_tokens=1_000_000)
    settlement.settle(Ending(outcome=outcome, status=200, usage=usage), first_byte_ms=None)
    assert settlement.charge_uusd == 0


def tapped(*frames: tuple[bytes, bytes]) -> MessagesTap:
    tap = MessagesTap()
    for event, data in frames:
        tap.feed(Frame(event, data))
    return tap


START = (b"message_start", b'{"message":{"type":"message","usage":{"input_tokens":10}}}')
TEXT = (b"content_block_delta", b'{"delta":{"type":"text_delta","text":"twelve bytes"}}')
END = (b"message_delta", b'{"delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}}')
REFUSED = (b"message_delta", b'{"delta":{"stop_reason":"refusal"},"usage":{"output_tokens":1}}')


def test_a_completion_is_read_from_the_tap() -> None:
    reported = TokenUsage(input_tokens=10, output_tokens=9)
    assert completion(tapped(START, TEXT, END)).outcome is Outcome.COMPLETED
    assert completion(tapped(START, TEXT, END)).usage == reported
    assert completion(tapped(START, TEXT)).outcome is Outcome.USAGE_UNKNOWN
    assert completion(tapped(START, REFUSED)).outcome is Outcome.FILTERED
    assert completion(tapped(START, TEXT, REFUSED)).outcome is Outcome.COMPLETED


def test_a_client_that_leaves_owes_what_it_got() -> None:
    assert departure(tapped(START)).outcome is Outcome.CLIENT_LEFT_EARLY
    counted = departure(tapped(START, TEXT))
    assert (counted.outcome, counted.estimated) == (Outcome.CLIENT_LEFT_LATE, True)
    assert counted.usage == TokenUsage(input_tokens=10, output_tokens=3)
    reported = departure(tapped(START, TEXT, END))
    assert (reported.usage, reported.estimated) == (
        TokenUsage(input_tokens=10, output_tokens=9),
        False,
    )


def test_a_prompt_nobody_reported_is_counted_by_its_text() -> None:
    unreported = (b"message_start", b'{"message":{"type":"message"}}')
    late = departure(tapped(unreported, TEXT), 7)
    assert late.usage == TokenUsage(input_tokens=7, output_tokens=3)
    assert late.estimated
    body = rb'{"model":"m","messages":[{"role":"user","content":"eight by\"tes"},'
    body += rb'{"content":[{"type":"text","text": "12 more bytes"}]}],"input_schema":{"x":"y"}}'
    assert least_prompt_tokens(body) == (11 + 13) // 4
