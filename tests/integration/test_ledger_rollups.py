"""Sums of usage against a plain count, the second book against the first, and days that go."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from itertools import combinations
from typing import Any

import pytest

from bytespike_contracts.ids import mint_id
from bytespike_contracts.money import CostParts, Rates, TokenUsage, split_charge
from bytespike_contracts.settlement import Outcome, charge
from bytespike_contracts.usage import Attempt, UsageEvent
from bytespike_ledger.rollups import DAY_MS, HOUR_MS, Sums
from bytespike_ledger.settle import price_event
from bytespike_ledger.settling import Settler
from bytespike_ledger.store import upkeep
from bytespike_ledger.store.reconciliation import reconcile_day
from bytespike_ledger.store.rollups import SummaryFilter, read_summary
from bytespike_runtime import pg
from tests.support.ledger import Customer, Rig, ledger, replaced

_RATES = Rates(
    input_uusd=1_234_567,
    output_uusd=9_876_543,
    cache_read_uusd=123_457,
    cache_write_5m_uusd=1_543_209,
    cache_write_1h_uusd=2_469_134,
    web_search_uusd=10_000_000,
    multiplier_ppm=910_000,
)
_OUTCOMES = [Outcome.COMPLETED] * 6 + [
    Outcome.CLIENT_LEFT_LATE,
    Outcome.FILTERED,
    Outcome.USAGE_UNKNOWN,
    Outcome.FAILED,
]
_MODELS = ("m-1", "m-2", "m-3")
_DAYS = 4


@pytest.fixture
async def rig(fresh_postgres_url: str, redis_url: str, nats_url: str) -> AsyncIterator[Rig]:
    async with ledger(fresh_postgres_url, redis_url, nats_url) as rig:
        async with pg.connection(rig.books.pool) as conn:
            for model in _MODELS:
                await conn.execute(
                    "insert into price_revisions values ('odd', 'default', $1, $2, $3, $4, $5, $6,"
                    " $7, $8)",
                    model,
                    _RATES.input_uusd,
                    _RATES.output_uusd,
                    _RATES.cache_read_uusd,
                    _RATES.cache_write_5m_uusd,
                    _RATES.cache_write_1h_uusd,
                    _RATES.web_search_uusd,
                    _RATES.multiplier_ppm,
                )
        yield rig


def _event(rig: Rig, dice: random.Random, customers: list[Customer]) -> UsageEvent:
    """Any request of the last days, by its id and everything else."""
    customer = dice.choice(customers)
    at_ms = rig.books.now_ms() - dice.randrange(_DAYS * DAY_MS)
    outcome = dice.choice(_OUTCOMES)
    usage = TokenUsage(
        input_tokens=dice.randrange(3_000),
        cache_write_5m_tokens=dice.randrange(900),
        cache_write_1h_tokens=dice.choice([0, dice.randrange(900)]),
        cache_read_tokens=dice.randrange(9_000),
        output_tokens=dice.randrange(1, 900),
        reasoning_tokens=dice.randrange(100),
        web_searches=dice.randrange(3),
    )
    known = None if outcome is Outcome.USAGE_UNKNOWN else usage
    attempts = tuple(
        Attempt(
            channel=dice.choice(["c-1", "c-2"]),
            status=200,
            duration_ms=5,
            cost_uusd=dice.randrange(500),
            usage=usage,
        )
        for _ in range(dice.randrange(4))
    )
    return replaced(
        rig.event(customer),
        request_id=mint_id("req", at_ms, dice.randbytes(10)),
        admitted_ms=at_ms + dice.randrange(2_000),
        model=dice.choice(_MODELS),
        price_revision="odd",
        outcome=outcome,
        usage=known,
        charge_uusd=charge(outcome, known, _RATES),
        attempts=attempts,
    )


async def _settle(rig: Rig, events: list[UsageEvent]) -> None:
    now_ms = rig.books.now_ms()
    refused = await Settler(rig.books).settle([price_event(e, _RATES, now_ms) for e in events])
    assert refused == []


async def _rows(rig: Rig, query: str, *values: object) -> list[dict[str, Any]]:
    async with pg.connection(rig.books.pool) as conn:
        return [dict(row) for row in await conn.fetch(query, *values)]


async def _traffic(rig: Rig, seed: int) -> list[Customer]:
    """A few hundred requests in batches, some of them twice, one wallet too small for its own."""
    dice = random.Random(seed)
    customers = [await rig.customer(10_000_000), await rig.customer(10_000_000)]
    customers.append(await rig.customer(60_000))
    events = [_event(rig, dice, customers) for _ in range(400)]
    done: list[UsageEvent] = []
    while events:
        batch, events = events[:60], events[60:]
        again = dice.sample(done, min(len(done), 20))
        await _settle(rig, dice.sample([*batch, *again], len(batch) + len(again)))
        done += batch
    return customers


def _counted(rows: list[dict[str, Any]]) -> dict[tuple[str, int, str, str], list[int]]:
    """Sums by hour from usage rows, one after the other."""
    sums: dict[tuple[str, int, str, str], list[int]] = {}
    for row in rows:
        usage = TokenUsage(**{n: row[n] or 0 for n in TokenUsage.__struct_fields__})
        parts: CostParts = split_charge(row["charge_uusd"], usage, _RATES)
        hour_ms = row["admitted_ms"] // HOUR_MS * HOUR_MS
        place = (row["account_id"], hour_ms, row["key_id"], row["model"])
        added = Sums(
            1,
            usage.input_tokens,
            usage.cache_write_5m_tokens + usage.cache_write_1h_tokens,
            usage.cache_read_tokens,
            usage.output_tokens,
            usage.reasoning_tokens,
            usage.web_searches,
            row["charge_uusd"],
            *parts,
        )
        known = sums.setdefault(place, [0] * len(added))
        sums[place] = [a + b for a, b in zip(known, added, strict=True)]
    return sums


async def _hours(rig: Rig) -> dict[tuple[str, int, str, str], list[int]]:
    return {
        (row["account_id"], row["hour_ms"], row["key_id"], row["model"]): [
            row[name] for name in Sums._fields
        ]
        for row in await _rows(rig, "select * from usage_hours")
    }


@pytest.mark.parametrize("seed", [1, 2])
async def test_sums_are_what_the_rows_add_up_to(rig: Rig, seed: int) -> None:
    await _traffic(rig, seed)

    listed = await _rows(rig, "select * from usage where outcome <> 'failed'")
    assert sum(row["shortfall_uusd"] for row in listed) > 0, "one wallet must have run dry"
    by_row = _counted(listed)
    assert await _hours(rig) == by_row
    assert await rig.dirty_checks() == set()

    # What the migration does for rows from before there were sums comes to the same.
    async with pg.connection(rig.books.pool) as conn, conn.transaction():
        await conn.execute("delete from usage_hours")
        await conn.execute("select roll_up_usage('-infinity', 'infinity')")
    assert await _hours(rig) == by_row
    assert await rig.dirty_checks() == set()


async def test_summaries_equal_sums_over_rows_however_they_are_grouped(rig: Rig) -> None:
    customer = (await _traffic(rig, 3))[0]
    now_ms = rig.books.now_ms()
    dice = random.Random(3)
    times: tuple[list[str], ...] = ([], ["day"], ["hour"])
    rest = [list(c) for n in range(3) for c in combinations(["model", "key_id"], n)]
    for group_by in [[*at, *more] for at in times for more in rest]:
        for model, keys in ((None, None), ("m-2", None), (None, [customer.key_id]), ("m-1", [])):
            since_ms = (now_ms - dice.randrange(_DAYS * DAY_MS)) // HOUR_MS * HOUR_MS
            until_ms = since_ms + dice.randrange(1, 80) * HOUR_MS
            wanted = SummaryFilter(
                account_id=customer.account_id,
                key_ids=keys,
                since_ms=since_ms,
                until_ms=until_ms,
                group_by=group_by,
                model=model,
            )
            async with pg.connection(rig.books.pool) as conn:
                found = await read_summary(conn, wanted, limit=100_000)
            listed = await _rows(
                rig,
                """select * from usage where outcome <> 'failed' and account_id = $1
                   and admitted_ms >= $2 and admitted_ms < $3
                   and ($4::text is null or model = $4)
                   and ($5::text[] is null or key_id = any($5))""",
                customer.account_id,
                since_ms,
                until_ms,
                model,
                keys,
            )
            assert _grouped(found, group_by) == _expected(listed, group_by), (group_by, model, keys)


def _grouped(rows: Any, group_by: list[str]) -> dict[tuple[Any, ...], list[int]]:
    return {
        tuple(row[word] for word in group_by): [row[name] for name in Sums._fields] for row in rows
    }


def _expected(rows: list[dict[str, Any]], group_by: list[str]) -> dict[tuple[Any, ...], list[int]]:
    sums: dict[tuple[Any, ...], list[int]] = {}
    for (_, hour_ms, key_id, model), added in _counted(rows).items():
        words = {
            "day": hour_ms // DAY_MS * DAY_MS,
            "hour": hour_ms,
            "model": model,
            "key_id": key_id,
        }
        place = tuple(words[word] for word in group_by)
        known = sums.setdefault(place, [0] * len(added))
        sums[place] = [a + b for a, b in zip(known, added, strict=True)]
    return sums


async def test_the_second_book_and_the_first_meet(rig: Rig) -> None:
    await _traffic(rig, 4)
    today = datetime.fromtimestamp(rig.books.now_ms() / 1000, UTC).date()
    days = [today - timedelta(days=n) for n in range(_DAYS + 1)]
    async with pg.connection(rig.books.pool) as conn:
        lines = [line for day in days for line in await reconcile_day(conn, day, channel=None)]
        of_one = [line for day in days for line in await reconcile_day(conn, day, channel="c-1")]

    costs, calls, attempts = Counter[str](), Counter[str](), Counter[str]()
    for line in lines:
        costs[line.channel] += line.cost_uusd
        calls[line.channel] += line.calls
        attempts[line.channel] += line.attempts
    for row in await _rows(
        rig,
        "select channel, sum(cost_uusd)::bigint as cost, count(*) as attempts"
        " from usage_attempts group by 1",
    ):
        assert (costs[row["channel"]], attempts[row["channel"]]) == (row["cost"], row["attempts"])
    assert sum(calls.values()) == await rig.value("select count(*) from usage")
    revenue = await rig.value("select sum(charge_uusd)::bigint from usage")
    assert sum(line.revenue_uusd for line in lines) == revenue
    assert of_one == [line for line in lines if line.channel == "c-1"]


async def test_days_go_their_sums_stay_and_nothing_of_them_is_settled_again(
    fresh_postgres_url: str, redis_url: str, nats_url: str
) -> None:
    clock = {"ms": 1_790_000_000_000}
    async with ledger(fresh_postgres_url, redis_url, nats_url, now_ms=lambda: clock["ms"]) as rig:
        object.__setattr__(rig.books, "usage_retention_days", 35)
        customer = await rig.customer(1_000_000)
        old = rig.event(customer, output_tokens=5)
        free = rig.event(customer, outcome=Outcome.FILTERED)
        await rig.publish(old, free)
        await rig.settle_all()
        old_day = datetime.fromtimestamp(clock["ms"] / 1000, UTC).date()

        clock["ms"] += 34 * DAY_MS
        await rig.rebuilder.rebuild()
        await rig.publish(rig.event(customer, output_tokens=7))
        await rig.settle_all()
        await _sweep(rig)
        assert await _has_table(rig, old_day), "not old enough yet"

        clock["ms"] += 2 * DAY_MS
        await rig.rebuilder.rebuild()
        await _sweep(rig)
        assert not await _has_table(rig, old_day)
        assert await rig.value("select count(*) from usage") == 1
        assert await rig.value("select sum(calls)::int from usage_days") == 3
        assert await _wrong_in_postgres(rig) == set()

        await rig.publish(old, free)
        await rig.settle_all()
        assert await rig.value("select count(*) from usage") == 1
        parked = await rig.value(
            "select count(*) from parked_events where reason = 'past_retention'"
        )
        assert parked == 2
        assert await rig.balance(customer) == 1_000_000 - 50 - 70

        # A ledger whose clock or setting is behind cannot bring the day back either.
        late = [price_event(e, rig.rates, clock["ms"], retention_days=400) for e in (old, free)]
        refused = await Settler(rig.books).settle(late)
        assert {reason.value for _, reason in refused} == {"refused_by_database"}
        assert not await _has_table(rig, old_day)
        assert await _wrong_in_postgres(rig) == set()


async def test_a_day_is_dropped_while_others_are_read_and_written(rig: Rig) -> None:
    customer = await rig.customer(1_000_000)
    await rig.publish(rig.event(customer))
    await rig.settle_all()
    ancient = date(2020, 2, 3)
    async with pg.connection(rig.books.pool) as conn:
        await upkeep.ensure_day(conn, ancient)
        # As a detaching that died half-way leaves it: the second phase is still to come.
        await conn.execute("alter table usage detach partition usage_2020_02_03 concurrently")
    assert await _has_table(rig, ancient)
    await _sweep(rig)
    assert not await _has_table(rig, ancient)
    await rig.publish(rig.event(customer))
    await rig.settle_all()
    assert await rig.value("select count(*) from usage") == 2


async def _sweep(rig: Rig) -> None:
    async with pg.connection(rig.books.pool) as conn:
        await rig.sweeper.sweep_tables(conn)


async def _has_table(rig: Rig, day: date) -> bool:
    found = [
        await rig.value("select to_regclass($1)::text", f"{parent}_{day:%Y_%m_%d}")
        for parent in ("usage", "usage_attempts")
    ]
    assert len({name is None for name in found}) == 1
    return found[0] is not None


async def _wrong_in_postgres(rig: Rig) -> set[str]:
    """Redis forgets windows by its own clock, which these tests do not turn."""
    return await rig.dirty_checks() - {"redis_equals_postgres"}
