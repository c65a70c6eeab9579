"""A gateway of its own for breaking: its parts are killed and started again, test by test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.gateway import Gateway, running_gateway

CATALOGUE = Path(__file__).parents[1] / "e2e" / "catalogue.toml"


@pytest.fixture(scope="session")
async def breakable(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    async with running_gateway(
        tmp_path_factory.mktemp("breakable"),
        catalogue=CATALOGUE,
        environment={"REFUSED_VENDOR_SECRET": "sk-sim-bad"},
        # What a killed Postgres has committed must be there again.
        durable=True,
    ) as gateway:
        yield gateway


@pytest.fixture
async def gateway(breakable: Gateway) -> AsyncIterator[Gateway]:
    """Whole at the beginning, and whole again at the end, whatever a failed test left behind."""
    await breakable.simulator.reset()
    yield breakable
    for part in breakable.stack.parts.values():
        if part.child is not None and not part.child.running:
            await part.start()
