"""Looking after keys through the gateway: made, rotated, revealed and revoked on every edge."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from bytespike_cli.gateway_api import decode
from tests.support.gateway import Answer, Customer, Gateway, eventually

ASK: dict[str, Any] = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 50,
    "messages": [{"role": "user", "content": "Hi"}],
}
EDGES = (0, 1)


class Manager:
    """An organisation's key that manages, and what it does below ``/api/v1/keys``."""

    def __init__(self, customer: Customer) -> None:
        self.customer = customer

    async def call(
        self, method: str, path: str = "", body: object = None, **headers: str
    ) -> Answer:
        sent = {"x-api-key": self.customer.key, "content-type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        data = None if body is None else json.dumps(body).encode()
        return await self.customer.gateway.call(
            method, f"/api/v1/keys{path}", data=data, headers=sent
        )

    async def make(self, **fields: object) -> Customer:
        """A new key, as somebody who calls models with it."""
        answer = await self.call("POST", "", {"name": "made", **fields})
        assert answer.status == 201, answer.body
        made = answer.json()
        return dataclasses.replace(self.customer, key_id=made["id"], key=made["key"])

    async def rotate(self, key: Customer, **body: object) -> Customer:
        """The same key with its new secret."""
        answer = await self.call("POST", f"/{key.key_id}/rotate", body or None)
        assert answer.status == 200, answer.body
        return dataclasses.replace(key, key=answer.json()["key"])


@pytest.fixture
async def manager(gateway: Gateway) -> Manager:
    return Manager(await gateway.customer(scopes=["manage"]))


async def works_everywhere(key: Customer) -> None:
    for edge in EDGES:
        assert (await key.post(ASK, edge=edge)).status == 200


async def dead_within_a_second(key: Customer) -> None:
    began = time.monotonic()
    for edge in EDGES:
        while (answer := await key.post(ASK, edge=edge)).status == 200:
            assert time.monotonic() - began < 1.0
        assert answer.status == 401


async def test_a_rotated_secret_is_dead_and_the_new_one_lives(manager: Manager) -> None:
    old = await manager.make()
    await works_everywhere(old)
    new = await manager.rotate(old)
    await works_everywhere(new)
    await dead_within_a_second(old)


async def test_an_overlap_lets_both_work_until_it_is_over(
    gateway: Gateway, manager: Manager
) -> None:
    old = await manager.make(quota="50")
    await works_everywhere(old)
    overlap_s = 4
    new = await manager.rotate(old, overlap_seconds=overlap_s)
    rotated = time.monotonic()
    await works_everywhere(new)
    await works_everywhere(old)
    assert time.monotonic() - rotated < overlap_s, "too slow a machine to tell"
    await asyncio.sleep(max(0.0, rotated + overlap_s - time.monotonic()))
    await dead_within_a_second(old)
    await works_everywhere(new)
    await gateway.usage_of(new, 8)
    spent = (await new.get("/v1/balance")).json()["key"]["quota"]["used_usd"]
    assert spent > 0, "one key, one quota, whichever secret was used"


@pytest.mark.parametrize("how", ["rotate", "disable", "delete"])
async def test_an_overlap_can_be_cut_short(manager: Manager, how: str) -> None:
    old = await manager.make()
    new = await manager.rotate(old, overlap_seconds=3600)
    await works_everywhere(old)
    match how:
        case "rotate":
            await manager.rotate(new)
        case "disable":
            await manager.call("PATCH", f"/{old.key_id}", {"status": "disabled"})
        case _:
            await manager.call("DELETE", f"/{old.key_id}")
    await dead_within_a_second(old)
    await dead_within_a_second(new)


async def test_rotating_under_load_refuses_nobody_who_changes_over(manager: Manager) -> None:
    """Callers pick the new secret up as it comes; with an overlap none of them sees a 401."""
    key = [await manager.make()]
    stop = asyncio.Event()
    statuses: list[int] = []

    async def call(edge: int) -> None:
        while not stop.is_set():
            statuses.append((await key[0].post(ASK, edge=edge)).status)

    async with asyncio.TaskGroup() as group:
        for edge in (*EDGES, *EDGES):
            group.create_task(call(edge))
        for _ in range(3):
            await eventually(partial(_reached, statuses, len(statuses) + 20))
            key[0] = await manager.rotate(key[0], overlap_seconds=30)
        stop.set()
    assert set(statuses) == {200}


async def _reached(statuses: list[int], count: int) -> bool:
    return len(statuses) >= count


async def test_revoking_a_key_of_ones_own_is_in_force_within_a_second(manager: Manager) -> None:
    disabled, deleted = await manager.make(), await manager.make()
    await works_everywhere(disabled)
    await works_everywhere(deleted)
    await manager.call("PUT", f"/{disabled.key_id}", {"status": "disabled"})
    await dead_within_a_second(disabled)
    await manager.call("DELETE", f"/{deleted.key_id}")
    await dead_within_a_second(deleted)


async def test_a_key_is_made_once_and_can_be_read_again(gateway: Gateway, manager: Manager) -> None:
    wanted = {"name": "once"}
    first = await manager.call("POST", "", wanted, Idempotency_Key="e2e")
    again = await manager.call("POST", "", wanted, Idempotency_Key="e2e")
    assert (first.status, again.status) == (201, 200)
    assert again.json() == first.json()
    made = first.json()
    path = f"/api/v1/admin/keys/{made['id']}"
    assert (await manager.call("GET", f"/{made['id']}/reveal")).json()["key"] == made["key"]
    assert decode(await gateway.admin.call("GET", f"{path}/reveal"))["key"] == made["key"]
    rotated = decode(await gateway.admin.call("POST", f"{path}/rotate"))
    assert decode(await gateway.admin.call("GET", f"{path}/reveal"))["key"] == rotated["key"]
    done = decode(await gateway.admin.call("POST", "/api/v1/admin/secrets/rewrap"))
    assert (done["rewrapped"], done["remaining"]) == (0, 0)
    admin = {
        "authorization": f"Bearer {gateway.stack.admin_token}",
        "content-type": "application/json",
        "idempotency-key": "e2e",
    }
    of_account = f"/api/v1/admin/accounts/{manager.customer.account_id}/keys"
    body = json.dumps(wanted).encode()
    twice = [await gateway.call("POST", of_account, data=body, headers=admin) for _ in range(2)]
    assert [answer.status for answer in twice] == [201, 200]
    assert twice[0].json() == twice[1].json()
    await nothing_logged(gateway, made["key"], rotated["key"], manager.customer.key)


async def nothing_logged(gateway: Gateway, *words: str) -> None:
    """Once what has just been asked is in the log (it is written in batches), the words are not."""
    last = (await gateway.call("GET", "/api/v1/keys")).request_id

    def logs() -> list[str]:
        return [path.read_text() for path in gateway.stack.home.logs.iterdir()]

    async def written() -> bool:
        return any(last in text for text in logs())

    await eventually(written)
    assert not any(word in text for text in logs() for word in words)


async def test_last_use_is_shown_with_the_address(gateway: Gateway, manager: Manager) -> None:
    used, unused = await manager.make(), await manager.make()
    began = datetime.now(UTC)

    async def shown(key: Customer) -> tuple[str | None, str | None]:
        row = (await manager.call("GET", f"/{key.key_id}")).json()
        return row["last_used_at"], row["last_used_address"]

    assert (await used.post(ASK, edge=0)).status == 200

    async def at_the_first_edge() -> bool:
        return (await shown(used))[1] == "127.0.0.1"

    await eventually(at_the_first_edge)
    first, _ = await shown(used)
    assert first is not None
    used_at = datetime.fromisoformat(first)
    assert abs((used_at - began).total_seconds()) < 10

    # The second edge stands behind one proxy, which writes the client's address.
    address = "::ffff:198.51.100.7"
    assert (await used.post(ASK, edge=1, x_forwarded_for=address)).status == 200

    async def at_the_second_edge() -> bool:
        return (await shown(used))[1] == "198.51.100.7"

    await eventually(at_the_second_edge)
    second, _ = await shown(used)
    assert second is not None
    assert datetime.fromisoformat(second) > used_at
    assert await shown(unused) == (None, None)
