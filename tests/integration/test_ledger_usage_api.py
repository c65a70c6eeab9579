"""Usage over HTTP: who sees whose, pages, costs, sums, and the second book."""

from __future__ import annotations

import csv
import io
import json
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from bytespike_cli.servers import PostgresServer
from bytespike_contracts.ids import mint_id
from bytespike_contracts.money import TokenUsage
from bytespike_contracts.principal import (
    INTERNAL_TOKEN_HEADER,
    PRINCIPAL_HEADER,
    Principal,
    encode_principal,
)
from bytespike_contracts.settlement import Outcome, charge
from bytespike_contracts.usage import UsageEvent
from bytespike_ledger.accounts.keys import create_key
from bytespike_ledger.api.reconciliation import ReconciliationApi
from bytespike_ledger.api.usage import UsageApi
from bytespike_ledger.api.usage_summary import UsageSummaryApi
from bytespike_ledger.rollups import DAY_MS
from bytespike_ledger.settle import price_event
from bytespike_ledger.settling import Settler
from bytespike_runtime import pg
from tests.support.ledger import Customer, Rig, ledger, plain_controls, replaced
from tests.support.served_ledger import ADMIN_TOKEN, INTERNAL_TOKEN, served_routes


@dataclass(frozen=True)
class Key:
    id: str
    account_id: str


@dataclass(frozen=True)
class Client:
    session: aiohttp.ClientSession
    base: str

    async def get(self, path: str, key: Key | None = None) -> tuple[int, Any, str]:
        """Status, body and text; without a key as an operator."""
        headers = {"authorization": f"Bearer {ADMIN_TOKEN}"}
        if key is not None:
            principal = Principal(
                request_id="req_of_the_edge",
                account_id=key.account_id,
                key_id=key.id,
                group="default",
                scopes=("inference",),
            )
            headers = {
                INTERNAL_TOKEN_HEADER: INTERNAL_TOKEN,
                PRINCIPAL_HEADER: encode_principal(principal),
            }
        async with self.session.get(self.base + path, headers=headers) as response:
            text = await response.text()
            is_json = response.content_type == "application/json"
            body = json.loads(text, parse_float=Decimal) if is_json else None
            return response.status, body, text

    async def ids(self, path: str, key: Key | None = None) -> list[str]:
        status, body, _ = await self.get(path, key)
        assert status == 200, body
        return [row["request_id"] for row in body["items"]]


@dataclass(frozen=True, kw_only=True)
class Office:
    """Keys of one organisation, each with a few requests of its own."""

    customer: Customer
    keys: dict[str, Key]
    events: dict[str, list[UsageEvent]]

    def of(self, *names: str) -> list[str]:
        """Ids of their requests, newest first."""
        return sorted((e.request_id for n in names for e in self.events[n]), reverse=True)


@pytest.fixture(scope="module")
async def rig(postgres_server: PostgresServer, redis_url: str, nats_url: str) -> AsyncIterator[Rig]:
    database = postgres_server.create_database("ledger_usage_api")
    async with ledger(database, redis_url, nats_url) as rig:
        yield rig


@pytest.fixture(scope="module")
async def client(rig: Rig) -> AsyncIterator[Client]:
    apis = (
        UsageApi(books=rig.books),
        UsageSummaryApi(books=rig.books),
        ReconciliationApi(books=rig.books),
    )
    routes = [route for api in apis for route in api.routes()]
    async with served_routes(rig.books, routes) as (session, base):
        yield Client(session, base)


async def settle(rig: Rig, *events: UsageEvent) -> None:
    now_ms = rig.books.now_ms()
    assert (
        await Settler(rig.books).settle([price_event(e, rig.rates, now_ms) for e in events]) == []
    )


def request(rig: Rig, key: Key, *, back_ms: int, **changes: Any) -> UsageEvent:
    at_ms = rig.books.now_ms() - back_ms
    usage = TokenUsage(input_tokens=3, cache_read_tokens=50, output_tokens=2)
    customer = Customer("", key.account_id, key.id, "")
    return replaced(
        rig.event(customer),
        request_id=mint_id("req", at_ms, secrets.token_bytes(10)),
        org_id=None,
        admitted_ms=at_ms + 3,
        finished_ms=at_ms + 500,
        usage=usage,
        charge_uusd=charge(Outcome.COMPLETED, usage, rig.rates),
        **changes,
    )


