"""Wallets over the API: bonus, adjustments, refunds, what customers see of it."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from bytespike_cli.servers import PostgresServer
from bytespike_runtime import pg
from tests.support.eventually import eventually
from tests.support.ledger import Customer, Rig, ledger
from tests.support.stripe import FakeStripe, event, fake_stripe
from tests.support.wallet_api import (
    WalletClient,
    new_customer,
    wallet_client,
)


@pytest.fixture(scope="module")
async def rig(postgres_server: PostgresServer, redis_url: str, nats_url: str) -> AsyncIterator[Rig]:
    database = postgres_server.create_database("ledger_wallets")
    async with ledger(database, redis_url, nats_url) as rig:
        yield rig


@pytest.fixture(scope="module")
async def stripe() -> AsyncIterator[FakeStripe]:
    async with fake_stripe() as fake:
        yield fake


@pytest.fixture(scope="module")
async def client(
    rig: Rig,
    stripe: FakeStripe,
    postgres_server: PostgresServer,
    redis_url: str,
    nats_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[WalletClient]:
    database = postgres_server.database_url("ledger_wallets")
    folder = tmp_path_factory.mktemp("wallets")
    async with wallet_client(rig, database, redis_url, nats_url, folder, stripe) as client:
        yield client


async def events_of(rig: Rig, customer: Customer) -> list[tuple[str, Any]]:
    async with pg.connection(rig.books.pool) as conn:
        rows = await conn.fetch(
            "select type, body::text from account_events where account_id = $1 order by id",
            customer.account_id,
        )
    return [tuple(row) for row in rows]


async def spend(rig: Rig, customer: Customer, uusd: int) -> None:
    request = rig.event(customer, output_tokens=uusd // 10)
    assert await rig.admit(request)
    await rig.finish(request)
    await rig.publish(request)

    async def settled() -> bool:
        found = await rig.value(
            "select count(*) from usage where request_id = $1", request.request_id
        )
        mirror = await rig.mirror.account(customer.account_id)
        return found == 1 and not mirror.holds

    await eventually(settled)


async def test_a_bonus_is_a_second_line_of_the_same_transfer(
    client: WalletClient, rig: Rig
) -> None:
    customer = await new_customer(rig, tier="pro")
    body = {"usd": "100", "bonus": "ladder", "idempotency_key": "a"}
    made = await client.account(customer, "POST", "top-ups", body)
    again = await client.account(customer, "POST", "top-ups", body)
    other = await client.account(customer, "POST", "top-ups", {**body, "bonus": "none"})

    assert (made.status, again.status) == (201, 200)
    assert made.body["lines"] == [
        {"item": "principal", "amount_usd": Decimal(100)},
        {"item": "bonus", "amount_usd": Decimal(10)},
    ]
    assert again.body == {**made.body, "replayed": True}
    assert other.error == (409, "idempotency_conflict", "idempotency_key")
    async with pg.connection(rig.books.pool) as conn:
        rows = await conn.fetch(
            "select line, account_id, amount_uusd, item from entries where transfer_id = $1"
            " order by line",
            made.body["transfer_id"],
        )
    assert [tuple(row) for row in rows] == [
        (1, customer.account_id, 100_000_000, "principal"),
        (2, "house_funding", -100_000_000, "principal"),
        (3, customer.account_id, 10_000_000, "bonus"),
        (4, "house_bonus", -10_000_000, "bonus"),
    ]
    assert (await rig.mirror.account(customer.account_id)).balance_uusd == 110_000_000


async def test_adjustments_go_both_ways_and_never_below_what_is_free(
    client: WalletClient, rig: Rig
) -> None:
    customer = await new_customer(rig)
    up = await client.account(customer, "POST", "adjustments", {"usd": "1", "reason": "sorry"})
    running = rig.event(customer, output_tokens=40_000)
    assert await rig.admit(running)  # holds 0.40

    too_much = await client.account(
        customer, "POST", "adjustments", {"usd": "-0.600001", "reason": "oops"}
    )
    assert too_much.error == (409, "conflict", "usd")
    assert "0.60 USD available" in too_much.text
    down = await client.account(
        customer, "POST", "adjustments", {"usd": "-0.6", "reason": "oops", "idempotency_key": "d"}
    )
    again = await client.account(
        customer, "POST", "adjustments", {"usd": "-0.6", "reason": "oops", "idempotency_key": "d"}
    )

    assert (up.status, down.status, again.status) == (201, 201, 200)
    assert (down.body["amount_usd"], down.body["balance_usd"]) == (Decimal("-0.6"), Decimal("0.4"))
    assert again.body == {**down.body, "replayed": True}
    mirror = await rig.mirror.account(customer.account_id)
    assert (mirror.balance_uusd, mirror.pending_uusd) == (400_000, 400_000)
    assert set(mirror.holds) == {running.request_id}
    await rig.finish(running)
    await rig.publish(running)

    async def spent() -> bool:
        return await rig.balance(customer) == 0

    await eventually(spent)


@pytest.mark.parametrize(
    ("what", "body", "param"),
    [
        ("adjustments", {"usd": 0, "reason": "x"}, "usd"),
        ("adjustments", {"usd": "1", "reason": ""}, "reason"),
        ("adjustments", {"usd": "1e3", "reason": "x"}, "usd"),
        ("adjustments", {"usd": "1", "reason": "x", "effective_at": "2999-01-01"}, "effective_at"),
        ("top-ups", {"usd": "1", "effective_at": "1999-12-31"}, "effective_at"),
        ("top-ups", {"usd": "1", "bonus": "big"}, "bonus"),
        ("top-ups", {"usd": "-1"}, "usd"),
        ("refunds", {"transfer_id": 0, "reason": "x"}, "transfer_id"),
        ("refunds", {"transfer_id": 1, "usd": 0, "reason": "x"}, "usd"),
    ],
)
async def test_what_is_refused(
    client: WalletClient, rig: Rig, what: str, body: dict[str, object], param: str
) -> None:
    customer = await new_customer(rig)
    answer = await client.account(customer, "POST", what, body)
    assert answer.error == (400, "invalid_request", param)


async def test_refunds_take_principal_and_bonus_and_add_up(client: WalletClient, rig: Rig) -> None:
    customer = await new_customer(rig)
    top = (
        await client.account(customer, "POST", "top-ups", {"usd": "20.000034", "bonus": "ladder"})
    ).body
    refund = {"transfer_id": top["transfer_id"], "reason": "unhappy"}
    first = await client.account(customer, "POST", "refunds", {**refund, "usd": "0.000034"})
    half = await client.account(customer, "POST", "refunds", {**refund, "usd": 10})
    too_much = await client.account(customer, "POST", "refunds", {**refund, "usd": "10.000001"})
    rest = await client.account(customer, "POST", "refunds", {**refund, "idempotency_key": "r"})
    again = await client.account(customer, "POST", "refunds", {**refund, "idempotency_key": "r"})
    nothing = await client.account(customer, "POST", "refunds", refund)

    assert [a.status for a in (first, half, rest, again)] == [201, 201, 201, 200]
    assert [line["amount_usd"] for line in half.body["lines"]] == [Decimal(-10), Decimal("-0.3")]
    assert too_much.error == nothing.error == (409, "conflict", "usd")
    assert "only 10.00 USD of this top-up are left" in too_much.text
    assert rest.body["balance_usd"] == 0
    assert rest.body["refers_to"] == top["transfer_id"]
    assert again.body == {**rest.body, "replayed": True}
    payments = await client.call("GET", f"/api/v1/admin/payments?account={customer.account_id}")
    (payment,) = payments.body["items"]
    assert (payment["status"], payment["refunded_usd"]) == ("refunded", Decimal("20.000034"))
    kinds = [kind for kind, _ in await events_of(rig, customer)]
    paid_and_back = ["system.payment.received"] + 3 * ["system.payment.refunded"]
    assert kinds == ["org.api_key.create", *paid_and_back]


async def test_only_what_is_left_in_the_wallet_can_be_given_back(
    client: WalletClient, rig: Rig
) -> None:
    customer, other = await new_customer(rig), await new_customer(rig)
    top = (await client.account(customer, "POST", "top-ups", {"usd": "1"})).body
    adjusted = await client.account(customer, "POST", "adjustments", {"usd": "2", "reason": "x"})
    await spend(rig, customer, 2_500_000)
    refund = {"transfer_id": top["transfer_id"], "reason": "unhappy"}

    answer = await client.account(customer, "POST", "refunds", refund)
    assert answer.error == (409, "conflict", "usd")
    assert "0.50 USD available" in answer.text
    foreign = await client.account(other, "POST", "refunds", refund)
    no_top_up = await client.account(
        customer, "POST", "refunds", {**refund, "transfer_id": adjusted.body["transfer_id"]}
    )
    assert foreign.error == no_top_up.error == (404, "not_found", "transfer_id")
    part = await client.account(customer, "POST", "refunds", {**refund, "usd": "0.5"})
    assert part.body["balance_usd"] == 0


async def test_parallel_refunds_never_give_back_more_than_was_paid(
    client: WalletClient, rig: Rig
) -> None:
    customer = await new_customer(rig)
    await client.account(customer, "POST", "adjustments", {"usd": "50", "reason": "x"})
    top = (await client.account(customer, "POST", "top-ups", {"usd": "20"})).body
    refund = {"transfer_id": top["transfer_id"], "usd": "7", "reason": "unhappy"}
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(client.account(customer, "POST", "refunds", refund)) for _ in range(6)
        ]
    statuses = sorted(task.result().status for task in tasks)
    assert set(statuses) <= {201, 409}
    assert statuses.count(201) in (1, 2)  # one that lost every race gives up; none goes beyond
    assert await rig.balance(customer) == 70_000_000 - statuses.count(201) * 7_000_000
    mirror = await rig.mirror.account(customer.account_id)
    assert (mirror.balance_uusd, mirror.pending_uusd) == (await rig.balance(customer), 0)


async def test_transactions_are_paged_filtered_and_signed(client: WalletClient, rig: Rig) -> None:
    customer = await new_customer(rig)
    top = (await client.account(customer, "POST", "top-ups", {"usd": "30", "bonus": "ladder"})).body
    await client.account(customer, "POST", "adjustments", {"usd": "2", "reason": "=1+1"})
    await client.account(customer, "POST", "adjustments", {"usd": "-1", "reason": "oops"})
    await client.account(
        customer,
        "POST",
        "refunds",
        {"transfer_id": top["transfer_id"], "usd": "10", "reason": "part"},
    )
    await spend(rig, customer, 1_000_000)  # usage is not in this list

    page = (await client.own(customer, "GET", "transactions?page_size=3")).body
    assert (page["total"], page["page"], page["page_size"]) == (4, 1, 3)
    assert [item["kind"] for item in page["items"]] == ["refund", "admin_debit", "admin_credit"]
    assert [item["balance_after_usd"] for item in page["items"]] == [
        Decimal("21.6"),
        Decimal("31.9"),
        Decimal("32.9"),
    ]
    last = (await client.own(customer, "GET", "transactions?page_size=3&page=2")).body["items"]
    assert [(item["kind"], item["amount_usd"]) for item in last] == [("topup", Decimal("30.9"))]
    assert last[0]["source"]["provider"] == "manual"
    assert page["items"][1]["source"]["actor"] == "root"
    assert page["items"][1]["note"] == "oops"
    for kind, number in (("topup", 1), ("refund", 1), ("admin_credit", 1), ("admin_debit", 1)):
        found = (await client.own(customer, "GET", f"transactions?kind={kind}")).body
        assert ([item["kind"] for item in found["items"]], found["total"]) == ([kind], number)
    then = page["items"][0]["created_at"]
    since = (await client.own(customer, "GET", f"transactions?since={then}")).body
    until = (await client.own(customer, "GET", f"transactions?until={then}")).body
    assert since["total"] + until["total"] == 4
    operators = await client.account(customer, "GET", "transactions?page_size=3")
    assert operators.body == page

    document = await client.own(customer, "GET", "transactions.csv?kind=admin_credit")
    assert document.headers["content-type"] == "text/csv; charset=utf-8"
    (row,) = csv.DictReader(io.StringIO(document.text, newline=""))
    assert (row["note"], row["amount_usd"]) == ("'=1+1", "2.00")
    for query in ("page=0", "page_size=201", "page=x", "kind=settle", "since=yesterday", "limit=1"):
        assert (await client.own(customer, "GET", f"transactions?{query}")).status == 400


async def test_only_keys_with_the_right_see_money(client: WalletClient, rig: Rig) -> None:
    customer, other = await new_customer(rig, scopes="inference"), await new_customer(rig)
    await client.account(customer, "POST", "top-ups", {"usd": "30"})
    for method, path in (
        ("GET", "transactions"),
        ("GET", "transactions.csv"),
        ("GET", "statements/2026-01"),
        ("GET", "statements/2026-01.csv"),
        ("GET", "settings"),
    ):
        assert (await client.own(customer, method, path)).status == 403
        assert "30.00" not in (await client.own(other, method, path)).text


async def test_a_statement_adds_up(client: WalletClient, rig: Rig) -> None:
    customer = await new_customer(rig)
    for day, usd in (("2026-01-31T23:59:59Z", "10"), ("2026-02-01T00:00:00Z", "20")):
        await client.account(customer, "POST", "top-ups", {"usd": usd, "effective_at": day})
    await client.account(
        customer,
        "POST",
        "adjustments",
        {"usd": "-2.5", "reason": '-oops, "sorry"', "effective_at": "2026-02-28T23:59:59.999Z"},
    )
    await spend(rig, customer, 1_000_000)

    february = (await client.own(customer, "GET", "statements/2026-02")).body
    assert (february["opening_balance_usd"], february["closing_balance_usd"]) == (
        Decimal(10),
        Decimal("27.5"),
    )
    assert [line["amount_usd"] for line in february["lines"]] == [Decimal(20), Decimal("-2.5")]
    month = this_month(rig)
    now = await client.own(customer, "GET", f"statements/{month}")
    assert now.body["usage_usd"] == 1
    assert now.body["closing_balance_usd"] == Decimal("26.5")
    assert (await client.account(customer, "GET", f"statements/{month}")).body == now.body

    for wanted, closing in (("2026-02", "27.50"), (month, "26.50"), ("2026-01", "10.00")):
        document = await client.own(customer, "GET", f"statements/{wanted}.csv")
        rows = list(csv.DictReader(io.StringIO(document.text, newline=""), strict=True))
        assert sum(Decimal(row["amount_usd"] or 0) for row in rows) == Decimal(closing)
        assert rows[-1]["balance_usd"] == closing
    notes = [
        row["note"] for row in rows_of(await client.own(customer, "GET", "statements/2026-02.csv"))
    ]
    assert '\'-oops, "sorry"' in notes
    for bad in ("2026-13", "2026-1", "2999-01", "1999-01", "x", "2026-02.pdf"):
        assert (await client.own(customer, "GET", f"statements/{bad}")).status == 400


def this_month(rig: Rig) -> str:
    return f"{datetime.fromtimestamp(rig.books.now_ms() / 1000, UTC):%Y-%m}"


def rows_of(answer: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(answer.text, newline=""), strict=True))


async def test_thresholds_tell_once_per_crossing(client: WalletClient, rig: Rig) -> None:
    customer = await new_customer(rig)
    await client.account(customer, "POST", "top-ups", {"usd": "10"})
    wanted = {
        "low_balance_threshold_usd": "5",
        "auto_top_up": {"below_usd": "3", "usd": "25"},
    }
    made = await client.own(customer, "PUT", "settings", wanted)
    assert made.body == (await client.own(customer, "GET", "settings")).body
    assert made.body["auto_top_up"] == {"below_usd": Decimal(3), "usd": Decimal(25)}

    async def told(*kinds: str) -> None:
        async def seen() -> bool:
            found = [kind.rpartition("balance.")[2] for kind, _ in await events_of(rig, customer)]
            return [kind for kind in found if kind in ("notify.dispatched", "auto_top_up.due")] == [
                *kinds
            ]

        await eventually(seen)

    async def adjust(usd: str) -> None:
        await client.account(customer, "POST", "adjustments", {"usd": usd, "reason": "test"})

    await adjust("-6")
    await told("notify.dispatched")
    await adjust("-2")
    await told("notify.dispatched", "auto_top_up.due")
    assert (await client.own(customer, "GET", "settings")).body["low_balance_flagged"] is True
    await adjust("20")

    async def unflagged() -> bool:
        settings = (await client.own(customer, "GET", "settings")).body
        return settings["low_balance_flagged"] is False

    await eventually(unflagged)
    await adjust("-18")
    await told("notify.dispatched", "auto_top_up.due", "notify.dispatched")
    off = {"low_balance_threshold_usd": 0, "auto_top_up": None}
    assert (await client.account(customer, "PUT", "wallet-settings", off)).body == {
        "low_balance_threshold_usd": 0,
        "low_balance_flagged": True,
        "auto_top_up": None,
    }
    for bad in (
        {**wanted, "low_balance_threshold_usd": -1},
        {**wanted, "auto_top_up": {"below_usd": 0, "usd": 25}},
        {**wanted, "auto_top_up": {"below_usd": 1, "usd": "4.99"}},
        {"auto_top_up": None},
    ):
        assert (await client.own(customer, "PUT", "settings", bad)).status == 400


async def test_everything_is_in_the_audit_log_and_the_books_are_right(
    client: WalletClient, rig: Rig
) -> None:
    customer = await new_customer(rig)
    top = (await client.account(customer, "POST", "top-ups", {"usd": "10"})).body
    await client.account(customer, "POST", "adjustments", {"usd": "-1", "reason": "oops"})
    await client.account(
        customer, "POST", "refunds", {"transfer_id": top["transfer_id"], "usd": "2", "reason": "r"}
    )
    off = {"low_balance_threshold_usd": 1, "auto_top_up": None}
    await client.own(customer, "PUT", "settings", off)
    async with pg.connection(rig.books.pool) as conn:
        rows = await conn.fetch(
            "select actor, action from audit_log where account_id = $1 order by id",
            customer.account_id,
        )
    assert [tuple(row) for row in rows] == [
        ("root", "org.create"),
        ("system", "key.create"),
        ("root", "wallet.top_up"),
        ("root", "wallet.adjust"),
        ("root", "wallet.refund"),
        (customer.key_id, "wallet.settings"),
    ]
    assert await rig.dirty_checks() == set()


async def test_an_event_without_a_payment_of_ours_is_noted(client: WalletClient) -> None:
    answer = await client.report(event("customer.created", event_id="evt_customer"))
    assert (answer.status, answer.body) == (200, {"result": "ignored"})
