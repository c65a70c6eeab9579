"""The ledger's loops outlive their dependencies, and take over a new catalogue while they run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bytespike_cli.home import Home
from bytespike_cli.servers import NatsServer, PostgresServer
from bytespike_contracts.catalogue import parse_catalogue
from bytespike_ledger.catalogue import CatalogueWatch
from tests.support.eventually import eventually
from tests.support.ledger import CATALOGUE, Rig, ledger, replaced
from tests.support.servers import running


@pytest.fixture(scope="module")
async def own_postgres(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PostgresServer]:
    """A Postgres that may be killed; durable, because it has to come back with everything."""
    async with running(PostgresServer(Home(tmp_path_factory.mktemp("own-postgres")))) as server:
        yield server


@pytest.fixture(scope="module")
async def own_nats(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[NatsServer]:
    """A NATS that may be killed."""
    async with running(NatsServer(Home(tmp_path_factory.mktemp("own-nats")))) as server:
        yield server


@pytest.fixture(scope="module")
async def rig(
    own_postgres: PostgresServer, redis_url: str, own_nats: NatsServer
) -> AsyncIterator[Rig]:
    async with ledger(own_postgres.url, redis_url, own_nats.url) as rig:
        yield rig


@pytest.fixture
async def consuming(rig: Rig) -> AsyncIterator[None]:
    """The consumer's own loop runs during the test."""
    task = asyncio.create_task(rig.consumer.run())
    yield
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.usefixtures("consuming")
async def test_events_wait_while_postgres_is_away(rig: Rig, own_postgres: PostgresServer) -> None:
    customer = await rig.customer(1_000)
    own_postgres.kill()
    await rig.publish(rig.event(customer, output_tokens=1))
    await rig.publish(rig.event(customer, output_tokens=2))
    await own_postgres.start()

    async def settled() -> bool:
        return await rig.balance(customer) == 970

    await eventually(settled, within_s=30)
    assert await rig.dirty_checks() == set()


@pytest.mark.usefixtures("consuming")
async def test_the_consumer_comes_back_after_nats(rig: Rig, own_nats: NatsServer) -> None:
    customer = await rig.customer(1_000)
    own_nats.kill()
    await eventually(lambda: not rig.bus.connected)
    await own_nats.start()
    await eventually(lambda: rig.bus.connected)
    await rig.publish(rig.event(customer, output_tokens=3))

    async def settled() -> bool:
        return await rig.balance(customer) == 970

    await eventually(settled, within_s=30)


async def test_a_new_catalogue_brings_its_prices_and_a_bad_one_changes_nothing(
    rig: Rig, tmp_path: Path
) -> None:
    file = tmp_path / "catalogue.toml"
    file.write_text(CATALOGUE)
    watch = CatalogueWatch(str(file), rig.books.prices)
    await watch.look()

    dearer = CATALOGUE.replace('output = "10"', 'output = "20"')
    revision = parse_catalogue(dearer, {}).revision
    assert rig.books.prices.rates(revision, "default", "m-1") is None
    file.write_text(dearer)
    await watch.look()
    assert watch.current.revision == revision

    customer = await rig.customer(1_000)
    new = replaced(rig.event(customer, output_tokens=1), price_revision=revision, charge_uusd=20)
    old = rig.event(customer, output_tokens=1)
    await rig.publish(new, old)
    await rig.settle_all()
    assert await rig.balance(customer) == 970, "each event is priced by its own revision"

    file.write_text("models = 3")
    await watch.look()
    assert watch.current.revision == revision
