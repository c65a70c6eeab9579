"""A real text-router between a test and scripted vendors: real sockets, real Redis, real NATS.

The router runs in the test's own loop, put together by its own ``amain``. What the edge does before
it (admit) and the ledger after it (read the stream) is done by the test with the same scripts.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
from redis.asyncio import Redis

from bytespike_cli.ports import free_port
from bytespike_contracts import holds
from bytespike_contracts.ids import mint_id
from bytespike_contracts.keys import SpendCaps
from bytespike_contracts.money import Rates
from bytespike_contracts.principal import (
    INTERNAL_TOKEN_HEADER,
    PRINCIPAL_HEADER,
    Grant,
    Principal,
    Reading,
    encode_principal,
)
from bytespike_contracts.subjects import SETTLE_CONSUMER, USAGE_STREAM, USAGE_SUBJECTS
from bytespike_contracts.usage import UsageEvent, decode_batch
from bytespike_protocols.errors import BadClientMessage
from bytespike_protocols.splice import shallow_at
from bytespike_runtime.bus import Bus, BusUnavailable, PullConsumer
from bytespike_runtime.http_client import HttpClient, HttpResponse, Origin
from bytespike_runtime.kv import connect_redis
from bytespike_runtime.settings import Secret
from bytespike_text.app import amain
from bytespike_text.settings import TextSettings
from tests.integration.text_vendor import (
    BLOCK,
    DELTA,
    ENDING,
    MESSAGE,
    OVERLOADED,
    START,
    STOP,
    WHOLE_COST_UUSD,
    WHOLE_STREAM,
    Peer,
    Reply,
    Vendor,
    message_delta,
    paused_stream,
    silent,
    stream,
    whole,
)
from tests.support.raw_http import raw_server

__all__ = [
    "BLOCK",
    "DELTA",
    "ENDING",
    "HOLD_UUSD",
    "INTERNAL_TOKEN",
    "MESSAGE",
    "MODEL",
    "OVERLOADED",
    "START",
    "STOP",
    "WHOLE_COST_UUSD",
    "WHOLE_STREAM",
    "HttpResponse",
    "Peer",
    "Principal",
    "Reply",
    "TextUnderTest",
    "Vendor",
    "at",
    "free_port",
    "message_body",
    "message_delta",
    "paused_stream",
    "ready",
    "running_text",
    "silent",
    "stream",
    "whole",
]

INTERNAL_TOKEN = "internal-token-of-the-tests"
MODEL = "claude-sonnet-4-5"
RATES = Rates(
    input_uusd=3_000_000,
    output_uusd=15_000_000,
    cache_read_uusd=300_000,
    cache_write_5m_uusd=3_750_000,
    cache_write_1h_uusd=6_000_000,
)
HOLD_UUSD = 1_000_000

_MODELS = """
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