@pytest.fixture
async def office(rig: Rig) -> Office:
    """Keys of: nobody (owner), nobody (inference), two members, a viewer, an admin."""
    customer = await rig.customer(1_000_000)
    people = {"mia": "member", "max": "member", "vera": "viewer", "anna": "admin"}
    keys: dict[str, Key] = {}
    async with pg.connection(rig.books.pool) as conn:
        for name in ("house", "plain", "mia", "mia-inference", "max", "vera", "anna"):
            made = await create_key(
                rig.books,
                rig.catalogue,
                customer.account_id,
                custom_key=None,
                controls=plain_controls()
                | {"scopes": ["inference"] if name in ("plain", "mia-inference") else ["manage"]},
            )
            keys[name] = Key(made.row.id, customer.account_id)
            person = name.partition("-")[0]
            if person not in people:
                continue
            member_id = f"mem_{customer.account_id}_{person}"
            await conn.execute(
                "insert into users (id, email, name) values ($1, $2, $3) on conflict do nothing",
                f"user_{member_id}",
                f"{member_id.lower()}@example.com",
                person,
            )
            await conn.execute(
                "insert into members (id, account_id, org_id, user_id, role)"
                " values ($1, $2, $3, $4, $5) on conflict do nothing",
                member_id,
                customer.account_id,
                customer.org_id,
                f"user_{member_id}",
                people[person],
            )
            await conn.execute(
                "update api_keys set member_id = $1 where id = $2", member_id, made.row.id
            )
    events = {
        name: [request(rig, key, back_ms=1_000 * (10 * i + n)) for n in range(3)]
        for i, (name, key) in enumerate(keys.items())
    }
    await settle(rig, *(event for own in events.values() for event in own))
    return Office(customer=customer, keys=keys, events=events)


EVERYBODY = ("house", "plain", "mia", "mia-inference", "max", "vera", "anna")
SIGHT = {
    "house": EVERYBODY,
    "plain": ("plain",),
    "mia": ("mia", "mia-inference"),
    "mia-inference": ("mia", "mia-inference"),
    "max": ("max",),
    "vera": EVERYBODY,
    "anna": EVERYBODY,
}


@pytest.mark.parametrize("who", SIGHT)
async def test_who_sees_whose_usage(client: Client, office: Office, who: str) -> None:
    key, seen = office.keys[who], SIGHT[who]
    assert await client.ids("/api/v1/usage", key) == office.of(*seen)
    assert await client.ids("/v1/usage", key) == office.of(who)
    _, summary, _ = await client.get("/api/v1/me/usage?group_by=api_key", key)
    assert {b["api_key"] for b in summary["buckets"]} == {office.keys[n].id for n in seen}
    assert summary["totals"]["call_count"] == 3 * len(seen)
    for name in EVERYBODY:
        other = office.keys[name]
        request_id = office.events[name][0].request_id
        allowed = name in seen
        status, body, _ = await client.get(f"/api/v1/usage/{request_id}", key)
        assert status == (200 if allowed else 404)
        assert allowed or body["error"]["message"] == f"no request {request_id!r}"
        for path in ("/api/v1/usage?api_key_id=", "/api/v1/me/usage?api_key="):
            status, body, _ = await client.get(path + other.id, key)
            assert status == (200 if allowed else 404)
            assert allowed or body["error"]["message"] == f"no key {other.id!r}"


async def test_another_account_does_not_exist(client: Client, rig: Rig, office: Office) -> None:
    stranger = await rig.customer(1_000)
    key = Key(stranger.key_id, stranger.account_id)
    assert await client.ids("/api/v1/usage", key) == []
    request_id = office.events["house"][0].request_id
    assert (await client.get(f"/api/v1/usage/{request_id}", key))[0] == 404
    assert await client.ids(f"/api/v1/usage?request_id={request_id}", key) == []
    status, _, _ = await client.get(f"/api/v1/usage?api_key_id={office.keys['mia'].id}", key)
    assert status == 404


async def test_a_request_is_shown_with_what_it_was_charged_for(
    client: Client, office: Office
) -> None:
    event = office.events["mia"][0]
    _, row, _ = await client.get(f"/api/v1/usage/{event.request_id}", office.keys["mia"])
    assert row["credits"] == sum(row["cost"].values()) == Decimal("0.000028")
    assert row["cost"] == {
        "input": Decimal("0.000003"),
        "cache_write": Decimal("0.00"),
        "cache_read": Decimal("0.000005"),
        "output": Decimal("0.00002"),
        "web_search": Decimal("0.00"),
    }
    assert row["rates"]["output"] == Decimal("10.00")
    assert (row["prompt_tokens"], row["completion_tokens"]) == (53, 2)
    assert row["api_key_id"] == office.keys["mia"].id
    for nobody in ("req_1", event.request_id[:-1] + "!", mint_id("req", 1, bytes(10))):
        assert (await client.get(f"/api/v1/usage/{nobody}", office.keys["mia"]))[0] == 404


