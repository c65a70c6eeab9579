"""A real edge between a test and a scripted router: real sockets, real Redis, real NATS.

The edge runs in the test's own loop, put together by its own ``amain``. What the router and the
ledger would do is scripted at HTTP level; what the ledger would project is written to Redis.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from redis.asyncio import Redis

from bytespike_cli.ports import free_port
from bytespike_contracts import holds
from bytespike_contracts.ids import key_hash, mint_id, mint_key
from bytespike_contracts.keys import (
    PROJECTION_MARKER,
    KeyChange,
    KeyRecord,
    ProjectionMarker,
    Scope,
    key_record_name,
)
from bytespike_contracts.principal import PRINCIPAL_HEADER, Principal, decode_principal
from bytespike_contracts.subjects import KEYS_CHANGED
from bytespike_edge.app import amain
from bytespike_edge.settings import EdgeSettings
from bytespike_runtime.bus import Bus
from bytespike_runtime.http_client import HttpClient, HttpResponse, Origin
from bytespike_runtime.kv import connect_redis
from bytespike_runtime.settings import Secret
from tests.support.raw_http import Peer, Received, answer_bytes, chunk, raw_server

__all__ = [
    "Answer",
    "EdgeUnderTest",
    "Ledger",
    "Reply",
    "Router",
    "Seen",
    "message",
    "running_edge",
    "sse",
    "whole",
]

INTERNAL_TOKEN = "internal-token-of-the-tests"
CATALOGUE = """
[[models]]
id = "claude-sonnet-4-5"
aliases = ["claude-sonnet-4.5"]
vendor = "anthropic"
family = "claude"
context_window = 200_000
max_output_tokens = 64_000
[models.price]
input = "3.00"
output = "15.00"
cache_read = "0.30"
cache_write_5m = "1.25"
cache_write_1h = "2"
web_search = "10.00"

[[models]]
id = "claude-other"
vendor = "anthropic"
family = "claude"
context_window = 200_000
max_output_tokens = 64_000
[models.price]
input = "3.00"
output = "15.00"
cache_read = "0.30"

[[models]]
id = "claude-unpriced"
vendor = "anthropic"
family = "claude"
context_window = 200_000
max_output_tokens = 64_000

[[channels]]
id = "main"
dialect = "anthropic"
base_url = "https://vendor.invalid"
credential = "env:VENDOR_KEY"
models = { claude-sonnet-4-5 = "claude-sonnet-4-5", claude-other = "claude-other" }

[[groups]]
id = "default"
models = ["claude-sonnet-4-5", "claude-unpriced"]
"""


@dataclass(frozen=True)
class Seen(Received):
    """One request as a service behind the edge got it."""

    @property
    def line(self) -> str:
        return self.head.partition(b"\r\n")[0].decode()

    @property
    def principal(self) -> Principal:
        text = self.header(PRINCIPAL_HEADER)
        assert text is not None
        return decode_principal(text)


Answer = Callable[[Peer, Seen], Awaitable[None]]


def whole(
    body: bytes = b'{"type":"message"}',
    *,
    status: int = 200,
    content_type: str = "application/json",
    **headers: str,
) -> Answer:
    """Answer with a complete body; ``x_name`` becomes the header ``x-name``."""
    raw = answer_bytes(body, status=status, content_type=content_type, headers=headers)

    async def answer(peer: Peer, _: Seen) -> None:
        await peer.send(raw)

    return answer


STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"x-bytespike-attempts: 1\r\ntransfer-encoding: chunked\r\n\r\n"
)


def sse(*events: bytes) -> Answer:
    """Stream whole events and end cleanly."""

    async def answer(peer: Peer, _: Seen) -> None:
        await peer.send(STREAM_HEAD)
        for event in events:
            await peer.send(chunk(event))
        await peer.send(chunk(b""))

    return answer


class Router:
    """The service behind the edge: answers by script, remembers what it saw."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.answer: Answer = whole()
        self.hang_ups = 0
        self.url = ""

    async def serve(self, peer: Peer) -> None:
        while True:
            head, body = await peer.request()
            seen = Seen(head, body)
            self.seen.append(seen)
            try:
                await self.answer(peer, seen)
            except ConnectionError:
                self.hang_ups += 1
                raise

    @property
    def last(self) -> Seen:
        return self.seen[-1]


