"""A real text-router between a test and scripted vendors: real sockets, real Redis, real NATS.

The router runs in the test's own loop, put together by its own ``amain``. What the edge does before
it (admit) and the ledger after it (read the stream) is done by the test with the same scripts.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
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
    encode_principal,
)
from bytespike_contracts.subjects import SETTLE_CONSUMER, USAGE_STREAM, USAGE_SUBJECTS
from bytespike_contracts.usage import UsageEvent, decode_batch
from bytespike_runtime.bus import Bus, BusUnavailable, PullConsumer
from bytespike_runtime.http_client import HttpClient, HttpResponse, Origin
from bytespike_runtime.kv import connect_redis
from bytespike_runtime.settings import Secret
from bytespike_text.app import amain
from bytespike_text.settings import TextSettings
from tests.support.raw_http import Peer, RawServer, raw_server

__all__ = [
    "BLOCK",
    "DELTA",
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


def event(name: str, data: Mapping[str, Any]) -> bytes:
    """One event as the vendor writes it."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(data))


START = event(
    "message_start",
    {
        "type": "message_start",
        "message": {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "content": [],
            "stop_reason": None,
            "usage": {"input_tokens": 100, "output_tokens": 1},
        },
    },
)
BLOCK = event(
    "content_block_start",
    {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "text", "text": ""},
    },
)
DELTA = event(
    "content_block_delta",
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": "twelve bytes"},
    },
)


def message_delta(stop_reason: str = "end_turn", output_tokens: int | None = 20) -> bytes:
    """The event that reports the end and the usage."""
    usage = {} if output_tokens is None else {"usage": {"output_tokens": output_tokens}}
    data = {"type": "message_delta", "delta": {"stop_reason": stop_reason}, **usage}
    return event("message_delta", data)


STOP = event("message_stop", {"type": "message_stop"})
OVERLOADED = event(
    "error", {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
)
WHOLE_STREAM = START + BLOCK + DELTA + message_delta() + STOP
#: 100 input and 20 output tokens at the rates above.
WHOLE_COST_UUSD = 600

MESSAGE = msgspec.json.encode(
    {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "content": [{"type": "text", "text": "hi"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 100, "output_tokens": 20},
    }
)


@dataclass(frozen=True)
class Ask:
    """One request as a vendor got it."""

    head: bytes
    body: bytes

    def header(self, name: str) -> str | None:
        for line in self.head.decode().split("\r\n")[1:]:
            found, _, value = line.partition(":")
            if found.lower() == name:
                return value.strip()
        return None

    @property
    def target(self) -> str:
        return self.head.split(b" ")[1].decode()


Reply = Callable[["Vendor", Peer], Awaitable[None]]


def whole(
    body: bytes = MESSAGE,
    *,
    status: int = 200,
    content_type: str = "application/json",
    **headers: str,
) -> Reply:
    """A complete body; ``x_name`` becomes the header ``x-name``."""
    lines = [
        f"HTTP/1.1 {status} X",
        f"content-type: {content_type}",
        f"content-length: {len(body)}",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    raw = "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    async def reply(_: Vendor, peer: Peer) -> None:
        await peer.send(raw)

    return reply


STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)


def chunk(data: bytes) -> bytes:
    """One HTTP chunk; empty data is the end of the body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def stream(*parts: bytes, end: bool = True) -> Reply:
    """Send these parts, each by itself; without ``end`` the connection drops after the last."""

    async def reply(vendor: Vendor, peer: Peer) -> None:
        await peer.send(STREAM_HEAD)
        for part in parts:
            await peer.send(chunk(part))
        if not end:
            raise ConnectionError
        await peer.send(chunk(b""))

    return reply


def paused_stream(*parts: bytes) -> Reply:
    """Wait for :meth:`Vendor.next` before each part but the first, and before the end."""

    async def reply(vendor: Vendor, peer: Peer) -> None:
        await peer.send(STREAM_HEAD)
        for n, part in enumerate(parts):
            if n:
                await vendor.word(peer)
            await peer.send(chunk(part))
        await vendor.word(peer)
        await peer.send(chunk(b""))

    return reply


async def silent(vendor: Vendor, peer: Peer) -> None:
    """Never answer."""
    await peer.hang_up_seen()
    vendor.hang_ups += 1


class Vendor:
    """Answers by script: ``replies`` in order, then the last one for ever."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.replies: list[Reply] = [whole()]
        self.asks: list[Ask] = []
        self.hang_ups = 0
        self.url = ""
        self._words: asyncio.Queue[None] = asyncio.Queue()

    async def word(self, peer: Peer) -> None:
        """Wait for :meth:`next`, or end the script when the router hangs up."""
        word = asyncio.create_task(self._words.get())
        hang_up = asyncio.create_task(peer.hang_up_seen())
        await asyncio.wait({word, hang_up}, return_when=asyncio.FIRST_COMPLETED)
        left = hang_up.done()
        word.cancel()
        hang_up.cancel()
        if left:
            raise ConnectionError

    def next(self) -> None:
        self._words.put_nowait(None)

    async def serve(self, peer: Peer) -> None:
        while True:
            head, body = await peer.request()
            reply = self.replies[min(len(self.asks), len(self.replies) - 1)]
            self.asks.append(Ask(head, body))
            await reply(self, peer)

    def answer(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.asks.clear()
        self._words = asyncio.Queue()


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
            model=MODEL,
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
        scripted = []
        for n in range(vendors):
            vendor = Vendor(f"vendor-{n}")
            server: RawServer = await opened.enter_async_context(raw_server(vendor.serve))
            vendor.url = server.url
            scripted.append(vendor)
        catalogue = tmp_path / "catalogue.toml"
        catalogue.write_text(catalogue_text(scripted, channels, upstream_name))
        port, ops_port = free_port(), free_port()
        text_settings = TextSettings(
            **{
                "port": port,
                "ops_port": ops_port,
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
        bus = Bus(nats_url)
        await bus.start()
        opened.push_async_callback(bus.close)
        await bus.ensure_stream(
            USAGE_STREAM,
            [USAGE_SUBJECTS],
            max_bytes=64 << 20,
            max_age_s=0,
            duplicate_window_s=120,
        )
        client = HttpClient()
        opened.push_async_callback(client.close)
        under_test = TextUnderTest(
            url=f"http://127.0.0.1:{port}",
            ops_url=f"http://127.0.0.1:{ops_port}",
            vendors=scripted,
            redis_url=redis_url,
            redis=redis,
            consumer=await bus.pull_consumer(
                USAGE_STREAM, SETTLE_CONSUMER, ack_wait_s=30, max_ack_pending=1000
            ),
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
