"""The ledger as a process sees itself: its HTTP API over real servers, from start to drain."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from typing import Any

import aiohttp
import msgspec
import pytest
from multidict import CIMultiDictProxy

from bytespike_cli.ports import free_port
from bytespike_cli.servers import PostgresServer
from bytespike_contracts.ids import key_hash, key_is_well_formed, mint_id
from bytespike_contracts.keys import KeyChange, KeyRecord, SpendCaps, key_record_name
from bytespike_contracts.principal import (
    CLIENT_ADDRESS_HEADER,
    INTERNAL_TOKEN_HEADER,
    PRINCIPAL_HEADER,
    Principal,
    encode_principal,
)
from bytespike_contracts.settlement import Outcome
from bytespike_contracts.subjects import KEYS_CHANGED
from bytespike_ledger.app import amain
from bytespike_ledger.settings import LedgerSettings
from bytespike_runtime.settings import Secret
from tests.support.eventually import eventually
from tests.support.ledger import CATALOGUE, Customer, Rig, ledger, replaced

ADMIN = {"authorization": "Bearer admin-token"}


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    text: str
    headers: CIMultiDictProxy[str]

    @property
    def error(self) -> tuple[int, str, str | None]:
        """Status, code and param of an error in OpenAI's envelope."""
        return self.status, self.body["error"]["code"], self.body["error"]["param"]


@dataclass(frozen=True)
class Client:
    session: aiohttp.ClientSession
    base: str

    async def call(
        self, method: str, path: str, body: object = None, *, headers: dict[str, str] | None = None
    ) -> Answer:
        data = body if isinstance(body, bytes) else msgspec.json.encode(body) if body else b""
        sent = {"content-type": "application/json", **(ADMIN if headers is None else headers)}
        async with self.session.request(
            method, self.base + path, data=data, headers=sent
        ) as response:
            text = await response.text()
            # Amounts must survive as the digits they were written with.
            decoded = json.loads(text, parse_float=Decimal)
            return Answer(response.status, decoded, text, response.headers)

    async def own(self, customer: Customer, path: str) -> Answer:
        principal = Principal(
            request_id="req_of_the_edge",
            account_id=customer.account_id,
            key_id=customer.key_id,
            group="default",
            scopes=("inference",),
            org_id=customer.org_id,
        )
        headers = {
            INTERNAL_TOKEN_HEADER: "internal-token",
            PRINCIPAL_HEADER: encode_principal(principal),
        }
        return await self.call("GET", path, headers=headers)

    async def org(self) -> tuple[str, str]:
        """A new organisation: its id and its account's."""
        made = await self.call("POST", "/api/v1/admin/orgs", {"name": "Acme"})
        return str(made.body["id"]), str(made.body["account_id"])


@pytest.fixture(scope="module")
async def rig(postgres_server: PostgresServer, redis_url: str, nats_url: str) -> AsyncIterator[Rig]:
    database = postgres_server.create_database("ledger_service")
    async with ledger(database, redis_url, nats_url) as rig:
        yield rig


@pytest.fixture(scope="module")
async def client(
    rig: Rig,
    postgres_server: PostgresServer,
    redis_url: str,
    nats_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Client]:
    catalogue = tmp_path_factory.mktemp("catalogue") / "catalogue.toml"
    catalogue.write_text(CATALOGUE)
    settings = LedgerSettings(
        port=free_port(),
        ops_port=free_port(),
        postgres_url=Secret(postgres_server.database_url("ledger_service")),
        redis_url=Secret(redis_url),
        nats_url=Secret(nats_url),
        internal_token=Secret("internal-token"),
        admin_token=Secret("admin-token"),
        catalogue=str(catalogue),
        drain_timeout_s=5,
    )
    stop = asyncio.Event()
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        group.create_task(amain(settings, stop))
        ops = Client(session, f"http://127.0.0.1:{settings.ops_port}")

        async def ready() -> bool:
            try:
                return (await ops.call("GET", "/readyz")).status == 200
            except aiohttp.ClientConnectionError:
                return False

        await eventually(ready)
        yield Client(session, f"http://127.0.0.1:{settings.port}")
        stop.set()


