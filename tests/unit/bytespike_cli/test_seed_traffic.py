"""The invented month: the same for the same seed, in order, and nothing a ledger would refuse."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from bytespike_cli.seed.companies import COMPANIES
from bytespike_cli.seed.month import stretches
from bytespike_cli.seed.traffic import Sender, month_of_events
from bytespike_contracts.catalogue import Catalogue, parse_catalogue
from bytespike_contracts.ids import request_time_ms
from bytespike_contracts.settlement import CLIENT_SUCCESS, Outcome
from bytespike_contracts.usage import UsageEvent
from bytespike_ledger.settle import price_event

CATALOGUE = parse_catalogue(Path("deploy/catalogue/default.toml").read_text(), {})
START_MS = int(datetime(2026, 10, 1, tzinfo=UTC).timestamp() * 1000)
END_MS = START_MS + 30 * 86_400_000 - 17 * 60_000


def senders() -> list[Sender]:
    plans = [plan for person in COMPANIES[0].people for plan in person.keys]
    return [
        Sender(
            key_id=f"key_{plan.name}",
            account_id="acct_1",
            org_id="org_1",
            group="default",
            share=plan.share,
            models=plan.models,
            dialect=plan.dialect,
            tokens_in=plan.tokens_in,
            tokens_out=plan.tokens_out,
            cached=plan.cached,
            streams=plan.streams,
        )
        for plan in plans
    ]


def month(seed: int, catalogue: Catalogue = CATALOGUE) -> list[UsageEvent]:
    events = month_of_events(
        senders(), catalogue, start_ms=START_MS, end_ms=END_MS, requests=3_000, random=Random(seed)
    )
    return list(events)


def test_the_same_seed_gives_the_same_month_and_another_one_another() -> None:
    assert month(1) == month(1)
    assert month(1) != month(2)


def test_requests_come_in_order_inside_the_month_with_ids_of_their_time() -> None:
    events = month(1)
    assert len(events) == 3_000
    moments = [event.admitted_ms for event in events]
    assert moments == sorted(moments)
    assert moments[0] >= START_MS
    assert moments[-1] < END_MS
    assert all(request_time_ms(event.request_id) == event.admitted_ms for event in events)


def test_the_ledger_would_charge_exactly_what_the_events_say() -> None:
    for event in month(1):
        rates = CATALOGUE.rates(event.group, event.model)
        assert rates is not None
        assert price_event(event, rates, END_MS).price_uusd == event.charge_uusd
        assert event.charge_uusd <= event.hold_uusd or event.usage is not None


def test_it_looks_like_a_company() -> None:
    events = month(1)
    endings = Counter(event.outcome for event in events)
    assert endings[Outcome.COMPLETED] > 0.9 * len(events)
    assert set(endings) >= CLIENT_SUCCESS - {Outcome.USAGE_UNKNOWN}
    by_hour = Counter(datetime.fromtimestamp(e.admitted_ms / 1000, UTC).hour for e in events)
    assert by_hour[10] > 5 * by_hour[3]
    weekdays = Counter(datetime.fromtimestamp(e.admitted_ms / 1000, UTC).weekday() for e in events)
    assert weekdays[2] > 2 * weekdays[6]
    assert sum(e.charge_uusd for e in events[1_500:]) > 0


def test_a_model_outside_the_group_of_its_sender_is_refused() -> None:
    sender = senders()[0]
    stranger = Sender(
        **{
            **{name: getattr(sender, name) for name in sender.__dataclass_fields__},
            "group": "gemini-default",
        }
    )
    with pytest.raises(ValueError, match="does not have"):
        list(
            month_of_events(
                [stranger],
                CATALOGUE,
                start_ms=START_MS,
                end_ms=END_MS,
                requests=1,
                random=Random(1),
            )
        )


def test_money_is_bought_before_it_runs_out_and_no_request_is_lost() -> None:
    events = month(1)
    cut = list(stretches(events, start_ms=START_MS, top_up_usd=20, refill_below_usd=5))
    assert [event for stretch in cut for event in stretch.events] == events
    assert [stretch.purchase.number for stretch in cut] == list(range(1, len(cut) + 1))
    left_uusd = 0
    for stretch in cut:
        left_uusd += stretch.purchase.usd * 1_000_000
        left_uusd -= sum(event.charge_uusd for event in stretch.events)
        assert left_uusd >= 5_000_000 or stretch is cut[-1]
    assert len(cut) > 2