async def test_pages_are_complete_and_stand_still_while_rows_arrive(
    client: Client, rig: Rig, office: Office
) -> None:
    key = office.keys["house"]
    older = [request(rig, key, back_ms=n * DAY_MS // 3) for n in range(1, 12)]
    await settle(rig, *older)
    expected = sorted([*office.of(*EVERYBODY), *(e.request_id for e in older)], reverse=True)
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        status, page, _ = await client.get(f"/api/v1/usage?limit=4&cursor={cursor}", key)
        assert status == 200
        found += [row["request_id"] for row in page["items"]]
        cursor = page["next_cursor"]
        await settle(rig, request(rig, office.keys["max"], back_ms=0))
    assert found == expected

    by_key: list[str] = []
    cursor = ""
    while cursor is not None:
        path = f"/api/v1/usage?limit=2&cursor={cursor}"
        _, page, _ = await client.get(path, office.keys["mia"])
        by_key += [row["request_id"] for row in page["items"]]
        cursor = page["next_cursor"]
    assert by_key == office.of("mia", "mia-inference")


async def test_operators_see_accounts_by_id(client: Client, office: Office) -> None:
    account = f"/api/v1/admin/accounts/{office.customer.account_id}/usage"
    assert await client.ids(account) == office.of(*EVERYBODY)
    assert await client.ids(f"{account}?api_key_id={office.keys['max'].id}") == office.of("max")
    _, sums, _ = await client.get(f"{account}/summary?group_by=model,day")
    assert sums["group_by"] == ["day", "model"]
    assert sum(bucket["call_count"] for bucket in sums["buckets"]) == 21
    assert sum(b["total_usd"] for b in sums["buckets"]) == sums["totals"]["total_usd"]
    assert sums["totals"]["total_usd"] == sum(sums["totals"]["cost"].values())
    for path in ("", "/summary"):
        assert (await client.get(f"/api/v1/admin/accounts/acct_nobody/usage{path}"))[0] == 404


async def test_sums_cover_whole_hours_and_say_so(client: Client, office: Office) -> None:
    path = "/api/v1/me/usage?since=2026-01-01T10:59:00Z&until=2026-01-02T00:00:01Z&group_by=hour"
    _, body, _ = await client.get(path, office.keys["house"])
    assert body["since"] == "2026-01-01T10:00:00.000Z"
    assert body["until"] == "2026-01-02T01:00:00.000Z"
    assert (body["buckets"], body["totals"]["call_count"]) == ([], 0)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("since=2026-01-01&until=2026-04-02", "since"),
        ("since=2026-01-02&until=2026-01-01", "since"),
        ("since=9999-12-31T23:59:59Z", "since"),
        ("until=9999-12-31T23:59:59Z", "since"),
        ("until=1969-01-01", "since"),
        ("since=0001-01-01T00:00:00%2B14:00", "since"),
        ("group_by=day,hour", "group_by"),
        ("group_by=", "group_by"),
        ("group_by=week", "group_by"),
        ("colour=red", None),
    ],
)
async def test_bad_questions_about_sums(
    client: Client, office: Office, query: str, param: str | None
) -> None:
    status, body, _ = await client.get(f"/api/v1/me/usage?{query}", office.keys["house"])
    assert (status, body["error"]["param"]) == (400, param)


async def test_reconciliation_is_the_same_as_json_and_as_csv(
    client: Client, rig: Rig, office: Office
) -> None:
    _, body, _ = await client.get("/api/v1/admin/reconciliation")
    _, _, text = await client.get("/api/v1/admin/reconciliation.csv")
    lines = list(csv.DictReader(io.StringIO(text)))
    assert [{k: str(v) for k, v in item.items()} for item in body["items"]] == lines
    revenue = await rig.value("select sum(charge_uusd)::bigint from usage")
    assert body["totals"]["revenue_usd"] * 1_000_000 == revenue
    assert sum(Decimal(line["margin_usd"]) for line in lines) == body["totals"]["margin_usd"]
    _, one, _ = await client.get("/api/v1/admin/reconciliation?channel=c-9")
    assert one["items"] == []
    for query in (
        "since_day=2026-01-01&until_day=2026-01-01",
        "since_day=2026-01-01&until_day=2026-04-04",
        "until_day=0001-01-01",
        "since_day=9999-12-31",
        "since_day=yesterday",
    ):
        assert (await client.get(f"/api/v1/admin/reconciliation?{query}"))[0] == 400