[[groups]]
id = "default"
"""
_CHANNEL = """
[[channels]]
id = "{id}"
dialect = "anthropic"
base_url = "{url}"
credential = "env:TEST_VENDOR_KEY"
models = {{ claude-sonnet-4-5 = "{upstream_name}" }}
connect_timeout_s = 1.0
{more}
"""


@dataclass
class TextUnderTest:
    """The router, its surroundings and a client in the edge's place."""

    url: str
    ops_url: str
    vendors: list[Vendor]
    redis_url: str
    redis: Redis
    consumer: PullConsumer
    client: HttpClient
    catalogue: Path
    spool_dir: Path
    _events: dict[str, UsageEvent] = field(default_factory=dict)

    @property
    def vendor(self) -> Vendor:
        return self.vendors[0]

    async def admit(self, *, balance_uusd: int = 10_000_000, **fields: Any) -> Principal:
        """Load an account and take a hold in it, as the edge would."""
        now_ms = int(time.time() * 1000)
        account_id = mint_id("acct", now_ms, secrets.token_bytes(10))
        request_id = mint_id("req", now_ms, secrets.token_bytes(10))
        key_id = mint_id("key", now_ms, secrets.token_bytes(10))
        wallet = holds.wallet_name(account_id)
        load = holds.project_args(balance_uusd=balance_uusd, version=1, open_account=True)
        await self.redis.eval(holds.PROJECT, 1, wallet, *load)
        admit = holds.admit_args(
            request_id,
            HOLD_UUSD,
            concurrency=5,
            scopes=(holds.ScopeCaps(key_id, SpendCaps()),),
        )
        admission = holds.read_admission(await self.redis.eval(holds.ADMIT, 1, wallet, *admit))
        assert admission.refusal is None
        grant = Grant(
            rates=RATES,
            price_revision="rev",
            hold_uusd=HOLD_UUSD,
            admitted_ms=admission.admitted_ms,
            scopes=(key_id,),
        )
        return Principal(
            **{
                "request_id": request_id,
                "account_id": account_id,
                "key_id": key_id,
                "group": "default",
                "scopes": ("inference",),
                "grant": grant,
                **fields,
            }
        )

    async def account(self, principal: Principal) -> holds.AccountState:
        """What Redis knows of the account now."""
        look = holds.admit_args(
            "look",
            -1,
            concurrency=5,
            scopes=(holds.ScopeCaps(principal.key_id, SpendCaps()),),
        )
        wallet = holds.wallet_name(principal.account_id)
        state = holds.read_admission(await self.redis.eval(holds.ADMIT, 1, wallet, *look)).state
        assert state is not None
        return state

    async def open(
        self,
        principal: Principal | None,
        *,
        body: bytes | None = None,
        stream: bool = False,
        path: str = "/v1/messages",
        headers: Mapping[str, str] = {},
        method: str = "POST",
    ) -> HttpResponse:
        """The response head; the body is the caller's to read."""
        if body is None:
            body = message_body(stream=stream)
        every = {INTERNAL_TOKEN_HEADER: INTERNAL_TOKEN, "content-type": "application/json"}
        if principal is not None:
            if principal.reading is None:
                principal = msgspec.structs.replace(principal, reading=reading_of(body))
            every[PRINCIPAL_HEADER] = encode_principal(principal)
        every.update(headers)
        origin, base = Origin.parse(self.url)
        return await self.client.request(
            method,
            origin,
            base + path,
            [(name, value) for name, value in every.items() if value],
            body,
            connect_timeout_s=2,
            first_byte_timeout_s=10,
        )

    async def call(self, principal: Principal | None, **kwargs: Any) -> tuple[HttpResponse, bytes]:
        """The whole answer."""
        response = await self.open(principal, **kwargs)
        return response, await response.read(limit_bytes=1 << 26, idle_timeout_s=10)

    async def event(self, principal: Principal, *, within_s: float = 10.0) -> UsageEvent:
        """The request's one usage event, as the ledger would get it."""
        async with asyncio.timeout(within_s):
            while principal.request_id not in self._events:
                await self.pull()
        return self._events.pop(principal.request_id)

    async def pull(self) -> None:
        """Take what is in the stream; the same request twice is an error of the router's."""
        try:
            messages = await self.consumer.fetch(16, timeout_s=0.2)
        except BusUnavailable:  # some tests take NATS away; it is on its way back
            await asyncio.sleep(0.05)
            return
        for message in messages:
            for usage_event in decode_batch(message.body):
                assert usage_event.request_id not in self._events
                self._events[usage_event.request_id] = usage_event
            await message.ack()

    async def released(self, principal: Principal) -> holds.AccountState:
        """The account once the hold is finished."""
        async with asyncio.timeout(5):
            while True:
                state = await self.account(principal)
                if not state.slots_in_use:
                    return state
                await asyncio.sleep(0.005)

    async def until_metric(self, line: str, value: float) -> None:
        """Wait until a series has this value."""
        async with asyncio.timeout(10):
            while await self.metric(line) != value:  # noqa: ASYNC110 - it is another process's
                await asyncio.sleep(0.02)

    async def metric(self, line: str) -> float:
        """The value of one exposed series, 0 if it is not there."""
        origin, _ = Origin.parse(self.ops_url)
        response = await self.client.request(
            "GET", origin, "/metrics", [], connect_timeout_s=2, first_byte_timeout_s=5
        )
        text = (await response.read(limit_bytes=1 << 22, idle_timeout_s=5)).decode()
        for row in text.splitlines():
            name, _, value = row.rpartition(" ")
            if name == line:
                return float(value)
        return 0.0


def reading_of(body: bytes) -> Reading | None:
    """What the edge would say of this body; nothing about one that it would not let pass."""
    try:
        fields, span = shallow_at(body, "model")
    except BadClientMessage:
        return None
    return Reading(model=MODEL, model_span=span, stream=bytes(fields.get("stream", b"")) == b"true")