async def test_an_organisation_is_created_listed_and_open_for_business(
    client: Client, rig: Rig
) -> None:
    made = await client.call("POST", "/api/v1/admin/orgs", {"name": "Ümlaut & Co"})
    assert made.status == 201
    assert made.body["tier"] == "enterprise"
    assert made.body["concurrency"] == 500
    listed = await client.call("GET", "/api/v1/admin/orgs?limit=200")
    assert made.body in listed.body["items"]
    mirror = await rig.mirror.account(made.body["account_id"])
    assert mirror.balance_uusd == 0


async def test_a_page_of_organisations_leads_to_the_next(client: Client) -> None:
    orgs = [(await client.org())[0] for _ in range(3)]
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await client.call("GET", f"/api/v1/admin/orgs?limit=2&cursor={cursor}")
        found += [org["id"] for org in page.body["items"]]
        cursor = page.body["next_cursor"]
    assert set(orgs) <= set(found)
    assert len(found) == len(set(found))


async def test_a_top_up_is_made_once_per_idempotency_key(client: Client, rig: Rig) -> None:
    _, account = await client.org()
    path = f"/api/v1/admin/accounts/{account}/top-ups"
    first = await client.call("POST", path, {"usd": "0.10", "idempotency_key": "a"})
    again = await client.call("POST", path, b'{"usd": 0.1, "idempotency_key": "a"}')
    other = await client.call("POST", path, {"usd": "0.20", "idempotency_key": "a"})
    more = await client.call("POST", path, {"usd": "0.20"})

    assert (first.status, again.status, more.status) == (201, 200, 201)
    assert again.body == {**first.body, "replayed": True}
    assert other.error == (409, "idempotency_conflict", "idempotency_key")
    assert '"balance_usd":0.30' in more.text


async def test_parallel_top_ups_with_one_key_bring_the_money_once(client: Client) -> None:
    _, account = await client.org()
    path = f"/api/v1/admin/accounts/{account}/top-ups"
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(client.call("POST", path, {"usd": "5", "idempotency_key": "same"}))
            for _ in range(8)
        ]
    answers = [task.result() for task in tasks]
    assert sorted(answer.status for answer in answers) == [200] * 7 + [201]
    assert {answer.body["balance_usd"] for answer in answers} == {Decimal("5.00")}


async def test_a_key_is_shown_once_and_projected_with_its_controls(
    client: Client, rig: Rig
) -> None:
    org, account = await client.org()
    made = await client.call(
        "POST",
        f"/api/v1/admin/accounts/{account}/keys",
        {
            "name": "ci",
            "quota": "200",
            "rate_limit_5h": 50,
            "rate_limit_1d": "100.5",
            "rate_limit_7d": 0,
            "ip_allow": ["10.0.0.1/8"],
            "ip_deny": ["::ffff:10.9.9.9"],
            "expires_in_days": 90,
            "group": "half",
            "scopes": ["manage", "inference"],
        },
    )
    assert made.status == 201
    secret = made.body["key"]
    assert key_is_well_formed(secret)
    shown = await client.call("GET", f"/api/v1/admin/keys/{made.body['id']}")
    assert secret not in shown.text
    assert secret not in (await client.call("GET", f"/api/v1/admin/accounts/{account}/keys")).text

    record = await stored_record(rig, secret)
    assert record is not None
    assert record.caps == SpendCaps(
        quota_uusd=200_000_000, window_5h_uusd=50_000_000, window_1d_uusd=100_500_000
    )
    assert (record.ip_allow, record.ip_deny) == (("10.0.0.0/8",), ("10.9.9.9/32",))
    assert (record.group, record.scopes) == ("half", ("inference", "manage"))
    assert (record.org_id, record.concurrency, record.version) == (org, 500, 1)
    assert record.expires_ms is not None
    assert abs(record.expires_ms - rig.books.now_ms() - 90 * 86_400_000) < 60_000


