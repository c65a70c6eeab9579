"""The commands about people: what is said on the command line is what is asked of the API."""

from __future__ import annotations

import pytest
from aiohttp import web

from tests.support.admin_cli import Recorder, asked_by, parse

ORGS, USERS = "/api/v1/admin/orgs", "/api/v1/admin/users"
OPERATORS, LOG = "/api/v1/admin/operators", "/api/v1/admin/audit-log"

Asked = tuple[str, str, object]


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        (
            "org create --name acme --tier pro --concurrency 30",
            ("POST", ORGS, {"name": "acme", "tier": "pro", "concurrency": 30}),
        ),
        ("org show org_1", ("GET", f"{ORGS}/org_1", None)),
        (
            "org update org_1 --name b --tier max --quota 5 --rate-limit-5h 1 --rate-limit-1d 2.5"
            " --rate-limit-7d 0",
            (
                "PATCH",
                f"{ORGS}/org_1",
                {
                    "name": "b",
                    "tier": "max",
                    "quota": "5",
                    "rate_limit_5h": "1",
                    "rate_limit_1d": "2.5",
                    "rate_limit_7d": "0",
                },
            ),
        ),
        (
            "org update org_1 --concurrency 7",
            ("PATCH", f"{ORGS}/org_1", {"concurrency": 7}),
        ),
        ("org pause org_1", ("PATCH", f"{ORGS}/org_1", {"status": "paused"})),
        ("org resume org_1", ("PATCH", f"{ORGS}/org_1", {"status": "active"})),
        (
            "member add --org org_1 --email a@b.example --name Ann",
            ("POST", f"{ORGS}/org_1/members", {"email": "a@b.example", "name": "Ann"}),
        ),
        (
            "member add --org org_1 --email a@b.example --name Ann --role admin --quota 9",
            (
                "POST",
                f"{ORGS}/org_1/members",
                {"email": "a@b.example", "name": "Ann", "role": "admin", "quota": "9"},
            ),
        ),
        ("member list --org org_1", ("GET", f"{ORGS}/org_1/members", None)),
        (
            "member update mem_1 --org org_1 --role viewer --status disabled --rate-limit-7d 3",
            (
                "PATCH",
                f"{ORGS}/org_1/members/mem_1",
                {"role": "viewer", "status": "disabled", "rate_limit_7d": "3"},
            ),
        ),
        ("member remove mem_1 --org org_1", ("DELETE", f"{ORGS}/org_1/members/mem_1", None)),
        (
            "user create --email a@b.example --name Ann",
            ("POST", USERS, {"email": "a@b.example", "name": "Ann"}),
        ),
        (
            "user create --email a@b.example --name Ann --individual --tier pro --concurrency 9",
            (
                "POST",
                USERS,
                {
                    "email": "a@b.example",
                    "name": "Ann",
                    "individual": True,
                    "tier": "pro",
                    "concurrency": 9,
                },
            ),
        ),
        ("user list", ("GET", USERS, None)),
        ("user show user_1", ("GET", f"{USERS}/user_1", None)),
        (
            "user update user_1 --email c@d.example --name B --status disabled --tier free",
            (
                "PATCH",
                f"{USERS}/user_1",
                {"email": "c@d.example", "name": "B", "status": "disabled", "tier": "free"},
            ),
        ),
        ("operator create --name ann", ("POST", OPERATORS, {"name": "ann"})),
        ("operator list", ("GET", OPERATORS, None)),
        ("operator disable op_1", ("PATCH", f"{OPERATORS}/op_1", {"status": "disabled"})),
        ("operator enable op_1", ("PATCH", f"{OPERATORS}/op_1", {"status": "active"})),
        ("audit-log", ("GET", LOG, None)),
        (
            "audit-log --actor root --action org.update --account acct_1 --target org_1"
            " --since 2026-11-01T00:00:00+01:00 --until 1800000000 --cursor 17 --limit 5",
            (
                "GET",
                f"{LOG}?actor=root&action=org.update&account=acct_1&target=org_1"
                "&since=2026-11-01T00%3A00%3A00%2B01%3A00&until=1800000000&cursor=17&limit=5",
                None,
            ),
        ),
        (
            "bootstrap --org-name acme --owner-email a@b.example --owner-name Ann",
            (
                "POST",
                "/api/v1/admin/bootstrap",
                {"org_name": "acme", "owner_email": "a@b.example", "owner_name": "Ann"},
            ),
        ),
    ],
)
async def test_a_command_asks_for_what_it_says(recorder: Recorder, line: str, asked: Asked) -> None:
    recorder.answers = [web.json_response({"items": [], "next_cursor": None})]
    await asked_by(recorder, *line.split())
    assert recorder.asked == [asked]


async def test_people_may_be_given_by_their_addresses(recorder: Recorder) -> None:
    row = {"id": "mem_2", "email": "ann@b.example"}
    rows = [{"id": "mem_1", "email": "bo@b.example"}, row]
    recorder.answers = [
        web.json_response({"items": rows, "next_cursor": None}),
        web.json_response({}),
    ]
    await asked_by(recorder, "member", "remove", "Ann@b.example", "--org", "org_1")
    assert recorder.asked[-1] == ("DELETE", f"{ORGS}/org_1/members/mem_2", None)

    recorder.answers = [
        web.json_response({"items": [{"id": "user_7"}], "next_cursor": None}),
        web.json_response({}),
    ]
    await asked_by(recorder, "user", "show", "ann+x@b.example")
    assert [path for _, path, _ in recorder.asked[-2:]] == [
        f"{USERS}?email=ann%2Bx%40b.example",
        f"{USERS}/user_7",
    ]


async def test_an_address_nobody_has_is_said_to_be_so(recorder: Recorder) -> None:
    recorder.answers = [web.json_response({"items": [], "next_cursor": None})]
    for line in ("member remove x@b.example --org org_1", "user show x@b.example"):
        with pytest.raises(ValueError, match=r"has the address 'x@b\.example'"):
            await asked_by(recorder, *line.split())


@pytest.mark.parametrize(
    "line", ["org update org_1", "member update mem_1 --org org_1", "user update user_1"]
)
async def test_an_update_changes_something(recorder: Recorder, line: str) -> None:
    with pytest.raises(ValueError, match="nothing to change"):
        await asked_by(recorder, *line.split())
    assert recorder.asked == []


async def test_a_secret_is_said_to_be_shown_once() -> None:
    token = {"id": "op_1", "token": "byts-admin-x"}
    assert "cannot be shown again" in parse("operator", "create", "--name", "a").show(token)
    first = ("bootstrap", "--org-name", "a", "--owner-email", "a@b.example", "--owner-name", "A")
    assert "cannot be shown again" in parse(*first).show({"key": "sk-byts-x"})
    assert "there already" in parse(*first).show({"key": None})


async def test_the_log_is_a_table_with_a_way_on() -> None:
    entry: dict[str, object] = {
        "at": "2026-11-24T10:00:00.000Z",
        "actor": "root",
        "action": "org.update",
    }
    entry |= {"target": "org_1", "before": {"name": "a"}, "after": {"name": "b"}}
    shown = parse("audit-log").show({"items": [entry], "next_cursor": "17"})
    assert "name=a" in shown
    assert shown.endswith("Older ones: --cursor 17")
