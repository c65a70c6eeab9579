"""What is measured. Each scenario runs its targets in turn, round after round, so that whatever
else the machine does meets all of them; reported is the median round.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterable, Sequence

from bytespike_protocols.ir import Dialect
from tests.bench.canned import CANNED
from tests.bench.costs import CONCURRENCY, Effort, closed_loops, median
from tests.bench.load import Ask, Load, Target, Timing, message
from tests.bench.meters import rss_bytes
from tests.bench.report import Row
from tests.bench.rig import PATH_SERVICES, Rig
from tests.support.stack import clean_environment

__all__ = [
    "bodies",
    "idle_memory",
    "latency",
    "relay",
    "settlement",
    "start_up",
    "streams",
    "ttft",
]

_RATE_PER_S = 200.0
_STREAM_RATE_PER_S = 50.0
_CATCH_UP_S = 60.0
_PACKAGES = {
    "edge": "bytespike_edge",
    "text-router": "bytespike_text",
    "media": "bytespike_media",
    "ledger": "bytespike_ledger",
}


async def relay(rig: Rig, effort: Effort) -> list[Row]:
    """Non-streamed calls with 32 in flight: throughput, and CPU per call and process."""
    costs = await closed_loops(rig, effort, message(stream=False), requests=effort.requests)
    gateway, proxy, direct = (costs[target.name] for target in rig.targets)
    rows = [
        Row(
            measure="relay, requests in flight 32",
            unit="req/s",
            gateway=median(cost.per_s for cost in gateway),
            proxy=median(cost.per_s for cost in proxy),
            direct=median(cost.per_s for cost in direct),
        ),
        Row(
            measure="relay, CPU edge + text-router",
            unit="us/req",
            gateway=median(cost.path_us for cost in gateway),
            budget=200,
            proxy=median(cost.cpu_us["proxy"] for cost in proxy),
        ),
    ]
    return rows + [
        Row(
            measure=f"  of it {name}" if name in PATH_SERVICES else f"  besides, {name}",
            unit="us/req",
            gateway=median(cost.cpu_us[name] for cost in gateway),
        )
        for name in (*PATH_SERVICES, *(n for n in rig.stack.parts if n not in PATH_SERVICES))
    ]


async def bodies(rig: Rig, effort: Effort) -> list[Row]:
    """The same with large requests."""
    rows = []
    for size_bytes, label, budget_us in ((50_000, "50 KB", 350), (500_000, "500 KB", 1600)):
        body = message(stream=False, size_bytes=size_bytes)
        requests = max(200, effort.requests // (4 if size_bytes < 100_000 else 12))
        costs = await closed_loops(rig, effort, body, requests=requests)
        rows.append(
            Row(
                measure=f"relay, {label} body, CPU",
                unit="us/req",
                gateway=median(cost.path_us for cost in costs["gateway"]),
                budget=budget_us,
                proxy=median(cost.cpu_us["proxy"] for cost in costs["proxy"]),
            )
        )
    return rows


async def streams(rig: Rig, effort: Effort) -> list[Row]:
    """CPU per relayed event: as fast as the vendor can, and each event in a packet of its own."""
    rows = []
    # Saturated, one read carries several events; paced, each wakes both processes by itself, which
    # is dearer for everybody: there the yardstick is the limit.
    for label, events, interval_ms, count, budget_us in (
        ("saturated", 300, 0.0, 4 * CONCURRENCY, 25),
        ("paced", 100, 20.0, 6 * CONCURRENCY, None),
    ):
        await rig.pace(events=events, interval_ms=interval_ms)
        costs = await closed_loops(
            rig,
            effort,
            message(stream=True),
            requests=count,
            concurrency=CONCURRENCY if interval_ms == 0 else count,
            units=events + CANNED[Dialect.ANTHROPIC].frame_events,
        )
        rows.append(
            Row(
                measure=f"relayed event, {label}, CPU",
                unit="us/event",
                gateway=median(cost.path_us for cost in costs["gateway"]),
                budget=budget_us,
                proxy=median(cost.cpu_us["proxy"] for cost in costs["proxy"]),
            )
        )
    return rows


async def latency(rig: Rig, effort: Effort) -> list[Row]:
    """What a call takes longer than straight to the vendor, at 200 calls a second."""
    timings = await _open_loops(rig, effort, message(stream=False), rate_per_s=_RATE_PER_S)
    return _added(timings, "added latency at 200/s", lambda t: t.whole_s, budgets_ms=(1.0, 4.0))


async def ttft(rig: Rig, effort: Effort) -> list[Row]:
    """What the first token takes longer, at 50 streams a second."""
    await rig.pace(events=10, interval_ms=10)
    timings = await _open_loops(rig, effort, message(stream=True), rate_per_s=_STREAM_RATE_PER_S)
    return _added(timings, "added time to first byte", lambda t: t.first_byte_s, (1.2, 5.0))


async def idle_memory(rig: Rig, effort: Effort) -> list[Row]:
    """Memory of open streams on which nothing happens, in processes that were never busier."""
    await rig.restart()
    await rig.pace(events=1, interval_ms=60_000)
    ours = await _grown_kb(rig, effort, rig.gateway, PATH_SERVICES)
    proxy = await _grown_kb(rig, effort, rig.proxy, ("proxy",))
    return [
        Row(
            measure=f"memory of an idle stream (of {effort.idle_streams:,})",
            unit="KB",
            gateway=sum(ours.values()),
            proxy=proxy["proxy"],
            budget=45,
        ),
        *(
            Row(measure=f"  of it {name}", unit="KB", gateway=kilobytes)
            for name, kilobytes in ours.items()
        ),
    ]


async def _grown_kb(
    rig: Rig, effort: Effort, target: Target, processes: Sequence[str]
) -> dict[str, float]:
    """What each open stream adds to the resident memory of each process, in KB."""
    load = Load(rig.client, target, message(stream=True))
    async with load.held_open(effort.idle_streams // 10):
        pass  # allocator arenas and connection pools of the first streams are not what counts
    await asyncio.sleep(1.0)
    before = {name: rss_bytes(rig.pids[name]) for name in processes}
    async with load.held_open(effort.idle_streams):
        grown = {name: rss_bytes(rig.pids[name]) - before[name] for name in processes}
    return {name: grown[name] / effort.idle_streams / 1000 for name in processes}


async def settlement(rig: Rig, effort: Effort) -> list[Row]:
    """How fast a ledger that was away catches up with what it missed."""
    ledger = rig.stack.services["ledger"]
    await ledger.stop()
    load = Load(rig.client, rig.gateway, message(stream=False))
    await load.closed_loop(requests=effort.requests, concurrency=CONCURRENCY)
    ledger.child.spawn()
    # From the first settled batch on, so that starting up is not counted; that has its own row.
    async with asyncio.timeout(_CATCH_UP_S):
        while (first := await rig.settled()) == 0:  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.01)
        began = time.perf_counter()
        while (last := await rig.settled()) < effort.requests:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    seconds = time.perf_counter() - began
    return [
        Row(
            measure="ledger catching up",
            unit="events/s",
            gateway=(last - first) / seconds,
            budget=5000,
            floor=True,
        )
    ]


async def start_up(rig: Rig, effort: Effort) -> list[Row]:
    """Import time of each service, and from start to ready."""
    rows = []
    for name, package in _PACKAGES.items():
        imports = [await _import_s(package) for _ in range(effort.rounds)]
        rows.append(Row(measure=f"{name}, import", unit="s", gateway=median(imports), budget=0.6))
        service = rig.stack.services[name]
        readies = []
        for _ in range(effort.rounds):
            await service.stop()
            began = time.perf_counter()
            await service.start()
            readies.append(time.perf_counter() - began)
        rows.append(
            Row(measure=f"{name}, start to ready", unit="s", gateway=median(readies), budget=1.0)
        )
    return rows


async def _open_loops(
    rig: Rig, effort: Effort, asked: Ask, *, rate_per_s: float
) -> dict[str, list[list[Timing]]]:
    timings: dict[str, list[list[Timing]]] = {target.name: [] for target in rig.targets}
    for target in rig.targets:
        await Load(rig.client, target, asked).open_loop(rate_per_s=rate_per_s, seconds=0.5)
    for _ in range(effort.rounds):
        for target in rig.targets:
            load = Load(rig.client, target, asked)
            timings[target.name].append(
                await load.open_loop(rate_per_s=rate_per_s, seconds=effort.seconds)
            )
    return timings


def _added(
    timings: dict[str, list[list[Timing]]],
    measure: str,
    seconds: Callable[[Timing], float],
    budgets_ms: tuple[float, float],
) -> list[Row]:
    """Percentiles of each target above the same percentile of the direct way."""
    rows = []
    for percent, budget_ms in zip((50, 99), budgets_ms, strict=True):
        ms = {
            name: median(_percentile(map(seconds, one), percent) * 1000 for one in rounds)
            for name, rounds in timings.items()
        }
        rows.append(
            Row(
                measure=f"{measure}, p{percent} (direct: total)",
                unit="ms",
                gateway=ms["gateway"] - ms["direct"],
                budget=budget_ms,
                proxy=ms["proxy"] - ms["direct"],
                direct=ms["direct"],
            )
        )
    return rows


async def _import_s(package: str) -> float:
    """Seconds until everything the service is made of is imported, in a fresh process."""
    program = (
        "import time; began = time.perf_counter(); "
        f"import {package}.app; print(time.perf_counter() - began)"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, env=clean_environment()
    )
    output, _ = await process.communicate()
    return float(output)


def _percentile(values: Iterable[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
