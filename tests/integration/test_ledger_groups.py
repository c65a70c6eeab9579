"""Groups and who may use them, the price list, and the caller's own account."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import asyncpg
import msgspec
import pytest

from bytespike_cli.servers import PostgresServer
from bytespike_contracts.errors import GatewayError
from bytespike_contracts.keys import KeyRecord, key_record_name
from bytespike_contracts.money import format_usd
from bytespike_ledger.accounts.actors import Operator
from bytespike_ledger.accounts.groups import require_group, revoke_group, usable_groups
from bytespike_ledger.catalogue import CatalogueWatch
from bytespike_ledger.store import connection, me, tenant
from bytespike_ledger.store import groups as store
from bytespike_runtime import pg
from tests.support.eventually import eventually
from tests.support.ledger import CATALOGUE, Customer, Rig, ledger
from tests.support.ledger_api import LedgerApi, ledger_api

WIDER = (
    CATALOGUE
    + """
[[models]]
id = "m-2"
aliases = ["M-2.old"]
display_name = "Second"
vendor = "other"
family = "second"
context_window = 1000
max_output_tokens = 100
capabilities = ["vision"]
price = { input = "0.27", output = "1.1", cache_read = "0.027", cache_write_5m = "1.25", cache_write_1h = "2", web_search = "10" }

[[models]]
id = "m-free"
vendor = "test"
family = "test"
context_window = 1000
max_output_tokens = 100

[[channels]]
id = "c-2"
dialect = "openai_chat"
base_url = "http://127.0.0.1:1/v1"
credential = "env:NOTHING"
models = { "m-2" = "m-2" }

[[groups]]
id = "vip"
models = ["m-2"]
multiplier = "0.333333"
public = false

[[groups]]
id = "secret"
public = false
"""  # noqa: E501 - one TOML table is one line
)
OPERATOR = Operator(id="root", address="192.0.2.1", request_id="req_test")


@pytest.fixture(scope="module")
async def rig(postgres_server: PostgresServer, redis_url: str, nats_url: str) -> AsyncIterator[Rig]:
    database = postgres_server.create_database("ledger_groups")
    async with ledger(database, redis_url, nats_url) as rig:
        yield rig


@pytest.fixture
async def catalogue(rig: Rig, tmp_path: Path) -> CatalogueWatch:
    file = tmp_path / "catalogue.toml"
    file.write_text(WIDER)
    watch = CatalogueWatch(str(file), rig.books.prices)
    await watch.look()
    return watch


@pytest.fixture
async def api(rig: Rig, catalogue: CatalogueWatch) -> AsyncIterator[LedgerApi]:
    async with ledger_api(rig, catalogue) as api:
        yield api


async def record_of(rig: Rig, customer: Customer) -> KeyRecord:
    """What Redis knows of the customer's key."""
    body = await rig.pipe.command("GET", key_record_name(customer.key_hash))
    return msgspec.json.decode(body, type=KeyRecord)


async def bind(rig: Rig, customer: Customer, group: str) -> None:
    async with pg.connection(rig.books.pool) as conn:
        await conn.execute(
            "update api_keys set routing_group = $2 where id = $1", customer.key_id, group
        )


async def test_a_grant_opens_an_exclusive_group_to_one_account(rig: Rig, api: LedgerApi) -> None:
    customer, other = await rig.customer(0), await rig.customer(0)
    path = f"/accounts/{customer.account_id}/groups"
    made = await api.admin("PUT", f"{path}/vip")
    again = await api.admin("PUT", f"{path}/vip")
    assert (made.status, again.body) == (200, made.body)
    assert (made.body["group"], made.body["granted_by"]) == ("vip", "root")

    mine = (await api.own(customer, "/api/v1/groups/available")).body["items"]
    theirs = (await api.own(other, "/api/v1/groups/available")).body["items"]
    assert [group["id"] for group in mine] == ["default", "half", "vip"]
    assert [group["id"] for group in theirs] == ["default", "half"]
    assert mine[2] == {
        "id": "vip",
        "public": False,
        "multiplier": "0.333333",
        "models": ["m-2"],
        "families": ["second"],
        "vendors": ["other"],
        "current": False,
    }
    assert mine[0]["current"] is True
    entries = await rig.value(
        "select count(*) from audit_log where account_id = $1 and action = 'group.grant'",
        customer.account_id,
    )
    assert entries == 1, "a grant that was there already is no change"


