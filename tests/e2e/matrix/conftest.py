"""One gateway for the whole matrix, and one run of all the cells that were selected."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.matrix.run import CELL_HEADER, Cell, Outcome, run_cells
from tests.support.gateway import Gateway, running_gateway

CATALOGUE = Path(__file__).with_name("catalogue.toml")


@pytest.fixture(scope="session")
async def shared_gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    forwarded = f"x-simulator-fault,{CELL_HEADER}"
    async with running_gateway(
        tmp_path_factory.mktemp("matrix"),
        catalogue=CATALOGUE,
        environment={
            "BYTESPIKE_EDGE_FORWARD_HEADERS": forwarded,
            "BYTESPIKE_TEXT_FORWARD_HEADERS": forwarded,
            # Silence is filled sooner than in life.
            "BYTESPIKE_TEXT_KEEPALIVE_S": "1",
        },
    ) as gateway:
        yield gateway


@pytest.fixture(scope="session")
async def outcomes(request: pytest.FixtureRequest, shared_gateway: Gateway) -> dict[Cell, Outcome]:
    """Of the cells of this session's tests, all run at once."""
    callspecs = (getattr(item, "callspec", None) for item in request.session.items)
    cells = [spec.params.get("cell") for spec in callspecs if spec is not None]
    return await run_cells(shared_gateway, [cell for cell in cells if isinstance(cell, Cell)])
