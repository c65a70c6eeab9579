"""Fixtures every test may ask for: real servers, started once per session and worker.

``*_server`` is the process (kill it only if it is your own: see ``tests.support.servers.running``);
``*_url`` is where it answers. A server nobody asks for is not started.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import pytest

from bytespike_cli.home import Home
from bytespike_cli.servers import NatsServer, PostgresServer, RedisServer
from tests.support.servers import running


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Where the session's servers keep data, logs and secrets."""
    return Home(tmp_path_factory.mktemp("servers"))


@pytest.fixture(scope="session")
async def postgres_server(home: Home) -> AsyncIterator[PostgresServer]:
    async with running(PostgresServer(home, durable=False)) as server:
        yield server


@pytest.fixture(scope="session")
async def redis_server(home: Home) -> AsyncIterator[RedisServer]:
    async with running(RedisServer(home)) as server:
        yield server


@pytest.fixture(scope="session")
async def nats_server(home: Home) -> AsyncIterator[NatsServer]:
    async with running(NatsServer(home)) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_url(postgres_server: PostgresServer) -> str:
    """The session's own empty database."""
    return postgres_server.url


@pytest.fixture
def fresh_postgres_url(postgres_server: PostgresServer) -> str:
    """A new, empty database for one test."""
    return postgres_server.create_database(f"test_{secrets.token_hex(6)}")


@pytest.fixture(scope="session")
def redis_url(redis_server: RedisServer) -> str:
    return redis_server.url


@pytest.fixture(scope="session")
def nats_url(nats_server: NatsServer) -> str:
    return nats_server.url
