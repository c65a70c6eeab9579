"""Scripted replies go out as written, the record tells what was sent, the invoice adds it up."""

from __future__ import annotations

import json
from typing import Any

import aiohttp

from bytespike_cli.simulator.dialects.anthropic import ANTHROPIC
from bytespike_cli.simulator.record import MAX_INVOICE_MODELS, Record
from bytespike_cli.simulator.script import ScriptedReply
from bytespike_contracts.money import TokenUsage
from tests.support.simulator import SimulatorClient

BODY: dict[str, Any] = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Grüß dich"}],
}
SSE = (
    'event: message_start\ndata: {"type":"message_start","message":{"usage":'
    '{"input_tokens":11,"cache_creation_input_tokens":8,"cache_read_input_tokens":5,'
    '"cache_creation":{"ephemeral_1h_input_tokens":6},"output_tokens":1}}}\n\n'
    'event: content_block_delta\ndata: {"delta":{"type":"text_delta","text":"añb"} }\n\n'
    'event: message_delta\ndata: {"usage":{"output_tokens":40}}\n\n'
    "event: odd\n\n"
)


async def test_bytes_go_out_as_scripted_whatever_was_asked(
    http: aiohttp.ClientSession, simulator: SimulatorClient
) -> None:
    await simulator.script(sse=SSE, headers={"Request-Id": "req_scripted"}, faults="split=1")
    async with http.post("/v1/messages", data=b"not even json") as response:
        assert response.headers["request-id"] == "req_scripted"
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert await response.read() == SSE.encode()
    seen = await simulator.last()
    assert (seen.body, seen.sent, seen.state) == (b"not even json", SSE.encode(), "completed")
    assert seen.billed == TokenUsage(
        input_tokens=11,
        cache_write_5m_tokens=2,
        cache_write_1h_tokens=6,
        cache_read_tokens=5,
        output_tokens=40,
    )


async def test_replies_are_used_in_order_by_model_and_count(
    http: aiohttp.ClientSession, simulator: SimulatorClient
) -> None:
    await simulator.script(text="mine", model="claude-opus-5")
    await simulator.script(text="any", times=2, status=503)
    await simulator.script(body={"b": 1, "a": [2]})

    async def ask(model: str) -> tuple[int, str]:
        async with http.post("/v1/messages", json={**BODY, "model": model}) as response:
            return response.status, await response.text()

    assert await ask("claude-sonnet-4-5") == (503, "any")
    assert await ask("claude-opus-5") == (200, "mine")
    assert await ask("claude-opus-5") == (503, "any")
    assert await ask("claude-opus-5") == (200, '{"b":1,"a":[2]}')
    status, text = await ask("claude-opus-5")
    assert (status, json.loads(text)["type"]) == (200, "message")


async def test_a_wrong_script_is_refused(http: aiohttp.ClientSession) -> None:
    for wrong in ({}, {"text": "a", "sse": "b"}, {"text": "a", "faults": "x"}, {"txt": "a"}, 3):
        async with http.post("/simulator/script", json=wrong) as response:
            assert response.status == 400, wrong
            assert (await response.json())["error"]


async def test_the_record_has_every_byte_and_header(
    http: aiohttp.ClientSession, simulator: SimulatorClient
) -> None:
    raw = json.dumps(BODY, ensure_ascii=False, indent=1).encode()
    async with http.post("/v1/messages?beta=true", data=raw, headers={"X-Odd": "1"}) as response:
        sent = await response.read()
    seen = await simulator.last()
    assert (seen.path, seen.body, seen.sent) == ("/v1/messages?beta=true", raw, sent)
    assert seen.headers["x-odd"] == "1"
    assert (seen.status, seen.model) == (200, "claude-sonnet-4-5")
    assert await simulator.requests(model="claude-opus-5") == []


async def test_the_invoice_adds_up_what_was_billed(
    http: aiohttp.ClientSession, simulator: SimulatorClient
) -> None:
    for faults in ("output-tokens=10", "output-tokens=20", "status=500"):
        headers = {"x-simulator-fault": faults}
        async with http.post("/v1/messages", json=BODY, headers=headers) as response:
            await response.read()
    await simulator.finished(3)
    line = (await simulator.invoice())["claude-sonnet-4-5"]
    assert (line.requests, line.billed_requests) == (3, 2)
    assert line.usage == TokenUsage(input_tokens=12, output_tokens=30)


def test_ring_and_invoice_are_bounded() -> None:
    record = Record()
    reply = ScriptedReply(text='{"usage":{"output_tokens":1}}').reply(ANTHROPIC)
    for number in range(MAX_INVOICE_MODELS + 5):
        exchange = record.open(received_ms=0, target="/", headers=[])
        exchange.model, exchange.body = f"model-{number}", b"x" * 1_000_000
        exchange.answering(reply)
        exchange.wrote(reply.frames[0].data)
        record.close(exchange, "completed")
    assert len(record.invoice) == MAX_INVOICE_MODELS + 1
    assert sum(line.requests for line in record.invoice.values()) == MAX_INVOICE_MODELS + 5
    kept = record.latest(1_000_000)
    assert 200 < len(kept) < 300
    assert kept[0].model == f"model-{MAX_INVOICE_MODELS + 4}"


def test_an_exchange_still_open_when_all_is_cleared_stays_off_the_invoice() -> None:
    record = Record()
    exchange = record.open(received_ms=0, target="/", headers=[])
    record.clear()
    record.close(exchange, "completed")
    assert record.invoice == {}
    assert record.latest(10) == []


async def test_unknown_paths_and_wrong_queries(http: aiohttp.ClientSession) -> None:
    async with http.get("/v1/models") as response:
        assert response.status == 404
        assert (await response.json())["error"]["type"] == "not_found_error"
    async with http.get("/simulator/requests?limit=-1") as response:
        assert response.status == 400
    async with http.get("/healthz") as response:
        assert await response.text() == "ok\n"
