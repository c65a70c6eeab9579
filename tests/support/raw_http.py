"""A server without manners: it reads whole requests and then does whatever a test tells it.

For tests of the HTTP client against peers that no proper server would imitate.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bytespike_runtime.http_client import HttpResponse

__all__ = [
    "Peer",
    "RawServer",
    "Received",
    "Script",
    "answer_bytes",
    "chunk",
    "collect",
    "eventually",
    "raw_server",
]

Script = Callable[["Peer"], Awaitable[None]]


@dataclass(frozen=True)
class Received:
    """One request as a server got it."""

    head: bytes
    body: bytes

    def header(self, name: str) -> str | None:
        """The first value of ``name`` (lower case), or None."""
        for line in self.head.decode().split("\r\n")[1:]:
            found, _, value = line.partition(":")
            if found.lower() == name:
                return value.strip()
        return None


def answer_bytes(
    body: bytes, *, status: int, content_type: str, headers: Mapping[str, str]
) -> bytes:
    """A complete answer; ``x_name`` among ``headers`` becomes the header ``x-name``."""
    lines = [
        f"HTTP/1.1 {status} X",
        f"content-type: {content_type}",
        f"content-length: {len(body)}",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chunk(data: bytes) -> bytes:
    """One HTTP chunk; empty data is the end of the body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


@dataclass(eq=False)
class Peer:
    """One accepted connection, as the script sees it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    server: RawServer

    async def request(self) -> tuple[bytes, bytes]:
        """Head and body of the next request; ``IncompleteReadError`` when the client has left."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        body = await self.reader.readexactly(length)
        self.server.heads.append(head)
        return head, body

    async def send(self, data: bytes) -> None:
        """Write and wait until the socket took it."""
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """Close with RST: the client sees an error where it would see the end."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def hang_up_seen(self) -> None:
        """Return when the client has closed the connection."""
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:
            pass
        self.server.hang_ups += 1


@dataclass
class RawServer:
    """What a test wants to know about the other side."""

    port: int = 0
    connections: int = 0
    hang_ups: int = 0
    sent_bytes: int = 0
    heads: list[bytes] = field(default_factory=list)
    #: For scripts that wait for the test's word.
    go: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def raw_server(
    script: Script, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[RawServer]:
    """Run ``script`` for each connection; a client that leaves ends its script quietly.

    On exit every connection is dropped and ``go`` is set, which must be enough to end a script.
    """
    state = RawServer()
    peers: set[Peer] = set()
    idle = asyncio.Event()
    idle.set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        state.connections += 1
        peer = Peer(reader, writer, state)
        peers.add(peer)
        idle.clear()
        try:
            await script(peer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            peers.discard(peer)
            if not peers:
                idle.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    state.port = server.sockets[0].getsockname()[1]
    try:
        yield state
    finally:
        server.close()
        state.go.set()
        for peer in peers:
            peer.writer.transport.abort()
        async with asyncio.timeout(5):
            await idle.wait()


async def collect(
    response: HttpResponse, received: list[bytes], *, push: bool = False, idle_timeout_s: float = 2
) -> None:
    """Append the body to ``received`` piece by piece, so that a failure shows what came before."""

    def sink(data: bytes) -> bool:
        received.append(data)
        return True

    if push:
        await response.pump(sink, idle_timeout_s=idle_timeout_s)
        return
    while piece := await response.chunk(idle_timeout_s=idle_timeout_s):
        received.append(piece)


async def eventually(condition: Callable[[], bool], *, within_s: float = 5.0) -> None:
    """Poll until the condition holds; fail the test when it does not in time."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - the condition is on the other side
            await asyncio.sleep(0.002)
