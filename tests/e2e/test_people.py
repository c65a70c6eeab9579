"""People through the whole gateway: an owner at work, an operator, a pause felt everywhere."""

from __future__ import annotations

import asyncio
import json
import secrets
from functools import partial
from typing import Any

from bytespike_cli.gateway_api import decode
from tests.support.admin_cli import Cli
from tests.support.gateway import Answer, Gateway, eventually

LOCAL = "127.0.0.1"


async def _with(gateway: Gateway, key: str, method: str, path: str, body: Any = None) -> Answer:
    headers = {"x-api-key": key, "content-type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    return await gateway.call(method, path, data=data, headers=headers)


async def test_from_nothing_to_an_owner_who_runs_the_organisation(gateway: Gateway) -> None:
    cli, name = Cli(gateway), f"first-{secrets.token_hex(4)}"
    owner = f"{name}@people.example"
    words = ("bootstrap", "--org-name", name, "--owner-email", owner, "--owner-name", "Ann")
    first = await cli.json(*words)
    assert await cli.json(*words) == {**first, "key": None}

    new = {"email": f"bo-{owner}", "name": "Bo", "role": "admin", "quota": "5"}
    added = await _with(gateway, first["key"], "POST", "/api/v1/org/members", new)
    assert (added.status, added.json()["role"]) == (201, "admin")
    await cli.json("member", "update", f"bo-{owner}", "--org", name, "--role", "viewer")
    await cli.json("org", "update", name, "--tier", "pro", "--rate-limit-1d", "12.5")
    own = await _with(gateway, first["key"], "GET", "/api/v1/org")
    assert (own.json()["concurrency"], own.json()["rate_limit_1d"]) == (25, 12.5)
    await cli.json("member", "remove", f"bo-{owner}", "--org", name)
    left = await cli.json("member", "list", "--org", name)
    assert [row["email"] for row in left["items"]] == [owner]

    log = await cli.json("audit-log", "--account", first["org"]["account_id"], "--limit", "5")
    told = [(entry["action"], entry["actor"], entry["address"]) for entry in log["items"]]
    for entry in (
        ("member.remove", "root", LOCAL),
        ("org.update", "root", LOCAL),
        ("member.update", "root", LOCAL),
        ("member.add", first["key_id"], LOCAL),
    ):
        assert entry in told
    assert first["key"] not in json.dumps(log)
    code, table, _ = await cli.run("audit-log", "--target", added.json()["id"])
    assert code == 0
    assert table.splitlines()[0].split()[:2] == ["AT", "ACTOR"]


async def test_an_operator_of_ones_own(gateway: Gateway) -> None:
    root, name = Cli(gateway), f"op-{secrets.token_hex(4)}"
    made = await root.json("operator", "create", "--name", name)
    operator = Cli(gateway, BYTESPIKE_ADMIN_TOKEN=made["token"])
    user = await operator.json(
        *("user", "create", "--email", f"{name}@people.example", "--name", "Solo"),
        *("--individual", "--tier", "pro"),
    )
    await operator.json("wallet", "top-up", "--org", user["account_id"], "--usd", "3")
    key = await operator.json("key", "create", "--org", user["account_id"], "--name", "k")
    balance = await _with(gateway, key["key"], "GET", "/v1/balance")
    assert balance.json()["balance"]["balance_usd"] == 3.0
    assert balance.json()["org"] is None
    shown = await operator.json("user", "show", f"{name}@people.example")
    assert shown == user
    await root.json("operator", "disable", made["id"])
    code, _, err = await operator.run("org", "list")
    assert code == 1
    assert "401" in err


async def test_a_pause_is_felt_on_every_edge_within_a_second(gateway: Gateway) -> None:
    customer = await gateway.customer()
    path = f"/api/v1/admin/orgs/{customer.org_id}"

    async def everywhere(status: int) -> bool:
        answers = await asyncio.gather(
            *(customer.get("/v1/models", edge=edge) for edge in range(len(gateway.urls)))
        )
        return all(answer.status == status for answer in answers)

    assert await everywhere(200)
    for status, seen in (("paused", 401), ("active", 200)):
        answer = await gateway.admin.call("PATCH", path, {"status": status})
        assert decode(answer)["status"] == status
        await eventually(partial(everywhere, seen), within_s=1.0)
