"""The official client reads our streams and answers as we meant them.

No socket: its HTTP library hands it our bytes.
"""

from __future__ import annotations

import base64
from typing import Any

import httpx2
import pytest
from google import genai
from google.genai import errors, types

from bytespike_protocols.codec import RouteHints
from bytespike_protocols.events import Event, Failed, Started
from bytespike_protocols.folding import fold, unfold
from bytespike_protocols.gemini import CODEC
from bytespike_protocols.ir import (
    Dialect,
    Json,
    Opaque,
    RedactedThinking,
    Response,
    Stop,
    StopReason,
    Text,
    Thinking,
    ToolUse,
    Usage,
)
from tests.support.gemini_corpus import Case, answers, context_for, decode_frames, streams
from tests.unit.bytespike_protocols.gemini.test_corpus import good, name_of

CLAUDE = Opaque(issuer=Dialect.ANTHROPIC, payload="EqQB/claude+signature==", model="claude-x")


def client_for(body: bytes, content_type: str, seen: list[bytes] | None = None) -> genai.Client:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if seen is not None:
            seen.append(request.read())
        return httpx2.Response(200, headers={"content-type": content_type}, content=body)

    http_client = httpx2.Client(transport=httpx2.MockTransport(answer))
    return genai.Client(
        api_key="k",
        http_options=types.HttpOptions(base_url="http://gateway.test", httpx_client=http_client),
    )


def read_stream(events: list[Event]) -> list[types.GenerateContentResponse]:
    encoder = CODEC.stream_encoder(context_for())
    body = b"".join(encoder.feed(event) for event in events)
    client = client_for(body, "text/event-stream")
    return list(client.models.generate_content_stream(model="m", contents="hi"))


def gathered(chunks: list[types.GenerateContentResponse]) -> dict[str, Any]:
    """What the client's user makes of the chunks."""
    found: dict[str, Any] = {"text": "", "thoughts": "", "calls": [], "finish": None, "usage": None}
    for chunk in chunks:
        found["usage"] = chunk.usage_metadata or found["usage"]
        for candidate in chunk.candidates or []:
            found["finish"] = candidate.finish_reason or found["finish"]
            for part in (candidate.content and candidate.content.parts) or []:
                found["thoughts" if part.thought else "text"] += part.text or ""
                if part.function_call is not None:
                    call = part.function_call
                    found["calls"].append((call.id, call.name, call.args))
    return found


def assert_same(read: dict[str, Any], response: Response) -> None:
    blocks = response.blocks
    assert read["text"] == "".join(b.text for b in blocks if isinstance(b, Text))
    assert read["thoughts"] == "".join(b.text for b in blocks if isinstance(b, Thinking))
    calls = [b for b in blocks if isinstance(b, ToolUse)]
    assert [(call[0], call[1]) for call in read["calls"]] == [(b.id, b.name) for b in calls]
    assert read["finish"] is not None
    usage, counted = response.usage, read["usage"]
    assert (usage is None) == (counted is None)
    if usage is not None:
        assert counted.prompt_token_count == usage.prompt_tokens
        assert (counted.cached_content_token_count or 0) == usage.cache_read_tokens
        thoughts = counted.thoughts_token_count or 0
        assert thoughts == usage.reasoning_tokens
        assert counted.candidates_token_count + thoughts == usage.output_tokens


@pytest.mark.parametrize("case", good(streams()), ids=name_of)
def test_the_client_reads_streams(case: Case) -> None:
    events = decode_frames(case.frames())
    assert_same(gathered(read_stream(events)), fold(events))


@pytest.mark.parametrize("case", good(answers()), ids=name_of)
def test_the_client_reads_whole_answers(case: Case) -> None:
    response = fold(decode_frames(case.frames()))
    body = CODEC.encode_response(response, context_for())
    read = client_for(body, "application/json").models.generate_content(model="m", contents="hi")
    assert_same(gathered([read]), response)


def test_the_client_raises_errors_in_mid_stream() -> None:
    events: list[Event] = [
        Started(id="x", model="m"),
        Failed(kind="overloaded", message="too many"),
    ]
    with pytest.raises(errors.ServerError, match="too many"):
        read_stream(events)


def test_thinking_of_another_vendor_comes_back_through_the_client() -> None:
    blocks = (
        Thinking(text="Let me look.", opaque=CLAUDE),
        RedactedThinking(opaque=CLAUDE),
        ToolUse(id="toolu_01", name="look", arguments=Json('{"at": "sky"}')),
    )
    response = Response(
        id="msg_1",
        model="claude",
        blocks=blocks,
        stop=Stop(reason=StopReason.TOOL_USE),
        usage=Usage(input_tokens=3, cache_write_5m_tokens=2, output_tokens=9, reasoning_tokens=4),
    )
    encoder = CODEC.stream_encoder(context_for())
    body = b"".join(encoder.feed(event) for event in unfold(response))
    seen: list[bytes] = []
    client = client_for(body, "text/event-stream", seen)
    parts = [
        part
        for chunk in client.models.generate_content_stream(model="m", contents="hi")
        for candidate in chunk.candidates or []
        for part in (candidate.content and candidate.content.parts) or []
    ]
    history = [
        types.Content(role="user", parts=[types.Part(text="hi")]),
        types.Content(role="model", parts=parts),
        types.Content(
            role="user",
            parts=[types.Part.from_function_response(name="look", response={"output": "blue"})],
        ),
    ]
    list(client.models.generate_content_stream(model="m", contents=history))
    request = CODEC.decode_request(seen[-1], RouteHints(model="m"))
    again = request.turns[1].blocks
    assert again[0] == blocks[0]
    assert again[1] == blocks[1]
    assert again[2] == ToolUse(id="toolu_01", name="look", arguments=Json('{"at": "sky"}'))
    [result] = request.turns[2].blocks
    assert (result.id, result.content) == ("toolu_01", (Text(text="blue"),))  # type: ignore[union-attr]


def test_a_signature_of_geminis_own_is_bytes_to_the_client() -> None:
    payload = base64.b64encode(b"\xfb\xff signature").decode()
    block = Text(text="", opaque=Opaque(issuer=Dialect.GEMINI, payload=payload))
    response = Response(id="", model="", blocks=(block,), stop=Stop(reason=StopReason.END))
    chunks = read_stream(list(unfold(response)))
    signatures = [
        part.thought_signature
        for chunk in chunks
        for candidate in chunk.candidates or []
        for part in (candidate.content and candidate.content.parts) or []
        if part.thought_signature
    ]
    assert signatures == [b"\xfb\xff signature"]
