"""A whole running gateway from outside: customers, raw calls, and the books to check them by."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import anthropic
import asyncpg
import nats
from redis.asyncio import Redis

from bytespike_cli.gateway_api import GatewayApi, decode
from bytespike_cli.stack import Stack
from bytespike_contracts.catalogue import parse_catalogue
from bytespike_contracts.holds import wallet_name
from bytespike_contracts.money import Rates, parse_usd
from bytespike_contracts.subjects import USAGE_STREAM
from tests.support.simulator import SimulatorClient
from tests.support.stack import admin_api, running_stack

__all__ = ["Answer", "Customer", "Gateway", "eventually", "running_gateway"]

Row = dict[str, Any]
#: How long anything asynchronous (a settlement, a broadcast) may take before a test gives up.
WITHIN_S = 15.0
_POLL_S = 0.02
_ONE_PIECE_BYTES = 1_048_576


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A whole HTTP answer. ``complete`` is False when the connection broke before its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    complete: bool = True

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def request_id(self) -> str:
        return self.headers["x-request-id"]

    @property
    def error(self) -> Row:
        """The error object of any dialect."""
        error: Row = self.json()["error"]
        return error


@dataclass(frozen=True, kw_only=True)
class Customer:
    """One organisation with one key."""

    gateway: Gateway
    org_id: str
    account_id: str
    key_id: str
    key: str
    headers: Mapping[str, str] = field(default_factory=dict)

    async def post(
        self,
        body: Mapping[str, Any] | bytes,
        *,
        path: str = "/v1/messages",
        faults: str = "",
        edge: int = 0,
        **headers: str,
    ) -> Answer:
        """A Messages call. Header names are spelled with ``_`` for ``-``."""
        sent = {"x-api-key": self.key, "anthropic-version": "2023-06-01", **self.headers}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        if faults:
            sent["x-simulator-fault"] = faults
        sent.setdefault("content-type", "application/json")
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.gateway.call("POST", path, data=data, headers=sent, edge=edge)

    async def get(self, path: str, *, edge: int = 0) -> Answer:
        """A GET with this key."""
        return await self.gateway.call("GET", path, headers={"x-api-key": self.key}, edge=edge)

    async def balance_uusd(self) -> int:
        """The settled balance as the API tells it, in micro-USD."""
        answer = await self.get("/v1/balance")
        assert answer.status == 200, answer.body
        return parse_usd(decode(answer.body)["balance"]["balance_usd"])

    async def update(self, **changes: Any) -> None:
        """Change the key."""
        await self.gateway.admin.call("PATCH", f"/api/v1/admin/keys/{self.key_id}", changes)

    @asynccontextmanager
    async def sdk(
        self, suffix: str = "", **options: Any
    ) -> AsyncIterator[anthropic.AsyncAnthropic]:
        """The official SDK, unmodified, on this key; ``suffix`` is added to the base URL."""
        async with anthropic.AsyncAnthropic(
            base_url=self.gateway.urls[0] + suffix, api_key=self.key, max_retries=0, **options
        ) as client:
            yield client


class Gateway:
    """A running stack with everything a test needs to drive and to judge it."""

    def __init__(self, stack: Stack, catalogue: Path) -> None:
        assert stack.simulator is not None
        self.stack = stack
        self.urls = [s.url for name, s in stack.services.items() if name.startswith("edge")]
        self.catalogue = parse_catalogue(catalogue.read_text(), {})
        self.simulator = SimulatorClient(stack.simulator.url)
        self.admin: GatewayApi = admin_api(stack)
        self.http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=60),
            auto_decompress=False,
        )

    async def close(self) -> None:
        await self.http.close()
        await self.admin.__aexit__(None, None, None)
        await self.simulator.__aexit__(None, None, None)

    def rates(self, model: str, group: str = "default") -> Rates:
        """What the model costs."""
        found = self.catalogue.resolve(model)
        assert found is not None
        rates = self.catalogue.rates(group, found.id)
        assert rates is not None
        return rates

    async def call(
        self,
        method: str,
        path: str,
        *,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        edge: int = 0,
    ) -> Answer:
        """One HTTP call to an edge, read to its end or until it breaks."""
        got = bytearray()
        # Large bodies as a file: the library would warn that bytes are written in one piece.
        content = io.BytesIO(data) if data is not None and len(data) > _ONE_PIECE_BYTES else data
        async with self.http.request(
            method, self.urls[edge] + path, data=content, headers=headers
        ) as response:
            complete = True
            try:
                async for chunk in response.content.iter_any():
                    got += chunk
            except (aiohttp.ClientPayloadError, ConnectionError):
                complete = False
            return Answer(
                status=response.status,
                headers=response.headers,
                body=bytes(got),
                complete=complete,
            )

    async def org(self, *, usd: str = "100", **options: Any) -> Row:
        """A new organisation with money in its wallet."""
        name = f"test-{time.monotonic_ns()}"
        made = decode(
            await self.admin.call("POST", "/api/v1/admin/orgs", {"name": name, **options})
        )
        if parse_usd(usd):
            await self.top_up(made["account_id"], usd)
        return dict(made)

    async def top_up(self, account_id: str, usd: str) -> None:
        path = f"/api/v1/admin/accounts/{account_id}/top-ups"
        await self.admin.call("POST", path, {"usd": usd})

    async def customer(
        self, *, usd: str = "100", org: Row | None = None, concurrency: int = 500, **controls: Any
    ) -> Customer:
        """A key with ``controls``, on a new organisation unless one is given."""
        org = org or await self.org(usd=usd, concurrency=concurrency)
        path = f"/api/v1/admin/accounts/{org['account_id']}/keys"
        made = decode(await self.admin.call("POST", path, {"name": "test", **controls}))
        return Customer(
            gateway=self,
            org_id=org["id"],
            account_id=org["account_id"],
            key_id=made["id"],
            key=made["key"],
        )

    async def audit(self) -> Row:
        """The ledger's own proof of its books."""
        return dict(decode(await self.admin.call("GET", "/api/v1/admin/audit")))

    async def rows(self, sql: str, *arguments: object) -> list[Row]:
        """Rows straight from Postgres."""
        connection = await asyncpg.connect(self.stack.servers["postgres"].url)
        try:
            return [dict(row) for row in await connection.fetch(sql, *arguments)]
        finally:
            await connection.close()

    async def usage(self, request_id: str) -> Row:
        """The one usage row of a request, once the ledger has it."""
        rows: list[Row] = []

        async def there() -> bool:
            rows[:] = await self.rows("select * from usage where request_id = $1", request_id)
            return bool(rows)

        await eventually(there)
        assert len(rows) == 1
        return rows[0]

    async def usage_of(self, customer: Customer, count: int) -> list[Row]:
        """All usage rows of an account, oldest first, once there are ``count`` of them."""
        rows: list[Row] = []

        async def there() -> bool:
            rows[:] = await self.rows(
                "select * from usage where account_id = $1 order by request_id",
                customer.account_id,
            )
            return len(rows) >= count

        await eventually(there)
        assert len(rows) == count
        return rows

    async def attempts(self, request_id: str) -> list[Row]:
        """The second book's lines of a request (ask for its usage row first)."""
        return await self.rows(
            "select * from usage_attempts where request_id = $1 order by attempt", request_id
        )

    async def held(self, customer: Customer) -> tuple[int, int]:
        """Open holds and micro-USD pending of an account, as Redis has it."""
        wallet = wallet_name(customer.account_id)
        async with self.redis() as redis:
            holds = await redis.hlen(wallet.removesuffix("wallet") + "holds")
            return int(holds), int(await redis.hget(wallet, "pending") or 0)

    async def settled(self, customer: Customer) -> None:
        """Return once nothing of the account is held or pending any more."""

        async def nothing_held() -> bool:
            return await self.held(customer) == (0, 0)

        await eventually(nothing_held)

    async def unacknowledged(self) -> int:
        """Usage messages the ledger has not acknowledged yet, delivered or not."""
        client = await nats.connect(self.stack.servers["nats"].url)
        try:
            info = await client.jetstream().stream_info(USAGE_STREAM)
            return int(info.state.messages)
        finally:
            await client.close()

    @asynccontextmanager
    async def redis(self) -> AsyncIterator[Redis]:
        client = Redis.from_url(self.stack.servers["redis"].url)
        try:
            yield client
        finally:
            await client.aclose()


@asynccontextmanager
async def running_gateway(
    folder: Path,
    *,
    catalogue: Path,
    edges: int = 1,
    environment: Mapping[str, str] | None = None,
    service_environment: Mapping[str, Mapping[str, str]] | None = None,
    durable: bool = False,
) -> AsyncIterator[Gateway]:
    """A ready gateway below ``folder``, gone afterwards (options as of ``running_stack``)."""
    async with running_stack(
        folder,
        catalogue=catalogue,
        edges=edges,
        environment=environment,
        service_environment=service_environment,
        durable=durable,
    ) as stack:
        gateway = Gateway(stack, catalogue)
        try:
            yield gateway
        finally:
            await gateway.close()


async def eventually(
    condition: Callable[[], Awaitable[bool]], *, within_s: float = WITHIN_S
) -> None:
    """Poll until the condition holds; ``TimeoutError`` when it does not in time."""
    async with asyncio.timeout(within_s):
        while True:
            if await condition():
                return
            await asyncio.sleep(_POLL_S)
