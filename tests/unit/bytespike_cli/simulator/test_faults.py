"""Every fault does to the wire what its name says, and the bill follows what went out."""

from __future__ import annotations

import asyncio
import json
import re
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bytespike_cli.simulator.faults import FAULT_NAMES, Faults, FaultSyntaxError, parse_faults
from bytespike_contracts.money import TokenUsage
from tests.support.anthropic_grammar import check_stream
from tests.support.simulator import SimulatorClient

BODY: dict[str, Any] = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 1000,
    "messages": [{"role": "user", "content": "Hi"}],
}
STREAM = {**BODY, "stream": True}


async def post(
    http: aiohttp.ClientSession, faults: str, body: dict[str, Any] = STREAM
) -> tuple[int, bytes]:
    headers = {"x-simulator-fault": faults}
    async with http.post("/v1/messages", json=body, headers=headers) as response:
        return response.status, await response.read()


async def broken(http: aiohttp.ClientSession, faults: str, body: dict[str, Any] = STREAM) -> bytes:
    """What arrives before the connection breaks."""
    got = bytearray()

    async def collect(response: aiohttp.ClientResponse) -> None:
        async for chunk in response.content.iter_any():
            got.extend(chunk)

    headers = {"x-simulator-fault": faults}
    async with http.post("/v1/messages", json=body, headers=headers) as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await collect(response)
    return bytes(got)


def test_every_fault_can_be_spelled() -> None:
    texts = {"stall-after": "2@3", "hold-after": "gate@3", "hold": "gate", "status": "529"}
    spelled = [f"{name}={texts.get(name, '3')}" for name in FAULT_NAMES]
    assert parse_faults(",".join(spelled)) != Faults()
    assert parse_faults("cut-after=1", "cut-after=2, split=5") == Faults(cut_after=2, split=5)


@pytest.mark.parametrize("name", FAULT_NAMES)
def test_every_fault_is_documented(name: str) -> None:
    page = (Path(__file__).parents[4] / "docs" / "simulator.md").read_text()
    assert re.search(rf"^\| .*`{name}[`=]", page, re.MULTILINE)


@pytest.mark.parametrize(
    "text", ["nonsense", "cut-after", "cut-after=x", "status=99", "slow=-1", "hold=", "events=1e9"]
)
def test_a_misspelled_fault_is_refused(text: str) -> None:
    with pytest.raises(FaultSyntaxError):
        parse_faults(text)


async def test_a_misspelled_fault_is_told_to_the_caller(http: aiohttp.ClientSession) -> None:
    status, body = await post(http, "cut-aftre=2")
    assert status == 400
    assert b"unknown fault 'cut-aftre'" in body


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429, 500, 503, 529])
async def test_status_answers_an_error(
    http: aiohttp.ClientSession, simulator: SimulatorClient, status: int
) -> None:
    headers = {"x-simulator-fault": f"status={status},retry-after=7"}
    async with http.post("/v1/messages", json=STREAM, headers=headers) as response:
        assert response.status == status
        assert response.headers["retry-after"] == "7"
        assert (await response.json())["type"] == "error"
    assert (await simulator.last()).billed == TokenUsage()


async def test_the_model_suffix_is_a_fault_too(
    http: aiohttp.ClientSession, simulator: SimulatorClient
) -> None:
    async with http.post(
        "/v1/messages", json={**BODY, "model": "claude-sonnet-4-5+output-tokens=7,no-usage"}
    ) as response:
        answer = await response.json()
    assert answer["model"] == "claude-sonnet-4-5"
    assert "usage" not in answer
    assert (await simulator.last()).billed == TokenUsage(input_tokens=4, output_tokens=7)


async def test_error_body_is_a_200_that_is_an_error(http: aiohttp.ClientSession) -> None:
    status, body = await post(http, "error-body")
    assert status == 200
    assert json.loads(body)["error"]["type"] == "overloaded_error"


async def test_cut_after_leaves_whole_events_and_no_end(
    http: aiohttp.ClientSession, simulator: SimulatorClient
) -> None:
    whole = (await post(http, "events=4"))[1]
    cut = await broken(http, "events=4,cut-after=5")
    assert whole.startswith(cut)
    assert cut.count(b"event: ") == 5
    seen = await simulator.last()
    assert (seen.state, seen.events_sent, seen.sent) == ("cut", 5, cut)
    assert seen.billed.input_tokens == 4
    assert 0 < seen.billed.output_tokens < 30


