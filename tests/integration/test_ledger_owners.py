"""Owners of keys: what a change of an organisation, a member or a user does to their keys."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from bytespike_cli.servers import PostgresServer
from bytespike_contracts.keys import SpendCaps, SpendLimit
from bytespike_ledger.carryover import carry_key
from bytespike_ledger.store import connection
from bytespike_ledger.store.keys import insert_key, read_key
from tests.support.eventually import eventually
from tests.support.ledger import ledger, plain_controls
from tests.support.management import Management, management, some_email

CONFLICT, MISSING = (409, "conflict"), (404, "not_found")


@pytest.fixture(scope="module")
async def api(
    postgres_server: PostgresServer,
    redis_url: str,
    nats_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Management]:
    database = postgres_server.create_database("ledger_owners")
    folder = tmp_path_factory.mktemp("catalogue")
    async with ledger(database, redis_url, nats_url) as rig, management(rig, folder) as api:
        yield api


# What a change does to keys.


async def test_pausing_stops_all_keys_and_resuming_brings_them_back(api: Management) -> None:
    acme = await api.company()
    plain = await api.key(acme.account_id, None, "inference")
    other = await api.company("owner")
    everyone = [*acme.keys.values(), plain]
    versions = {key: (await api.record(key)).version for key in everyone}

    paused = await api.admin("PATCH", f"/orgs/{acme.id}", {"status": "paused"})
    assert paused.body["status"] == "paused"
    assert [(await api.record(key)).enabled for key in everyone] == [False] * 5
    assert (await api.record(other.keys["owner"])).enabled
    assert (await api.own(acme.keys["owner"], "GET", "/org")).status == 401
    # An owner cannot lift it: the key is refused, and the field is not theirs.
    lifted = await api.own(other.keys["owner"], "PATCH", "/org", {"status": "active"})
    assert lifted.error == (400, "invalid_request", None)

    await api.admin("PATCH", f"/orgs/{acme.id}", {"status": "active"})
    records = {key: await api.record(key) for key in everyone}
    assert all(record.enabled for record in records.values())
    assert all(record.version == versions[key] + 2 for key, record in records.items())
    assert (
        await api.rig.value("select count(*) from api_keys where projected_version < version") == 0
    )


async def test_limits_of_organisation_and_member_travel_with_their_keys(api: Management) -> None:
    acme = await api.company("owner", "member")
    changed = await api.own(
        acme.keys["owner"],
        "PATCH",
        "/org",
        {"name": "Acme & Sons", "quota": "100", "rate_limit_7d": "20.5"},
    )
    assert (changed.body["name"], changed.body["quota"]) == ("Acme & Sons", 100)
    assert '"rate_limit_7d":20.50' in changed.text
    member = acme.members["member"]
    await api.own(acme.keys["owner"], "PATCH", f"/org/members/{member}", {"rate_limit_5h": 1})

    of_org = SpendLimit(
        scope=acme.id,
        owner="org",
        caps=SpendCaps(quota_uusd=100_000_000, window_7d_uusd=20_500_000),
    )
    of_member = SpendLimit(scope=member, owner="member", caps=SpendCaps(window_5h_uusd=1_000_000))
    assert (await api.record(acme.keys["member"])).limits == (of_member, of_org)
    assert (await api.record(acme.keys["owner"])).limits == (of_org,)


async def test_tier_and_concurrency_reach_the_keys(api: Management) -> None:
    acme = await api.company("owner")
    path, key = f"/orgs/{acme.id}", acme.keys["owner"]
    for body, concurrency in (
        ({"tier": "pro"}, 25),
        ({"concurrency": 7}, 7),
        ({"tier": "max", "concurrency": 33}, 33),
        ({"tier": "free"}, 5),
    ):
        changed = await api.admin("PATCH", path, body)
        assert changed.body["concurrency"] == concurrency
        assert (await api.record(key)).concurrency == concurrency
    assert (await api.admin("GET", path)).body == changed.body


async def test_a_change_that_changes_nothing_leaves_everything_as_it_is(api: Management) -> None:
    acme = await api.company("owner")
    before = (await api.record(acme.keys["owner"])).version
    log = "select count(*) from audit_log where account_id = $1"
    entries = await api.rig.value(log, acme.account_id)
    for body in ({}, {"name": "Acme", "status": "active", "quota": 0}):
        assert (await api.admin("PATCH", f"/orgs/{acme.id}", body)).status == 200
    assert (await api.record(acme.keys["owner"])).version == before
    assert await api.rig.value(log, acme.account_id) == entries


@pytest.mark.parametrize("owner", ["organisation", "individual"])
async def test_a_key_made_while_its_owner_is_stopped_is_stopped(
    api: Management, owner: str
) -> None:
    """It read its owner as active, so the stop has to wait for it and touch it as well."""
    if owner == "organisation":
        org = (await api.admin("POST", "/orgs", {"name": "Acme"})).body
        path, org_id, stop = f"/orgs/{org['id']}", org["id"], {"status": "paused"}
    else:
        body = {"email": some_email(), "name": "S", "individual": True}
        org = (await api.admin("POST", "/users", body)).body
        path, org_id, stop = f"/users/{org['id']}", None, {"status": "disabled"}
    books = api.rig.books
    values = {
        "id": books.mint("key"),
        "account_id": org["account_id"],
        "org_id": org_id,
        "key_hash": secrets.token_bytes(32),
        "hint": "x",
        **plain_controls(),
    }

    async with connection(books.pool) as conn, conn.transaction():
        await insert_key(conn, values)
        row = await read_key(conn, str(values["id"]))
        assert row is not None
        assert row.owner_active
        stopping = asyncio.create_task(api.admin("PATCH", path, stop))
        await eventually(api.somebody_waits)
    await carry_key(books, row)
    assert (await stopping).status == 200
    assert not (await api.record(row.id)).enabled


async def test_many_keys_stop_within_a_second(api: Management) -> None:
    acme = await api.company("owner")
    await api.rig.value(
        """insert into api_keys (id, account_id, org_id, name, key_hash, hint, scopes,
               routing_group, quota_uusd, window_5h_uusd, window_1d_uusd, window_7d_uusd,
               ip_allow, ip_deny)
           select 'key_many_' || number, $1, $2, 'many', sha256(convert_to($1 || number, 'UTF8')),
                  'x', '{inference}', 'default', 0, 0, 0, 0, '{}', '{}'
           from generate_series(1, 300) as number""",
        acme.account_id,
        acme.id,
    )
    loop = asyncio.get_running_loop()
    started = loop.time()
    await api.admin("PATCH", f"/orgs/{acme.id}", {"status": "paused"})
    took_s = loop.time() - started
    assert not (await api.record("key_many_300")).enabled
    assert took_s < 1.0


# Individuals.


async def test_an_individual_has_an_account_and_no_organisation(api: Management) -> None:
    body = {"email": some_email(), "name": "Solo", "individual": True, "tier": "pro"}
    made = await api.admin("POST", "/users", body)
    assert (made.status, made.body["tier"], made.body["concurrency"]) == (201, "pro", 25)
    account = made.body["account_id"]
    funded = await api.admin("POST", f"/accounts/{account}/top-ups", {"usd": "5"})
    assert funded.body["balance_usd"] == Decimal("5.00")
    key = await api.key(account, None)
    record = await api.record(key)
    assert (record.org_id, record.concurrency, record.enabled) == (None, 25, True)
    for method, path, change in (
        ("GET", "/org", None),
        ("PATCH", "/org", {"name": "x"}),
        ("GET", "/org/members", None),
        ("POST", "/org/members", {"email": some_email(), "name": "x"}),
        ("DELETE", "/org/members/mem_1", None),
    ):
        assert (await api.own(key, method, path, change)).error[:2] == MISSING

    user = f"/users/{made.body['id']}"
    await api.admin("PATCH", user, {"concurrency": 9})
    assert (await api.record(key)).concurrency == 9
    await api.admin("PATCH", user, {"status": "disabled"})
    assert not (await api.record(key)).enabled
    assert (await api.own(key, "GET", "/org")).status == 401


async def test_a_member_can_become_an_individual_as_well(api: Management) -> None:
    acme = await api.company("owner")
    user = await api.rig.value("select user_id from members where id = $1", acme.members["owner"])
    path = f"/users/{user}"
    refused = await api.admin("PATCH", path, {"concurrency": 3})
    assert refused.error == (400, "invalid_request", "concurrency")
    changed = await api.admin("PATCH", path, {"tier": "free"})
    account = changed.body["account_id"]
    assert (changed.body["tier"], changed.body["concurrency"]) == ("free", 5)
    assert (await api.rig.mirror.account(account)).balance_uusd == 0
    assert (await api.record(await api.key(account, None))).enabled
    # Their membership spends from the organisation's wallet as before.
    assert (await api.record(acme.keys["owner"])).account_id == acme.account_id


async def test_users_are_found_by_address_and_addresses_are_had_once(api: Management) -> None:
    email = some_email()
    made = await api.admin("POST", "/users", {"email": email.upper(), "name": "A"})
    assert made.body["email"] == email
    assert made.body["account_id"] is None
    found = await api.admin("GET", f"/users?email={email.title()}")
    assert found.body["items"] == [made.body]
    assert (await api.admin("GET", f"/users/{made.body['id']}")).body == made.body
    twice = await api.admin("POST", "/users", {"email": email, "name": "B"})
    assert twice.error == (*CONFLICT, "email")
    other = await api.admin("POST", "/users", {"email": some_email(), "name": "B"})
    taken = await api.admin("PATCH", f"/users/{other.body['id']}", {"email": email})
    assert taken.error == (*CONFLICT, "email")
    for field, value in (("tier", "pro"), ("concurrency", 3)):
        odd = await api.admin("POST", "/users", {"email": some_email(), "name": "C", field: value})
        assert odd.error == (400, "invalid_request", field)
