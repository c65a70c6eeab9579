"""The NATS bus against a real NATS that is late, killed, hung, or has lost its disk."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bytespike_cli.home import Home
from bytespike_cli.servers import NatsServer
from bytespike_runtime.bus import Bus, BusError, BusUnavailable, PullConsumer
from tests.support.raw_http import eventually
from tests.support.servers import running


@asynccontextmanager
async def bus_to(url: str) -> AsyncIterator[Bus]:
    bus = Bus(url)
    await bus.start()
    try:
        yield bus
    finally:
        await bus.close()


@pytest.fixture
async def own_nats(tmp_path: Path) -> AsyncIterator[NatsServer]:
    """A NATS this test may kill."""
    async with running(NatsServer(Home(tmp_path / "nats"))) as server:
        yield server


async def stream_on(bus: Bus, *, max_bytes: int = 1_000_000) -> str:
    name = f"S{secrets.token_hex(6)}"
    await bus.ensure_stream(
        name, [f"{name}.*"], max_bytes=max_bytes, max_age_s=0, duplicate_window_s=60
    )
    return name


async def consumer_on(bus: Bus, stream: str, *, ack_wait_s: float = 30) -> PullConsumer:
    return await bus.pull_consumer(stream, "worker", ack_wait_s=ack_wait_s, max_ack_pending=1000)


async def publish(bus: Bus, stream: str, *bodies: bytes) -> None:
    for body in bodies:
        await bus.publish(f"{stream}.1", body, message_id=secrets.token_hex(8))


async def test_a_broadcast_reaches_every_subscriber(nats_url: str) -> None:
    async with bus_to(nats_url) as sender, bus_to(nats_url) as listener:
        heard: list[bytes] = []
        subject = f"news.{secrets.token_hex(4)}"
        await listener.subscribe(subject, heard.append)
        await listener.ping()
        await sender.broadcast(subject, b"hello")
        await eventually(lambda: heard == [b"hello"])


async def test_messages_come_in_order_and_leave_when_acknowledged(nats_url: str) -> None:
    async with bus_to(nats_url) as bus:
        stream = await stream_on(bus)
        consumer = await consumer_on(bus, stream)
        bodies = [b"%d" % number for number in range(30)]
        await publish(bus, stream, *bodies)
        assert await consumer.pending() == 30
        messages = await consumer.fetch(20, 1.0)
        messages += await consumer.fetch(20, 1.0)
        assert [message.body for message in messages] == bodies
        assert {message.deliveries for message in messages} == {1}
        assert messages[0].subject == f"{stream}.1"
        assert await consumer.pending() == 30
        for message in messages:
            await message.ack()
        assert await consumer.fetch(1, 0.05) == []
        assert await consumer.pending() == 0


async def test_the_same_message_id_is_stored_once(nats_url: str) -> None:
    async with bus_to(nats_url) as bus:
        stream = await stream_on(bus)
        consumer = await consumer_on(bus, stream)
        for _ in range(3):
            await bus.publish(f"{stream}.1", b"once", message_id="same")
        assert await consumer.pending() == 1


async def test_a_waiting_fetch_returns_with_the_first_message(nats_url: str) -> None:
    async with bus_to(nats_url) as bus:
        stream = await stream_on(bus)
        consumer = await consumer_on(bus, stream)
        fetching = asyncio.create_task(consumer.fetch(100, 20.0))
        await bus.ping()
        loop = asyncio.get_running_loop()
        began = loop.time()
        await publish(bus, stream, b"now")
        (message,) = await fetching
        assert message.body == b"now"
        assert loop.time() - began < 5


async def test_nak_delivers_again_and_term_does_not(nats_url: str) -> None:
    async with bus_to(nats_url) as bus:
        stream = await stream_on(bus)
        consumer = await consumer_on(bus, stream)
        await publish(bus, stream, b"again", b"never")
        again, never = await consumer.fetch(2, 1.0)
        await again.nak(0.05)
        await never.term()
        (message,) = await consumer.fetch(2, 5.0)
        assert (message.body, message.deliveries) == (b"again", 2)


async def test_what_nobody_acknowledges_comes_again(nats_url: str) -> None:
    async with bus_to(nats_url) as bus:
        stream = await stream_on(bus)
        consumer = await consumer_on(bus, stream, ack_wait_s=0.1)
        await publish(bus, stream, b"forgotten")
        await consumer.fetch(1, 1.0)
        (message,) = await consumer.fetch(1, 5.0)
        assert message.deliveries == 2


async def test_a_full_stream_refuses_rather_than_forgets(nats_url: str) -> None:
    async with bus_to(nats_url) as bus:
        stream = await stream_on(bus, max_bytes=4_000)
        consumer = await consumer_on(bus, stream)
        await publish(bus, stream, b"a" * 1_500, b"b" * 1_500)
        with pytest.raises(BusUnavailable, match="not stored"):
            await publish(bus, stream, b"c" * 1_500)
        assert await consumer.pending() == 2


async def test_a_stream_can_be_changed_and_an_impossible_one_is_an_error(nats_url: str) -> None:
    async with bus_to(nats_url) as bus:
        name = await stream_on(bus)
        for max_bytes in (1_000_000, 2_000_000):
            await bus.ensure_stream(
                name, [f"{name}.*"], max_bytes=max_bytes, max_age_s=0, duplicate_window_s=60
            )
        with pytest.raises(BusError):
            await bus.ensure_stream(
                f"{name}-2", [f"{name}.*"], max_bytes=1_000, max_age_s=0, duplicate_window_s=60
            )


async def test_what_no_stream_takes_is_not_published(nats_url: str) -> None:
    async with bus_to(nats_url) as bus:
        with pytest.raises(BusUnavailable, match="nobody answers"):
            await publish(bus, "nothing", b"x")
        with pytest.raises(BusError, match="more than NATS takes"):
            await publish(bus, "nothing", b"x" * 2_000_000)


async def test_it_starts_without_nats_and_makes_up_for_it(own_nats: NatsServer) -> None:
    await own_nats.stop()
    async with bus_to(own_nats.url) as bus:
        heard: list[bytes] = []
        await bus.subscribe("news", heard.append)
        with pytest.raises(BusUnavailable):
            await stream_on(bus)
        for attempt in (bus.ping(), bus.broadcast("news", b""), publish(bus, "x", b"")):
            with pytest.raises(BusUnavailable):
                await attempt
        await own_nats.start()
        await eventually(lambda: bus.connected)
        await bus.broadcast("news", b"hello")
        await eventually(lambda: heard == [b"hello"])


async def test_a_killed_nats_fails_everyone_at_once_and_loses_nothing(own_nats: NatsServer) -> None:
    async with bus_to(own_nats.url) as bus:
        returns: list[int] = []
        bus.on_reconnect.append(lambda: returns.append(1))
        stream = await stream_on(bus)
        consumer = await consumer_on(bus, stream)
        await publish(bus, stream, b"kept")
        (message,) = await consumer.fetch(1, 1.0)
        fetching = asyncio.create_task(consumer.fetch(1, 60.0))
        await bus.ping()
        own_nats.kill()
        async with asyncio.timeout(5):
            with pytest.raises(BusUnavailable):
                await fetching
        with pytest.raises(BusUnavailable):
            await message.ack()
        await own_nats.start()
        await eventually(lambda: returns == [1])
        await message.ack()
        await publish(bus, stream, b"after")
        (message,) = await consumer.fetch(1, 2.0)
        assert message.body == b"after"


async def test_a_nats_that_lost_its_disk_gets_stream_and_consumer_again(
    own_nats: NatsServer,
) -> None:
    async with bus_to(own_nats.url) as bus:
        stream = await stream_on(bus)
        consumer = await consumer_on(bus, stream)
        await publish(bus, stream, b"lost")
        own_nats.kill()
        await eventually(lambda: not bus.connected)
        for data in own_nats.folder.rglob("jetstream"):
            shutil.rmtree(data)
        await own_nats.start()
        await eventually(lambda: bus.connected)
        await publish(bus, stream, b"new")
        (message,) = await consumer.fetch(5, 2.0)
        assert message.body == b"new"


async def test_a_consumer_deleted_by_an_operator_is_made_again(nats_url: str) -> None:
    async with bus_to(nats_url) as bus:
        stream = await stream_on(bus)
        consumer = await consumer_on(bus, stream)
        await publish(bus, stream, b"x")
        assert await consumer.pending() == 1
        await bus.link().api(f"CONSUMER.DELETE.{stream}.worker", b"")
        with pytest.raises(BusUnavailable):
            await consumer.fetch(1, 1.0)
        (message,) = await consumer.fetch(1, 1.0)
        assert message.body == b"x"


async def test_a_hung_nats_is_not_waited_for_and_works_when_it_wakes(own_nats: NatsServer) -> None:
    assert own_nats.child is not None
    async with bus_to(own_nats.url) as bus:
        stream = await stream_on(bus)
        own_nats.child.send(signal.SIGSTOP)
        with pytest.raises(BusUnavailable, match="no answer"):
            await bus.publish(f"{stream}.1", b"x", message_id="1", timeout_s=0.2)
        own_nats.child.send(signal.SIGCONT)
        await eventually(lambda: bus.connected)
        await bus.ping()
        await bus.publish(f"{stream}.1", b"x", message_id="1")
        consumer = await consumer_on(bus, stream)
        assert await consumer.pending() == 1


async def test_a_wrong_password_is_not_connected(nats_server: NatsServer) -> None:
    async with bus_to(f"nats://u:wrong@127.0.0.1:{nats_server.port}") as bus:
        assert not bus.connected
        with pytest.raises(BusUnavailable):
            await bus.ping()
