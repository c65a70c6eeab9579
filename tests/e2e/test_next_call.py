"""Whoever has an answer may ask again at once: slot and money of the last call are free by then."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.gateway import Gateway

ASK: dict[str, Any] = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 60,
    "messages": [{"role": "user", "content": "Hi"}],
}
CALLS = 200


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("faults", ["", "status=400"])
async def test_one_slot_serves_call_after_call(gateway: Gateway, stream: bool, faults: str) -> None:
    customer = await gateway.customer(concurrency=1)
    body = {**ASK, "stream": stream}
    statuses = {(await customer.post(body, faults=faults)).status for _ in range(CALLS)}
    assert statuses == {400 if faults else 200}