async def test_revoking_disables_the_keys_of_the_group_and_tells(rig: Rig, api: LedgerApi) -> None:
    customer, other = await rig.customer(0), await rig.customer(0)
    for one in (customer, other):
        await api.admin("PUT", f"/accounts/{one.account_id}/groups/vip")
        await bind(rig, one, "vip")
    path = f"/accounts/{customer.account_id}/groups"
    before = (await api.admin("GET", path)).body["items"]
    assert [(row["id"], row["usable"], row["keys"]) for row in before] == [
        ("default", True, 0),
        ("half", True, 0),
        ("vip", True, 1),
    ]
    gone = await api.admin("DELETE", f"{path}/vip")
    assert gone.body == {"account_id": customer.account_id, "group": "vip", "keys_disabled": 1}
    assert (await record_of(rig, customer)).enabled is False, "in force when the call answers"
    assert (await record_of(rig, other)).enabled is True
    assert (await api.admin("DELETE", f"{path}/vip")).status == 404
    events = await rig.value(
        "select count(*) from account_events where account_id = $1 and type = $2",
        customer.account_id,
        "admin.api_key.revoke",
    )
    assert events == 1
    after = await rig.value(
        "select after::text from audit_log where account_id = $1 and action = 'group.revoke'",
        customer.account_id,
    )
    assert customer.key_id in str(after)


async def test_revoking_a_grant_of_a_public_group_leaves_the_keys(rig: Rig, api: LedgerApi) -> None:
    customer = await rig.customer(0)
    path = f"/accounts/{customer.account_id}/groups/default"
    assert (await api.admin("PUT", path)).status == 200
    assert (await api.admin("DELETE", path)).body["keys_disabled"] == 0
    assert (await record_of(rig, customer)).enabled is True


async def test_operators_see_groups_with_their_keys_and_grants(rig: Rig, api: LedgerApi) -> None:
    customer = await rig.customer(0)
    await api.admin("PUT", f"/accounts/{customer.account_id}/groups/secret")
    await bind(rig, customer, "secret")
    found = {group["id"]: group for group in (await api.admin("GET", "/groups")).body["items"]}
    assert list(found) == ["default", "half", "vip", "secret"]
    assert (found["secret"]["keys"], found["secret"]["grants"]) == (1, 1)
    assert found["default"]["keys"] >= 1
    assert found["vip"]["channels"] == ["c-1", "c-2"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/accounts/acct_nobody/groups/vip"),
        ("DELETE", "/accounts/acct_nobody/groups/vip"),
        ("GET", "/accounts/acct_nobody/groups"),
        ("PUT", "/accounts/{account}/groups/nothing"),
        ("DELETE", "/accounts/{account}/groups/nothing"),
    ],
)
async def test_what_is_not_there_is_404(rig: Rig, api: LedgerApi, method: str, path: str) -> None:
    customer = await rig.customer(0)
    answer = await api.admin(method, path.format(account=customer.account_id))
    assert answer.status == 404


async def test_customers_cannot_grant(rig: Rig, api: LedgerApi) -> None:
    customer = await rig.customer(0)
    path = f"/api/v1/admin/accounts/{customer.account_id}/groups/vip"
    assert (await api.own(customer, path, method="PUT")).status == 401
    assert (await api.public("/api/v1/groups/available")).status == 401


@pytest.mark.parametrize("group", ["vip", "secret", "nothing", "x" * 5000])
async def test_one_answer_to_every_group_that_is_not_yours(
    rig: Rig, catalogue: CatalogueWatch, group: str
) -> None:
    customer, granted = await rig.customer(0), await rig.customer(0)
    async with connection(rig.books.pool) as conn:
        for name in ("vip", "secret"):
            await store.insert_grant(conn, granted.account_id, name, granted_by="root")
    async with tenant(rig.books.pool, customer.account_id) as conn:
        with pytest.raises(GatewayError) as refused:
            await require_group(conn, catalogue.current, customer.account_id, group)
    assert refused.value.status == 400
    assert refused.value.message == f"no group {group[:64]!r} is available to this account"


async def test_a_tenant_sees_its_own_grants_only(rig: Rig, catalogue: CatalogueWatch) -> None:
    """Whatever the query asks for: the database answers for one account."""
    customer, other = await rig.customer(0), await rig.customer(0)
    async with connection(rig.books.pool) as conn:
        await store.insert_grant(conn, other.account_id, "vip", granted_by="root")
    async with tenant(rig.books.pool, customer.account_id) as conn:
        assert await store.grants_of(conn, other.account_id) == []
        found = await usable_groups(conn, catalogue.current, other.account_id)
        assert [group.id for group in found] == ["default", "half"]
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with tenant(rig.books.pool, customer.account_id) as conn:
            await store.insert_grant(conn, customer.account_id, "vip", granted_by="me")


