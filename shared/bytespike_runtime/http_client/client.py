"""The client: a bounded pool of connections for each origin.

Idle connections are taken last in, first out, so that the surplus of a burst grows old and closes.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Iterable
from functools import cached_property

from bytespike_runtime.http_client.connection import Connection
from bytespike_runtime.http_client.errors import ConnectFailed
from bytespike_runtime.http_client.origin import Origin, encode_head
from bytespike_runtime.http_client.response import HttpResponse

__all__ = ["HttpClient"]


class HttpClient:
    """Sends requests, one at a time on each connection, reusing connections per origin.

    ``max_connections_per_origin`` bounds sockets; a request that finds all of them busy waits
    within its connect timeout. ``keepalive_s`` is how long an idle connection is kept: choose it
    below the server's own limit. ``ssl_context`` replaces the verifying default for https origins.
    """

    def __init__(
        self,
        *,
        max_connections_per_origin: int = 2048,
        keepalive_s: float = 30.0,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._max_connections = max_connections_per_origin
        self._keepalive_s = keepalive_s
        self._given_ssl_context = ssl_context
        # One pool for each upstream of the catalogue, so bounded by configuration.
        self._pools: dict[Origin, _Pool] = {}
        self._closed = False

    async def request(
        self,
        method: str,
        origin: Origin,
        target: str,
        headers: Iterable[tuple[str, str]],
        body: bytes = b"",
        *,
        connect_timeout_s: float,
        first_byte_timeout_s: float,
    ) -> HttpResponse:
        """Send a request and return when the final response head is complete (1xx are skipped).

        ``target`` is origin-form (``/v1/messages?beta=true``), percent-encoded. ``Host``,
        ``Content-Length`` and the connection headers are the client's own. The first-byte clock
        starts when a connection is there. Raises the errors of the package's ``errors`` module, and
        ``ValueError`` for a request that must not be put on a wire.
        """
        pool = self._pools.get(origin)
        if pool is None:
            pool = self._pools[origin] = self._new_pool(origin)
        head = encode_head(method, target, pool.authority, headers, body_bytes=len(body))
        connection = await pool.acquire(connect_timeout_s)
        return await connection.exchange(
            head,
            body,
            first_byte_timeout_s=first_byte_timeout_s,
            is_head_request=method == "HEAD",
        )

    async def close(self) -> None:
        """Drop every connection, busy ones too, and refuse new requests."""
        self._closed = True
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            await pool.close()

    def _new_pool(self, origin: Origin) -> _Pool:
        if self._closed:
            raise ConnectFailed("the client is closed")
        context = self._ssl_context if origin.scheme == "https" else None
        return _Pool(origin, context, limit=self._max_connections, keepalive_s=self._keepalive_s)

    @cached_property
    def _ssl_context(self) -> ssl.SSLContext:
        if self._given_ssl_context is not None:
            return self._given_ssl_context
        context = ssl.create_default_context()  # reads the system's authorities: only if needed
        context.set_alpn_protocols(["http/1.1"])
        return context


class _Pool:
    """Connections to one origin. ``_free_slots`` is how many more may be busy; together with taking
    idle ones first this bounds all of them, since a new one is opened only while none is idle.
    """

    def __init__(
        self,
        origin: Origin,
        ssl_context: ssl.SSLContext | None,
        *,
        limit: int,
        keepalive_s: float,
    ) -> None:
        self.authority = origin.authority
        self._origin = origin
        self._ssl_context = ssl_context
        self._keepalive_s = keepalive_s
        # A counter and a queue instead of a semaphore: it is taken twice for every request, and
        # nearly always a slot is free.
        self._free_slots = limit
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._closed = False
        self._emptied = asyncio.Event()

    async def acquire(self, timeout_s: float) -> Connection:
        """An idle connection or a new one, marked as in use. Raises :class:`ConnectFailed`."""
        if self._free_slots and not self._waiting and (connection := self._take_idle()):
            self._free_slots -= 1
            return connection
        try:
            async with asyncio.timeout(timeout_s):
                await self._take_slot()
                return self._take_idle() or await self._connect_in_slot()
        except TimeoutError as error:
            raise ConnectFailed(f"no connection within {timeout_s} s") from error

    def released(self, connection: Connection) -> None:
        """ConnectionOwner: back to the idle ones."""
        self._leave_slot(connection)
        connection.stay_idle(self._keepalive_s)
        self._idle.append(connection)

    def lost(self, connection: Connection) -> None:
        """ConnectionOwner: forget it."""
        self._open.discard(connection)
        if connection.in_use:
            self._leave_slot(connection)
        elif connection in self._idle:
            self._idle.remove(connection)
        if self._closed and not self._open:
            self._emptied.set()

    async def close(self) -> None:
        """Drop all connections and wait until their sockets are closed."""
        self._closed = True
        for connection in list(self._open):
            connection.shut_down()
        if self._open:
            await self._emptied.wait()

    def _take_idle(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                connection.in_use = True
                return connection
        return None

    def _leave_slot(self, connection: Connection) -> None:
        connection.in_use = False
        self._give_slot()

    async def _take_slot(self) -> None:
        """Wait for a slot, first come first served."""
        if self._free_slots and not self._waiting:
            self._free_slots -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_slot()  # it came while we were being cancelled: the next one's
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise

    def _give_slot(self) -> None:
        """Hand a slot to the first who waits, or keep it free."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free_slots += 1

    async def _connect_in_slot(self) -> Connection:
        try:
            connection = await self._connect()
        except BaseException:
            self._give_slot()
            raise
        connection.in_use = True
        return connection

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(
                lambda: Connection(self, loop),
                self._origin.host,
                self._origin.port,
                ssl=self._ssl_context,
            )
        except TimeoutError:
            raise
        except (OSError, UnicodeError) as error:  # UnicodeError: a name IDNA cannot spell
            raise ConnectFailed(f"cannot connect: {error}") from error
        if self._closed or not connection.usable:
            connection.abort()
            raise ConnectFailed("closed while connecting")
        self._open.add(connection)
        return connection
