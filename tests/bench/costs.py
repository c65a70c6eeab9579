"""What one unit of work costs in CPU: closed-loop rounds of several targets in turn."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.bench.load import Ask, Load, Target
from tests.bench.meters import CpuMeter
from tests.bench.rig import PATH_SERVICES, Rig

__all__ = ["CONCURRENCY", "Cost", "Effort", "closed_loop", "closed_loops", "median", "warmed_up"]

CONCURRENCY = 32


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How long to measure. Short runs show regressions of tens of percent, long ones of a few."""

    rounds: int
    requests: int
    seconds: float
    idle_streams: int


@dataclass(frozen=True, kw_only=True)
class Cost:
    """One closed-loop round: CPU per unit (request or event) of each process, in microseconds."""

    per_s: float
    cpu_us: dict[str, float]

    @property
    def path_us(self) -> float:
        """Of the two services a text request passes through."""
        return sum(self.cpu_us[name] for name in PATH_SERVICES)


async def closed_loops(
    rig: Rig,
    effort: Effort,
    asked: Ask,
    *,
    requests: int,
    concurrency: int = CONCURRENCY,
    units: int = 1,
) -> dict[str, list[Cost]]:
    """Rounds of every target after a short one that is not counted; ``units`` per request share
    its CPU.
    """
    costs: dict[str, list[Cost]] = {target.name: [] for target in rig.targets}
    await warmed_up(rig, rig.targets, asked, requests=requests, concurrency=concurrency)
    for _ in range(effort.rounds):
        for target in rig.targets:
            cost = await closed_loop(
                rig, target, asked, requests=requests, concurrency=concurrency, units=units
            )
            costs[target.name].append(cost)
    return costs


async def warmed_up(
    rig: Rig, targets: Sequence[Target], asked: Ask, *, requests: int, concurrency: int
) -> None:
    """A quarter of the load, not counted: connections and caches are there afterwards."""
    for target in targets:
        await Load(rig.client, target, asked).closed_loop(
            requests=requests // 4, concurrency=concurrency
        )


async def closed_loop(
    rig: Rig,
    target: Target,
    asked: Ask,
    *,
    requests: int,
    concurrency: int = CONCURRENCY,
    units: int = 1,
) -> Cost:
    """One round of one target."""
    meter = CpuMeter(rig.pids)
    seen = await rig.seen()
    meter.start()
    per_s = await Load(rig.client, target, asked).closed_loop(
        requests=requests, concurrency=concurrency
    )
    spent = meter.seconds()
    answered = await rig.seen() - seen
    cpu_us = {name: seconds * 1e6 / answered / units for name, seconds in spent.items()}
    return Cost(per_s=per_s, cpu_us=cpu_us)


def median(values: Iterable[float]) -> float:
    """The middle one."""
    return statistics.median(values)