async def test_a_key_that_is_being_bound_is_caught_by_the_revocation(
    rig: Rig, catalogue: CatalogueWatch
) -> None:
    """The grant is looked at, then taken away, then the key is bound: it must not stay active."""
    customer = await rig.customer(0)
    async with connection(rig.books.pool) as conn:
        await store.insert_grant(conn, customer.account_id, "vip", granted_by="root")
    async with tenant(rig.books.pool, customer.account_id) as conn:
        await require_group(conn, catalogue.current, customer.account_id, "vip")
        revoking = asyncio.create_task(
            revoke_group(rig.books, catalogue.current, OPERATOR, customer.account_id, "vip")
        )

        async def waits() -> bool:
            return bool(
                await rig.value(
                    "select count(*) from pg_locks where locktype = 'advisory' and not granted"
                )
            )

        await eventually(waits)
        await conn.execute(
            "update api_keys set routing_group = 'vip' where id = $1", customer.key_id
        )
    assert await revoking == 1
    assert (await record_of(rig, customer)).enabled is False


async def test_prices_are_those_that_charge(rig: Rig, api: LedgerApi) -> None:
    answer = await api.public("/api/pricing")
    assert answer.status == 200
    assert answer.headers["cache-control"] == "public, max-age=300"
    assert [row["model"] for row in answer.body] == ["m-1", "m-2"], "no price, no row"
    row = answer.body[1]
    assert row.pop("updated_at").endswith("Z")
    assert row == {
        "model": "m-2",
        "category": "text",
        "vendor": "other",
        "rates": {
            "input_per_1m": Decimal("0.27"),
            "cache_write_per_1m": Decimal("0.3375"),
            "cache_write_1h_per_1m": Decimal("0.54"),
            "cache_read_per_1m": Decimal("0.027"),
            "output_per_1m": Decimal("1.10"),
            "web_search_per_1k": Decimal("10.00"),
            "currency": "USD",
        },
    }
    assert "web_search_per_1k" not in answer.body[0]["rates"]
    half = (await api.public("/api/pricing?group=half")).body[1]["rates"]
    assert half["input_per_1m"] == Decimal("0.135")
    assert half["web_search_per_1k"] == Decimal("5.00")


async def test_one_price_by_any_name(api: LedgerApi) -> None:
    listed = (await api.public("/api/pricing")).body[1]
    for name in ("m-2", "M-2.old"):
        assert (await api.public(f"/api/pricing/{name}")).body == listed
    for path in ("/api/pricing/m-free", "/api/pricing/nothing", "/api/pricing/"):
        assert (await api.public(path)).status == 404
    for group in ("vip", "nothing"):
        assert (await api.public(f"/api/pricing?group={group}")).status == 404
        assert (await api.public(f"/api/pricing/m-2?group={group}")).status == 404


async def test_the_date_of_a_price_is_that_of_its_first_day(
    rig: Rig, catalogue: CatalogueWatch, api: LedgerApi, tmp_path: Path
) -> None:
    """Another model's new price does not make this one's new."""
    async with pg.connection(rig.books.pool) as conn:
        await conn.execute(
            """insert into price_revisions
               select 'earlier', routing_group, model, input_uusd, output_uusd, cache_read_uusd,
                      cache_write_5m_uusd, cache_write_1h_uusd, web_search_uusd, multiplier_ppm,
                      '2026-01-02T03:04:05Z'
               from price_revisions where revision = $1""",
            catalogue.current.revision,
        )
    (tmp_path / "catalogue.toml").write_text(WIDER.replace('output = "10"', 'output = "20"'))
    await catalogue.look()
    first, second = (await api.public("/api/pricing")).body
    assert first["rates"]["output_per_1m"] == Decimal("20.00")
    assert first["updated_at"] > "2026-06"
    assert second["updated_at"] == "2026-01-02T03:04:05.000Z"


async def test_an_account_in_numbers(rig: Rig, api: LedgerApi) -> None:
    customer = await rig.customer(1_000_000)
    await rig.publish(rig.event(customer, output_tokens=3), rig.event(customer, output_tokens=4))
    await rig.settle_all()
    other = await rig.customer(5)
    async with pg.connection(rig.books.pool) as conn:
        for key in (customer.key_id, other.key_id):
            await conn.execute(
                """delete from usage_days where key_id = $1""",
                key,
            )
            await conn.execute(
                """insert into usage_days values
                   ($1, 0, $2, 'm-1', 1, 0, 0, 0, 3, 0, 0, 30, 0, 0, 0, 30, 0),
                   ($1, 86400000, $2, 'm-1', 1, 0, 0, 0, 4, 0, 0, 40, 0, 0, 0, 40, 0)""",
                customer.account_id if key == customer.key_id else other.account_id,
                key,
            )
    answer = await api.own(customer, "/api/v1/me/account")
    assert answer.body == {
        "user": None,
        "balance": {
            "available_usd": Decimal("0.99993"),
            "lifetime_topup_usd": Decimal("1.00"),
            "lifetime_spent_usd": Decimal("0.00007"),
            "low_balance_threshold_usd": Decimal("0.00"),
            "low_balance_flagged": False,
        },
        "allowed_models": [
            {"id": "m-1", "quota_used_usd": Decimal("0.00007"), "quota_cap_usd": None},
            {"id": "m-2", "quota_used_usd": Decimal("0.00"), "quota_cap_usd": None},
            {"id": "m-free", "quota_used_usd": Decimal("0.00"), "quota_cap_usd": None},
        ],
        "org": {"id": customer.org_id, "name": "Acme", "role": "owner"},
    }


