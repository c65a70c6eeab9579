"""CPU and memory of process trees, read from the system, not from the processes' own mouths."""

from __future__ import annotations

from collections.abc import Mapping

import psutil

__all__ = ["CpuMeter", "rss_bytes"]


class CpuMeter:
    """User plus system seconds of named process trees since :meth:`start`."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self._began: dict[str, float] = {}

    def start(self) -> None:
        self._began = self._now()

    def seconds(self) -> dict[str, float]:
        now = self._now()
        return {name: now[name] - self._began[name] for name in self._pids}

    def _now(self) -> dict[str, float]:
        return {name: sum(map(_cpu_s, _tree(pid))) for name, pid in self._pids.items()}


def rss_bytes(pid: int) -> int:
    """Resident memory of a process tree."""
    return sum(process.memory_info().rss for process in _tree(pid))


def _tree(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    # Children that have ended are counted with their parent; live ones are in the tree themselves.
    return float(times.user + times.system + times.children_user + times.children_system)
