"""The admin commands: what is said on the command line is what is asked of the API, and no more."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
from aiohttp import web

from bytespike_cli.admin.run import run_admin
from bytespike_cli.gateway_api import ApiError, decode
from tests.support.admin_cli import Recorder, asked_by, parse


async def test_every_control_of_a_key_reaches_the_api_as_it_was_said(recorder: Recorder) -> None:
    await asked_by(
        recorder,
        *("key", "create", "--org", "acct_1", "--name", "ci", "--quota", "25.5"),
        *("--rate-limit-5h", "1", "--rate-limit-1d", "2.00", "--rate-limit-7d", "0"),
        *("--ip-allow", "10.0.0.0/8,::1", "--ip-allow", "192.0.2.1", "--ip-deny", "10.1.0.0/16"),
        *("--expires-in-days", "30", "--group", "claude-default", "--scopes", "inference,manage"),
        *("--custom-key", "my-own-key-my-own-key-my"),
    )
    body = {
        "name": "ci",
        "quota": "25.5",
        "rate_limit_5h": "1",
        "rate_limit_1d": "2.00",
        "rate_limit_7d": "0",
        "ip_allow": ["10.0.0.0/8", "::1", "192.0.2.1"],
        "ip_deny": ["10.1.0.0/16"],
        "expires_in_days": 30,
        "group": "claude-default",
        "scopes": ["inference", "manage"],
        "custom_key": "my-own-key-my-own-key-my",
    }
    assert recorder.asked == [("POST", "/api/v1/admin/accounts/acct_1/keys", body)]
    assert recorder.authorization == "Bearer secret-token"


async def test_an_update_sends_only_what_was_named(recorder: Recorder) -> None:
    await asked_by(recorder, "key", "update", "key_1", "--ip-allow", "")
    assert recorder.asked == [("PATCH", "/api/v1/admin/keys/key_1", {"ip_allow": []})]
    with pytest.raises(ValueError, match="nothing to change"):
        await asked_by(recorder, "key", "update", "key_1")


async def test_an_org_may_be_given_by_its_name(recorder: Recorder) -> None:
    orgs = [{"id": "org_1", "name": "acme"}, {"id": "org_2", "name": "twin"}]
    orgs.append({"id": "org_3", "name": "twin"})
    recorder.answers = [
        web.json_response({"items": orgs, "next_cursor": None}),
        web.json_response({"id": "org_1", "account_id": "acct_1"}),
    ]
    await asked_by(recorder, "wallet", "top-up", "--org", "acme", "--usd", "5", "--note", "gift")
    top_up = {"usd": "5", "note": "gift"}
    assert recorder.asked[-1] == ("POST", "/api/v1/admin/accounts/acct_1/top-ups", top_up)
    for name, words in (("nobody", "no organisation is"), ("twin", "2 organisations are")):
        recorder.answers = [web.json_response({"items": orgs, "next_cursor": None})]
        with pytest.raises(ValueError, match=words):
            await asked_by(recorder, "key", "list", "--org", name)


async def test_a_list_is_all_of_its_pages(recorder: Recorder) -> None:
    first = {"items": [{"id": "org_1", "balance_usd": 1.10}], "next_cursor": "org_1"}
    recorder.answers = [
        web.json_response(text=json.dumps(first).replace("1.1", "1.10")),
        web.json_response({"items": [{"id": "org_2"}], "next_cursor": None}),
    ]
    answer = await asked_by(recorder, "org", "list")
    expected = (
        b'{"items":[{"id": "org_1", "balance_usd": 1.10},{"id": "org_2"}],"next_cursor":null}'
    )
    assert answer == expected
    assert [path for _, path, _ in recorder.asked] == [
        "/api/v1/admin/orgs",
        "/api/v1/admin/orgs?cursor=org_1",
    ]


async def test_a_key_can_be_made_to_last_for_ever(recorder: Recorder) -> None:
    await asked_by(recorder, "key", "update", "key_1", "--expires-in-days", "never")
    assert recorder.asked[0][2] == {"expires_in_days": None}


async def test_a_rotation_may_overlap(recorder: Recorder) -> None:
    await asked_by(recorder, "key", "rotate", "key_1")
    await asked_by(recorder, "key", "rotate", "key_1", "--overlap-seconds", "60")
    await asked_by(recorder, "key", "reveal", "key_1")
    assert recorder.asked == [
        ("POST", "/api/v1/admin/keys/key_1/rotate", {}),
        ("POST", "/api/v1/admin/keys/key_1/rotate", {"overlap_seconds": 60}),
        ("GET", "/api/v1/admin/keys/key_1/reveal", None),
    ]


async def test_secrets_are_rewrapped_to_the_last_one(recorder: Recorder) -> None:
    batch = {"kek_id": "k-2", "rewrapped": 200, "failed": 0, "remaining": 3, "next_cursor": "key_9"}
    last = {**batch, "rewrapped": 2, "failed": 1, "remaining": 1, "next_cursor": None}
    recorder.answers = [web.json_response(batch), web.json_response(last)]
    answer = json.loads(await asked_by(recorder, "secrets", "rewrap"))
    assert answer == {**last, "rewrapped": 202}
    path = "/api/v1/admin/secrets/rewrap?limit=200&cursor="
    assert recorder.asked == [("POST", path, None), ("POST", f"{path}key_9", None)]


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (("group", "list"), ("GET", "/api/v1/admin/groups", None)),
        (
            ("group", "list", "--org", "acct_1"),
            ("GET", "/api/v1/admin/accounts/acct_1/groups", None),
        ),
        (
            ("group", "grant", "vip", "--org", "acct_1"),
            ("PUT", "/api/v1/admin/accounts/acct_1/groups/vip", None),
        ),
        (
            ("group", "revoke", "../vip", "--org", "acct_1"),
            ("DELETE", "/api/v1/admin/accounts/acct_1/groups/..%2Fvip", None),
        ),
        (("channel", "list"), ("GET", "/api/v1/admin/channels", None)),
        (
            ("channel", "disable", "c/1", "--reason", "why"),
            ("PUT", "/api/v1/admin/channels/c%2F1", {"state": "disabled", "reason": "why"}),
        ),
        (
            ("channel", "enable", "c-1", "--reason", "why"),
            ("PUT", "/api/v1/admin/channels/c-1", {"state": "enabled", "reason": "why"}),
        ),
        (("pricing",), ("GET", "/api/pricing", None)),
        (("pricing", "--group", "a&b"), ("GET", "/api/pricing?group=a%26b", None)),
    ],
)
async def test_groups_channels_and_prices(
    recorder: Recorder, words: tuple[str, ...], asked: tuple[str, str, object]
) -> None:
    await asked_by(recorder, *words)
    assert recorder.asked == [asked]


async def test_ids_cannot_reach_other_paths(recorder: Recorder) -> None:
    await asked_by(recorder, "key", "delete", "../orgs?x=1")
    assert recorder.asked == [("DELETE", "/api/v1/admin/keys/..%2Forgs%3Fx%3D1", None)]


async def test_an_error_envelope_becomes_one_line(recorder: Recorder) -> None:
    recorder.answers = [web.json_response({"error": {"message": "no key 'key_1'"}}, status=404)]
    with pytest.raises(ApiError, match=r"^no key 'key_1' \(HTTP 404\)$") as caught:
        await asked_by(recorder, "key", "show", "key_1")
    assert caught.value.status == 404


@pytest.mark.parametrize(
    "words",
    [
        ("wallet", "top-up", "--org", "acct_1", "--usd", "1e3"),
        ("wallet", "top-up", "--org", "acct_1", "--usd", "-5"),
        ("wallet", "top-up", "--org", "acct_1", "--usd", "0.0000001"),
        ("key", "create", "--org", "acct_1", "--name", "x", "--expires-in-days", "soon"),
        ("org", "create", "--name", "x", "--tier", "gold"),
    ],
)
def test_wrong_usage_is_refused_before_anyone_is_asked(words: tuple[str, ...]) -> None:
    with pytest.raises((argparse.ArgumentError, SystemExit)):
        parse(*words)


def test_amounts_keep_their_own_spelling() -> None:
    answer = decode(b'{"balance_usd": 192.40, "small": 0.000018, "count": 3}')
    assert answer == {"balance_usd": "192.40", "small": "0.000018", "count": 3}


def test_without_a_gateway_the_way_out_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_admin(parse("org", "list"), tmp_path, {}) == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "bytespike up" in message
    assert "BYTESPIKE_URL" in message
