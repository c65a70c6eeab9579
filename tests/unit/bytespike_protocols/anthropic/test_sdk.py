"""The official SDK reads what the encoders write as what was meant."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import anthropic
import pytest

from bytespike_protocols.anthropic import CODEC
from bytespike_protocols.events import Failed
from bytespike_protocols.folding import fold
from bytespike_protocols.ir import Foreign, RedactedThinking, Response, Text, Thinking, ToolUse
from tests.support.anthropic_corpus import (
    BROKEN_STREAMS,
    CASES,
    Case,
    context_of,
    name_of,
    read_events,
    request_of,
)

STREAMS = [case for case in CASES if case.stream is not None and case.name not in BROKEN_STREAMS]
ANSWERS = [case for case in CASES if case.status < 400 and case.body and not case.counts_tokens]


class Vendor(ThreadingHTTPServer):
    """Answers every call with ``body``."""

    body = b""
    content_type = ""


class _Handler(BaseHTTPRequestHandler):
    server: Vendor
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", self.server.content_type)
        self.send_header("content-length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, format: str, *args: object) -> None:
        del format, args


@pytest.fixture(scope="module")
def vendor() -> Iterator[Vendor]:
    with Vendor(("127.0.0.1", 0), _Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def client(vendor: Vendor) -> Iterator[anthropic.Anthropic]:
    url = f"http://127.0.0.1:{vendor.server_address[1]}"
    with anthropic.Anthropic(api_key="k", base_url=url, max_retries=0) as sdk:
        yield sdk


ASKED: dict[str, Any] = {
    "model": "claude-x",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "hi"}],
}


def check(message: anthropic.types.Message, meant: Response) -> None:
    blocks = [block.to_dict() for block in message.content]
    assert len(blocks) == len(meant.blocks)
    for block, ours in zip(blocks, meant.blocks, strict=True):
        check_block(block, ours)
    assert message.stop_reason == meant.stop.word
    assert message.stop_sequence == meant.stop.sequence
    assert meant.usage is not None
    assert message.usage.input_tokens == meant.usage.input_tokens
    assert message.usage.output_tokens == meant.usage.output_tokens
    assert message.usage.cache_read_input_tokens == meant.usage.cache_read_tokens
    assert message.id.startswith("msg_01ARZ3")


def check_block(block: dict[str, Any], ours: object) -> None:
    match ours:
        case Text(text=text, citations=citations):
            assert (block["type"], block["text"]) == ("text", text)
            cited = [json.loads(citation)["cited_text"] for citation in citations]
            assert [c["cited_text"] for c in block.get("citations") or ()] == cited
        case Thinking(text=text, opaque=opaque):
            assert (block["type"], block["thinking"]) == ("thinking", text)
            assert block["signature"] == ("" if opaque is None else opaque.payload)
        case RedactedThinking(opaque=opaque):
            assert (block["type"], block["data"]) == ("redacted_thinking", opaque.payload)
        case ToolUse(id=call_id, name=name, arguments=arguments):
            assert (block["type"], block["id"], block["name"]) == ("tool_use", call_id, name)
            assert block["input"] == json.loads(arguments)
        case Foreign(kind=kind, value=value):
            assert block["type"] == kind
            assert block.get("input") == json.loads(value).get("input")


@pytest.mark.parametrize("case", STREAMS, ids=name_of)
def test_streams(case: Case, vendor: Vendor, client: anthropic.Anthropic) -> None:
    assert case.stream is not None
    events = read_events([case.stream])
    encoder = CODEC.stream_encoder(context_of(request_of(case)))
    vendor.body = b"".join(encoder.feed(event) for event in events)
    vendor.content_type = "text/event-stream"
    if isinstance(events[-1], Failed):
        with pytest.raises(anthropic.APIStatusError), client.messages.stream(**ASKED) as stream:
            stream.until_done()
        return
    with client.messages.stream(**ASKED) as stream:
        message = stream.get_final_message()
    check(message, fold(events))


@pytest.mark.parametrize("case", ANSWERS, ids=name_of)
def test_whole_answers(case: Case, vendor: Vendor, client: anthropic.Anthropic) -> None:
    answer = CODEC.decode_response(json.dumps(case.body).encode())
    vendor.body = CODEC.encode_response(answer, context_of(request_of(case)))
    vendor.content_type = "application/json"
    check(client.messages.create(**ASKED), answer)
