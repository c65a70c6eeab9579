"""SIGTERM is not a failure: what runs is answered to its end before a service goes."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import pytest

from tests.support.anthropic_grammar import check_stream
from tests.support.gateway import Gateway, eventually

STREAM: dict[str, Any] = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 1000,
    "stream": True,
    "messages": [{"role": "user", "content": "Tell me of rivers."}],
}


@pytest.mark.parametrize("service", ["edge", "text-router"])
async def test_a_running_stream_is_brought_home(gateway: Gateway, service: str) -> None:
    customer = await gateway.customer()
    hold = f"drain-{service}"
    faults = f"text-bytes=2000,events=20,hold-after={hold}@13"
    asking = asyncio.create_task(customer.post(STREAM, faults=faults))
    await gateway.simulator.held(hold, 1)
    part = gateway.stack.services[service]
    part.child.send(signal.SIGTERM)

    async def not_ready() -> bool:
        return not await part.answers()

    await eventually(not_ready)
    assert part.child.running
    await gateway.simulator.release(hold)
    answer = await asking
    assert (answer.status, answer.complete) == (200, True)
    assert check_stream(answer.body).end == "stop"

    async def gone() -> bool:
        return not part.child.running

    await eventually(gone)
    assert part.child.exit_code == 0
    usage = await gateway.usage(answer.request_id)
    assert usage["outcome"] == "completed"
    await part.start()
    assert (await customer.post({**STREAM, "stream": False})).status == 200
