"""A month of requests as a small company would send them: usage events in order of time. Pure.

Working hours, weekends, a rising trend, a few models per team, caches that warm up, the occasional
failure: enough that charts and statements look like something. Everything follows from the random
generator passed in, so the same seed gives the same month.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from random import Random

from bytespike_contracts.catalogue import Catalogue, Channel
from bytespike_contracts.ids import mint_id
from bytespike_contracts.money import Rates, TokenUsage, price
from bytespike_contracts.settlement import Outcome, charge
from bytespike_contracts.usage import Attempt, UsageEvent

__all__ = ["Sender", "month_of_events"]

_HOUR_MS = 3_600_000
#: Requests per hour of the day (UTC) relative to the busiest.
_DAY_CURVE = (
    *(0.05, 0.04, 0.03, 0.03, 0.04, 0.08, 0.2, 0.45, 0.75, 0.95, 1.0, 0.9),
    *(0.65, 0.8, 0.98, 1.0, 0.92, 0.7, 0.4, 0.25, 0.18, 0.13, 0.1, 0.07),
)
_WEEKEND = 0.22
#: The last day has so many times the requests of the first.
_GROWTH = 1.6

#: How requests end, and how often; what is left is completed.
_ENDINGS = (
    (Outcome.FAILED, 0.025),
    (Outcome.CLIENT_LEFT_LATE, 0.012),
    (Outcome.BROKE_UPSTREAM, 0.006),
    (Outcome.FILTERED, 0.003),
    (Outcome.CLIENT_LEFT_EARLY, 0.003),
    (Outcome.USAGE_UNKNOWN, 0.001),
)
_FAILURES = ((400, "invalid_request"), (429, "rate_limit_exceeded"), (503, "upstream_unavailable"))
#: Outcomes whose request reached a vendor that did some of the work.
_WORKED = frozenset(Outcome) - {Outcome.FAILED}


@dataclass(frozen=True, kw_only=True)
class Sender:
    """A key and its habits. ``models`` maps models to how often they are used, ``share`` is the
    key's part of all requests, ``tokens_in`` and ``tokens_out`` are medians.
    """

    key_id: str
    account_id: str
    org_id: str | None
    group: str
    share: float
    models: dict[str, float]
    dialect: str
    tokens_in: int
    tokens_out: int
    cached: float = 0.0
    streams: float = 0.7


@dataclass(frozen=True, slots=True)
class _Ended:
    """How one request ended, for the second book."""

    model: str
    outcome: Outcome
    usage: TokenUsage
    duration_ms: int


def month_of_events(
    senders: Sequence[Sender],
    catalogue: Catalogue,
    *,
    start_ms: int,
    end_ms: int,
    requests: int,
    random: Random,
) -> Iterator[UsageEvent]:
    """``requests`` events admitted from ``start_ms`` (a full hour) to before ``end_ms``, oldest
    first.

    Raises ``ValueError`` for a sender whose group does not have one of its models.
    """
    for sender in senders:
        for model in sender.models:
            if not catalogue.in_group(sender.group, model):
                raise ValueError(f"group {sender.group!r} does not have {model!r}")
    hours = range(start_ms, end_ms, _HOUR_MS)
    busy = list(accumulate(_weight(at_ms, start_ms, end_ms) for at_ms in hours))
    moments = sorted(
        at_ms + random.randrange(min(_HOUR_MS, end_ms - at_ms))
        for at_ms in random.choices(hours, cum_weights=busy, k=requests)
    )
    shares = [sender.share for sender in senders]
    for at_ms in moments:
        yield _event(random.choices(senders, shares)[0], catalogue, at_ms, random)


def _weight(at_ms: int, start_ms: int, end_ms: int) -> float:
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    weekend = _WEEKEND if at.weekday() >= 5 else 1.0
    trend = 1 + (_GROWTH - 1) * (at_ms - start_ms) / (end_ms - start_ms)
    return _DAY_CURVE[at.hour] * weekend * trend


def _event(sender: Sender, catalogue: Catalogue, at_ms: int, random: Random) -> UsageEvent:
    model = random.choices(list(sender.models), list(sender.models.values()))[0]
    rates = catalogue.rates(sender.group, model)
    if rates is None:
        raise ValueError(model)
    outcome = _ending(random)
    asked = _asked(sender, rates, random)
    usage = _delivered(asked, outcome, random)
    first_byte_ms = round(random.lognormvariate(math.log(650), 0.45))
    duration_ms = first_byte_ms + round(usage.output_tokens * random.uniform(6, 16)) + 20
    ended = _Ended(model, outcome, usage, duration_ms)
    status, error_type = 200, ""
    if outcome is Outcome.FAILED:
        status, error_type = random.choice(_FAILURES)
    return UsageEvent(
        request_id=mint_id("req", at_ms, random.randbytes(10)),
        account_id=sender.account_id,
        key_id=sender.key_id,
        org_id=sender.org_id,
        group=sender.group,
        model=model,
        dialect=sender.dialect,
        price_revision=catalogue.revision,
        admitted_ms=at_ms,
        finished_ms=at_ms + duration_ms,
        first_byte_ms=first_byte_ms if outcome in _WORKED else None,
        status=status,
        outcome=outcome,
        error_type=error_type,
        stream=random.random() < sender.streams,
        usage=usage if outcome in _WORKED and outcome is not Outcome.USAGE_UNKNOWN else None,
        estimated=outcome is Outcome.CLIENT_LEFT_LATE,
        hold_uusd=_worst_case(asked, rates),
        charge_uusd=charge(outcome, usage, rates),
        attempts=_attempts(sender, catalogue, ended, random),
    )


def _ending(random: Random) -> Outcome:
    mark = random.random()
    for outcome, chance in _ENDINGS:
        mark -= chance
        if mark < 0:
            return outcome
    return Outcome.COMPLETED


def _asked(sender: Sender, rates: Rates, random: Random) -> TokenUsage:
    """What the request would use if it ran to its end."""
    read = max(1, round(random.lognormvariate(math.log(sender.tokens_in), 0.7)))
    written = max(1, round(random.lognormvariate(math.log(sender.tokens_out), 0.8)))
    cached = 0
    if read > 1_024 and random.random() < sender.cached:
        cached = round(read * random.uniform(0.6, 0.95))
    # A prompt that was not in the cache is put there where that costs extra, now and then.
    fresh = read - cached
    stored = fresh // 2 if sender.cached and rates.cache_write_5m_uusd > rates.input_uusd else 0
    stored = stored if random.random() < 0.3 else 0
    return TokenUsage(
        input_tokens=fresh - stored,
        cache_write_5m_tokens=stored,
        cache_read_tokens=cached,
        output_tokens=written,
        reasoning_tokens=written // 3 if random.random() < 0.25 else 0,
    )


def _delivered(asked: TokenUsage, outcome: Outcome, random: Random) -> TokenUsage:
    """What of it happened."""
    match outcome:
        case Outcome.COMPLETED | Outcome.USAGE_UNKNOWN:
            written = asked.output_tokens
        case Outcome.CLIENT_LEFT_LATE | Outcome.BROKE_UPSTREAM:
            written = max(1, round(asked.output_tokens * random.uniform(0.05, 0.8)))
        case _:
            written = 0
    return TokenUsage(
        input_tokens=asked.input_tokens,
        cache_write_5m_tokens=asked.cache_write_5m_tokens,
        cache_read_tokens=asked.cache_read_tokens,
        output_tokens=written,
        reasoning_tokens=min(asked.reasoning_tokens, written),
    )


def _worst_case(asked: TokenUsage, rates: Rates) -> int:
    read = asked.input_tokens + asked.cache_write_5m_tokens + asked.cache_read_tokens
    return price(TokenUsage(input_tokens=read, output_tokens=asked.output_tokens * 2), rates)


def _attempts(
    sender: Sender, catalogue: Catalogue, ended: _Ended, random: Random
) -> tuple[Attempt, ...]:
    channels = catalogue.channels_for(sender.group, ended.model)
    if not channels or (ended.outcome is Outcome.FAILED and random.random() < 0.6):
        return ()  # refused before any vendor was asked
    if ended.outcome is Outcome.FAILED:
        return tuple(_refused(channel) for channel in channels[:2])
    if len(channels) > 1 and random.random() < 0.01:
        return (_refused(channels[0]), _answered(channels[1], catalogue, ended))
    return (_answered(channels[0], catalogue, ended),)


def _refused(channel: Channel) -> Attempt:
    return Attempt(channel=channel.id, status=529, duration_ms=85, error_type="overloaded")


def _answered(channel: Channel, catalogue: Catalogue, ended: _Ended) -> Attempt:
    rates = catalogue.cost_rates(channel, ended.model)
    return Attempt(
        channel=channel.id,
        status=200,
        duration_ms=ended.duration_ms,
        cost_uusd=0 if rates is None else price(ended.usage, rates),
        usage=ended.usage,
    )
