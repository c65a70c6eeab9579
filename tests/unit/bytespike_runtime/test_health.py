"""Health: what makes a process ready, and that asking it is cheap."""

from __future__ import annotations

import asyncio
import time

import pytest

from bytespike_runtime import health as health_module
from bytespike_runtime.health import Health
from bytespike_runtime.unavailable import Unavailable


class Dependency:
    """Answers, fails or hangs as told, and counts how often it was asked."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.asked = 0

    async def ping(self) -> None:
        self.asked += 1
        if self.failure is not None:
            raise self.failure


async def hang() -> None:
    await asyncio.Event().wait()


async def test_a_process_without_dependencies_is_ready() -> None:
    assert await Health().ready() == (True, {})


@pytest.mark.parametrize("failure", [Unavailable("away"), OSError("away"), TimeoutError("away")])
async def test_one_bad_dependency_makes_it_not_ready(failure: Exception) -> None:
    health = Health()
    health.add("good", Dependency().ping)
    health.add("bad", Dependency(failure).ping)
    ready, answers = await health.ready()
    assert not ready
    assert answers["good"] == "ok"
    assert answers["bad"] != "ok"


async def test_a_ping_that_hangs_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_module, "_PING_TIMEOUT_S", 0.05)
    health = Health()
    health.add("stuck", hang)
    began = time.monotonic()
    assert await health.ready() == (False, {"stuck": "no answer within 0.05 s"})
    assert time.monotonic() - began < 1


async def test_everyone_who_asks_within_a_second_shares_one_ping() -> None:
    health, dependency = Health(), Dependency()
    health.add("it", dependency.ping)
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(health.ready()) for _ in range(20)]
    assert all(task.result() == (True, {"it": "ok"}) for task in asked)
    assert dependency.asked == 1


async def test_the_answer_is_not_remembered_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_module, "_REMEMBER_S", 0.0)
    health, dependency = Health(), Dependency()
    health.add("it", dependency.ping)
    assert (await health.ready())[0]
    dependency.failure = Unavailable("gone")
    assert not (await health.ready())[0]


async def test_draining_is_not_ready_whatever_the_pings_say() -> None:
    health = Health()
    health.add("it", Dependency().ping)
    health.start_draining()
    assert await health.ready() == (False, {"it": "ok", "process": "draining"})