async def test_changes_are_versions_and_broadcast(client: Client, rig: Rig) -> None:
    changes: list[KeyChange] = []
    await rig.bus.subscribe(
        KEYS_CHANGED, lambda body: changes.append(msgspec.json.decode(body, type=KeyChange))
    )
    await rig.bus.ping()
    _, account = await client.org()
    made = await client.call(
        "POST", f"/api/v1/admin/accounts/{account}/keys", {"name": "k", "quota": "7"}
    )
    path, secret = f"/api/v1/admin/keys/{made.body['id']}", made.body["key"]

    renamed = await client.call("PATCH", path, {"name": "renamed"})
    assert (renamed.body["name"], renamed.body["quota"]) == ("renamed", Decimal("7.00"))
    disabled = await client.call("POST", f"{path}/disable")
    assert disabled.body["status"] == "disabled"
    record = await stored_record(rig, secret)
    assert record is not None
    assert not record.enabled
    enabled = await client.call("PATCH", path, {"status": "active", "expires_in_days": None})
    assert enabled.body["status"] == "active"
    deleted = await client.call("DELETE", path)
    assert deleted.body["status"] == "deleted"
    assert (await client.call("GET", path)).error[:2] == (404, "not_found")
    assert (await client.call("PATCH", path, {"name": "x"})).error[:2] == (404, "not_found")

    hash_hex = key_hash(secret)
    expected = [KeyChange(hash=hash_hex, version=version) for version in (1, 2, 3, 4, 5)]
    await eventually(lambda: [c for c in changes if c.hash == hash_hex] == expected)


async def stored_record(rig: Rig, secret: str) -> KeyRecord | None:
    body = await rig.pipe.command("GET", key_record_name(key_hash(secret)))
    return None if body is None else msgspec.json.decode(body, type=KeyRecord)


async def test_custom_keys(client: Client) -> None:
    org, account = await client.org()
    path = f"/api/v1/admin/accounts/{account}/keys"
    wanted = {"name": "custom", "custom_key": f"{org}_my-own-key"}
    made = await client.call("POST", path, wanted)
    assert made.status == 201
    assert made.body["key"] == wanted["custom_key"]

    again = await client.call("POST", path, wanted)
    assert again.error == (409, "conflict", "custom_key")
    await client.call("DELETE", f"/api/v1/admin/keys/{made.body['id']}")
    assert (await client.call("POST", path, wanted)).status == 409, "a deleted secret stays dead"

    for bad in ("short", "x" * 129, "spaces are not fine at all", "sk-byts-" + "A" * 46):
        answer = await client.call("POST", path, {"name": "custom", "custom_key": bad})
        assert answer.error == (400, "invalid_request", "custom_key")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"name": "k", "quota": "1.2345678"}, "quota"),
        ({"name": "k", "rate_limit_7d": -1}, "rate_limit_7d"),
        ({"name": "k", "group": "nope"}, "group"),
        ({"name": "k", "ip_allow": ["10.0.0.0/8", "all"]}, "ip_allow[1]"),
        ({"name": "k", "expires_in_days": 0}, "expires_in_days"),
        ({"name": "k", "scopes": []}, "scopes"),
        ({"name": 3}, "name"),
        (b"not JSON", None),
        ({"name": "a\0b"}, None),
    ],
)
async def test_bad_keys_are_refused_by_path(client: Client, body: object, param: str) -> None:
    _, account = await client.org()
    answer = await client.call("POST", f"/api/v1/admin/accounts/{account}/keys", body)
    assert answer.error == (400, "invalid_request", param)