@pytest.mark.parametrize("body", [BODY, STREAM])
async def test_cut_bytes_is_exact(http: aiohttp.ClientSession, body: dict[str, Any]) -> None:
    assert len(await broken(http, "cut-bytes=100", body)) == 100


async def test_a_json_answer_is_cut_in_the_middle(http: aiohttp.ClientSession) -> None:
    whole = (await post(http, "", BODY))[1]
    assert await broken(http, "cut-after=1", BODY) == whole[: len(whole) // 2]


async def test_an_error_event_ends_the_stream(http: aiohttp.ClientSession) -> None:
    _, stream = await post(http, "error-event-after=4")
    checked = check_stream(stream)
    assert checked.end == "error"
    assert stream.count(b"event: ") == 5


async def test_connect_drop_sends_nothing(
    http: aiohttp.ClientSession, simulator: SimulatorClient
) -> None:
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await post(http, "connect-drop")
    seen = await simulator.last()
    assert (seen.state, seen.sent, seen.billed) == ("cut", b"", TokenUsage())


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("body", [BODY, STREAM])
async def test_split_changes_no_byte(
    http: aiohttp.ClientSession, simulator: SimulatorClient, size: int, body: dict[str, Any]
) -> None:
    whole = (await post(http, "", body))[1]
    assert (await post(http, f"split={size}", body))[1] == whole
    assert (await simulator.last()).state == "completed"


async def test_split_bytes_travel_in_chunks_of_their_own(http: aiohttp.ClientSession) -> None:
    headers = {"x-simulator-fault": "split=5"}
    async with http.post("/v1/messages", json=STREAM, headers=headers) as response:
        first, _ = await response.content.readchunk()
    assert first == b"event"


async def test_refusals(http: aiohttp.ClientSession) -> None:
    early = check_stream((await post(http, "refusal"))[1])
    late = check_stream((await post(http, "refusal-late"))[1])
    assert (early.stop_reason, late.stop_reason) == ("refusal", "refusal")
    assert early.blocks == []
    assert late.blocks[0]["text"]


async def test_sizes(http: aiohttp.ClientSession) -> None:
    _, stream = await post(http, "text-bytes=600,events=10,input-tokens=9,output-tokens=77")
    checked = check_stream(stream)
    assert len(checked.blocks[0]["text"]) == 600
    assert stream.count(b"text_delta") == 10
    assert (checked.usage["input_tokens"], checked.usage["output_tokens"]) == (9, 77)


@pytest.mark.parametrize("faults", ["stall-before=0.2", "stall-after=0.2@2", "slow=20,events=10"])
async def test_waits_take_their_time(http: aiohttp.ClientSession, faults: str) -> None:
    began = time.monotonic()
    _, stream = await post(http, faults)
    assert time.monotonic() - began >= 0.2
    assert check_stream(stream).end == "stop"


@pytest.mark.parametrize(("body", "before"), [(STREAM, 2), (BODY, 0)])
async def test_a_hold_in_the_middle_waits_for_the_test(
    http: aiohttp.ClientSession, simulator: SimulatorClient, body: dict[str, Any], before: int
) -> None:
    asking = asyncio.create_task(post(http, f"hold-after=gate@{before or 1}", body))
    await simulator.held("gate", 1)
    seen = (await simulator.requests(limit=1))[0]
    assert (seen.state, seen.events_sent) == ("open", before)
    assert seen.sent
    assert await simulator.release("gate") == 1
    status, _ = await asking
    assert status == 200


async def test_held_requests_answer_together(
    http: aiohttp.ClientSession, simulator: SimulatorClient
) -> None:
    asking = [asyncio.create_task(post(http, "hold=gate", BODY)) for _ in range(5)]
    await simulator.held("gate", 5)
    assert not any(task.done() for task in asking)
    assert await simulator.release("gate") == 5
    assert {status for status, _ in await asyncio.gather(*asking)} == {200}
    assert await simulator.waiting("gate") == 0


async def test_a_client_that_leaves_is_recorded_and_billed_so_far(
    http: aiohttp.ClientSession, simulator: SimulatorClient
) -> None:
    headers = {"x-simulator-fault": "events=10,hold-after=gone@6"}
    async with http.post("/v1/messages", json=STREAM, headers=headers) as response:
        await response.content.readuntil(b'"content_block_delta"')
        await simulator.held("gone", 1)
        response.close()
    seen = await simulator.last()
    assert (seen.state, seen.events_sent) == ("client_closed", 6)
    assert 0 < seen.billed.output_tokens < 30
    line = (await simulator.invoice())["claude-sonnet-4-5"]
    assert (line.requests, line.billed_requests, line.usage) == (1, 1, seen.billed)
