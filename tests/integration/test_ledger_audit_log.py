"""The audit log: one entry for each change, with who, from where, before and after; for good. And
the operators it names.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from bytespike_cli.servers import PostgresServer
from bytespike_ledger.accounts.audit_log import Action
from tests.support.ledger import Rig, ledger
from tests.support.management import (
    ADDRESS,
    Company,
    Management,
    Told,
    management,
    some_email,
)
from tests.support.served_ledger import ADMIN_TOKEN

LOG = "/audit-log?limit=200"


@pytest.fixture(scope="module")
async def rig(postgres_server: PostgresServer, redis_url: str, nats_url: str) -> AsyncIterator[Rig]:
    database = postgres_server.create_database("ledger_audit_log")
    async with ledger(database, redis_url, nats_url) as rig:
        yield rig


@pytest.fixture(scope="module")
async def api(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Management]:
    folder: Path = tmp_path_factory.mktemp("catalogue")
    async with management(rig, folder) as api:
        yield api


async def newest(api: Management) -> int:
    """The id of the last entry."""
    return int(str(await api.rig.value("select coalesce(max(id), 0) from audit_log")))


async def entries_since(api: Management, entry_id: int) -> list[dict[str, Any]]:
    """Everything the log says since that entry, oldest first."""
    items = (await api.admin("GET", LOG)).body["items"]
    return [item for item in reversed(items) if item["id"] > entry_id]


# Complete.


async def test_each_change_by_an_operator_is_one_entry(api: Management) -> None:
    acme = await api.company("owner", "viewer")
    solo = await api.admin("POST", "/users", {"email": some_email(), "name": "S"})
    org, member, user = acme.id, acme.members["viewer"], solo.body["id"]
    steps: list[tuple[str, str, Any, str, str, Any, Any]] = [
        (
            *("PATCH", f"/orgs/{org}", {"tier": "pro", "quota": "1.25", "name": "Acme"}),
            *("org.update", org),
            {"tier": "enterprise", "concurrency": 500, "quota": "0.00"},
            {"tier": "pro", "concurrency": 25, "quota": "1.25"},
        ),
        (
            *("PATCH", f"/orgs/{org}", {"status": "paused"}, "org.update", org),
            *({"status": "active"}, {"status": "paused"}),
        ),
        (
            *("PATCH", f"/orgs/{org}", {"status": "active"}, "org.update", org),
            *({"status": "paused"}, {"status": "active"}),
        ),
        (
            *("PATCH", f"/orgs/{org}/members/{member}", {"role": "member", "rate_limit_5h": 2}),
            *("member.update", member),
            {"role": "viewer", "rate_limit_5h": "0.00"},
            {"role": "member", "rate_limit_5h": "2.00"},
        ),
        (
            *("DELETE", f"/orgs/{org}/members/{member}", None, "member.remove", member),
            *({"status": "active"}, {"status": "removed"}),
        ),
        (
            *("PATCH", f"/users/{user}", {"name": "Solo", "status": "disabled"}),
            *("user.update", user),
            {"name": "S", "status": "active"},
            {"name": "Solo", "status": "disabled"},
        ),
        ("POST", "/rebuild", None, "books.rebuild", "redis", None, None),
    ]
    for method, path, body, action, target, before, after in steps:
        last = await newest(api)
        told = await api.admin(method, path, body)
        assert told.status == 200, told.text
        (entry,) = await entries_since(api, last)
        assert (entry["actor"], entry["address"]) == ("root", ADDRESS)
        assert (entry["action"], entry["target"]) == (action, target)
        assert (entry["before"], entry["after"]) == (before, after)
        expected = acme.account_id if action.startswith(("org.", "member.")) else None
        assert entry["account_id"] == expected


async def test_what_is_made_is_one_entry_without_a_before(api: Management) -> None:
    last = await newest(api)
    org = (await api.admin("POST", "/orgs", {"name": "New", "tier": "max"})).body
    email = some_email()
    member = await api.admin(
        "POST", f"/orgs/{org['id']}/members", {"email": email, "name": "M", "quota": "3"}
    )
    body = {"email": some_email(), "name": "U", "individual": True, "tier": "pro"}
    user = (await api.admin("POST", "/users", body)).body
    operator = (await api.admin("POST", "/operators", {"name": f"op {org['id']}"})).body

    made = await entries_since(api, last)
    assert [entry["before"] for entry in made] == [None] * 4
    assert [(entry["action"], entry["target"]) for entry in made] == [
        ("org.create", org["id"]),
        ("member.add", member.body["id"]),
        ("user.create", user["id"]),
        ("operator.create", operator["id"]),
    ]
    assert made[0]["after"] == {"name": "New", "tier": "max", "concurrency": 100}
    no_caps = dict.fromkeys(("rate_limit_5h", "rate_limit_1d", "rate_limit_7d"), "0.00")
    assert made[1]["after"] == {
        **{"email": email, "name": "M", "role": "member", "status": "active"},
        **no_caps,
        "quota": "3.00",
    }
    assert made[2]["after"] == {
        **{field: user[field] for field in ("email", "name", "account_id", "tier")},
        "concurrency": 25,
    }
    assert made[3]["after"] == {"name": operator["name"], "hint": operator["hint"]}
    assert operator["token"] not in (await api.admin("GET", LOG)).text


async def test_changes_by_customers_name_their_key_and_address(api: Management) -> None:
    acme = await api.company("owner", "admin")
    steps: list[tuple[str, str, Any, str, Any]] = [
        ("PATCH", "/org", {"name": "B", "rate_limit_7d": 9}, "org.update", "name"),
        ("POST", "/org/members", {"email": some_email(), "name": "N"}, "member.add", "email"),
        ("PATCH", "/org/members/{admin}", {"role": "viewer"}, "member.update", "role"),
        ("DELETE", "/org/members/{admin}", None, "member.remove", "status"),
    ]
    for method, path, body, action, field in steps:
        last = await newest(api)
        told = await api.own(acme.keys["owner"], method, path.format(**acme.members), body)
        assert told.status in {200, 201}, told.text
        (entry,) = await entries_since(api, last)
        assert (entry["actor"], entry["address"]) == (acme.keys["owner"], ADDRESS)
        assert (entry["action"], entry["account_id"]) == (action, acme.account_id)
        assert entry["request_id"] == "req_of_the_edge"
        assert field in entry["after"]


async def test_what_was_refused_leaves_no_entry(api: Management) -> None:
    acme = await api.company("owner", "admin")
    owner = f"/org/members/{acme.members['owner']}"
    last = await newest(api)
    events = await api.events(acme.account_id)
    for key, method, path, body in (
        (acme.keys["admin"], "DELETE", owner, None),
        (acme.keys["owner"], "DELETE", owner, None),
        (acme.keys["owner"], "PATCH", "/org", {"quota": "-1"}),
        (acme.keys["owner"], "POST", "/org/members", {"email": "a@b.example", "name": "\0"}),
    ):
        assert (await api.own(key, method, path, body)).status in {400, 403, 409}
    assert await newest(api) == last
    assert await api.events(acme.account_id) == events


# For good.


@pytest.mark.parametrize(
    "change",
    ["update audit_log set actor = 'nobody'", "delete from audit_log", "truncate audit_log"],
)
async def test_nobody_changes_the_log(api: Management, change: str) -> None:
    await api.company("owner")
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
        await api.rig.value(change)


# Found again.


async def found(api: Management, query: str) -> list[int]:
    """Ids of the entries that a query finds, as listed."""
    told = await api.admin("GET", f"{LOG}&{query}")
    assert told.status == 200, told.text
    return [item["id"] for item in told.body["items"]]


async def test_entries_are_found_by_each_of_their_sides(api: Management) -> None:
    acme: Company = await api.company("owner")
    await api.own(acme.keys["owner"], "PATCH", "/org", {"name": "One"})
    await api.own(acme.keys["owner"], "PATCH", "/org", {"name": "Two"})
    everything = (await api.admin("GET", LOG)).body["items"]
    by_us = [item for item in everything if item["account_id"] == acme.account_id]
    two, one, for_owner, member, made = (item["id"] for item in by_us)
    newest_first = [two, one, for_owner, member, made]
    assert newest_first == sorted(newest_first, reverse=True)

    account, key = f"account={acme.account_id}", acme.keys["owner"]
    assert await found(api, account) == newest_first
    assert await found(api, f"actor={key}") == [two, one]
    assert await found(api, f"{account}&action=org.update") == [two, one]
    assert await found(api, f"{account}&actor=root&action=member.add") == [member]
    assert await found(api, f"target={acme.id}") == [two, one, made]
    since = next(item["at"] for item in by_us if item["id"] == one)
    assert await found(api, f"{account}&since={since}") in [newest_first[:n] for n in (2, 3, 4)]
    until = next(item["at"] for item in by_us if item["id"] == made)
    assert await found(api, f"{account}&until={until}") == []


async def test_the_log_is_read_page_by_page_newest_first(api: Management) -> None:
    acme = await api.company()
    seen: list[int] = []
    cursor: str | None = ""
    while cursor is not None:
        query = f"?account={acme.account_id}&limit=2&cursor={cursor}"
        page = (await api.admin("GET", f"/audit-log{query}")).body
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        await api.admin("PATCH", f"/orgs/{acme.id}", {"name": f"grown {len(seen)}"})
    # The organisation, its four members and their keys; what came later is not mixed in.
    assert len(seen) == 9
    assert seen == sorted(seen, reverse=True)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("cursor=x", "cursor"),
        ("cursor=99999999999999999999", "cursor"),
        ("action=org.explode", "action"),
        ("since=yesterday", "since"),
        ("who=root", None),
    ],
)
async def test_what_the_log_cannot_be_asked(api: Management, query: str, param: str | None) -> None:
    assert (await api.admin("GET", f"/audit-log?{query}")).error == (400, "invalid_request", param)


async def test_customers_do_not_read_the_log(api: Management) -> None:
    acme = await api.company("owner")
    assert (await api.own(acme.keys["owner"], "GET", LOG)).status == 404
    assert (await api.own(acme.keys["owner"], "GET", f"/admin{LOG}")).status == 401


def test_the_actions_have_names_of_one_form() -> None:
    assert all(action.value.count(".") == 1 for action in Action)


# Operators.


async def operator(api: Management, name: str) -> Any:
    made = await api.admin("POST", "/operators", {"name": name})
    assert made.status == 201, made.text
    return made.body


async def test_an_operator_works_with_a_token_of_their_own(api: Management) -> None:
    ann = await operator(api, "Ann")
    assert ann["token"].startswith("byts-admin-")
    assert ann["hint"] == f"byts-admin-...{ann['token'][-4:]}"
    stored = await api.rig.value("select row_to_json(operators)::text from operators")
    assert ann["token"] not in str(stored)
    listed = await api.admin("GET", "/operators")
    row = next(row for row in listed.body["items"] if row["id"] == ann["id"])
    assert row == {field: value for field, value in ann.items() if field != "token"}

    last = await newest(api)
    made = await api.admin("POST", "/orgs", {"name": "By Ann"}, token=ann["token"])
    assert made.status == 201
    (entry,) = await entries_since(api, last)
    assert entry["actor"] == ann["id"]


async def test_a_disabled_operator_is_refused_from_the_next_call_on(api: Management) -> None:
    bob = await operator(api, "Bob")

    async def status() -> int:
        return (await api.admin("GET", "/orgs", token=bob["token"])).status

    assert await status() == 200
    for wanted, expected in (("disabled", 401), ("active", 200)):
        last = await newest(api)
        await api.admin("PATCH", f"/operators/{bob['id']}", {"status": wanted})
        assert await status() == expected
        (entry,) = await entries_since(api, last)
        assert (entry["action"], entry["target"]) == ("operator.update", bob["id"])
        assert entry["after"] == {"status": wanted}


async def test_operators_cannot_make_or_change_operators(api: Management) -> None:
    eve = await operator(api, "Eve")
    for method, path, body in (
        ("POST", "/operators", {"name": "Mallory"}),
        ("GET", "/operators", None),
        ("PATCH", f"/operators/{eve['id']}", {"status": "active"}),
    ):
        refused = await api.admin(method, path, body, token=eve["token"])
        assert refused.error[:2] == (403, "permission_denied")
    assert (await api.admin("GET", "/operators")).status == 200


@pytest.mark.parametrize("token", ["", "byts-admin-", "byts-admin-guess", ADMIN_TOKEN + "x", "é"])
async def test_other_tokens_are_refused(api: Management, token: str) -> None:
    assert (await api.admin("GET", "/orgs", token=token)).status == 401


async def test_operators_have_names_of_their_own(api: Management) -> None:
    await operator(api, "Carl")
    dora = await operator(api, "Dora")
    taken = (409, "conflict", "name")
    assert (await api.admin("POST", "/operators", {"name": "Carl"})).error == taken
    renamed = await api.admin("PATCH", f"/operators/{dora['id']}", {"name": "Carl"})
    assert renamed.error == taken
    assert (await api.admin("PATCH", "/operators/op_no", {"name": "x"})).status == 404


# The first set-up.


async def bootstrap(api: Management, name: str, email: str) -> Told:
    body = {"org_name": name, "owner_email": email, "owner_name": "First"}
    return await api.admin("POST", "/bootstrap", body)


async def test_the_first_set_up_gives_a_key_that_does_the_rest(api: Management) -> None:
    first = await bootstrap(api, "First & Co", "First@people.example")
    assert first.status == 200, first.text
    assert first.body["owner"]["role"] == "owner"
    assert first.body["owner"]["email"] == "first@people.example"
    assert first.body["key"].startswith("sk-byts-")
    added = await api.own(
        first.body["key_id"], "POST", "/org/members", {"email": some_email(), "name": "Second"}
    )
    assert added.status == 201
    assert added.body["org_id"] == first.body["org"]["id"]


async def test_a_second_set_up_changes_nothing_and_shows_no_secret(api: Management) -> None:
    first = (await bootstrap(api, "Twice", some_email())).body
    last = await newest(api)
    for email in (first["owner"]["email"], some_email()):
        again = (await bootstrap(api, "Twice", email)).body
        assert again == {**first, "key": None}
    assert await newest(api) == last


async def test_a_set_up_that_was_cut_short_is_completed(api: Management) -> None:
    org = (await api.admin("POST", "/orgs", {"name": "Half"})).body
    done = (await bootstrap(api, "Half", some_email())).body
    assert done["org"]["id"] == org["id"]
    assert done["key"] is not None


async def test_set_ups_at_the_same_time_make_one_of_everything(api: Management) -> None:
    answers = await asyncio.gather(*(bootstrap(api, "Race", some_email()) for _ in range(4)))
    assert {answer.status for answer in answers} <= {200, 409}
    shown = [answer.body["key"] for answer in answers if answer.status == 200]
    assert len([key for key in shown if key is not None]) == 1
    made = """select count(*) from orgs left join members on members.org_id = orgs.id
              where orgs.name = 'Race'"""
    assert await api.rig.value(made) == 1