@dataclass
class Ledger:
    """What the ledger projects, written straight to Redis."""

    redis: Redis
    bus: Bus
    _versions: dict[str, int] = field(default_factory=dict)

    async def verify(self) -> None:
        """The projection is complete and fresh."""
        marker = ProjectionMarker(verified_ms=int(time.time() * 1000))
        await self.redis.set(PROJECTION_MARKER, msgspec.json.encode(marker))

    async def key(
        self,
        *,
        balance_uusd: int | None = 100_000_000,
        plaintext: str | None = None,
        **fields: Any,
    ) -> tuple[str, KeyRecord]:
        """A new account with one key; ``balance_uusd`` None leaves the account not loaded."""
        plaintext = plaintext or mint_key(secrets.token_bytes(40))
        record = KeyRecord(
            **{
                "key_id": _mint("key"),
                "account_id": _mint("acct"),
                "version": 1,
                "group": "default",
                "scopes": (Scope.INFERENCE,),
                "concurrency": 100_000,  # nobody finishes what polling tests leave running
                **fields,
            }
        )
        await self.project(plaintext, record)
        if balance_uusd is not None:
            await self.load(record, balance_uusd)
        return plaintext, record

    async def load(
        self, record: KeyRecord, balance_uusd: int, spend: holds.ScopeSpend | None = None
    ) -> None:
        version = self._versions[record.account_id] = self._versions.get(record.account_id, 0) + 1
        await self._script(
            holds.PROJECT,
            record,
            holds.project_args(
                balance_uusd=balance_uusd,
                version=version,
                scopes=() if spend is None else (spend,),
                open_account=True,
            ),
        )

    async def spent(self, record: KeyRecord, amount_uusd: int, *, balance_uusd: int) -> None:
        """``amount_uusd`` has been settled for the key just now."""
        now_ms = int(time.time() * 1000)
        buckets = [
            holds.BucketSpend(number, window.bucket(now_ms), amount_uusd)
            for number, window in enumerate(holds.WINDOWS, 1)
        ]
        spend = holds.ScopeSpend(record.key_id, amount_uusd, buckets)
        await self.load(record, balance_uusd, spend)

    async def project(self, plaintext: str, record: KeyRecord) -> None:
        name = key_record_name(key_hash(plaintext))
        await self.redis.set(name, msgspec.json.encode(record))

    async def change(self, plaintext: str, record: KeyRecord, **fields: Any) -> KeyRecord:
        """Change a key as the ledger does: Redis first, then the broadcast."""
        changed = msgspec.structs.replace(record, version=record.version + 1, **fields)
        await self.project(plaintext, changed)
        await self.announce(plaintext, changed.version)
        return changed

    async def delete(self, plaintext: str, record: KeyRecord) -> None:
        await self.redis.delete(key_record_name(key_hash(plaintext)))
        await self.announce(plaintext, record.version + 1)

    async def announce(self, plaintext: str, version: int) -> None:
        change = KeyChange(hash=key_hash(plaintext), version=version)
        await self.bus.broadcast(KEYS_CHANGED, msgspec.json.encode(change))

    async def finish(self, record: KeyRecord, hold_id: str, cost_uusd: int) -> None:
        """The router's last word on a hold."""
        args = holds.finish_args(hold_id, cost_uusd, admitted_ms=0, scopes=(record.key_id,))
        await self._script(holds.FINISH, record, args)

    async def state(self, record: KeyRecord) -> holds.AccountState:
        args = holds.admit_args(
            "look",
            -1,
            concurrency=record.concurrency,
            scopes=(holds.ScopeCaps(record.key_id, record.caps),),
        )
        admission = holds.read_admission(await self._script(holds.ADMIT, record, args))
        assert admission.state is not None
        return admission.state

    async def _script(self, script: str, record: KeyRecord, args: list[str | int]) -> Any:
        return await self.redis.eval(script, 1, holds.wallet_name(record.account_id), *args)