async def test_an_account_of_a_member_and_of_an_individual(rig: Rig, api: LedgerApi) -> None:
    member, individual = await rig.customer(0), await rig.customer(0)
    async with pg.connection(rig.books.pool) as conn:
        await conn.execute(
            "insert into users (id, email, name) values ($1, $2, 'Ada')",
            f"user_{member.key_id}",
            f"{member.key_id}@example.com".lower(),
        )
        await conn.execute(
            """insert into members (id, account_id, org_id, user_id, role, name)
               values ($1, $2, $3, $4, 'viewer', 'Ada')""",
            f"mem_{member.key_id}",
            member.account_id,
            member.org_id,
            f"user_{member.key_id}",
        )
        await conn.execute(
            "update api_keys set member_id = $2 where id = $1",
            member.key_id,
            f"mem_{member.key_id}",
        )
        await conn.execute("update api_keys set org_id = null where id = $1", individual.key_id)
        await conn.execute("delete from orgs where id = $1", individual.org_id)
        await conn.execute(
            "insert into users (id, email, name, account_id) values ($1, $2, 'Bob', $3)",
            f"user_{individual.key_id}",
            f"{individual.key_id}@example.com".lower(),
            individual.account_id,
        )
        await conn.execute(
            """insert into wallet_settings (account_id, low_balance_uusd, low_balance_flagged)
               values ($1, 7800000, true)""",
            individual.account_id,
        )
    body = (await api.own(member, "/api/v1/me/account")).body
    assert (body["user"]["username"], body["user"]["tier"]) == ("Ada", "enterprise")
    assert body["org"]["role"] == "viewer"
    body = (await api.own(individual, "/api/v1/me/account")).body
    assert (body["user"]["username"], body["user"]["tier"]) == ("Bob", "individual")
    assert body["org"] is None
    assert format_usd(7_800_000) == str(body["balance"]["low_balance_threshold_usd"])
    assert body["balance"]["low_balance_flagged"] is True


async def test_a_tenant_sees_no_other_account(rig: Rig) -> None:
    customer, other = await rig.customer(0), await rig.customer(7_000_000)
    async with pg.connection(rig.books.pool) as conn:
        await conn.execute(
            "insert into users (id, email, name, account_id) values ($1, $2, 'Eve', $3)",
            f"user_{other.key_id}",
            f"{other.key_id}@example.com".lower(),
            other.account_id,
        )
        await conn.execute(
            """insert into usage_days values
               ($1, 0, $2, 'm-1', 1, 0, 0, 0, 3, 0, 0, 30, 0, 0, 0, 30, 0)""",
            other.account_id,
            other.key_id,
        )
    async with tenant(rig.books.pool, customer.account_id) as conn:
        assert await me.read_user(conn, f"user_{other.key_id}", None) is None
        assert await me.read_org_of(conn, other.account_id) is None
        assert await me.spent_by(conn, other.key_id) == {}
        assert await me.read_money(conn, other.account_id) == me.MoneyRow(0, 0, 0, False)


async def test_the_matrix_of_models(rig: Rig, api: LedgerApi) -> None:
    customer = await rig.customer(0)
    await api.admin("PUT", f"/accounts/{customer.account_id}/groups/secret")
    await bind(rig, customer, "secret")
    items = (await api.own(customer, "/api/v1/me/available-models")).body["items"]
    assert [item["id"] for item in items] == ["m-1", "m-2", "m-free"]
    second, unpriced = items[1], items[2]
    assert second["protocols_aggregate"] == [
        "anthropic_messages:translated",
        "openai_chat_completions:native",
        "openai_responses:translated",
        "gemini_generate_content:translated",
    ]
    assert (second["name"], second["family"], second["vendor"]) == ("Second", "second", "other")
    assert (second["group"], second["capabilities"]) == ("secret", ["text", "streaming", "vision"])
    assert second["rates"]["output_per_1m"] == Decimal("1.10")
    assert (unpriced["rates"], unpriced["protocols_aggregate"]) == (None, [])
    await bind(rig, customer, "vip")
    only = (await api.own(customer, "/api/v1/me/available-models")).body["items"]
    assert [item["id"] for item in only] == ["m-2"]
    assert only[0]["rates"]["input_per_1m"] == Decimal("0.08999991")
