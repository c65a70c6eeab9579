"""``bytespike admin`` as an operator types it, against the running gateway."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets

import pytest
from standardwebhooks import Webhook

from tests.support.admin_cli import Cli
from tests.support.eventually import eventually
from tests.support.gateway import Gateway
from tests.support.receiver import receiver

ASK = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 50,
    "messages": [{"role": "user", "content": "Hi"}],
}


@pytest.fixture
def cli(gateway: Gateway) -> Cli:
    return Cli(gateway)


async def test_from_nothing_to_a_paid_call_and_back(gateway: Gateway, cli: Cli) -> None:
    name = f"cli-{secrets.token_hex(4)}"
    org = await cli.json("org", "create", "--name", name)
    await cli.json("wallet", "top-up", "--org", name, "--usd", "12.50", "--idempotency-key", name)
    await cli.json("wallet", "top-up", "--org", name, "--usd", "12.50", "--idempotency-key", name)
    wallet = await cli.json("wallet", "show", "--org", name)
    assert wallet["balance_usd"] == 12.5
    key = await cli.json("key", "create", "--org", name, "--name", "k", "--quota", "3")
    headers = {"x-api-key": key["key"], "content-type": "application/json"}
    body = json.dumps(ASK).encode()
    answer = await gateway.call("POST", "/v1/messages", data=body, headers=headers)
    assert answer.status == 200
    await gateway.usage(answer.request_id)
    await cli.json("key", "delete", key["id"])
    await asyncio.sleep(1)  # deletion is promised to be in force everywhere after a second
    answer = await gateway.call("POST", "/v1/messages", data=body, headers=headers)
    assert answer.status == 401
    assert any(row["id"] == org["id"] for row in (await cli.json("org", "list"))["items"])


async def test_every_control_of_a_key_arrives(cli: Cli) -> None:
    org = await cli.json("org", "create", "--name", f"cli-{secrets.token_hex(4)}")
    custom = f"custom-{secrets.token_hex(12)}"
    made = await cli.json(
        *("key", "create", "--org", org["id"], "--name", "all"),
        *("--quota", "9.000001", "--rate-limit-5h", "1", "--rate-limit-1d", "2"),
        *("--rate-limit-7d", "3", "--ip-allow", "10.0.0.0/8,192.0.2.1", "--ip-deny", "10.1.0.0/16"),
        *("--expires-in-days", "30", "--group", "half-price", "--scopes", "inference,manage"),
        *("--custom-key", custom),
    )
    assert made["key"] == custom
    shown = await cli.json("key", "show", made["id"])
    assert {name: shown[name] for name in ("quota", "rate_limit_5h", "group", "scopes")} == {
        "quota": 9.000001,
        "rate_limit_5h": 1.0,
        "group": "half-price",
        "scopes": ["inference", "manage"],
    }
    assert (shown["rate_limit_1d"], shown["rate_limit_7d"]) == (2.0, 3.0)
    assert "10.0.0.0/8" in shown["ip_allow"]
    assert shown["ip_deny"] == ["10.1.0.0/16"]
    assert shown["expires_at"]
    assert custom not in json.dumps(shown)
    changed = await cli.json("key", "update", made["id"], "--quota", "1", "--group", "default")
    assert (changed["quota"], changed["group"], changed["rate_limit_5h"]) == (1.0, "default", 1.0)
    disabled = await cli.json("key", "disable", made["id"])
    assert disabled["status"] == "disabled"
    assert (await cli.json("key", "enable", made["id"]))["status"] == "active"


async def test_a_key_is_rotated_and_revealed(cli: Cli) -> None:
    org = await cli.json("org", "create", "--name", f"cli-{secrets.token_hex(4)}")
    made = await cli.json("key", "create", "--org", org["id"], "--name", "k")
    rotated = await cli.json("key", "rotate", made["id"], "--overlap-seconds", "60")
    assert rotated["key"] != made["key"]
    assert rotated["old_secret_expires_at"]
    assert (await cli.json("key", "reveal", made["id"]))["key"] == rotated["key"]
    assert (await cli.json("secrets", "rewrap"))["remaining"] == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("key", "create", "--org", "{org}", "--name", "k", "--group", "nobody"), "group"),
        (("key", "create", "--org", "{org}", "--name", "k", "--custom-key", "short"), "custom_key"),
        (
            ("key", "create", "--org", "{org}", "--name", "k", "--ip-allow", "10.0.0.300"),
            "ip_allow",
        ),
        (("wallet", "top-up", "--org", "org_01K", "--usd", "1"), "HTTP 404"),
        (("key", "disable", "key_01K"), "HTTP 404"),
    ],
)
async def test_a_refusal_is_one_line_and_exit_code_1(
    gateway: Gateway, cli: Cli, words: tuple[str, ...], says: str
) -> None:
    org = await gateway.org(usd="0")
    code, out, err = await cli.run(*(word.format(org=org["id"]) for word in words))
    assert (code, out) == (1, "")
    assert says in err
    assert err.count("\n") == 1


async def test_a_webhook_from_its_making_to_its_end(gateway: Gateway, cli: Cli) -> None:
    org = await cli.json("org", "create", "--name", f"cli-{secrets.token_hex(4)}")
    key = await cli.json(
        *("key", "create", "--org", org["id"], "--name", "k", "--scopes", "inference,manage")
    )
    headers = {"x-api-key": key["key"], "content-type": "application/json"}
    async with receiver() as server:
        asked = json.dumps({"url": server.url, "event_types": ["user.webhook.create"]}).encode()
        made = await gateway.call("POST", "/api/v1/me/webhooks", data=asked, headers=headers)
        webhook = made.json()
        assert made.status == 201, webhook
        # Nobody turns the courier here: it is a loop of the running ledger.
        await eventually(lambda: server.calls)
        event = Webhook(webhook["secret"]).verify(
            server.calls[0].body, dict(server.calls[0].headers)
        )
        assert (event["event"], event["webhook_id"]) == ("user.webhook.create", webhook["id"])

        (listed,) = (await cli.json("webhook", "list", "--org", org["id"]))["items"]
        assert listed["id"] == webhook["id"]

        async def logged() -> bool:
            found = await cli.json("webhook", "deliveries", webhook["id"], "--page-size", "1")
            return [row["status"] for row in found["items"]] == ["delivered"]

        await eventually(logged)
        (row,) = (await cli.json("webhook", "deliveries", webhook["id"]))["items"]
        await cli.json("webhook", "redeliver", webhook["id"], row["id"])
        await eventually(lambda: server.ids == [event["id"]] * 2)
    disabled = await cli.json("webhook", "disable", webhook["id"])
    assert disabled["status"] == "disabled"
    code, out, _ = await cli.run("webhook", "deliveries", webhook["id"])
    assert (code, "user.webhook.create" in out) == (0, True)


async def test_a_wrong_token_is_refused(gateway: Gateway) -> None:
    code, _, err = await Cli(gateway, BYTESPIKE_ADMIN_TOKEN="guess").run("org", "list")
    assert code == 1
    assert "401" in err


async def test_the_books_are_right_after_all_this(cli: Cli) -> None:
    audit = await cli.json("audit")
    assert audit["clean"] is True, audit


async def test_groups_channels_and_prices(gateway: Gateway, cli: Cli) -> None:
    org = await cli.json("org", "create", "--name", f"cli-{secrets.token_hex(4)}")
    granted = await cli.json("group", "grant", "half-price", "--org", org["id"])
    assert (granted["group"], granted["account_id"]) == ("half-price", org["account_id"])
    code, shown, _ = await cli.run("group", "list", "--org", org["id"])
    assert code == 0
    assert "GRANTED BY" in shown
    assert "root" in shown
    revoked = await cli.json("group", "revoke", "half-price", "--org", org["id"])
    assert revoked["keys_disabled"] == 0, "the group is public"
    code, shown, _ = await cli.run("group", "list")
    assert "MULTIPLIER" in shown

    off = await cli.json("channel", "disable", "unreachable", "--reason", "nobody is there")
    assert off["effective"] == "disabled"
    code, shown, _ = await cli.run("channel", "list")
    assert code == 0
    assert "nobody is there" in shown
    on = await cli.json("channel", "enable", "unreachable", "--reason", "it was a test")
    assert on["effective"] == "enabled"

    prices = {row["model"]: row["rates"] for row in await cli.json("pricing")}
    assert prices["claude-sonnet-4-6"]["cache_write_per_1m"] == 3.75
    code, shown, _ = await cli.run("pricing", "--group", "half-price")
    assert code == 0
    assert "1.50" in shown
    code, _, error = await cli.run("pricing", "--group", "nothing")
    assert code == 1
    assert "no public group" in error
    assert (await gateway.call("GET", "/api/pricing/claude-sonnet-4.6")).status == 200


async def test_parked_events_are_listed_and_tried_again(gateway: Gateway, cli: Cli) -> None:
    body = secrets.token_bytes(16)
    [row] = await gateway.rows(
        """insert into parked_events (reason, body_hash, body)
           values ('undecodable', $1, $2) returning id""",
        hashlib.sha256(body).digest(),
        body,
    )
    event = str(row["id"])
    listed = (await cli.json("parked", "list"))["items"]
    [mine] = [one for one in listed if one["id"] == event]
    assert set(mine) == {"id", "reason", "request_id", "parked_at"}
    code, _, err = await cli.run("parked", "retry", event)
    assert (code, "HTTP 409" in err) == (1, True)
    code, _, err = await cli.run("parked", "retry", "0")
    assert (code, "HTTP 404" in err) == (1, True)


async def test_money_is_moved_and_a_month_downloaded(gateway: Gateway, cli: Cli) -> None:
    name = f"cli-{secrets.token_hex(4)}"
    await cli.json("org", "create", "--name", name, "--tier", "pro")
    wallet = ("--org", name)
    paid = await cli.json("wallet", "top-up", *wallet, "--usd", "100", "--bonus", "ladder")
    back = str(paid["transfer_id"])
    await cli.json("wallet", "refund", *wallet, back, "--usd", "50", "--reason", "half")
    await cli.json("wallet", "adjust", *wallet, "--usd=-5", "--reason", "=oops")
    found = await cli.json("wallet", "transactions", *wallet)
    assert [row["balance_after_usd"] for row in found["items"]] == [50, 55, 110]
    month = found["items"][0]["effective_at"][:7]
    code, out, err = await cli.run("wallet", "statement", *wallet, "--month", month, "--csv")
    assert (code, err) == (0, "")
    assert "'=oops,-5.00,50.00" in out
    assert out.rstrip().endswith("closing_balance,,,,50.00")
    payments = await cli.json("payment", "list", "--status", "succeeded")
    assert paid["payment_id"] in [row["id"] for row in payments["items"]]