def message_body(*, stream: bool = False, **fields: Any) -> bytes:
    """A small request."""
    body = {
        "model": MODEL,
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "hello"}],
        **({"stream": True} if stream else {}),
        **fields,
    }
    return msgspec.json.encode(body)


def catalogue_text(
    vendors: Iterable[Vendor], more: Iterable[str] = (), upstream_name: str = MODEL
) -> str:
    """A catalogue with one channel per vendor, the first with the best priority."""
    extras = [*more]
    channels = [
        _CHANNEL.format(
            id=vendor.name,
            url=vendor.url,
            upstream_name=upstream_name,
            more=(extras[n] if n < len(extras) else "") or f"priority = {100 - n}",
        )
        for n, vendor in enumerate(vendors)
    ]
    return "".join([_MODELS, *channels])


@asynccontextmanager
async def running_text(
    tmp_path: Path,
    *,
    redis_url: str,
    nats_url: str,
    vendors: int = 1,
    channels: Iterable[str] = (),
    upstream_name: str = MODEL,
    **settings: Any,
) -> AsyncIterator[TextUnderTest]:
    """A router in front of scripted vendors; ``channels`` are extra TOML lines for each."""
    async with AsyncExitStack() as opened:
        scripted = [await _vendor(opened, f"vendor-{n}") for n in range(vendors)]
        catalogue = tmp_path / "catalogue.toml"
        catalogue.write_text(catalogue_text(scripted, channels, upstream_name))
        text_settings = TextSettings(
            **{
                "port": free_port(),
                "ops_port": free_port(),
                "redis_url": redis_url,
                "nats_url": nats_url,
                "catalogue": str(catalogue),
                "internal_token": Secret(INTERNAL_TOKEN),
                "spool_dir": str(tmp_path / "spool"),
                "drain_timeout_s": 5.0,
                "bench_s": 1.0,
                **settings,
            }
        )
        redis = connect_redis(redis_url)
        opened.push_async_callback(redis.aclose)
        client = HttpClient()
        opened.push_async_callback(client.close)
        under_test = TextUnderTest(
            url=f"http://127.0.0.1:{text_settings.port}",
            ops_url=f"http://127.0.0.1:{text_settings.ops_port}",
            vendors=scripted,
            redis_url=redis_url,
            redis=redis,
            consumer=await _usage_stream(opened, nats_url),
            client=client,
            catalogue=catalogue,
            spool_dir=tmp_path / "spool",
        )
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            router = group.create_task(amain(text_settings, stop))
            try:
                await ready(client, under_test.ops_url)
                yield under_test
            finally:
                stop.set()
                await router


async def _vendor(opened: AsyncExitStack, name: str) -> Vendor:
    vendor = Vendor(name)
    server = await opened.enter_async_context(raw_server(vendor.serve))
    vendor.url = server.url
    return vendor


async def _usage_stream(opened: AsyncExitStack, nats_url: str) -> PullConsumer:
    """The stream as the ledger makes it, read in the ledger's place."""
    bus = Bus(nats_url)
    await bus.start()
    opened.push_async_callback(bus.close)
    await bus.ensure_stream(
        USAGE_STREAM, [USAGE_SUBJECTS], max_bytes=64 << 20, max_age_s=0, duplicate_window_s=120
    )
    return await bus.pull_consumer(
        USAGE_STREAM, SETTLE_CONSUMER, ack_wait_s=30, max_ack_pending=1000
    )


def at(text: TextUnderTest, url: str) -> TextUnderTest:
    """The same surroundings with another router."""
    return replace(text, url=url)


async def ready(client: HttpClient, ops_url: str) -> None:
    """Wait until the service says it can work."""
    origin, _ = Origin.parse(ops_url)
    answered = False

    async def ask() -> bool:
        try:
            response = await client.request(
                "GET", origin, "/readyz", [], connect_timeout_s=1, first_byte_timeout_s=2
            )
        except Exception:  # noqa: BLE001 - whatever it is, it is not ready
            return False
        await response.read(limit_bytes=1 << 16, idle_timeout_s=2)
        return response.status == 200

    async with asyncio.timeout(10):
        while not answered:
            answered = await ask()
            await asyncio.sleep(0.01)
