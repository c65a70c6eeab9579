"""What operators see: health, metrics, one line per request; and what nobody may see anywhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import Customer, Gateway, eventually

SERVICES = ["edge", "edge-2", "text-router", "media", "ledger"]
PROMPT = "xylophone-quartz-prompt-9271"
ASK: dict[str, Any] = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 300,
    "messages": [{"role": "user", "content": PROMPT}],
}
#: Files that exist to hold secrets.
SECRET_FOLDER = "secrets"


async def _ops(gateway: Gateway, service: str, path: str) -> tuple[int, str]:
    url = gateway.stack.services[service].metrics_url.rpartition("/")[0] + path
    async with gateway.http.get(url) as response:
        return response.status, await response.text()


@pytest.mark.parametrize("service", SERVICES)
async def test_health_and_metrics_of_every_service(
    gateway: Gateway, customer: Customer, service: str
) -> None:
    await customer.post(ASK)
    assert (await _ops(gateway, service, "/healthz"))[0] == 200
    status, ready = await _ops(gateway, service, "/readyz")
    assert (status, json.loads(ready)["ready"]) == (200, True)
    status, metrics = await _ops(gateway, service, "/metrics")
    assert status == 200
    assert "bytespike_build_info{" in metrics
    # Labels come from closed sets: no customer, key, request or address among them.
    assert not re.search(r'="(acct|key|org|req)_', metrics)
    assert customer.key not in metrics


@pytest.mark.parametrize("service", ["edge", "text-router"])
async def test_one_line_per_request(gateway: Gateway, customer: Customer, service: str) -> None:
    answers = [
        await customer.post(ASK),
        await customer.post({**ASK, "stream": True}),
        await customer.post({**ASK, "temperature": 9}),
    ]
    for answer in answers:
        [line] = await _log_lines(gateway, service, answer.request_id)
        assert line["event"] == "request"
        assert line["status"] == answer.status
        assert line["key_id"] == customer.key_id
        assert line["model"] == "claude-sonnet-4-6"


async def _log_lines(gateway: Gateway, service: str, request_id: str) -> list[dict[str, Any]]:
    """Lines that name the request, once there are any (they are written in batches)."""
    child = gateway.stack.services[service].child
    found: list[dict[str, Any]] = []

    async def written() -> bool:
        lines = [
            json.loads(line)
            for line in child.log_path.read_text().splitlines()
            if line.startswith("{") and request_id in line
        ]
        found[:] = [line for line in lines if line.get("request_id") == request_id]
        return bool(found)

    await eventually(written)
    return found


async def test_nothing_that_was_said_or_is_secret_lies_around(
    gateway: Gateway, customer: Customer
) -> None:
    """Logs, the bus's store, Postgres' files, the spool: no prompt, no completion, no key."""
    answer = await customer.post({**ASK, "stream": True})
    await customer.post({**ASK, "temperature": 9})
    await customer.post(ASK, faults="status=500", edge=1)
    await customer.post(f'{{"model":"{PROMPT}"'.encode())
    await gateway.usage(answer.request_id)
    said = [PROMPT, "no model was asked", customer.key, "sk-sim-local"]
    secrets = [gateway.stack.admin_token]
    for path, data in _files(gateway.stack.home.root):
        for word in [*said, *secrets]:
            assert word.encode() not in data, (path, word)
    async with gateway.redis() as redis:
        async for name in redis.scan_iter(count=1000):
            kind = await redis.type(name)
            value = await redis.get(name) if kind == b"string" else b""
            assert customer.key.encode() not in name + (value or b"")
            assert PROMPT.encode() not in name + (value or b"")


def _files(root: Path) -> Iterator[tuple[Path, bytes]]:
    for path in root.rglob("*"):
        if path.is_file() and SECRET_FOLDER not in path.relative_to(root).parts:
            yield path, path.read_bytes()


def test_the_search_above_finds_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "log").write_text(PROMPT)
    (tmp_path / SECRET_FOLDER).mkdir()
    (tmp_path / SECRET_FOLDER / "token").write_text("t")
    assert [data for _, data in _files(tmp_path)] == [PROMPT.encode()]


async def test_an_admin_call_needs_the_token(gateway: Gateway) -> None:
    for token in ("", "Bearer ", "Bearer guess", gateway.stack.admin_token):
        headers = {"authorization": token}
        answer = await gateway.call("GET", "/api/v1/admin/orgs", headers=headers)
        assert answer.status == 401


async def test_services_behind_answer_only_the_edge(gateway: Gateway) -> None:
    """Without the internal token nobody gets in, whatever principal they claim to be."""
    claim = {"x-bytespike-principal": '{"request_id":"req_x"}', "x-api-key": "x"}
    for service in ("text-router", "ledger"):
        url = gateway.stack.services[service].url
        path = "/v1/messages" if service == "text-router" else "/v1/balance"
        for headers in ({}, claim, {**claim, "x-bytespike-internal-token": "guess"}):
            method = "POST" if service == "text-router" else "GET"
            async with gateway.http.request(method, url + path, headers=headers) as response:
                assert response.status in {401, 403}
