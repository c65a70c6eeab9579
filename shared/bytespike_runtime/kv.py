"""Redis: one pipelined connection for the hot path, redis-py for everything else.

:class:`ScriptPipe` sends all commands of one turn of the event loop in one write and matches the
replies by order. It never sends anything twice on its own: when a connection dies, every command
without a reply fails with :class:`KvUnavailable`, and only the caller knows whether repeating it is
safe (a script may have run although its reply was lost).
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit

import hiredis

from bytespike_runtime.backoff import Backoff
from bytespike_runtime.logs import get_logger
from bytespike_runtime.unavailable import Unavailable

if TYPE_CHECKING:
    from redis.asyncio import Redis

__all__ = ["KvError", "KvUnavailable", "RedisAddress", "ScriptPipe", "connect_redis"]

Word = str | int | bytes

#: Connecting, authenticating and loading scripts; a TLS handshake across zones fits several times.
_CONNECT_TIMEOUT_S = 2.0
_SOCKET_TIMEOUT_S = 5.0
#: A turn of the loop in between is what matters; a busy loop may take longer for it.
_SECOND_LOOK_S = 0.02

#: Error words with which Redis says that it cannot serve now, rather than that we asked nonsense.
_NOT_NOW = frozenset(
    {"BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "NOREPLICAS", "OOM", "READONLY"}
)
_NOTHING = object()

_log = get_logger()


class KvUnavailable(Unavailable):
    """Redis is down, unreachable, overloaded or too slow; whether the command ran is not known."""


class KvError(Exception):
    """Redis refused the command (a bug of ours or of a script); ``str`` is its error line."""


@dataclass(frozen=True, kw_only=True)
class RedisAddress:
    """Where and as whom to connect; ``path`` is a Unix socket, else ``host`` and ``port`` count."""

    host: str = "localhost"
    port: int = 6379
    path: str = ""
    tls: bool = False
    username: str = ""
    password: str = field(default="", repr=False)
    database: int = 0

    @classmethod
    def parse(cls, url: str) -> RedisAddress:
        """``redis[s]://[user:password@]host[:port][/db]`` or ``unix://[user:password@]/path[?db=n]``.

        Raises ``ValueError`` (without the URL in it: it holds a password).
        """
        parts = urlsplit(url)
        if parts.scheme not in ("redis", "rediss", "unix"):
            raise ValueError("a Redis URL starts with redis://, rediss:// or unix://")
        username, password = unquote(parts.username or ""), unquote(parts.password or "")
        local = parts.scheme == "unix"
        number = parts.query.removeprefix("db=") if local else parts.path.strip("/")
        if number and not number.isdigit():
            raise ValueError("the database of a Redis URL is a number")
        database = int(number or 0)
        if local:
            path = unquote(parts.path)
            return cls(path=path, username=username, password=password, database=database)
        return cls(
            host=parts.hostname or "localhost",
            port=parts.port or 6379,
            tls=parts.scheme == "rediss",
            username=username,
            password=password,
            database=database,
        )

    def greeting(self) -> list[tuple[Word, ...]]:
        """Commands that make a new connection ours."""
        commands: list[tuple[Word, ...]] = []
        if self.password:
            login = (self.username, self.password) if self.username else (self.password,)
            commands.append(("AUTH", *login))
        if self.database:
            commands.append(("SELECT", self.database))
        return commands

    def __str__(self) -> str:
        return self.path or f"{self.host}:{self.port}"


class ScriptPipe:
    """Scripts and commands over one Redis connection that is kept up in the background.

    ``timeout_s`` bounds every call; a server that lets one expire is taken for hung, its connection
    is dropped and everything pending on it fails. ``max_pending`` bounds memory while Redis is
    slow: beyond it calls fail at once. ``on_reconnect`` callbacks run after each connection but the
    first (Redis may have lost everything in between).
    """

    def __init__(
        self,
        url: str,
        scripts: Mapping[str, str],
        *,
        timeout_s: float = 1.0,
        max_pending: int = 10_000,
    ) -> None:
        self._address = RedisAddress.parse(url)
        self._scripts = dict(scripts)
        self._digests = {name: _digest(source) for name, source in scripts.items()}
        self._timeout_s = timeout_s
        self._max_pending = max_pending
        self._wire: _Wire | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()
        self._tls = ssl.create_default_context() if self._address.tls else None
        self.on_reconnect: list[Callable[[], None]] = []

    @property
    def connected(self) -> bool:
        """Whether commands can be sent right now."""
        return self._wire is not None and self._wire.alive

    async def start(self) -> None:
        """Begin to connect, and wait until the first attempt has ended either way."""
        self._keeper = asyncio.get_running_loop().create_task(self._keep_connected())
        await self._tried.wait()

    async def close(self) -> None:
        """Drop the connection; what is pending fails."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])

    async def script(self, name: str, key: str, args: Sequence[str | int]) -> Any:
        """Run a script by its name on one key. The reply is as Redis sent it (bytes, int, list).

        Raises :class:`KvUnavailable`, or :class:`KvError` if the script itself failed.
        """
        try:
            return await self._send(("EVALSHA", self._digests[name], 1, key, *args))
        except KvError as error:
            if not _is_unknown_script(error):
                raise
        return await self._evaluate(name, key, args)

    def post(
        self,
        name: str,
        key: str,
        args: Sequence[str | int],
        then: Callable[[Exception | None], None],
        *,
        at_once: bool,
    ) -> None:
        """As :meth:`script`, but without a task: the command is queued when this returns, and
        ``then`` is called once, with None when it was carried out, else with what :meth:`script`
        would raise. Raises :class:`KvUnavailable` if it cannot be queued.

        ``at_once``: it has left, so it precedes whatever is written to any other connection from
        now on. Otherwise it leaves at the end of this loop turn, with all others of it, for one
        system call.
        """

        def replied(sent: asyncio.Future[Any]) -> None:
            error = _error_of(sent)
            if not _is_unknown_script(error):
                then(error)
                return
            try:
                again = self._evaluate(name, key, args)
            except KvUnavailable as lost:
                then(lost)
            else:
                again.add_done_callback(lambda done: then(_error_of(done)))

        sent = self._send(("EVALSHA", self._digests[name], 1, key, *args))
        sent.add_done_callback(replied)
        if at_once and self._wire is not None:
            self._wire.flush()

    async def command(self, *words: Word) -> Any:
        """Run one command; the reply is as Redis sent it. Raises as :meth:`script` does."""
        return await self._send(words)

    async def ping(self) -> None:
        """Raises :class:`KvUnavailable` unless Redis answers."""
        await self._send(("PING",))

    def _evaluate(self, name: str, key: str, args: Sequence[str | int]) -> asyncio.Future[Any]:
        """Somebody flushed the script cache: nothing ran, and EVAL loads the script again."""
        return self._send(("EVAL", self._scripts[name], 1, key, *args))

    def _send(self, words: tuple[Word, ...]) -> asyncio.Future[Any]:
        if self._wire is None:
            raise KvUnavailable("Redis is not connected")
        return self._wire.send(words)

    async def _keep_connected(self) -> None:
        backoff = Backoff()
        reported = False
        first = True
        while True:
            wire: _Wire | None = None
            try:
                async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                    wire = await self._connect()
                self._wire = wire
                _log.info("redis connected", address=str(self._address))
                self._tried.set()
                if not first:
                    for callback in self.on_reconnect:
                        callback()
                first, reported = False, False
                backoff.reset()
                await wire.lost.wait()
                _log.warning("redis connection lost", address=str(self._address))
            except (OSError, TimeoutError, KvUnavailable, KvError) as error:
                if not reported:  # once per outage, however many attempts it takes
                    _log.warning("redis unreachable", address=str(self._address), error=str(error))
                    reported = True
            finally:
                self._wire = None
                self._tried.set()
                if wire is not None:
                    wire.abort("the connection was closed")
            await backoff.wait()

    async def _connect(self) -> _Wire:
        loop = asyncio.get_running_loop()
        wire = _Wire(loop, timeout_s=self._timeout_s, max_pending=self._max_pending)
        address = self._address
        try:
            if address.path:
                await loop.create_unix_connection(lambda: wire, address.path)
            else:
                await loop.create_connection(
                    lambda: wire, address.host, address.port, ssl=self._tls
                )
            replies = [wire.send(words) for words in address.greeting()]
            replies += [wire.send(("SCRIPT", "LOAD", text)) for text in self._scripts.values()]
            replies.append(wire.send(("PING",)))
            for reply in replies:
                await reply
        except BaseException:
            wire.abort("the connection was not completed")
            raise
        return wire


