"""The whole gateway on one machine: servers, migrations, simulator and services as processes.

`bytespike up`, the end-to-end tests and the bench all run this class; they differ only in options.
Every part has a fixed port for the life of the stack, so it can be killed and started again while
the others go on.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bytespike_cli.gateway_api import Probe
from bytespike_cli.home import Home
from bytespike_cli.migrate import migrate_all
from bytespike_cli.ports import LOOPBACK, free_port
from bytespike_cli.processes import Child, ChildFailed
from bytespike_cli.servers import LocalServer, NatsServer, PostgresServer, RedisServer
from bytespike_cli.vendors import choose_vendors

__all__ = ["Part", "Service", "Stack", "StackOptions"]

_READY_TIMEOUT_S = 60.0
_POLL_S = 0.05
_WATCH_S = 0.2
#: Seconds a stopping service may spend on requests in flight; production drains far longer.
_DRAIN_S = 10.0
_STOP_MARGIN_S = 5.0

#: ``progress(part, seconds)`` is told each part that became ready.
Progress = Callable[[str, float], None]

#: Service -> (package, the word in its variables), in start order; stopped in reverse.
_SERVICES = {
    "ledger": ("bytespike_ledger", "LEDGER"),
    "text-router": ("bytespike_text", "TEXT"),
    "media": ("bytespike_media", "MEDIA"),
    "edge": ("bytespike_edge", "EDGE"),
}


class Part(Protocol):
    """What servers and services have in common."""

    @property
    def name(self) -> str: ...

    @property
    def child(self) -> Child | None: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def kill(self) -> None: ...


class Service:
    """One process of ours with its base URL and its ops URL (health and metrics)."""

    def __init__(
        self,
        name: str,
        argv: Iterable[str],
        *,
        home: Home,
        environment: Mapping[str, str],
        url: str,
        health_url: str,
        probe: Probe,
    ) -> None:
        self.name = name
        self.url = url
        self.health_url = health_url
        self.child = Child(name, [sys.executable, *argv], home=home, env=environment)
        self._probe = probe
        self._stop_grace_s = float(environment["BYTESPIKE_DRAIN_TIMEOUT_S"]) + _STOP_MARGIN_S
        self._last_answer = "no answer yet"

    @property
    def metrics_url(self) -> str:
        return self.health_url.rpartition("/")[0] + "/metrics"

    async def answers(self) -> bool:
        """Whether it says itself that it is ready."""
        ready, self._last_answer = await self._probe.is_ready(self.health_url)
        return ready

    async def start(self) -> None:
        """Spawn it and wait until ready; also after :meth:`kill`."""
        self.child.spawn()
        await self.child.ready(self.answers, timeout_s=_READY_TIMEOUT_S)

    async def stop(self) -> None:
        await self.child.stop(grace_s=self._stop_grace_s)

    def kill(self) -> None:
        self.child.kill()

    def complaint(self) -> str:
        """Why it is not ready, for error messages."""
        return f"{self.name} is not ready ({self._last_answer}):\n{self.child.log_tail()}"


@dataclass(frozen=True, kw_only=True)
class StackOptions:
    """``environment`` is what services inherit: it may name external servers, ports and vendor
    keys, and wins over what the stack would choose. ``service_environment`` adds to single
    services. ``edges`` > 1 gives further edges named ``edge-2``... on the same state.
    """

    catalogue: Path
    environment: Mapping[str, str]
    service_environment: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    edge_port: int | None = None
    edges: int = 1
    durable: bool = True


class Stack:
    """A gateway below one home. :meth:`start` it, use it, :meth:`stop` it whatever happened."""

    def __init__(self, home: Home, options: StackOptions) -> None:
        self.home = home
        self.options = options
        self.servers: dict[str, LocalServer] = {}
        self.services: dict[str, Service] = {}
        self.simulator: Service | None = None
        self.admin_token = self._secret("BYTESPIKE_ADMIN_TOKEN", "admin-token")
        self._probe = Probe()
        self._shared = dict(options.environment)
        self._plan_servers()
        self.nats_url = self._shared["BYTESPIKE_NATS_URL"]
        self._plan_shared_settings()
        simulator_port = free_port()
        self.vendors = choose_vendors(
            options.catalogue, self._shared, simulator_url=f"http://{LOOPBACK}:{simulator_port}"
        )
        self._shared |= self.vendors.environment
        if self.vendors.simulated:
            self._plan_simulator(simulator_port)
        self._plan_services()

    @property
    def base_url(self) -> str:
        return self.services["edge"].url

    @property
    def parts(self) -> dict[str, Part]:
        """Everything that runs, by name, in start order."""
        simulator = {} if self.simulator is None else {self.simulator.name: self.simulator}
        return {**self.servers, **simulator, **self.services}

    async def start(self, progress: Progress = lambda part, seconds: None) -> None:
        """Bring everything up. Raises :class:`ChildFailed`; then call :meth:`stop` all the same."""
        for name, server in self.servers.items():
            began = time.monotonic()
            await server.start()
            progress(name, time.monotonic() - began)
        began = time.monotonic()
        await migrate_all(self._shared["BYTESPIKE_POSTGRES_URL"])
        progress("migrations", time.monotonic() - began)
        await self._start_services(progress)

    async def stop(self) -> None:
        """Stop what runs, last started first; nothing of it is left when this returns."""
        for part in reversed(self.parts.values()):
            await part.stop()
        await self._probe.close()

    def kill(self) -> None:
        """End everything at once, without drain or checkpoint."""
        for part in reversed(self.parts.values()):
            part.kill()

    async def restart(self, name: str) -> None:
        """Stop one part in its own good way and start it again on its port."""
        await self.parts[name].stop()
        await self.parts[name].start()

    async def watch(self) -> None:
        """Return only by raising :class:`ChildFailed`, when a part has ended by itself."""
        while True:
            _check_alive(self.parts.values())
            await asyncio.sleep(_WATCH_S)

    async def _start_services(self, progress: Progress) -> None:
        simulator = [] if self.simulator is None else [self.simulator]
        waiting = [*simulator, *self.services.values()]
        began = time.monotonic()
        for service in waiting:
            service.child.spawn()
        while waiting:
            _check_alive(self.parts.values())
            if time.monotonic() - began > _READY_TIMEOUT_S:
                raise ChildFailed("\n".join(service.complaint() for service in waiting))
            for service in list(waiting):
                if await service.answers():
                    waiting.remove(service)
                    progress(service.name, time.monotonic() - began)
            await asyncio.sleep(_POLL_S)

    def _plan_servers(self) -> None:
        durable = self.options.durable
        makers: dict[str, Callable[[], LocalServer]] = {
            "BYTESPIKE_POSTGRES_URL": lambda: PostgresServer(self.home, durable=durable),
            "BYTESPIKE_REDIS_URL": lambda: RedisServer(self.home),
            "BYTESPIKE_NATS_URL": lambda: NatsServer(self.home),
        }
        for variable, make in makers.items():
            if not self._shared.get(variable):
                server = make()
                self.servers[server.name] = server
                self._shared[variable] = server.url

    def _plan_shared_settings(self) -> None:
        self._shared["BYTESPIKE_CATALOGUE"] = str(self.options.catalogue)
        self._shared["BYTESPIKE_ADMIN_TOKEN"] = self.admin_token
        internal_token = self._secret("BYTESPIKE_INTERNAL_TOKEN", "internal-token")
        self._shared["BYTESPIKE_INTERNAL_TOKEN"] = internal_token
        # The weakest of the names that may set it: whoever brings keys of their own is heard.
        keys_path = str(self.home.encryption_keys_path())
        self._shared.setdefault("BYTESPIKE_ENCRYPTION_KEYS_FILE", keys_path)
        # A developer's receiver runs on the same machine, without a certificate.
        self._shared.setdefault("BYTESPIKE_WEBHOOK_HTTP_HOSTS", "localhost,127.0.0.1,::1")
        self._shared.setdefault("BYTESPIKE_WEBHOOK_ALLOWED_NETWORKS", "127.0.0.0/8,::1/128")
        self._shared.setdefault("BYTESPIKE_TEXT_SPOOL_DIR", str(self.home.root / "spool"))
        self._shared.setdefault("BYTESPIKE_DRAIN_TIMEOUT_S", f"{_DRAIN_S:g}")
        self._shared.setdefault("BYTESPIKE_LOG_FORMAT", "json")

    def _plan_simulator(self, port: int) -> None:
        url = f"http://{LOOPBACK}:{port}"
        for word in ("EDGE", "TEXT"):  # lets a client ask the simulator for a fault
            self._shared.setdefault(f"BYTESPIKE_{word}_FORWARD_HEADERS", "x-simulator-fault")
        self.simulator = Service(
            "simulator",
            ["-m", "bytespike_cli", "simulator", "--port", str(port)],
            home=self.home,
            environment=self._shared,
            url=url,
            health_url=f"{url}/healthz",
            probe=self._probe,
        )

    def _plan_services(self) -> None:
        ports = {name: self._port(word) for name, (_, word) in _SERVICES.items()}
        for name in ("text-router", "media", "ledger"):
            variable = f"BYTESPIKE_EDGE_{_SERVICES[name][1]}_URL"
            self._shared.setdefault(variable, f"http://{LOOPBACK}:{ports[name]}")
        for name, (package, word) in _SERVICES.items():
            self._add_service(name, package, word, ports[name])
        for number in range(2, self.options.edges + 1):
            self._add_service(f"edge-{number}", "bytespike_edge", "EDGE", free_port())

    def _add_service(self, name: str, package: str, word: str, port: int) -> None:
        ops_variable = f"BYTESPIKE_{word}_OPS_PORT"
        ops_port = self._shared.get(ops_variable) if name in _SERVICES else None
        ops_port = ops_port or str(free_port())
        environment = {
            **self._shared,
            **self.options.service_environment.get(name, {}),
            f"BYTESPIKE_{word}_PORT": str(port),
            ops_variable: ops_port,
        }
        self.services[name] = Service(
            name,
            ["-m", package],
            home=self.home,
            environment=environment,
            url=f"http://{LOOPBACK}:{port}",
            health_url=f"http://{LOOPBACK}:{ops_port}/readyz",
            probe=self._probe,
        )

    def _port(self, word: str) -> int:
        if word == "EDGE" and self.options.edge_port is not None:
            return self.options.edge_port
        return int(self._shared.get(f"BYTESPIKE_{word}_PORT") or free_port())

    def _secret(self, variable: str, name: str) -> str:
        return self.options.environment.get(variable) or self.home.secret(name)


def _check_alive(parts: Iterable[Part]) -> None:
    for part in parts:
        if part.child is not None and not part.child.running:
            raise ChildFailed(part.child.obituary())
