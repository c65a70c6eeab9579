"""Organisations, members and users: who may change whom, and what that does to keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bytespike_cli.servers import PostgresServer
from bytespike_ledger.store import connection
from tests.support.eventually import eventually
from tests.support.ledger import ledger
from tests.support.management import Management, management, some_email

DENIED, CONFLICT, MISSING = (403, "permission_denied"), (409, "conflict"), (404, "not_found")


@pytest.fixture(scope="module")
async def api(
    postgres_server: PostgresServer,
    redis_url: str,
    nats_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Management]:
    database = postgres_server.create_database("ledger_people")
    folder = tmp_path_factory.mktemp("catalogue")
    async with ledger(database, redis_url, nats_url) as rig, management(rig, folder) as api:
        yield api


# Roles.


async def test_each_role_does_what_the_table_says(api: Management) -> None:
    acme = await api.company()
    calls: list[tuple[str, str, Any]] = [
        ("GET", "/org", None),
        ("PATCH", "/org", {"name": "Acme"}),
        ("GET", "/org/members", None),
        ("GET", "/org/members/{viewer}", None),
        ("PATCH", "/org/members/{viewer}", {"name": "V"}),
    ]
    allowed = {
        "owner": [200] * 5,
        "admin": [200] * 5,
        "member": [200, 403, 403, 403, 403],
        "viewer": [200, 403, 200, 200, 403],
    }
    for role, key in acme.keys.items():
        answers = [
            await api.own(key, method, path.format(**acme.members), body)
            for method, path, body in calls
        ]
        assert [answer.status for answer in answers] == allowed[role], role


async def test_an_inference_key_manages_nobody(api: Management) -> None:
    acme = await api.company("owner")
    key = await api.key(acme.account_id, acme.members["owner"], "inference")
    assert (await api.own(key, "GET", "/org/members")).error[:2] == DENIED


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/org/members", {"email": "new@people.example", "name": "N", "role": "owner"}),
        ("PATCH", "/org/members/{member}", {"role": "owner"}),
        ("PATCH", "/org/members/{admin}", {"role": "owner"}),
        ("PATCH", "/org/members/{owner}", {"role": "member"}),
        ("PATCH", "/org/members/{owner}", {"status": "disabled"}),
        ("PATCH", "/org/members/{owner}", {"quota": 1}),
        ("PATCH", "/org/members/{owner}", {"name": "Nobody"}),
        ("DELETE", "/org/members/{owner}", None),
    ],
)
async def test_an_admin_leaves_owners_alone(
    api: Management, method: str, path: str, body: Any
) -> None:
    acme = await api.company()
    await api.member(acme.id, "owner")  # so that it is not for being the last one
    path = path.format(**acme.members)
    assert (await api.own(acme.keys["admin"], method, path, body)).error[:2] == DENIED
    assert (await api.own(acme.keys["owner"], method, path, body)).status in {200, 201}


async def test_nobody_raises_their_own_limits_but_owners(api: Management) -> None:
    acme = await api.company()
    admin, owner = acme.members["admin"], acme.members["owner"]
    for member in (admin, owner):
        changed = await api.admin(
            "PATCH", f"/orgs/{acme.id}/members/{member}", {"quota": 10, "rate_limit_1d": 2}
        )
        assert changed.body["quota"] == 10
    path = f"/org/members/{admin}"
    for body in ({"quota": "10.01"}, {"quota": 0}, {"rate_limit_1d": 3, "quota": 1}):
        assert (await api.own(acme.keys["admin"], "PATCH", path, body)).error[:2] == DENIED
    lowered = await api.own(
        acme.keys["admin"], "PATCH", path, {"quota": 5, "rate_limit_7d": 1, "rate_limit_1d": 2}
    )
    assert (lowered.body["quota"], lowered.body["rate_limit_7d"]) == (5, 1)
    raised = await api.own(acme.keys["owner"], "PATCH", f"/org/members/{owner}", {"quota": 0})
    assert raised.body["quota"] == 0


# The last owner.


@pytest.mark.parametrize(
    ("method", "body"),
    [("PATCH", {"role": "admin"}), ("PATCH", {"status": "disabled"}), ("DELETE", None)],
)
async def test_the_last_owner_stays(api: Management, method: str, body: Any) -> None:
    acme = await api.company("owner", "admin")
    owner = acme.members["owner"]
    by_owner = await api.own(acme.keys["owner"], method, f"/org/members/{owner}", body)
    by_operator = await api.admin(method, f"/orgs/{acme.id}/members/{owner}", body)
    assert by_owner.error[:2] == by_operator.error[:2] == CONFLICT

    second = await api.member(acme.id, "owner")
    user = await api.rig.value("select user_id from members where id = $1", second["id"])
    await api.admin("PATCH", f"/users/{user}", {"status": "disabled"})
    refused = await api.admin(method, f"/orgs/{acme.id}/members/{owner}", body)
    assert refused.error[:2] == CONFLICT  # a disabled user cannot act as owner
    await api.admin("PATCH", f"/users/{user}", {"status": "active"})
    assert (await api.admin(method, f"/orgs/{acme.id}/members/{owner}", body)).status == 200


async def test_owners_who_demote_each_other_at_once_leave_one(api: Management) -> None:
    for attempt in range(10):
        acme = await api.company("owner")
        rival = await api.member(acme.id, "owner")
        rival_key = await api.key(acme.account_id, rival["id"])
        ends = ({"role": "viewer"}, {"status": "disabled"})[attempt % 2]
        answers = await asyncio.gather(
            api.own(acme.keys["owner"], "PATCH", f"/org/members/{rival['id']}", ends),
            api.own(rival_key, "PATCH", f"/org/members/{acme.members['owner']}", ends),
            api.admin("DELETE", f"/orgs/{acme.id}/members/{rival['id']}"),
            api.admin("DELETE", f"/orgs/{acme.id}/members/{acme.members['owner']}"),
        )
        left = await api.rig.value(
            """select count(*) from members
               where org_id = $1 and role = 'owner' and status = 'active'""",
            acme.id,
        )
        assert left == 1, [answer.text for answer in answers]
        # The second one found the first one's change; nobody got a server error.
        assert {answer.status for answer in answers} <= {200, 401, 403, 404, 409}


@pytest.mark.parametrize(
    ("demotion", "refusal"),
    [
        ("role = 'admin'", DENIED),
        ("role = 'viewer'", DENIED),
        ("status = 'disabled'", (401, "invalid_api_key")),
    ],
)
async def test_a_call_that_was_overtaken_by_a_demotion_has_no_more_rights_than_are_left(
    api: Management, demotion: str, refusal: tuple[int, str]
) -> None:
    acme = await api.company("owner", "member")
    path = f"/org/members/{acme.members['member']}"

    async with connection(api.rig.books.pool) as conn, conn.transaction():
        await conn.execute("select from orgs where id = $1 for update", acme.id)
        call = asyncio.create_task(api.own(acme.keys["owner"], "PATCH", path, {"role": "owner"}))
        await eventually(api.somebody_waits)
        await conn.execute(
            f"update members set {demotion} where id = $1",
            acme.members["owner"],
        )
    assert (await call).error[:2] == refusal


# Coming and going.


async def test_adding_says_the_same_whether_or_not_the_address_is_known(api: Management) -> None:
    acme, known = await api.company("owner"), some_email()
    user = await api.admin(
        "POST",
        "/users",
        {"email": known, "name": "Their Real Name", "individual": True, "tier": "max"},
    )
    await api.admin("PATCH", f"/users/{user.body['id']}", {"status": "disabled"})

    async def answer_to(email: str) -> dict[str, Any]:
        body = {"email": email, "name": "As We Call Them", "role": "viewer", "quota": "1.5"}
        told = await api.own(acme.keys["owner"], "POST", "/org/members", body)
        assert told.status == 201
        got = await api.own(acme.keys["owner"], "GET", f"/org/members/{told.body['id']}")
        assert got.body == told.body
        return {
            field: value
            for field, value in told.body.items()
            if field not in {"id", "email", "created_at", "updated_at"}
        }

    first, second = await answer_to(known.upper()), await answer_to(some_email())
    assert first == second
    assert first["name"] == "As We Call Them"
    again = {"email": known, "name": "Twice"}
    refused = await api.own(acme.keys["owner"], "POST", "/org/members", again)
    assert refused.error == (*CONFLICT, "email")


async def test_one_address_added_everywhere_at_once_is_one_user(api: Management) -> None:
    companies = [await api.company("owner") for _ in range(3)]
    body = {"email": some_email(), "name": "Everywhere"}
    answers = await asyncio.gather(
        *(
            api.own(company.keys["owner"], "POST", "/org/members", body)
            for company in companies
            for _ in range(2)
        )
    )
    assert sorted(answer.status for answer in answers) == [201] * 3 + [409] * 3
    users = "select count(distinct user_id) from members where name = 'Everywhere'"
    assert await api.rig.value(users) == 1


async def test_removed_members_lose_their_keys_and_get_their_row_back(api: Management) -> None:
    acme = await api.company("owner", "member")
    member, key = acme.members["member"], acme.keys["member"]
    email = (await api.own(acme.keys["owner"], "GET", f"/org/members/{member}")).body["email"]
    assert (await api.record(key)).enabled

    gone = await api.own(acme.keys["owner"], "DELETE", f"/org/members/{member}")
    assert (gone.status, gone.body["status"]) == (200, "removed")
    assert not (await api.record(key)).enabled
    assert (await api.own(key, "GET", "/org")).status == 401
    missing = await api.own(acme.keys["owner"], "GET", f"/org/members/{member}")
    changed = await api.own(acme.keys["owner"], "PATCH", f"/org/members/{member}", {"name": "x"})
    assert missing.error[:2] == changed.error[:2] == MISSING
    listed = await api.own(acme.keys["owner"], "GET", "/org/members")
    assert [row["id"] for row in listed.body["items"]] == [acme.members["owner"]]

    body = {"email": email, "name": "Back", "role": "admin"}
    back = await api.own(acme.keys["owner"], "POST", "/org/members", body)
    assert (back.body["id"], back.body["role"], back.body["status"]) == (member, "admin", "active")
    assert (await api.record(key)).enabled
    assert (await api.own(key, "GET", "/org")).status == 200


async def test_a_disabled_member_and_a_disabled_user_are_refused(api: Management) -> None:
    acme = await api.company("owner", "member")
    key, other = acme.keys["member"], acme.keys["owner"]
    path = f"/orgs/{acme.id}/members/{acme.members['member']}"
    user = await api.rig.value("select user_id from members where id = $1", acme.members["member"])
    for switch in (path, f"/users/{user}"):
        for status, enabled in (("disabled", False), ("active", True)):
            assert (await api.admin("PATCH", switch, {"status": status})).status == 200
            assert (await api.record(key)).enabled is enabled
            assert (await api.record(other)).enabled


async def test_members_are_listed_page_by_page(api: Management) -> None:
    acme = await api.company()
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await api.own(acme.keys["viewer"], "GET", f"/org/members?limit=3&cursor={cursor}")
        found += [row["id"] for row in page.body["items"]]
        cursor = page.body["next_cursor"]
    assert found == list(acme.members.values())


@pytest.mark.parametrize("email", ["nobody", "a@", "@b.example", "a b@c.example", "ü@b.example"])
async def test_what_is_no_address_is_refused(api: Management, email: str) -> None:
    acme = await api.company("owner")
    body = {"email": email, "name": "x"}
    assert (await api.own(acme.keys["owner"], "POST", "/org/members", body)).error == (
        400,
        "invalid_request",
        "email",
    )


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/orgs/org_no", None),
        ("PATCH", "/orgs/org_no", {"name": "x"}),
        ("GET", "/orgs/org_no/members", None),
        ("POST", "/orgs/org_no/members", {"email": "a@b.example", "name": "x"}),
        ("DELETE", "/orgs/org_no/members/mem_no", None),
        ("GET", "/users/user_no", None),
        ("PATCH", "/users/user_no", {"name": "x"}),
    ],
)
async def test_what_is_not_there_is_404(api: Management, method: str, path: str, body: Any) -> None:
    assert (await api.admin(method, path, body)).error[:2] == MISSING


async def test_a_member_of_another_organisation_is_not_there(api: Management) -> None:
    acme, other = await api.company(), await api.company()
    for method, body in (("GET", None), ("PATCH", {"name": "x"}), ("DELETE", None)):
        foreign = await api.own(
            acme.keys["owner"], method, f"/org/members/{other.members['member']}", body
        )
        unknown = await api.own(acme.keys["owner"], method, "/org/members/mem_no", body)
        assert foreign.error == unknown.error == (*MISSING, None)
        crossed = await api.admin(
            method, f"/orgs/{acme.id}/members/{other.members['member']}", body
        )
        assert crossed.error[:2] == MISSING


async def test_who_is_told_what(api: Management) -> None:
    acme = await api.company("owner")
    key = acme.keys["owner"]
    added = await api.own(
        key, "POST", "/org/members", {"email": "told@people.example", "name": "T", "quota": 2}
    )
    member = added.body["id"]
    path = f"/org/members/{member}"
    await api.own(key, "PATCH", path, {"role": "admin", "rate_limit_1d": "0.5"})
    await api.own(key, "PATCH", path, {"name": "Tea"})
    await api.own(key, "DELETE", path)
    await api.own(key, "PATCH", "/org", {"quota": 7})
    told = await api.events(acme.account_id)
    who = {"org_id": acme.id, "member_id": member, "email": "told@people.example", "name": "T"}
    no_caps = dict.fromkeys(("rate_limit_5h", "rate_limit_1d", "rate_limit_7d"), "0.00")
    caps = {**no_caps, "quota": "2.00"}
    assert {kind: body for kind, about, body in told if about == member} == {
        "admin.org.member.add": {**who, "role": "member", "status": "active", **caps},
        "admin.org.member.role": {**who, "role": "admin", "status": "active"},
        "admin.org.member.allotment": {**who, **caps, "rate_limit_1d": "0.50"},
        "admin.org.member.remove": {**who, "name": "Tea", "role": "admin", "status": "removed"},
    }
    others = [(kind, about) for kind, about, _ in told if about != member]
    assert others == [
        ("admin.org.member.add", acme.members["owner"]),
        ("org.api_key.create", acme.members["owner"]),
        ("org.settings.update", None),
    ]
    assert told[-1][2] == {"org_id": acme.id, "quota": "7.00"}
    assert len(told) == 7