@dataclass
class Reply:
    """A whole response as a client sees it."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def error(self) -> Any:
        return self.json()["error"]


@dataclass
class EdgeUnderTest:
    """The edge, its surroundings and a client."""

    url: str
    port: int
    ops_url: str
    router: Router
    ledger: Ledger
    client: HttpClient
    catalogue: Path

    async def open(
        self,
        method: str,
        path: str,
        *,
        key: str | None = None,
        headers: Mapping[str, str] = {},
        body: bytes = b"",
    ) -> HttpResponse:
        """The response head; the body is the caller's to read."""
        every = dict(headers)
        if key is not None:
            every.setdefault("x-api-key", key)
        if body:
            every.setdefault("content-type", "application/json")
        origin, _ = Origin.parse(self.url)
        return await self.client.request(
            method,
            origin,
            path,
            every.items(),
            body,
            connect_timeout_s=5,
            first_byte_timeout_s=20,
        )

    async def call(self, method: str, path: str, **options: Any) -> Reply:
        response = await self.open(method, path, **options)
        body = await response.read(limit_bytes=64 * 1_048_576, idle_timeout_s=20)
        return Reply(response.status, dict(response.headers.items()), body)

    async def metrics(self) -> str:
        """The exposition on the ops port."""
        origin, _ = Origin.parse(self.ops_url)
        response = await self.client.request(
            "GET", origin, "/metrics", (), connect_timeout_s=5, first_byte_timeout_s=5
        )
        return (await response.read(limit_bytes=1_048_576, idle_timeout_s=5)).decode()

    async def messages(self, key: str | None, body: bytes | None = None, **headers: str) -> Reply:
        """``POST /v1/messages``; ``x_name`` becomes the header ``x-name``."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.call(
            "POST", "/v1/messages", key=key, headers=named, body=body or message()
        )


def message(**fields: Any) -> bytes:
    """A small Messages body."""
    return msgspec.json.encode(
        {
            "model": "claude-sonnet-4-5",
            "max_tokens": 100,
            "messages": [{"role": "user", "content": "Hello"}],
            **fields,
        }
    )


@asynccontextmanager
async def running_edge(
    redis_url: str, nats_url: str, folder: Path, **settings: Any
) -> AsyncIterator[EdgeUnderTest]:
    """An edge with its scripted router; everything is gone afterwards."""
    catalogue = folder / f"catalogue-{secrets.token_hex(4)}.toml"
    catalogue.write_text(CATALOGUE)
    router = Router()
    redis, bus, client = connect_redis(redis_url), Bus(nats_url, name="test"), HttpClient()
    stop = asyncio.Event()
    await bus.start()
    try:
        async with raw_server(router.serve) as behind, asyncio.TaskGroup() as group:
            router.url = behind.url
            chosen = EdgeSettings(
                **{
                    "port": free_port(),
                    "ops_port": free_port(),
                    "redis_url": redis_url,
                    "nats_url": nats_url,
                    "catalogue": str(catalogue),
                    "internal_token": Secret(INTERNAL_TOKEN),
                    "text_url": behind.url,
                    "media_url": behind.url,
                    "ledger_url": behind.url,
                    "drain_timeout_s": 5.0,
                    # All of them come from one address, and many tests are about wrong keys.
                    "auth_failures_per_minute": 1_000_000,
                    **settings,
                }
            )
            group.create_task(amain(chosen, stop))
            edge = EdgeUnderTest(
                url=f"http://127.0.0.1:{chosen.port}",
                port=chosen.port,
                ops_url=f"http://127.0.0.1:{chosen.ops_port}",
                router=router,
                ledger=Ledger(redis, bus),
                client=client,
                catalogue=catalogue,
            )
            await edge.ledger.verify()
            await _listening(chosen.port)
            try:
                yield edge
            finally:
                stop.set()
    finally:
        await client.close()
        await bus.close()
        await redis.aclose()


async def _listening(port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.01)
                continue
            writer.close()
            await writer.wait_closed()
            return


def _mint(prefix: str) -> str:
    return mint_id(prefix, int(time.time() * 1000), secrets.token_bytes(10))