async def test_who_may_ask(client: Client, rig: Rig) -> None:
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "admin-token"}):
        answer = await client.call("GET", "/api/v1/admin/orgs", headers=headers)
        assert answer.error == (401, "invalid_api_key", None)
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    customer = await rig.customer(0)
    principal = f'{{"account_id":"{customer.account_id}"}}'
    for headers in (
        {PRINCIPAL_HEADER: principal},
        {PRINCIPAL_HEADER: principal, INTERNAL_TOKEN_HEADER: "wrong"},
        {INTERNAL_TOKEN_HEADER: "internal-token"},
        {INTERNAL_TOKEN_HEADER: "internal-token", PRINCIPAL_HEADER: principal},
    ):
        assert (await client.call("GET", "/v1/balance", headers=headers)).status == 401


async def test_wrong_paths_methods_and_sizes(client: Client) -> None:
    assert (await client.call("GET", "/api/v1/admin/nope")).error[:2] == (404, "not_found")
    assert (await client.call("GET", "/api/v1/admin/orgs/")).status == 404
    wrong = await client.call("DELETE", "/api/v1/admin/orgs")
    assert wrong.error[:2] == (405, "method_not_allowed")
    assert wrong.headers["Allow"] == "GET, POST"
    large = await client.call("POST", "/api/v1/admin/orgs", b"x" * 262_145)
    assert large.error[:2] == (413, "request_too_large")
    assert (await client.call("GET", "/api/v1/admin/orgs/org_nope")).status == 404


async def test_a_balance_shows_holds_apart(client: Client, rig: Rig) -> None:
    customer = await rig.customer(1_000_000)
    await rig.publish(rig.event(customer, output_tokens=1_800))

    async def settled() -> bool:
        return (await rig.mirror.account(customer.account_id)).balance_uusd == 982_000

    await eventually(settled)
    assert await rig.admit(rig.event(customer, output_tokens=100))
    answer = await client.own(customer, "/v1/balance")

    assert answer.body["balance"] == {
        "available_usd": Decimal("0.981"),
        "held_usd": Decimal("0.001"),
        "balance_usd": Decimal("0.982"),
    }
    assert answer.body["key"]["quota"] == {
        "limit_usd": None,
        "used_usd": Decimal("0.018"),
        "held_usd": Decimal("0.001"),
        "remaining_usd": None,
    }
    windows = {window["name"]: window for window in answer.body["key"]["windows"]}
    assert list(windows) == ["5h", "1d", "7d"]
    assert windows["5h"]["used_usd"] == Decimal("0.018")
    assert windows["5h"]["resets_at"] is not None
    assert answer.body["org"] == {"id": customer.org_id, "name": "Acme"}
    assert answer.headers["X-Request-Id"] == "req_of_the_edge"


async def test_usage_is_listed_newest_first_page_by_page(client: Client, rig: Rig) -> None:
    customer, other = await rig.customer(1_000_000), await rig.customer(1_000_000)
    now_ms = rig.books.now_ms()
    events = [
        replaced(
            rig.event(customer, output_tokens=n),
            request_id=mint_id("req", now_ms - 1_000 * n, bytes(10)),
            admitted_ms=now_ms - 1_000 * n,
        )
        for n in (1, 2, 3, 4, 5)
    ]
    failed = rig.event(customer, outcome=Outcome.FAILED)
    await rig.publish(*events, failed, rig.event(other))

    async def settled() -> bool:
        return len((await client.own(customer, "/v1/usage")).body["items"]) == 5

    await eventually(settled)
    found: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await client.own(customer, f"/v1/usage?limit=2&cursor={cursor}")
        found += page.body["items"]
        cursor = page.body["next_cursor"]
    assert [row["request_id"] for row in found] == [e.request_id for e in events]
    assert found[0]["credits"] == Decimal("0.00001")
    assert (found[2]["prompt_tokens"], found[2]["completion_tokens"]) == (0, 3)

    one = await client.own(customer, f"/v1/usage?request_id={events[3].request_id}")
    assert [row["request_id"] for row in one.body["items"]] == [events[3].request_id]
    since = f"/v1/usage?since={found[1]['created_at']}"
    assert len((await client.own(customer, since)).body["items"]) == 2
    until = f"/v1/usage?until={found[1]['created_at']}"
    assert len((await client.own(customer, until)).body["items"]) == 3
    assert (await client.own(customer, "/v1/usage?model=other")).body["items"] == []
    assert (await client.own(customer, f"/v1/usage?request_id={failed.request_id}")).body[
        "items"
    ] == []


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("cursor=x", "cursor"),
        ("since=yesterday", "since"),
        ("until=99999999999999", "until"),
        ("request_id=%00", "request_id"),
        ("model=%00", None),
    ],
)
async def test_bad_usage_queries_are_refused(
    client: Client, rig: Rig, query: str, param: str | None
) -> None:
    customer = await rig.customer(0)
    answer = await client.own(customer, f"/v1/usage?{query}")
    assert answer.error == (400, "invalid_request", param)


