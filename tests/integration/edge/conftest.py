"""One edge per module, with everything at its default, in front of a calm router."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.edge.surroundings import EdgeUnderTest, running_edge, whole


@pytest.fixture(scope="module")
async def edge(
    redis_url: str, nats_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[EdgeUnderTest]:
    """Shared by a module's tests, each of which makes accounts of its own."""
    folder = tmp_path_factory.mktemp("edge")
    async with running_edge(
        redis_url, nats_url, folder, forward_headers=("x-simulator-fault",)
    ) as started:
        yield started


@pytest.fixture(autouse=True)
def calm_router(edge: EdgeUnderTest) -> None:
    """Each test starts with a router that answers and has seen nothing."""
    edge.router.answer = whole()
    edge.router.seen.clear()
    edge.router.hang_ups = 0
