"""Everything the bench measures, running: the whole stack, the vendor, the yardstick proxy."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bytespike_cli.gateway_api import GatewayApi, decode
from bytespike_cli.home import Home
from bytespike_cli.ports import LOOPBACK, free_port
from bytespike_cli.processes import Child
from bytespike_cli.stack import Stack
from bytespike_runtime.http_client import ClientError, HttpClient, Origin
from tests.bench.load import Target
from tests.support.stack import admin_api, running_stack

__all__ = ["PATH_SERVICES", "Rig", "running_rig"]

_ROOT = Path(__file__).parents[2]
_CATALOGUE = Path(__file__).with_name("catalogue.toml")
#: Holds of a thousand open streams and every request of a long run.
_FUNDS_USD = "1000000.00"
_CONCURRENCY = 10_000
_VENDOR_KEY = "sk-bench"
_READY_TIMEOUT_S = 20.0
_SETTLED = b"bytespike_ledger_settled_events_total{"
#: The two services a text request passes through; their costs are what the budgets are about.
PATH_SERVICES = ("edge", "text-router")


@dataclass(frozen=True, kw_only=True)
class Rig:
    """What scenarios work with. ``targets`` come in the order gateway, proxy, direct."""

    stack: Stack
    client: HttpClient
    gateway: Target
    proxy: Target
    direct: Target
    proxy_child: Child

    @property
    def targets(self) -> tuple[Target, Target, Target]:
        return (self.gateway, self.proxy, self.direct)

    @property
    def pids(self) -> dict[str, int]:
        """Of everything that runs for the gateway, and of the proxy."""
        children = {name: part.child for name, part in self.stack.parts.items()}
        pids = {name: child.pid for name, child in children.items() if child is not None}
        return {**pids, "proxy": self.proxy_child.pid}

    async def restart(self) -> None:
        """Fresh processes on the path and a fresh proxy: what earlier scenarios left is gone."""
        for name in reversed(PATH_SERVICES):
            await self.stack.restart(name)
        self.proxy_child.kill()
        self.proxy_child.spawn()
        await self.proxy_child.ready(
            lambda: _answers(self.client, self.proxy.url), timeout_s=_READY_TIMEOUT_S
        )

    async def seen(self) -> int:
        """Messages the vendor has answered so far."""
        return int(await self._ask_vendor("/bench/seen"))

    async def pace(self, *, events: int, interval_ms: float) -> None:
        """The rhythm of streams from now on."""
        await self._ask_vendor(f"/bench/pace/{events}/{interval_ms}")

    async def settled(self) -> int:
        """Usage events the running ledger process has settled; 0 while it does not answer."""
        try:
            text = await self._get(self.stack.services["ledger"].metrics_url)
        except ClientError:
            return 0
        lines = [line for line in text.split(b"\n") if line.startswith(_SETTLED)]
        return sum(int(float(line.rpartition(b" ")[2])) for line in lines)

    async def _ask_vendor(self, path: str) -> bytes:
        return await self._get(self.direct.url + path)

    async def _get(self, url: str) -> bytes:
        origin, path = Origin.parse(url)
        response = await self.client.request(
            "GET", origin, path, [], connect_timeout_s=5, first_byte_timeout_s=5
        )
        return await response.read(limit_bytes=1 << 20, idle_timeout_s=5)


@asynccontextmanager
async def running_rig(folder: Path) -> AsyncIterator[Rig]:
    """Start everything below ``folder``; nothing is left running afterwards."""
    home = Home(folder / "bench")
    client = HttpClient(max_connections_per_origin=20_000)
    vendor_url = f"http://{LOOPBACK}:{free_port()}"
    proxy_url = f"http://{LOOPBACK}:{free_port()}"
    vendor = _child(home, "vendor", [vendor_url.rpartition(":")[2]])
    proxy = _child(home, "proxy", [proxy_url.rpartition(":")[2], vendor_url])
    environment = {
        f"{vendor}_API_KEY": _VENDOR_KEY for vendor in ("ANTHROPIC", "OPENAI", "GEMINI")
    } | {
        "BYTESPIKE_ANTHROPIC_BASE_URL": vendor_url,
        "BYTESPIKE_OPENAI_BASE_URL": f"{vendor_url}/v1",
        "BYTESPIKE_GEMINI_BASE_URL": vendor_url,
    }
    try:
        for child, url in ((vendor, vendor_url), (proxy, proxy_url)):
            child.spawn()
            await child.ready(lambda: _answers(client, url), timeout_s=_READY_TIMEOUT_S)  # noqa: B023
        async with running_stack(
            folder / "stack", catalogue=_CATALOGUE, environment=environment
        ) as stack:
            key = await _customer(admin_api(stack))
            yield Rig(
                stack=stack,
                client=client,
                gateway=_target("gateway", stack.base_url, key),
                proxy=_target("proxy", proxy_url, _VENDOR_KEY),
                direct=_target("direct", vendor_url, _VENDOR_KEY),
                proxy_child=proxy,
            )
    finally:
        await client.close()
        proxy.kill()
        vendor.kill()


def _child(home: Home, module: str, arguments: list[str]) -> Child:
    argv = [sys.executable, "-m", f"tests.bench.{module}", *arguments]
    roots: Mapping[str, str] = {"PYTHONPATH": str(_ROOT)}
    return Child(module, argv, home=home, env={**os.environ, **roots})


async def _answers(client: HttpClient, url: str) -> bool:
    origin, _ = Origin.parse(url)
    try:
        response = await client.request(
            "GET", origin, "/bench/seen", [], connect_timeout_s=1, first_byte_timeout_s=1
        )
        await response.read(limit_bytes=1000, idle_timeout_s=1)
    except ClientError:
        return False
    return response.status == 200


async def _customer(api: GatewayApi) -> str:
    """A funded organisation with room for the whole load; the key of its only customer."""
    async with api:
        org = {"name": "bench", "concurrency": _CONCURRENCY}
        account_id = decode(await api.call("POST", "/api/v1/admin/orgs", org))["account_id"]
        account = f"/api/v1/admin/accounts/{account_id}"
        await api.call("POST", f"{account}/top-ups", {"usd": _FUNDS_USD})
        key = await api.call("POST", f"{account}/keys", {"name": "bench"})
        return str(decode(key)["key"])


def _target(name: str, url: str, key: str) -> Target:
    return Target(
        name=name,
        url=url,
        headers=(
            ("x-api-key", key),
            ("anthropic-version", "2023-06-01"),
            ("content-type", "application/json"),
            ("accept", "application/json"),
            ("user-agent", "bytespike-bench"),
        ),
    )