async def test_audit_and_rebuild_on_demand(client: Client, rig: Rig) -> None:
    customer = await rig.customer(1_000)
    await rig.pipe.command("HSET", f"bs:{{{customer.account_id}}}:wallet", "balance", 5)
    dirty = await client.call("GET", "/api/v1/admin/audit")
    assert dirty.body["clean"] is False
    found = {check["name"]: check["first"] for check in dirty.body["checks"] if check["first"]}
    assert found == {"redis_equals_postgres": [customer.account_id]}

    assert (await client.call("POST", "/api/v1/admin/rebuild")).body == {"rebuilt": True}

    assert (await client.call("GET", "/api/v1/admin/audit")).body["clean"] is True


async def test_who_guesses_the_admin_token_is_put_off_and_operators_go_on(
    client: Client, rig: Rig
) -> None:
    def from_(address: str, token: str) -> dict[str, str]:
        return {
            "authorization": f"Bearer {token}",
            INTERNAL_TOKEN_HEADER: "internal-token",
            CLIENT_ADDRESS_HEADER: address,
        }

    async def ask(address: str, token: str) -> Answer:
        return await client.call("GET", "/api/v1/admin/orgs", headers=from_(address, token))

    operator_token = secrets.token_hex(16)
    await rig.value(
        """insert into operators (id, name, token_hash, hint)
           values ($1, $1, $2, '') returning 1""",
        f"op_{operator_token}",
        sha256(operator_token.encode()).digest(),
    )
    assert (await ask("203.0.113.5", operator_token)).status == 200
    refused = [await ask("203.0.113.5", f"guess-{number}") for number in range(60)]
    statuses = [answer.status for answer in refused]
    assert statuses[:20] == [401] * 20
    assert statuses.count(429) >= 37
    put_off = refused[statuses.index(429)]
    assert put_off.error == (429, "rate_limit_exceeded", None)
    assert int(put_off.headers["retry-after"]) >= 1
    # Who had worked from there goes on; a good token that had not waits, there and only there.
    assert (await ask("203.0.113.5", operator_token)).status == 200
    assert (await ask("203.0.113.5", "admin-token")).status == 429
    assert (await ask("203.0.113.6", "admin-token")).status == 200
    # A token that was taken back is trusted no longer.
    await rig.value(
        "update operators set status = 'disabled' where id = $1 returning 1", f"op_{operator_token}"
    )
    assert (await ask("203.0.113.5", operator_token)).status == 429


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Bearer x", "Basic admin-token", "admin-token", "Bearer \udcff"],
)
async def test_every_way_to_be_nobody_gets_the_same_answer(
    client: Client, authorization: str
) -> None:
    answer = await client.call(
        "GET", "/api/v1/admin/orgs", headers={"authorization": authorization}
    )
    assert answer.error == (401, "invalid_api_key", None)
    assert answer.body["error"]["message"] == "invalid admin token"