class _Wire(asyncio.Protocol):
    """One connection: commands out in batches, replies back in order. Never reused once lost."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, *, timeout_s: float, max_pending: int
    ) -> None:
        self.lost = asyncio.Event()
        self._loop = loop
        self._timeout_s = timeout_s
        self._max_pending = max_pending
        self._reader = hiredis.Reader(replyError=_reply_error, notEnoughData=_NOTHING)
        self._transport: asyncio.Transport | None = None
        self._unsent: list[bytes] = []
        #: Replies awaited, oldest first, each with the time by which it must have come.
        self._waiting: deque[tuple[asyncio.Future[Any], float]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._overdue: asyncio.Future[Any] | None = None

    @property
    def alive(self) -> bool:
        """Whether commands can be sent."""
        return self._transport is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the interface but not the base class.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.abort("the connection to Redis was lost")

    def send(self, words: tuple[Word, ...]) -> asyncio.Future[Any]:
        """Queue one command for the end of this loop turn; the future gets its reply."""
        if self._transport is None:
            raise KvUnavailable("Redis is not connected")
        if len(self._waiting) >= self._max_pending:
            raise KvUnavailable("too many commands wait for Redis")
        if not self._unsent:
            self._loop.call_soon(self.flush)
        self._unsent.append(hiredis.pack_command(words))  # type: ignore[arg-type]  # stub: tuple[X] for tuple[X, ...]
        future: asyncio.Future[Any] = self._loop.create_future()
        deadline = self._loop.time() + self._timeout_s
        self._waiting.append((future, deadline))
        if self._timer is None:
            self._timer = self._loop.call_at(deadline, self._check_deadline)
        return future

    def data_received(self, data: bytes) -> None:
        """Hand replies to the oldest waiters."""
        gets, waiting = self._reader.gets, self._waiting
        try:
            self._reader.feed(data)
            while (reply := gets()) is not _NOTHING:
                future, _ = waiting.popleft()
                if future.done():
                    continue  # its caller gave up; the reply only had to be taken off the line
                if isinstance(reply, Exception):
                    future.set_exception(reply)
                else:
                    future.set_result(reply)
        except (hiredis.ProtocolError, IndexError):  # IndexError: a reply nobody asked for
            self.abort("Redis sent what is not its protocol")

    def abort(self, reason: str) -> None:
        """End the connection and fail everything that waits on it. Harmless when repeated."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        self._unsent.clear()
        while self._waiting:
            future, _ = self._waiting.popleft()
            if not future.done():
                future.set_exception(KvUnavailable(reason))
                # In a failed greeting only the first reply is awaited; the others are not news.
                future.exception()
        self.lost.set()

    def flush(self) -> None:
        """Write what is queued now instead of at the end of the loop turn."""
        if self._transport is not None and self._unsent:
            self._transport.write(b"".join(self._unsent))
            self._unsent.clear()

    def _check_deadline(self) -> None:
        """One timer for all calls: they time out in the order in which they were made."""
        self._timer = None
        if not self._waiting:
            return
        future, deadline = self._waiting[0]
        if deadline > self._loop.time():
            self._timer = self._loop.call_at(deadline, self._check_deadline)
        elif self._overdue is future:
            self.abort(f"no answer from Redis within {self._timeout_s:g} s")
        else:
            # It may have been this process that was busy: what has arrived by now is read first.
            self._overdue = future
            self._timer = self._loop.call_later(_SECOND_LOOK_S, self._check_deadline)


