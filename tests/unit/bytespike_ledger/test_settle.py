"""The plan of a settlement is a pure function of what was read under the locks."""

from __future__ import annotations

from datetime import date

import msgspec
import pytest

from bytespike_contracts.holds import WINDOWS
from bytespike_contracts.ids import mint_id
from bytespike_contracts.money import Rates, TokenUsage
from bytespike_contracts.settlement import Outcome
from bytespike_contracts.usage import UsageEvent, fingerprint
from bytespike_ledger.settle import (
    ParkReason,
    Plan,
    PricedEvent,
    Rejected,
    Settled,
    bucket_deltas,
    plan,
    price_event,
    spend_deltas,
    spending_keys,
)

NOW_MS = 1_795_420_800_000  # 2026-11-23, 08:00 UTC
RATES = Rates(
    input_uusd=1_000_000,
    output_uusd=10_000_000,
    cache_read_uusd=100_000,
    cache_write_5m_uusd=1_000_000,
    cache_write_1h_uusd=1_000_000,
)


def event(number: int, tokens: int = 1, **changes: object) -> UsageEvent:
    plain = UsageEvent(
        request_id=mint_id("req", NOW_MS, number.to_bytes(10, "big")),
        account_id="acct_1",
        key_id="key_1",
        group="default",
        model="m-1",
        dialect="anthropic",
        price_revision="r",
        admitted_ms=NOW_MS,
        finished_ms=NOW_MS,
        status=200,
        outcome=Outcome.COMPLETED,
        hold_uusd=100,
        charge_uusd=10 * tokens,
        usage=TokenUsage(output_tokens=tokens),
    )
    return msgspec.structs.replace(plain, **changes)


def priced(number: int, tokens: int = 1, **changes: object) -> PricedEvent:
    return price_event(event(number, tokens, **changes), RATES, NOW_MS)


def test_an_event_is_priced_by_the_rates_given_and_not_by_its_own_word() -> None:
    found = priced(1, 7, charge_uusd=1)
    assert found.price_uusd == 70
    assert found.day == date(2026, 11, 23)
    assert found.fingerprint == fingerprint(found.event)


@pytest.mark.parametrize(
    "request_id",
    [
        "req_1",
        "",
        mint_id("req", NOW_MS + 3 * 86_400_000, bytes(10)),
        mint_id("req", 2**48 - 1, bytes(10)),
    ],
)
def test_an_id_no_gateway_can_have_minted_is_rejected(request_id: str) -> None:
    with pytest.raises(Rejected) as rejected:
        priced(1, request_id=request_id)
    assert rejected.value.reason is ParkReason.IMPLAUSIBLE_ID


