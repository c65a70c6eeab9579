"""Load against one target: closed loop for cost, open loop for latency, held streams for memory.

Runs in the bench's own process, which is none of the measured ones. An answer other than a whole
200 ends the bench: numbers of failures are worth nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bytespike_protocols.ir import Dialect
from bytespike_runtime.http_client import HttpClient, HttpResponse, Origin

__all__ = ["Ask", "Load", "Target", "Timing", "ask", "message"]

_PATIENCE_S = 60.0
_MAX_ANSWER_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where requests go: the gateway, the yardstick, or the vendor itself."""

    name: str
    url: str
    headers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds from the moment a request was due: to its first body byte and to its end."""

    first_byte_s: float
    whole_s: float


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One kind of request: what is posted, and where below a target's URL."""

    path: str
    body: bytes


#: The paths and bodies of each dialect around ``stream``, the model and the words. ``stream`` comes
#: first, where the vendor looks.
_SHAPES: Mapping[Dialect, tuple[str, str]] = {
    Dialect.ANTHROPIC: (
        "/v1/messages",
        '{"stream":%s,"model":"%s","max_tokens":256,"messages":[{"role":"user","content":"%s"}]}',
    ),
    Dialect.OPENAI_CHAT: (
        "/v1/chat/completions",
        '{"stream":%s,"model":"%s","max_completion_tokens":256,'
        '"messages":[{"role":"user","content":"%s"}]}',
    ),
    Dialect.OPENAI_RESPONSES: (
        "/v1/responses",
        '{"stream":%s,"model":"%s","max_output_tokens":256,"store":false,"input":"%s"}',
    ),
}
_WORDS = "all work and no play makes jack a dull boy "


def ask(dialect: Dialect, *, model: str, stream: bool, size_bytes: int = 2_000) -> Ask:
    """A small request of that dialect for ``model``, its body of about ``size_bytes``."""
    filler = (_WORDS * (size_bytes // len(_WORDS) + 1))[: max(0, size_bytes - 110)]
    if dialect is Dialect.GEMINI:
        verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
        body = '{"generationConfig":{"maxOutputTokens":256},"contents":[{"parts":[{"text":"%s"}]}]}'
        return Ask(path=f"/v1beta/models/{model}:{verb}", body=(body % filler).encode())
    path, shape = _SHAPES[dialect]
    streamed = "true" if stream else "false"
    if stream and dialect is Dialect.OPENAI_CHAT:
        streamed += ',"stream_options":{"include_usage":true}'
    return Ask(path=path, body=(shape % (streamed, model, filler)).encode())


def message(*, stream: bool, size_bytes: int = 2_000) -> Ask:
    """A Messages request that is relayed: what most scenarios send."""
    return ask(Dialect.ANTHROPIC, model="claude-sonnet-4-5", stream=stream, size_bytes=size_bytes)


class Load:
    """Sends one kind of request to one target."""

    def __init__(self, client: HttpClient, target: Target, asked: Ask) -> None:
        self._client = client
        self._target = target
        self._origin, self._path = Origin.parse(target.url)
        self._asked = asked

    async def closed_loop(self, *, requests: int, concurrency: int) -> float:
        """That many requests, ``concurrency`` in flight at any time; requests per second."""
        left = requests
        began = time.perf_counter()

        async def worker() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                await self._whole()

        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(worker())
        return requests / (time.perf_counter() - began)

    async def open_loop(self, *, rate_per_s: float, seconds: float) -> list[Timing]:
        """Requests at fixed times whatever became of the earlier ones."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.TaskGroup() as group:
            tasks = []
            for n in range(int(rate_per_s * seconds)):
                due = began + n / rate_per_s
                await asyncio.sleep(due - loop.time())
                # Timed from when it starts: how late this process wakes up is not the target's.
                tasks.append(group.create_task(self._timed()))
        return [task.result() for task in tasks]

    @asynccontextmanager
    async def held_open(self, streams: int) -> AsyncIterator[None]:
        """So many streams, each past its first byte, until the block ends."""
        held: list[HttpResponse] = []
        try:
            for _ in range(streams):
                response = await self._request()
                held.append(response)
                await response.chunk(idle_timeout_s=_PATIENCE_S)
            yield
        finally:
            for response in held:
                response.abort()

    async def _timed(self) -> Timing:
        began = time.perf_counter()
        response = await self._request()
        await response.chunk(idle_timeout_s=_PATIENCE_S)
        first_byte_s = time.perf_counter() - began
        while await response.chunk(idle_timeout_s=_PATIENCE_S):
            pass
        return Timing(first_byte_s=first_byte_s, whole_s=time.perf_counter() - began)

    async def _whole(self) -> None:
        response = await self._request()
        await response.read(limit_bytes=_MAX_ANSWER_BYTES, idle_timeout_s=_PATIENCE_S)

    async def _request(self) -> HttpResponse:
        response = await self._client.request(
            "POST",
            self._origin,
            self._path + self._asked.path,
            self._target.headers,
            self._asked.body,
            connect_timeout_s=_PATIENCE_S,
            first_byte_timeout_s=_PATIENCE_S,
        )
        if response.status != 200:
            answer = await response.read(limit_bytes=_MAX_ANSWER_BYTES, idle_timeout_s=_PATIENCE_S)
            raise RuntimeError(f"{self._target.name} answered {response.status}: {answer[:500]!r}")
        return response
