"""Stripe and the ledger: checkouts, signed events in any order and number, money given back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from bytespike_cli.servers import PostgresServer
from bytespike_ledger.settings import LedgerSettings
from bytespike_runtime import pg
from bytespike_runtime.settings import Secret, SettingsError, load_settings
from tests.support.ledger import Customer, Rig, ledger
from tests.support.stripe import API_KEY, FakeStripe, event, fake_stripe, signed
from tests.support.wallet_api import Answer, WalletClient, new_customer, wallet_client

COMPLETED = "checkout.session.completed"


@pytest.fixture(scope="module")
async def rig(postgres_server: PostgresServer, redis_url: str, nats_url: str) -> AsyncIterator[Rig]:
    database = postgres_server.create_database("ledger_payments")
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
    database = postgres_server.database_url("ledger_payments")
    folder = tmp_path_factory.mktemp("payments")
    async with wallet_client(rig, database, redis_url, nats_url, folder, stripe) as client:
        yield client


class Buyer:
    """A customer with a checkout, and what Stripe has to say about it."""

    def __init__(self, client: WalletClient, customer: Customer, payment_id: str) -> None:
        self._client = client
        self.customer = customer
        self.payment_id = payment_id
        self.session = f"cs_test_{payment_id}"
        self.intent = f"pi_{payment_id}"

    async def paid(self, event_id: str, *, name: str = COMPLETED, **changes: Any) -> Answer:
        return await self._client.report(self.event(event_id, name=name, **changes))

    def event(self, event_id: str, *, name: str = COMPLETED, **changes: Any) -> bytes:
        fields = {
            "id": self.session,
            "client_reference_id": self.payment_id,
            "payment_intent": self.intent,
            **changes,
        }
        return event(name, event_id=f"evt_{event_id}_{self.payment_id}", **fields)

    async def given_back(self, event_id: str, cents: int) -> Answer:
        body = event(
            "charge.refunded",
            event_id=f"evt_{event_id}_{self.payment_id}",
            amount_refunded=cents,
            payment_intent=self.intent,
            metadata={"payment_id": self.payment_id},
        )
        return await self._client.report(body)

    async def payment(self) -> dict[str, Any]:
        path = f"/api/v1/admin/payments?account={self.customer.account_id}"
        (found,) = (await self._client.call("GET", path)).body["items"]
        assert found["id"] == self.payment_id
        return dict(found)

    async def balance(self, rig: Rig) -> int:
        """In Postgres; Redis must say the same and hold nothing."""
        mirror = await rig.mirror.account(self.customer.account_id)
        posted = await rig.balance(self.customer)
        assert (mirror.balance_uusd, mirror.pending_uusd) == (posted, 0)
        return posted


async def buy(client: WalletClient, rig: Rig, usd: str = "25", tier: str = "free") -> Buyer:
    customer = await new_customer(rig, tier=tier)
    opened = await client.own(customer, "POST", "checkouts", {"usd": usd})
    assert opened.status == 201, opened.text
    buyer = Buyer(client, customer, opened.body["id"])
    assert opened.body["url"].endswith(buyer.session)
    return buyer


async def test_a_checkout_is_opened_with_our_name_and_nothing_is_credited(
    client: WalletClient, rig: Rig, stripe: FakeStripe
) -> None:
    buyer = await buy(client, rig, "25.50")
    headers, form = stripe.asked[-1]
    assert headers["authorization"] == f"Bearer {API_KEY}"
    assert headers["idempotency-key"] == buyer.payment_id
    assert form["client_reference_id"] == buyer.payment_id
    assert form["mode"] == "payment"
    assert form["line_items[0][price_data][unit_amount]"] == "2550"
    assert form["line_items[0][price_data][currency]"] == "usd"
    assert form["payment_intent_data[metadata][payment_id]"] == buyer.payment_id
    payment = await buyer.payment()
    assert (payment["status"], payment["provider_ref"]) == ("pending", buyer.session)
    assert payment["actor"] == buyer.customer.key_id
    assert await buyer.balance(rig) == 0


async def test_a_payment_brings_principal_and_bonus_once_whatever_is_said_of_it(
    client: WalletClient, rig: Rig
) -> None:
    buyer = await buy(client, rig, tier="pro")
    first = await buyer.paid("1")
    same_event = await buyer.paid("1")
    same_payment = await buyer.paid("2", name="checkout.session.async_payment_succeeded")
    late_failure = await buyer.paid("3", name="checkout.session.async_payment_failed")
    results = [a.body["result"] for a in (first, same_event, same_payment, late_failure)]
    assert results == ["credited", "duplicate", "duplicate", "duplicate"]
    assert await buyer.balance(rig) == 27_000_000  # 3 % of the ladder and 5 % of the tier
    payment = await buyer.payment()
    assert (payment["status"], payment["receipt_id"], payment["method"]) == (
        "succeeded",
        buyer.intent,
        "card",
    )
    (line,) = (await client.own(buyer.customer, "GET", "transactions")).body["items"]
    assert [part["amount_usd"] for part in line["lines"]] == [Decimal(25), Decimal(2)]
    assert line["source"] == {
        "provider": "stripe",
        "payment_id": buyer.payment_id,
        "receipt_id": buyer.intent,
        "method": "card",
        "actor": None,
    }


async def test_reports_of_one_payment_at_the_same_time_credit_it_once(
    client: WalletClient, rig: Rig
) -> None:
    buyer = await buy(client, rig)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(buyer.paid(str(number % 3))) for number in range(9)]
    results = sorted(task.result().body["result"] for task in tasks)
    assert results == ["credited"] + ["duplicate"] * 8
    assert await buyer.balance(rig) == 25_750_000


async def test_a_slow_method_is_credited_when_it_arrives_or_fails(
    client: WalletClient, rig: Rig
) -> None:
    unpaid = f"{COMPLETED}.unpaid"
    arrives, fails = await buy(client, rig), await buy(client, rig)
    for buyer in (arrives, fails):
        assert (await buyer.paid("1", name=unpaid)).body == {"result": "ignored"}
        assert await buyer.balance(rig) == 0
    succeeded = await arrives.paid("2", name="checkout.session.async_payment_succeeded")
    failed = await fails.paid("2", name="checkout.session.async_payment_failed")
    assert (succeeded.body["result"], failed.body["result"]) == ("credited", "failed")
    assert await arrives.balance(rig) == 25_750_000
    assert await fails.balance(rig) == 0
    assert (await fails.payment())["failure"] == "async_payment_failed"


async def test_a_report_that_comes_before_we_know_the_session_finds_its_payment(
    client: WalletClient, rig: Rig
) -> None:
    buyer = await buy(client, rig)
    async with pg.connection(rig.books.pool) as conn:  # as if we had died before writing it down
        await conn.execute("update payments set provider_ref = id where id = $1", buyer.payment_id)
    assert (await buyer.paid("1")).body["result"] == "credited"
    assert (await buyer.payment())["provider_ref"] == buyer.session


async def test_money_given_back_is_taken_back_with_its_bonus(
    client: WalletClient, rig: Rig
) -> None:
    buyer = await buy(client, rig)
    early = await buyer.given_back("0", 500)
    assert early.error == (409, "conflict", None)  # it will be sent again
    await buyer.paid("1")
    again = await buyer.given_back("0", 500)
    repeated = await buyer.given_back("0", 500)
    assert (again.body["result"], repeated.body["result"]) == ("refunded", "duplicate")
    assert await buyer.balance(rig) == 20_600_000
    # Totals may arrive in any order; what an operator wrote down before is counted.
    top = (await client.own(buyer.customer, "GET", "transactions?kind=topup")).body["items"][0]
    refund = {"transfer_id": top["id"], "usd": "10", "reason": "given back by hand"}
    assert (await client.account(buyer.customer, "POST", "refunds", refund)).status == 201
    assert (await buyer.given_back("2", 1500)).body["result"] == "duplicate"
    assert (await buyer.given_back("3", 2500)).body["result"] == "refunded"
    assert (await buyer.given_back("4", 2000)).body["result"] == "duplicate"
    assert await buyer.balance(rig) == 0
    payment = await buyer.payment()
    assert (payment["status"], payment["refunded_usd"], payment["shortfall_usd"]) == (
        "refunded",
        25,
        0,
    )


@pytest.mark.parametrize("left_uusd", [5_000_000, 0])
async def test_money_given_back_after_it_was_spent_is_our_loss(
    client: WalletClient, rig: Rig, left_uusd: int
) -> None:
    buyer = await buy(client, rig)
    await buyer.paid("1")
    gone = f"-{Decimal(25_750_000 - left_uusd) / 1_000_000}"
    await client.account(buyer.customer, "POST", "adjustments", {"usd": gone, "reason": "spent"})

    assert (await buyer.given_back("2", 2500)).body["result"] == "refunded"
    assert (await buyer.given_back("2", 2500)).body["result"] == "duplicate"

    assert await buyer.balance(rig) == 0
    payment = await buyer.payment()
    assert payment["shortfall_usd"] == Decimal(25_750_000 - left_uusd) / 1_000_000
    kind = await rig.value(
        "select type from account_events where account_id = $1 order by id desc limit 1",
        buyer.customer.account_id,
    )
    assert kind == "system.payment.refunded"
    assert await rig.dirty_checks() == set()


async def test_money_that_requests_hold_is_not_taken_from_under_them(
    client: WalletClient, rig: Rig
) -> None:
    buyer = await buy(client, rig)
    await buyer.paid("1")
    running = rig.event(buyer.customer, output_tokens=100_000)
    assert await rig.admit(running)  # holds 1.00
    assert (await buyer.given_back("2", 2500)).body["result"] == "refunded"
    assert (await buyer.payment())["shortfall_usd"] == 1
    mirror = await rig.mirror.account(buyer.customer.account_id)
    assert (mirror.balance_uusd, mirror.pending_uusd) == (1_000_000, 1_000_000)
    await rig.finish(running)
    await rig.publish(running)


async def test_what_is_not_stripes_is_refused(client: WalletClient, rig: Rig) -> None:
    buyer = await buy(client, rig)
    body = buyer.event("1")
    old = signed(body, at_s=int(time.time()) - 400)
    for signature in ("", "t=1,v1=00", signed(body, secret="whsec_other"), signed(b"{}"), old):
        answer = await client.report(body, signature)
        assert answer.error == (400, "invalid_request", None)
    elsewhere = await client.call("POST", "/api/v1/payments/paypal/events", body, {})
    assert elsewhere.error == (404, "not_found", None)
    assert await buyer.balance(rig) == 0
    assert (
        await rig.value(
            "select count(*) from payment_events where event_id like $1",
            f"evt_1_{buyer.payment_id}",
        )
        == 0
    )


async def test_payments_of_other_shops_and_providers_are_not_ours(
    client: WalletClient, rig: Rig
) -> None:
    customer = await new_customer(rig)
    top = (await client.account(customer, "POST", "top-ups", {"usd": "25"})).body
    for name, fields in (
        (COMPLETED, {"client_reference_id": top["payment_id"], "id": "cs_x"}),
        (COMPLETED, {"client_reference_id": None, "metadata": {}, "id": "cs_x"}),
        ("charge.refunded", {"metadata": {"payment_id": top["payment_id"]}}),
        (COMPLETED, {"currency": "eur"}),
    ):
        body = event(name, event_id=f"evt_{time.time_ns()}", **fields)
        assert (await client.report(body)).body == {"result": "ignored"}
    assert await rig.balance(customer) == 25_000_000


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, b'{"error":{"message":"Invalid API Key provided: sk_test"}}', 502),
        (400, b'{"error":{"message":"no"}}', 502),
        (200, b"<html>", 502),
        (429, b"{}", 503),
        (500, b"{}", 503),
    ],
)
async def test_a_checkout_that_stripe_does_not_open(
    client: WalletClient, rig: Rig, stripe: FakeStripe, status: int, body: bytes, expected: int
) -> None:
    customer = await new_customer(rig)
    stripe.status, stripe.body = status, body
    try:
        answer = await client.own(customer, "POST", "checkouts", {"usd": "25"})
    finally:
        stripe.status = None
    assert answer.status == expected
    assert "sk_test" not in answer.text
    payments = await client.call("GET", f"/api/v1/admin/payments?account={customer.account_id}")
    assert [item["status"] for item in payments.body["items"]] == ["failed"]


async def test_who_may_buy_what(client: WalletClient, rig: Rig) -> None:
    customer = await new_customer(rig)
    for usd in ("4.99", "1250.01", "25.001", "0", "-5", "x"):
        answer = await client.own(customer, "POST", "checkouts", {"usd": usd})
        assert answer.error == (400, "invalid_request", "usd"), usd
    for usd in ("5", "1250"):
        assert (await client.own(customer, "POST", "checkouts", {"usd": usd})).status == 201
    reader = await new_customer(rig, scopes="inference")
    assert (await client.own(reader, "POST", "checkouts", {"usd": "5"})).status == 403


async def test_checkouts_nobody_pays_are_bounded(client: WalletClient, rig: Rig) -> None:
    customer = await new_customer(rig)
    statuses = [
        (await client.own(customer, "POST", "checkouts", {"usd": "5"})).status for _ in range(31)
    ]
    assert statuses == [201] * 30 + [429]


def test_stripe_is_set_up_as_a_whole_or_not_at_all() -> None:
    env = {
        "BYTESPIKE_POSTGRES_URL": "p",
        "BYTESPIKE_REDIS_URL": "r",
        "BYTESPIKE_NATS_URL": "n",
        "BYTESPIKE_INTERNAL_TOKEN": "i",
        "BYTESPIKE_ADMIN_TOKEN": "a",
        "BYTESPIKE_CATALOGUE": "c",
    }
    assert load_settings(LedgerSettings, "ledger", env).stripe_api_key is None
    with pytest.raises(SettingsError, match="set all or none"):
        load_settings(LedgerSettings, "ledger", {**env, "BYTESPIKE_LEDGER_STRIPE_API_KEY": "k"})
    whole = {
        **env,
        "BYTESPIKE_LEDGER_STRIPE_API_KEY": "k",
        "BYTESPIKE_LEDGER_STRIPE_WEBHOOK_SECRET": "w",
        "BYTESPIKE_LEDGER_STRIPE_RETURN_URL": "https://example.com",
    }
    assert load_settings(LedgerSettings, "ledger", whole).stripe_webhook_secret == Secret("w")
