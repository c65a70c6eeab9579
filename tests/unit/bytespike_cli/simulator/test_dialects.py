"""What holds whichever dialect is spoken: one answer, the same faults on the wire."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import aiohttp
import pytest

from bytespike_contracts.money import TokenUsage
from tests.support import (
    anthropic_grammar,
    gemini_grammar,
    openai_chat_grammar,
    responses_grammar,
)
from tests.support.simulator import SimulatorClient

ASKED = "Tell me of rivers."
HEADERS = {
    "authorization": "Bearer sk-sim-test",
    "x-goog-api-key": "sim-test",
    "anthropic-version": "2023-06-01",
}
TURNS = [{"role": "user", "content": ASKED}]
CONTENTS = {"contents": [{"parts": [{"text": ASKED}]}]}


class Stream(NamedTuple):
    """How one dialect is asked for a stream."""

    path: str
    body: dict[str, Any]


STREAMS = {
    "anthropic": Stream(
        "/v1/messages",
        {"model": "sim-x", "max_tokens": 100, "messages": TURNS, "stream": True},
    ),
    "openai_chat": Stream(
        "/v1/chat/completions", {"model": "sim-x", "messages": TURNS, "stream": True}
    ),
    "openai_responses": Stream("/v1/responses", {"model": "sim-x", "input": TURNS, "stream": True}),
    "gemini": Stream("/v1beta/models/sim-x:streamGenerateContent?alt=sse", CONTENTS),
    "gemini array": Stream("/v1/models/sim-x:streamGenerateContent", CONTENTS),
}


@pytest.fixture
async def anyone(simulator_url: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(base_url=simulator_url, headers=HEADERS) as session:
        yield session


async def stream(session: aiohttp.ClientSession, name: str, faults: str = "") -> bytes:
    path, body = STREAMS[name]
    headers = {"x-simulator-fault": faults}
    async with session.post(path, json=body, headers=headers) as response:
        assert response.status == 200
        return await response.read()


def text_of(name: str, said: bytes) -> str:
    if name == "anthropic":
        return str(anthropic_grammar.check_stream(said.decode()).blocks[0]["text"])
    if name == "openai_chat":
        return openai_chat_grammar.check_stream(said, strict=True).content
    if name == "openai_responses":
        items = responses_grammar.check_stream(said, strict=True).items
        return str(items[0]["content"][0]["text"])
    check = gemini_grammar.check_stream if name == "gemini" else gemini_grammar.check_array
    return check(said).text


async def test_the_same_question_gets_the_same_answer_at_the_same_price(
    anyone: aiohttp.ClientSession, simulator: SimulatorClient
) -> None:
    texts, bills = set(), set()
    for name in STREAMS:
        texts.add(text_of(name, await stream(anyone, name)))
        bills.add((await simulator.last()).billed)
    assert len(texts) == 1
    assert bills == {TokenUsage(input_tokens=8, output_tokens=29)}
    line = (await simulator.invoice())["sim-x"]
    assert (line.requests, line.usage.input_tokens) == (len(STREAMS), 8 * len(STREAMS))


@pytest.mark.parametrize("name", STREAMS)
async def test_faults_of_delivery(
    anyone: aiohttp.ClientSession, simulator: SimulatorClient, name: str
) -> None:
    whole = await stream(anyone, name)
    assert await stream(anyone, name, "split=1") == whole
    assert await stream(anyone, name, "slow=1") == whole
    began = time.monotonic()
    assert await stream(anyone, name, "stall-after=0.2@2") == whole
    assert time.monotonic() - began >= 0.2
    for fault in ("cut-after=3", "cut-bytes=100"):
        with pytest.raises(aiohttp.ClientPayloadError):
            await stream(anyone, name, fault)
        seen = await simulator.last()
        assert (seen.state, whole.startswith(seen.sent)) == ("cut", True)
        assert seen.sent != whole
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await stream(anyone, name, "connect-drop")


@pytest.mark.parametrize("name", STREAMS)
async def test_a_hold_waits_for_the_test(
    anyone: aiohttp.ClientSession, simulator: SimulatorClient, name: str
) -> None:
    asking = asyncio.create_task(stream(anyone, name, "hold-after=gate@2"))
    await simulator.held("gate", 1)
    (seen,) = await simulator.requests(limit=1)
    assert (seen.state, seen.events_sent) == ("open", 2)
    await simulator.release("gate")
    assert text_of(name, await asking).startswith("You sent 18 characters")


@pytest.mark.parametrize("name", STREAMS)
async def test_a_client_that_leaves_is_billed_so_far(
    anyone: aiohttp.ClientSession, simulator: SimulatorClient, name: str
) -> None:
    path, body = STREAMS[name]
    headers = {"x-simulator-fault": "events=8,hold-after=gone@6"}
    async with anyone.post(path, json=body, headers=headers) as response:
        await response.content.readany()
        await simulator.held("gone", 1)
        response.close()
    seen = await simulator.last()
    assert (seen.state, seen.events_sent) == ("client_closed", 6)
    assert 0 < seen.billed.output_tokens < 29


@pytest.mark.parametrize("name", STREAMS)
async def test_a_misspelled_fault_and_a_large_body_are_told_in_the_dialect(
    anyone: aiohttp.ClientSession, name: str
) -> None:
    path, body = STREAMS[name]
    headers = {"x-simulator-fault": "cut-aftre=2"}
    async with anyone.post(path, json=body, headers=headers) as response:
        assert response.status == 400
        assert "unknown fault 'cut-aftre'" in _message(await response.json())
    large = b'{"model":"' + b"x" * (32 * 1024 * 1024) + b'"}'
    async with anyone.post(path, data=io.BytesIO(large)) as response:
        assert response.status == (400 if "gemini" in name else 413)
        assert _message(await response.json())


def _message(answer: Any) -> str:
    answer = answer[0] if isinstance(answer, list) else answer
    return str(answer["error"]["message"])
