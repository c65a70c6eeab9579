"""One gateway with two edges for the whole session, and fresh customers on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.support.gateway import Customer, Gateway, running_gateway

CATALOGUE = Path(__file__).with_name("catalogue.toml")

NewCustomer = Callable[..., Awaitable[Customer]]


@pytest.fixture(scope="session")
async def shared_gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    async with running_gateway(
        tmp_path_factory.mktemp("gateway"),
        catalogue=CATALOGUE,
        edges=2,
        environment={
            "REFUSED_VENDOR_SECRET": "sk-sim-bad",
            # A channel that a test got benched is back for the next one.
            "BYTESPIKE_TEXT_BENCH_S": "0.2",
            # Silence is filled sooner than in life; no test means to be this slow by itself.
            "BYTESPIKE_TEXT_KEEPALIVE_S": "3",
        },
        # The second edge stands behind one proxy, so both ways to see an address can be tested.
        # Tests with wrong credentials all come from one address, which only the second edge minds
        # (there a test can say where it comes from).
        service_environment={
            "edge": {"BYTESPIKE_EDGE_AUTH_FAILURES_PER_MINUTE": "1000000"},
            "ledger": {"BYTESPIKE_LEDGER_AUTH_FAILURES_PER_MINUTE": "1000000"},
            "edge-2": {"BYTESPIKE_EDGE_TRUSTED_HOPS": "1"},
        },
    ) as gateway:
        yield gateway


@pytest.fixture
async def gateway(shared_gateway: Gateway) -> Gateway:
    """The gateway, its vendor as if newly started."""
    await shared_gateway.simulator.reset()
    return shared_gateway


@pytest.fixture
async def customer(gateway: Gateway) -> Customer:
    """Somebody with 100 USD and no limits."""
    return await gateway.customer()