def connect_redis(url: str) -> Redis:
    """A redis-py client for work off the hot path; connects when first used.

    It does not retry by itself, for the same reason as :class:`ScriptPipe`.
    """
    # Imported here: redis-py takes a third of the start-up time of services that never call this.
    from redis.asyncio import Redis  # noqa: PLC0415
    from redis.asyncio.retry import Retry  # noqa: PLC0415
    from redis.backoff import NoBackoff  # noqa: PLC0415

    client: Redis = Redis.from_url(
        url,
        socket_timeout=_SOCKET_TIMEOUT_S,
        socket_connect_timeout=_CONNECT_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )
    return client


def _digest(source: str) -> str:
    return hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


def _error_of(sent: asyncio.Future[Any]) -> Exception | None:
    """What became of a command; nobody cancels these futures, but a closing loop may."""
    if sent.cancelled():
        return KvUnavailable("the call was cancelled")
    error = sent.exception()
    return error if error is None or isinstance(error, Exception) else KvUnavailable(str(error))


def _is_unknown_script(error: Exception | None) -> bool:
    return isinstance(error, KvError) and str(error).startswith("NOSCRIPT")


def _reply_error(line: str) -> Exception:
    if line.partition(" ")[0] in _NOT_NOW:
        return KvUnavailable(line)
    return KvError(line)