def test_what_may_have_been_settled_and_forgotten_is_rejected() -> None:
    day_ms = 86_400_000
    kept, gone = (
        event(1, request_id=mint_id("req", (NOW_MS // day_ms - back) * day_ms, bytes(10)))
        for back in (33, 34)
    )
    assert price_event(kept, RATES, NOW_MS, retention_days=35).price_uusd == 10
    with pytest.raises(Rejected) as rejected:
        price_event(gone, RATES, NOW_MS, retention_days=35)
    assert rejected.value.reason is ParkReason.PAST_RETENTION


def test_a_success_without_usage_is_rejected() -> None:
    with pytest.raises(Rejected) as rejected:
        priced(1, usage=None)
    assert rejected.value.reason is ParkReason.CONTRADICTION


def test_a_failure_without_usage_is_fine_and_free() -> None:
    assert priced(1, usage=None, outcome=Outcome.FAILED).price_uusd == 0


def test_charges_are_covered_in_order_as_far_as_the_balance_goes() -> None:
    events = [priced(1, 3), priced(2, 3), priced(3, 3)]
    done = plan(events, known={}, balances={"acct_1": 50})
    assert done.settled == [
        Settled(events[0], 30, 0),
        Settled(events[1], 20, 10),
        Settled(events[2], 0, 30),
    ]


def test_balances_of_accounts_are_not_mixed() -> None:
    events = [priced(1, 3), priced(2, 3, account_id="acct_2")]
    done = plan(events, known={}, balances={"acct_1": 0, "acct_2": 100})
    assert [item.charge_uusd for item in done.settled] == [0, 30]


def test_known_events_are_replays_or_contradictions() -> None:
    same, other = priced(1), priced(2)
    known = {same.event.request_id: same.fingerprint, other.event.request_id: b"something else"}
    done = plan([same, other], known=known, balances={"acct_1": 100})
    assert done.settled == []
    assert done.replayed == [same]
    assert done.refused == [(other, ParkReason.OTHER_CONTENT)]


def test_repetition_inside_a_batch_counts_once() -> None:
    first = priced(1, 2)
    changed = priced(1, 5)
    done = plan([first, first, changed], known={}, balances={"acct_1": 100})
    assert done.settled == [Settled(first, 20, 0)]
    assert done.replayed == [first]
    assert done.refused == [(changed, ParkReason.OTHER_CONTENT)]


def test_events_of_accounts_nobody_opened_are_refused() -> None:
    stranger = priced(1, account_id="acct_9")
    done = plan([stranger], known={}, balances={})
    assert done.refused == [(stranger, ParkReason.UNKNOWN_ACCOUNT)]


def test_spend_and_buckets_are_summed_by_where_they_count() -> None:
    earlier_ms = NOW_MS - 10_800_000  # one of the widest buckets
    settled = [
        Settled(priced(1), 10, 0),
        Settled(priced(2), 5, 0),
        Settled(priced(3, admitted_ms=earlier_ms), 7, 0),
        Settled(priced(4, 0, key_id="key_2"), 0, 0),
    ]
    done = Plan(settled=settled)
    assert spend_deltas(done, {}) == {("acct_1", "key_1"): 22}
    found = {(d.window_no, d.bucket): d.amount_uusd for d in bucket_deltas(done, {})}
    assert found == {
        (1, NOW_MS // 300_000): 15,
        (1, earlier_ms // 300_000): 7,
        (2, NOW_MS // 1_800_000): 15,
        (2, earlier_ms // 1_800_000): 7,
        (3, NOW_MS // 10_800_000): 15,
        (3, earlier_ms // 10_800_000): 7,
    }


def test_what_a_key_spends_counts_for_its_owners_too() -> None:
    done = Plan(
        settled=[
            Settled(priced(1), 10, 0),
            Settled(priced(2, key_id="key_2"), 5, 0),
            Settled(priced(3, key_id="key_3"), 3, 0),
            Settled(priced(4, account_id="acct_2"), 2, 0),
        ],
        replayed=[priced(5, key_id="key_4")],
    )
    assert spending_keys(done) == {
        *(("acct_1", f"key_{number}") for number in (1, 2, 3, 4)),
        ("acct_2", "key_1"),
    }
    owners = {
        ("acct_1", "key_1"): ("mem_1", "org_1"),
        ("acct_1", "key_2"): ("mem_1", "org_1"),
        ("acct_1", "key_3"): ("org_1",),
        ("acct_1", "key_4"): ("mem_2", "org_1"),
    }
    sums = {
        ("acct_1", "key_1"): 10,
        ("acct_1", "key_2"): 5,
        ("acct_1", "key_3"): 3,
        ("acct_1", "key_4"): 0,
        ("acct_1", "mem_1"): 15,
        ("acct_1", "mem_2"): 0,
        ("acct_1", "org_1"): 18,
        ("acct_2", "key_1"): 2,
    }
    assert spend_deltas(done, owners) == sums
    buckets = bucket_deltas(done, owners)
    assert len(buckets) == 3 * len(sums)
    for number, window in enumerate(WINDOWS, 1):
        found = {(d.account_id, d.scope): d for d in buckets if d.window_no == number}
        assert {scope: delta.amount_uusd for scope, delta in found.items()} == sums
        assert {delta.bucket for delta in found.values()} == {window.bucket(NOW_MS)}


def test_replays_add_nothing_but_are_named() -> None:
    done = Plan(
        settled=[Settled(priced(1), 10, 0)],
        replayed=[priced(2, key_id="key_2"), priced(3, 0, key_id="key_3")],
    )
    assert spend_deltas(done, {}) == {("acct_1", "key_1"): 10, ("acct_1", "key_2"): 0}
    assert [(d.scope, d.amount_uusd) for d in bucket_deltas(done, {})] == [
        ("key_1", 10),
        ("key_1", 10),
        ("key_1", 10),
        ("key_2", 0),
        ("key_2", 0),
        ("key_2", 0),
    ]
