"""The vendor's own client reads what we write: the same words, calls, end and usage."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx2
import openai
import pytest
from openai.types.responses import Response as SdkResponse
from openai.types.responses import (
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputRefusal,
    ResponseOutputText,
    ResponseReasoningItem,
)

from bytespike_protocols.codec import RouteHints
from bytespike_protocols.custody import wrap
from bytespike_protocols.events import Failed
from bytespike_protocols.folding import fold, unfold
from bytespike_protocols.ir import (
    Dialect,
    Foreign,
    Json,
    Opaque,
    Refusal,
    Response,
    Stop,
    StopReason,
    Text,
    Thinking,
    ToolUse,
    Usage,
)
from bytespike_protocols.openai_responses import CODEC
from bytespike_protocols.openai_responses.failure import encode_error, encode_stream_error
from tests.support.responses_corpus import (
    CASES,
    REQUEST_ID,
    Case,
    context_for,
    decode_pieces,
    encode_events,
)

STREAMS = [case for case in CASES if case.sse and case.status == 200]


def client(body: bytes, *, status: int = 200) -> openai.OpenAI:
    """A client whose server always says ``body``."""
    media_type = "text/event-stream" if body.startswith(b"event:") else "application/json"

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, headers={"content-type": media_type}, content=body)

    transport = httpx2.MockTransport(answer)
    return openai.OpenAI(
        api_key="k",
        base_url="http://gateway/v1",
        max_retries=0,
        http_client=httpx2.Client(transport=transport),
    )


def read_stream(body: bytes) -> SdkResponse:
    """What the client's stream helper ends with."""
    with client(body) as sdk, sdk.responses.stream(model="m", input="q") as stream:
        final = [
            event.response
            for event in stream
            if event.type in ("response.completed", "response.incomplete", "response.failed")
        ]
    assert len(final) == 1
    return final[0]


def read_whole(body: bytes) -> SdkResponse:
    with client(body) as sdk:
        return sdk.responses.create(model="m", input="q")


def same(read: SdkResponse, meant: Response) -> None:
    """Assert that the client understood what we meant."""
    assert list(words(read)) == [
        block.text for block in meant.blocks if isinstance(block, Text | Refusal)
    ]
    calls = [item for item in read.output if isinstance(item, ResponseFunctionToolCall)]
    meant_calls = [block for block in meant.blocks if isinstance(block, ToolUse)]
    assert [(call.call_id, call.name, call.arguments) for call in calls] == [
        (call.id, call.name, call.arguments) for call in meant_calls
    ]
    thoughts = [item for item in read.output if isinstance(item, ResponseReasoningItem)]
    meant_thoughts = [block for block in meant.blocks if isinstance(block, Thinking)]
    assert ["".join(part.text for part in item.summary) for item in thoughts] == [
        block.text for block in meant_thoughts
    ]
    assert [item.encrypted_content for item in thoughts] == [
        block.opaque and wrap(block.opaque, carrier=CODEC.dialect) for block in meant_thoughts
    ]
    usage = meant.usage
    assert (read.usage is None) == (usage is None)
    if read.usage is not None and usage is not None:
        assert read.usage.input_tokens == usage.prompt_tokens
        assert read.usage.input_tokens_details.cached_tokens == usage.cache_read_tokens
        assert read.usage.output_tokens == usage.output_tokens
        assert read.usage.output_tokens_details.reasoning_tokens == usage.reasoning_tokens
    limited = meant.stop.reason is StopReason.MAX_TOKENS
    assert (read.status == "incomplete") == (limited or meant.stop.word is not None)


def words(read: SdkResponse) -> Iterator[str]:
    for item in read.output:
        for part in item.content if isinstance(item, ResponseOutputMessage) else ():
            if isinstance(part, ResponseOutputText):
                yield part.text
            elif isinstance(part, ResponseOutputRefusal):
                yield part.refusal


MADE = Response(
    id="msg_1",
    model="claude",
    blocks=(
        Thinking(text="hm", opaque=Opaque(issuer=Dialect.ANTHROPIC, payload="sig", model="m")),
        Text(text="größe"),
        Text(text=" \U0001f600"),
        ToolUse(id="toolu_1", name="add", arguments=Json('{"a": "\\u00fc"}')),
        ToolUse(id="toolu_2", name="now", arguments=Json("{}")),
    ),
    stop=Stop(reason=StopReason.TOOL_USE),
    usage=Usage(input_tokens=5, cache_read_tokens=2, output_tokens=9, reasoning_tokens=4),
)


def test_the_client_reads_an_answer_of_another_vendor() -> None:
    same(read_whole(CODEC.encode_response(MADE, context_for())), MADE)
    same(read_stream(encode_events(unfold(MADE))), MADE)


def test_what_the_client_sends_back_is_what_the_vendor_said() -> None:
    read = read_stream(encode_events(unfold(MADE)))
    history = [item.model_dump(exclude_none=True) for item in read.output]
    body = json.dumps({"model": "m", "input": history}).encode()
    turns = CODEC.decode_request(body, RouteHints()).turns
    assert [block for turn in turns for block in turn.blocks] == list(MADE.blocks)


# The client's types lag behind what the vendor's own tools report, and it says so.
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning")
@pytest.mark.parametrize("case", STREAMS, ids=lambda case: case.id)
def test_the_client_reads_every_recorded_stream_written_anew(case: Case) -> None:
    events = decode_pieces([case.sse or b""])
    written = encode_events(events)
    if isinstance(events[-1], Failed):
        with pytest.raises(openai.APIError, match=r"\w"):
            read_stream(written)
        return
    meant = fold(events)
    plain = [block for block in meant.blocks if not isinstance(block, Foreign)]
    read = read_stream(written)
    assert len(read.output) >= len(meant.blocks) - len(plain)
    same(read, meant)


def test_the_client_raises_our_errors() -> None:
    body = encode_error(
        status=429, code="rate_limit_exceeded", message="slow", param=None, request_id=REQUEST_ID
    )
    with client(body, status=429) as sdk, pytest.raises(openai.RateLimitError) as limited:
        sdk.responses.create(model="m", input="q")
    assert limited.value.code == "rate_limit_exceeded"
    event = encode_stream_error(code="upstream_timeout", message="gone", request_id=REQUEST_ID)
    with pytest.raises(openai.APIError, match="gone"):
        read_stream(encode_events([*unfold(MADE)][:3]) + event)
