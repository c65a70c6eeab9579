"""The router while its surroundings fail: NATS or Redis away, the process killed or told to go."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import psutil
import pytest

from bytespike_cli.home import Home
from bytespike_cli.servers import NatsServer, RedisServer
from bytespike_contracts import holds
from bytespike_contracts.settlement import Outcome
from bytespike_runtime.http_client import Origin, ResponseBroken
from tests.integration import text_setup as setup
from tests.integration.text_setup import running_text
from tests.support.raw_http import eventually
from tests.support.servers import running


@pytest.fixture(scope="module", autouse=True)
def vendor_key() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEST_VENDOR_KEY", "vendor-key")
        yield


async def test_requests_go_on_without_nats_and_their_events_come_later(
    tmp_path: Path, redis_url: str
) -> None:
    async with (
        running(NatsServer(Home(tmp_path / "home"))) as nats,
        running_text(tmp_path, redis_url=redis_url, nats_url=nats.url) as text,
    ):
        await nats.stop()
        principals = [await text.admit() for _ in range(70)]
        for principal in principals:
            response, _ = await text.call(principal)
            assert response.status == 200
        await text.until_metric("bytespike_text_spool_events", 70)
        await nats.start()
        for principal in principals:
            event = await text.event(principal)
            assert event.charge_uusd == setup.WHOLE_COST_UUSD
        await text.until_metric("bytespike_text_spool_events", 0)


async def test_a_hold_redis_lost_is_put_back_and_finished(tmp_path: Path, nats_url: str) -> None:
    async with (
        running(RedisServer(Home(tmp_path / "home"))) as redis,
        running_text(tmp_path, redis_url=redis.url, nats_url=nats_url) as text,
    ):
        text.vendor.answer(
            setup.paused_stream(setup.START + setup.BLOCK, setup.message_delta() + setup.STOP)
        )
        principal = await text.admit()
        response = await text.open(principal, stream=True)
        redis.kill()
        await redis.start()
        await load(text, principal)
        async with asyncio.timeout(10):
            while (await text.account(principal)).pending_uusd != setup.HOLD_UUSD:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        for _ in range(2):
            text.vendor.next()
        await response.read(limit_bytes=1 << 20, idle_timeout_s=5)
        state = await text.released(principal)
        assert (state.pending_uusd, state.slots_in_use) == (setup.WHOLE_COST_UUSD, 0)
        assert (await text.event(principal)).charge_uusd == setup.WHOLE_COST_UUSD


async def test_an_answer_does_not_wait_for_a_redis_that_is_away(
    tmp_path: Path, nats_url: str
) -> None:
    async with (
        running(RedisServer(Home(tmp_path / "home"))) as redis,
        running_text(tmp_path, redis_url=redis.url, nats_url=nats_url) as text,
    ):
        principal = await text.admit()
        await redis.stop()
        response, body = await text.call(principal)
        assert (response.status, body) == (200, setup.MESSAGE)
        assert (await text.event(principal)).charge_uusd == setup.WHOLE_COST_UUSD
        await text.until_metric("bytespike_text_finish_failures_total", 1)
        await redis.start()


async def test_a_full_spool_refuses_paid_requests_only(tmp_path: Path, redis_url: str) -> None:
    async with (
        running(NatsServer(Home(tmp_path / "home"))) as nats,
        running_text(
            tmp_path, redis_url=redis_url, nats_url=nats.url, spool_limit_bytes=1 << 20
        ) as text,
    ):
        await nats.stop()
        async with asyncio.TaskGroup() as group:
            for _ in range(16):
                group.create_task(until_refused(text))
        principal = await text.admit()
        response, _ = await text.call(principal)
        assert (response.status, response.headers.get("retry-after")) == (503, "5")
        text.vendor.answer(setup.whole(b'{"input_tokens": 1}'))
        free = msgspec.structs.replace(principal, grant=None)
        response, _ = await text.call(free, path="/v1/messages/count_tokens")
        assert response.status == 200
        await nats.start()
        await text.until_metric("bytespike_text_spool_events", 0)
        text.vendor.answer(setup.whole())
        assert (await text.call(await text.admit()))[0].status == 200
        while await text.consumer.pending():
            await text.pull()


async def test_a_killed_router_loses_no_charge(
    tmp_path: Path, redis_url: str, nats_url: str
) -> None:
    async with running_text(tmp_path, redis_url=redis_url, nats_url=nats_url) as text:
        # A second router of its own on the same spool folder, cut off from NATS, dies with events.
        async with process(text, nats_url="nats://127.0.0.1:9") as (url, child):
            other = setup.at(text, url)
            settled = await text.admit()
            response, _ = await other.call(settled)
            assert response.status == 200
            text.vendor.answer(setup.paused_stream(setup.START + setup.DELTA))
            cut = await text.admit()
            await other.open(cut, stream=True)
            await eventually(lambda: bool(text.vendor.asks))
            child.send_signal(signal.SIGKILL)
            await child.wait()
        async with process(text, nats_url=nats_url):
            event = await text.event(settled)
        assert (event.outcome, event.charge_uusd) == (Outcome.COMPLETED, setup.WHOLE_COST_UUSD)
        await text.pull()
        assert cut.request_id not in text._events
        # The request that was under way leaves a hold, and the hold has a lease.
        assert (await text.account(cut)).slots_in_use == 1


async def test_a_router_told_to_stop_ends_its_streams_properly(
    tmp_path: Path, redis_url: str, nats_url: str
) -> None:
    parts = (setup.START + setup.BLOCK + setup.DELTA, setup.message_delta() + setup.STOP)
    async with running_text(tmp_path, redis_url=redis_url, nats_url=nats_url) as text:
        async with process(text, nats_url=nats_url) as (url, child):
            text.vendor.answer(setup.paused_stream(*parts))
            principal = await text.admit()
            response = await setup.at(text, url).open(principal, stream=True)
            received = [await response.chunk(idle_timeout_s=5)]
            child.send_signal(signal.SIGTERM)
            for _ in parts:
                text.vendor.next()
            received.append(await response.read(limit_bytes=1 << 20, idle_timeout_s=5))
            async with asyncio.timeout(10):
                assert await child.wait() == 0
        assert b"".join(received) == b"".join(parts)
        assert (await text.event(principal)).outcome is Outcome.COMPLETED


async def test_a_drain_that_takes_too_long_cuts_and_settles(
    tmp_path: Path, redis_url: str, nats_url: str
) -> None:
    async with running_text(tmp_path, redis_url=redis_url, nats_url=nats_url) as text:
        async with process(text, nats_url=nats_url, BYTESPIKE_TEXT_DRAIN_TIMEOUT_S="0.2") as (
            url,
            child,
        ):
            text.vendor.answer(setup.paused_stream(setup.START + setup.BLOCK + setup.DELTA))
            principal = await text.admit()
            response = await setup.at(text, url).open(principal, stream=True)
            await response.chunk(idle_timeout_s=5)
            child.send_signal(signal.SIGTERM)
            with pytest.raises(ResponseBroken):
                await response.read(limit_bytes=1 << 20, idle_timeout_s=5)
            async with asyncio.timeout(10):
                assert await child.wait() == 0
        event = await text.event(principal)
        assert (event.outcome, event.charge_uusd) == (Outcome.BROKE_UPSTREAM, 0)
        assert (await text.released(principal)).pending_uusd == 0


async def test_a_drain_waits_for_a_request_whose_client_has_left(
    tmp_path: Path, redis_url: str, nats_url: str
) -> None:
    """No connection tells of it any more; it is read to its end for the exact usage."""
    parts = (setup.START + setup.BLOCK + setup.DELTA, setup.message_delta() + setup.STOP)
    async with running_text(
        tmp_path, redis_url=redis_url, nats_url=nats_url, channels=['disconnect = "drain"']
    ) as text:
        async with process(text, nats_url=nats_url) as (url, child):
            text.vendor.answer(setup.paused_stream(*parts))
            principal = await text.admit()
            response = await setup.at(text, url).open(principal, stream=True)
            await response.chunk(idle_timeout_s=5)
            response.abort()
            # What the vendor sends next must not race with the news that the client has left.
            await eventually(lambda: not open_clients(child.pid, url))
            child.send_signal(signal.SIGTERM)
            async with asyncio.timeout(5):
                while await reachable(url):
                    pass
            for _ in parts:
                text.vendor.next()
            async with asyncio.timeout(10):
                assert await child.wait() == 0
        event = await text.event(principal)
        assert (event.outcome, event.estimated) == (Outcome.CLIENT_LEFT_LATE, False)
        assert (await text.released(principal)).slots_in_use == 0


def open_clients(pid: int, url: str) -> list[object]:
    """Connections to ``url`` that the process has not closed yet."""
    port = Origin.parse(url)[0].port
    return [
        each
        for each in psutil.Process(pid).net_connections("tcp")
        if each.laddr.port == port and each.status != psutil.CONN_LISTEN
    ]


async def reachable(url: str) -> bool:
    origin, _ = Origin.parse(url)
    try:
        _, writer = await asyncio.open_connection(origin.host, origin.port)
    except OSError:
        return False
    writer.close()
    await asyncio.sleep(0.01)
    return True


async def until_refused(text: setup.TextUnderTest) -> None:
    while (await text.call(await text.admit()))[0].status == 200:
        pass


async def load(text: setup.TextUnderTest, principal: setup.Principal) -> None:
    """Open the account in an empty Redis, as the ledger's rebuild does."""
    args = holds.project_args(balance_uusd=10_000_000, version=1, open_account=True)
    wallet = holds.wallet_name(principal.account_id)
    await text.redis.connection_pool.disconnect()  # of the server that was killed
    async with asyncio.timeout(5):
        await text.redis.eval(holds.PROJECT, 1, wallet, *args)


@asynccontextmanager
async def process(
    text: setup.TextUnderTest, *, nats_url: str, **environment: str
) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """A router in a process of its own, on the same catalogue and spool folder."""
    port, ops_port = setup.free_port(), setup.free_port()
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bytespike_text",
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "BYTESPIKE_TEXT_PORT": str(port),
            "BYTESPIKE_TEXT_OPS_PORT": str(ops_port),
            "BYTESPIKE_REDIS_URL": text.redis_url,
            "BYTESPIKE_NATS_URL": nats_url,
            "BYTESPIKE_CATALOGUE": str(text.catalogue),
            "BYTESPIKE_INTERNAL_TOKEN": setup.INTERNAL_TOKEN,
            "BYTESPIKE_TEXT_SPOOL_DIR": str(text.spool_dir),
            **environment,
        },
    )
    try:
        await setup.ready(text.client, f"http://127.0.0.1:{ops_port}")
        yield f"http://127.0.0.1:{port}", child
    finally:
        if child.returncode is None:
            child.send_signal(signal.SIGTERM)
            async with asyncio.timeout(20):
                await child.wait()
