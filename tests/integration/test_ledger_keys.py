"""Keys as customers and operators handle them: whose they are, creation once, last use, records."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest

from bytespike_cli.servers import PostgresServer
from bytespike_contracts.ids import key_is_well_formed
from bytespike_contracts.key_uses import KEY_USES
from bytespike_ledger.store import connection
from bytespike_ledger.store.accounts import insert_account
from tests.integration.keys_setup import Office, Person, running_office
from tests.support.eventually import eventually


@pytest.fixture(scope="module")
async def office(
    postgres_server: PostgresServer,
    redis_url: str,
    nats_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Office]:
    folder = tmp_path_factory.mktemp("office")
    async with running_office(postgres_server, redis_url, nats_url, folder) as office:
        yield office


async def test_members_see_and_change_their_own_keys_only(office: Office) -> None:
    org = await office.org()
    one, other = await office.person(org, "member"), await office.person(org, "member")
    made = await one.make(name="mine", quota="5")
    assert made["member_id"] == one.member_id
    assert key_is_well_formed(made["key"])

    listed = (await one.call("GET", "")).body["items"]
    assert [row["id"] for row in listed] == [one.key_id, made["id"]]
    assert made["key"] not in str(listed)
    changed = await one.call("PUT", f"/{made['id']}", {"name": "still mine"})
    assert (changed.body["name"], changed.body["quota"]) == ("still mine", 5.0)
    assert (await one.call("PATCH", f"/{made['id']}", {"quota": 6})).body["quota"] == 6.0

    path = f"/{made['id']}"
    foreign = await office.person(await office.org(), "owner")
    for stranger in (other, foreign):
        for method, rest in (
            ("GET", ""),
            ("PUT", ""),
            ("PATCH", ""),
            ("DELETE", ""),
            ("POST", "/rotate"),
            ("GET", "/reveal"),
        ):
            answer = await stranger.call(method, path + rest)
            assert answer.error == (404, "not_found", None), (method, rest)
            missing = await stranger.call(method, "/key_nope" + rest)
            assert missing.body["error"]["message"] == "no key 'key_nope'"
    assert (await one.call("GET", path)).body["status"] == "active"


async def test_owners_and_admins_have_all_keys_and_viewers_look(office: Office) -> None:
    org = await office.org()
    member, viewer = await office.person(org, "member"), await office.person(org, "viewer")
    made = await member.make()
    for role in ("owner", "admin", None):
        boss = await office.person(org, role)
        ids = [row["id"] for row in (await boss.call("GET", "?limit=200")).body["items"]]
        assert made["id"] in ids
        answer = await boss.call("PATCH", f"/{made['id']}", {"name": f"by {role}"})
        assert answer.body["name"] == f"by {role}"
        assert (await boss.call("GET", f"/{made['id']}/reveal")).body["key"] == made["key"]
    assert (await viewer.call("GET", f"/{made['id']}")).status == 200
    for method, path in (
        ("POST", ""),
        ("PUT", f"/{made['id']}"),
        ("DELETE", f"/{made['id']}"),
        ("POST", f"/{made['id']}/rotate"),
        ("GET", f"/{made['id']}/reveal"),
        ("GET", f"/{viewer.key_id}/reveal"),
    ):
        answer = await viewer.call(
            method, path, {"name": "x"} if method in ("POST", "PUT") else None
        )
        assert answer.error[:2] == (403, "permission_denied"), (method, path)


async def test_a_key_for_inference_cannot_look_after_keys(office: Office) -> None:
    person = await office.person(await office.org(), "owner", scopes=("inference",))
    for method, path in (("GET", ""), ("POST", ""), ("GET", f"/{person.key_id}")):
        assert (await person.call(method, path, {"name": "x"})).status == 403


async def test_whose_key_it_becomes(office: Office) -> None:
    org = await office.org()
    owner, member = await office.person(org, "owner"), await office.person(org, "member")
    nobody = await office.person(org, None)
    assert (await owner.make())["member_id"] == owner.member_id
    assert (await owner.make(member_id=member.member_id))["member_id"] == member.member_id
    assert (await owner.make(member_id=None))["member_id"] is None
    assert (await nobody.make())["member_id"] is None

    for wanted in (owner.member_id, None):
        answer = await member.call("POST", "", {"name": "x", "member_id": wanted})
        assert answer.error[:2] == (403, "permission_denied")
    elsewhere = await office.person(await office.org(), "member")
    for wanted in (elsewhere.member_id, "mem_nope"):
        answer = await owner.call("POST", "", {"name": "x", "member_id": wanted})
        assert answer.error == (404, "not_found", "member_id")
        by_operator = await office.call(
            "POST",
            f"/api/v1/admin/accounts/{owner.account_id}/keys",
            {"name": "x", "member_id": wanted},
        )
        assert by_operator.error == (404, "not_found", "member_id")
    await office.execute("update members set status = 'removed' where id = $1", member.member_id)
    answer = await owner.call("POST", "", {"name": "x", "member_id": member.member_id})
    assert answer.error == (404, "not_found", "member_id")


async def test_nobody_rises_above_their_role(office: Office) -> None:
    """A key that manages acts in its member's role, so an admin gets no hand on an owner's."""
    org = await office.org()
    owner, admin = await office.person(org, "owner"), await office.person(org, "admin")
    managing = {"name": "x", "scopes": ["manage"]}
    for member_id in (owner.member_id, None):
        answer = await admin.call("POST", "", {**managing, "member_id": member_id})
        assert answer.error[:2] == (403, "permission_denied")
        harmless = await admin.make(member_id=member_id, scopes=["inference"])
        answer = await admin.call("PATCH", f"/{harmless['id']}", {"scopes": ["manage"]})
        assert answer.error[:2] == (403, "permission_denied")
    for method, path in (("POST", "/rotate"), ("GET", "/reveal")):
        answer = await admin.call(method, f"/{owner.key_id}{path}")
        assert answer.error[:2] == (403, "permission_denied")
    assert (await admin.make(scopes=["manage", "inference"]))["scopes"] == ["inference", "manage"]
    assert (await admin.call("DELETE", f"/{owner.key_id}")).body["status"] == "deleted"


async def test_lists_are_paged_and_narrowed(office: Office) -> None:
    owner = await office.person(await office.org(), "owner")
    names = ["Alpha prod", "beta PROD", "100%_sure", "gamma"]
    made = [await owner.make(name=name) for name in names]
    await owner.call("PATCH", f"/{made[3]['id']}", {"status": "disabled", "group": "half"})
    await owner.call("DELETE", f"/{made[2]['id']}")

    async def found(query: str) -> list[str]:
        return [row["name"] for row in (await owner.call("GET", query)).body["items"]]

    assert await found("?search=prod") == ["Alpha prod", "beta PROD"]
    assert await found("?search=%25_") == [], "deleted keys are not listed"
    assert await found("?status=disabled") == ["gamma"]
    assert await found("?group=half&status=active") == []
    assert await found("?group=half&search=GAM") == ["gamma"]
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await owner.call("GET", f"?limit=2&cursor={cursor}")).body
        seen += [row["name"] for row in page["items"]]
        cursor = page["next_cursor"]
    assert seen == ["of owner", "Alpha prod", "beta PROD", "gamma"]
    for query in ("?status=deleted", "?limit=0", "?limit=201", "?wat=1", "?search="):
        assert (await owner.call("GET", query)).status == 400, query


async def test_second_names_of_fields(office: Office) -> None:
    owner = await office.person(await office.org(), "owner")
    made = await owner.make(
        ip_whitelist=["10.0.0.1/8"], ip_blacklist=["::ffff:10.1.1.1"], group_id="half"
    )
    assert (made["ip_allow"], made["ip_deny"]) == (["10.0.0.0/8"], ["10.1.1.1/32"])
    assert made["group"] == "half"
    for body, param in (
        ({"ip_whitelist": [], "ip_allow": []}, "ip_whitelist"),
        ({"group": "half", "group_id": "half"}, "group_id"),
        ({"group_id": 11}, "group_id"),
        ({"ip_blacklist": ["nope"]}, "ip_blacklist[0]"),
        ({"ip_greylist": []}, None),
        ({"member_id": owner.member_id}, None),
    ):
        answer = await owner.call("PATCH", f"/{made['id']}", body)
        assert answer.error == (400, "invalid_request", param), body


async def test_groups_are_public_or_granted(office: Office) -> None:
    owner = await office.person(await office.org(), "owner")
    accounts = f"/api/v1/admin/accounts/{owner.account_id}/keys"
    wanted = {"name": "x", "group": "vip"}
    for answer in (
        await owner.call("POST", "", wanted),
        await office.call("POST", accounts, wanted),
        await owner.call("PATCH", f"/{owner.key_id}", {"group": "vip"}),
    ):
        assert answer.error == (400, "invalid_request", "group")
    unknown = await owner.call("POST", "", {"name": "x", "group": "nope"})
    assert (
        unknown.body["error"]["message"].replace("nope", "vip") == answer.body["error"]["message"]
    )
    await office.execute(
        """insert into group_grants (account_id, routing_group, granted_by)
           values ($1, 'vip', 'root')""",
        owner.account_id,
    )
    made = await owner.make(group="vip")
    await office.execute("delete from group_grants where account_id = $1", owner.account_id)
    kept = await owner.call("PUT", f"/{made['id']}", {"group": "vip", "name": "kept"})
    assert kept.status == 200, "what it has already is not asked for anew"
    await owner.call("PUT", f"/{made['id']}", {"status": "disabled"})
    back = await owner.call("PUT", f"/{made['id']}", {"status": "active"})
    assert back.error == (400, "invalid_request", "group"), "a key without its group stays off"


async def test_the_same_creation_makes_one_key(office: Office) -> None:
    org = await office.org()
    owner, member = await office.person(org, "owner"), await office.person(org, "member")
    wanted = {"name": "once", "quota": "7", "custom_key": f"custom-{secrets.token_hex(12)}"}
    first = await owner.call("POST", "", wanted, Idempotency_Key="n-1")
    again = await owner.call("POST", "", wanted, Idempotency_Key="n-1")
    assert (first.status, again.status) == (201, 200)
    assert again.body["id"] == first.body["id"]
    assert again.body["key"] == first.body["key"] == wanted["custom_key"]
    other = await owner.call("POST", "", {**wanted, "quota": "8"}, Idempotency_Key="n-1")
    assert other.error == (409, "idempotency_conflict", "Idempotency-Key")
    theirs = await member.call("POST", "", {"name": "theirs"}, Idempotency_Key="n-1")
    assert theirs.status == 201, "names of different members do not meet"

    twins = await asyncio.gather(
        *(owner.call("POST", "", {"name": "twin"}, Idempotency_Key="n-2") for _ in range(8))
    )
    assert sorted(answer.status for answer in twins) == [200] * 7 + [201]
    assert len({(answer.body["id"], answer.body["key"]) for answer in twins}) == 1
    for bad in ("", "x" * 201, "tab\there"):
        answer = await owner.call("POST", "", {"name": "x"}, Idempotency_Key=bad)
        assert answer.error == (400, "invalid_request", "Idempotency-Key")
    path = f"/api/v1/admin/accounts/{owner.account_id}/keys"
    headers = {"authorization": "Bearer admin-token", "idempotency-key": "n-1"}
    made = [await office.call("POST", path, {"name": "op"}, headers=headers) for _ in range(2)]
    assert [answer.status for answer in made] == [201, 200]
    await owner.call("DELETE", f"/{first.body['id']}")
    gone = await owner.call("POST", "", wanted, Idempotency_Key="n-1")
    assert (gone.status, gone.body["status"], gone.body["key"]) == (200, "deleted", None)


async def test_last_use_is_collected_without_a_new_version(office: Office) -> None:
    owner = await office.person(await office.org(), "owner")
    made = await owner.make()
    assert (made["last_used_at"], made["last_used_address"]) == (None, None)
    for at_ms, address in ((1_700_000_000_123, "1.2.3.4"), (1_600_000_000_000, "5.6.7.8")):
        await office.rig.pipe.command(
            "HSET", KEY_USES, made["id"], f"{at_ms} {address}", "key_unknown", "1 1.1.1.1"
        )

        async def taken() -> bool:
            return bool(await office.rig.pipe.command("HLEN", KEY_USES) == 0)

        await eventually(taken)

    async def shown() -> bool:
        row = (await owner.call("GET", f"/{made['id']}")).body
        used = (row["last_used_at"], row["last_used_address"])
        assert row["version"] == made["version"]
        return used == ("2023-11-14T22:13:20.123Z", "1.2.3.4")

    await eventually(shown)


async def test_everything_is_on_the_record_and_secrets_are_not(office: Office) -> None:
    owner = await office.person(await office.org(), "owner")
    made = await owner.make(name="watched", quota="5")
    path = f"/{made['id']}"
    await owner.call("PATCH", path, {"quota": "6"})
    rotated = (await owner.call("POST", f"{path}/rotate", {"overlap_seconds": 60})).body
    await owner.call("GET", f"{path}/reveal")
    await owner.call("PATCH", path, {"status": "disabled"})
    await office.call("PATCH", f"/api/v1/admin/keys/{made['id']}", {"status": "active"})
    await office.call("DELETE", f"/api/v1/admin/keys/{made['id']}")

    log = await office.rows("select * from audit_log where target = $1 order by id", made["id"])
    assert [row["action"] for row in log] == [
        "key.create",
        "key.update",
        "key.rotate",
        "key.reveal",
        "key.update",
        "key.update",
        "key.delete",
    ]
    assert [row["actor"] for row in log] == [owner.key_id] * 5 + ["root"] * 2
    assert {row["address"] for row in log[:5]} == {"203.0.113.9"}
    assert {row["account_id"] for row in log} == {owner.account_id}
    assert (log[1]["before"], log[1]["after"]) == (
        '{"quota_uusd": 5000000}',
        '{"quota_uusd": 6000000}',
    )
    events = await office.rows(
        """select type, member_id, body from account_events
           where body ->> 'key_id' = $1 order by id""",
        made["id"],
    )
    assert [row["type"] for row in events] == [
        "org.api_key.create",
        "org.api_key.revoke",
        "admin.api_key.revoke",
    ]
    assert {row["member_id"] for row in events} == {owner.member_id}
    for secret in (made["key"], rotated["key"]):
        assert secret not in str(log) + str(events)
    assert not await office.rows("select from sealed_secrets where owner_id = $1", made["id"])


async def test_an_individual_has_no_organisation_to_tell(office: Office) -> None:
    account_id = f"acct_{secrets.token_hex(8)}"
    async with connection(office.rig.books.pool) as conn:
        await insert_account(conn, account_id, tier="pro", concurrency=25)
        await conn.execute(
            "insert into users (id, email, name, account_id) values ($1, $2, 'I', $3)",
            f"user_{account_id}",
            f"{account_id}@example.com",
            account_id,
        )
    path = f"/api/v1/admin/accounts/{account_id}/keys"
    own = (await office.call("POST", path, {"name": "own", "scopes": ["manage"]})).body
    person = Person(
        office=office, org_id=None, account_id=account_id, member_id=None, key_id=own["id"]
    )
    made = await person.make()
    assert (made["org_id"], made["member_id"]) == (None, None)
    await person.call("POST", f"/{made['id']}/rotate")
    await person.call("DELETE", f"/{made['id']}")
    await office.call("DELETE", f"/api/v1/admin/keys/{own['id']}")
    events = await office.rows("select type from account_events where account_id = $1", account_id)
    assert [row["type"] for row in events] == ["admin.api_key.revoke"]


async def test_what_fails_leaves_no_trace(office: Office) -> None:
    owner = await office.person(await office.org(), "owner")
    before = await office.rows(
        "select count(*) from audit_log where account_id = $1", owner.account_id
    )
    await owner.call("POST", "", {"name": "x", "group": "vip"})
    await owner.call("PATCH", f"/{owner.key_id}", {"group": "nope"})
    await owner.call("POST", "", {"name": "a\0b"})
    assert before == await office.rows(
        "select count(*) from audit_log where account_id = $1", owner.account_id
    )
