"""A vendor's default answers, translated for the clients of every other dialect: in the order each
dialect demands, and read by its official client as what was said.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import anthropic
import httpx2
import openai
import pytest
from google import genai
from google.genai import types
from msgspec.structs import replace

from bytespike_protocols.codec import ReplyContext, RouteHints
from bytespike_protocols.folding import fold
from bytespike_protocols.ir import Dialect, Request, Response, Text, ToolUse
from bytespike_protocols.sse import FrameSplitter
from tests.support import (
    anthropic_grammar,
    gemini_grammar,
    openai_chat_grammar,
    responses_grammar,
)
from tests.support.loss_policy.reality import CODECS
from tests.support.vendors import answer_of

MODELS = {
    Dialect.ANTHROPIC: "claude-opus-4-6",
    Dialect.OPENAI_CHAT: "gpt-5",
    Dialect.OPENAI_RESPONSES: "gpt-5",
    Dialect.GEMINI: "gemini-3-flash",
}
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
CITY = {"name": "weather", "description": "of a city"}
NAMED = {"name": "answer", "schema": SCHEMA, "strict": True}
SAY = [{"role": "user", "content": "say hello"}]

#: What each kind of question adds to a plain one, by the client's dialect.
QUESTIONS: dict[str, dict[Dialect, dict[str, Any]]] = {
    "plain": {dialect: {} for dialect in Dialect},
    "tools": {
        Dialect.ANTHROPIC: {
            "tools": [{**CITY, "input_schema": SCHEMA}],
            "tool_choice": {"type": "any"},
        },
        Dialect.OPENAI_CHAT: {
            "tools": [{"type": "function", "function": {**CITY, "parameters": SCHEMA}}],
            "tool_choice": "required",
        },
        Dialect.OPENAI_RESPONSES: {
            "tools": [{"type": "function", **CITY, "parameters": SCHEMA, "strict": True}],
            "tool_choice": "required",
        },
        Dialect.GEMINI: {
            "tools": [{"functionDeclarations": [{**CITY, "parametersJsonSchema": SCHEMA}]}],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
        },
    },
    "thinking": {
        Dialect.ANTHROPIC: {"thinking": {"type": "adaptive", "display": "summarized"}},
        Dialect.OPENAI_CHAT: {"reasoning_effort": "high"},
        Dialect.OPENAI_RESPONSES: {"reasoning": {"effort": "high", "summary": "auto"}},
        Dialect.GEMINI: {
            "generationConfig": {
                "thinkingConfig": {"thinkingLevel": "HIGH", "includeThoughts": True}
            }
        },
    },
    "structured": {
        Dialect.ANTHROPIC: {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        Dialect.OPENAI_CHAT: {"response_format": {"type": "json_schema", "json_schema": NAMED}},
        Dialect.OPENAI_RESPONSES: {"text": {"format": {"type": "json_schema", **NAMED}}},
        Dialect.GEMINI: {
            "generationConfig": {
                "responseMimeType": "application/json",
                "responseJsonSchema": SCHEMA,
            }
        },
    },
}
PLAIN: dict[Dialect, dict[str, Any]] = {
    Dialect.ANTHROPIC: {"model": "m", "max_tokens": 4096, "messages": SAY},
    Dialect.OPENAI_CHAT: {"model": "m", "messages": SAY},
    Dialect.OPENAI_RESPONSES: {"model": "m", "input": "say hello"},
    Dialect.GEMINI: {"contents": [{"role": "user", "parts": [{"text": "say hello"}]}]},
}


class Heard(NamedTuple):
    """What a client's user makes of an answer."""

    text: str
    calls: list[tuple[str, Any]]


def asked_by(client: Dialect, kind: str, *, stream: bool) -> Request:
    body = PLAIN[client] | QUESTIONS[kind][client]
    if stream and client is not Dialect.GEMINI:
        body = body | {"stream": True}
    hints = RouteHints(model="m", stream=stream) if client is Dialect.GEMINI else RouteHints()
    request = CODECS[client].decode_request(json.dumps(body).encode(), hints)
    return replace(request, max_output_tokens=4096)


def translated(request: Request, vendor: Dialect) -> tuple[bytes, Response]:
    """The answer for the client, and what it was before that."""
    model, codec = MODELS[vendor], CODECS[vendor]
    body = codec.encode_request(request, model=model).body
    frames = answer_of(vendor, model, body, stream=request.stream)
    context = ReplyContext(
        request=request,
        request_id="req_01JCZK3V5Q8M2N4P6R7S9T0V1W",
        created_s=1_795_000_000,
        model="m",
    )
    client = CODECS[request.dialect]
    if not request.stream:
        response = codec.decode_response(b"".join(frames))
        return client.encode_response(response, context), response
    splitter, decoder, encoder = (
        FrameSplitter(),
        codec.stream_decoder(),
        client.stream_encoder(context),
    )
    events = [e for piece in frames for frame in splitter.feed(piece) for e in decoder.feed(frame)]
    last = splitter.close()
    events += ([] if last is None else decoder.feed(last)) + decoder.close()
    return b"".join(encoder.feed(event) for event in events), fold(events)


def keeps_the_order(client: Dialect, stream: bytes) -> str:
    """How the stream ended, once the grammar has seen it whole."""
    match client:
        case Dialect.ANTHROPIC:
            return anthropic_grammar.check_stream(stream).end
        case Dialect.OPENAI_CHAT:
            return openai_chat_grammar.check_stream(stream, strict=True).end
        case Dialect.OPENAI_RESPONSES:
            return responses_grammar.check_stream(stream, strict=True).end
        case Dialect.GEMINI:
            return gemini_grammar.check_stream(stream).end


def serving(body: bytes, *, stream: bool) -> httpx2.Client:
    media_type = "text/event-stream" if stream else "application/json"

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": media_type}, content=body)

    return httpx2.Client(transport=httpx2.MockTransport(answer))


def heard_by(client: Dialect, body: bytes, *, stream: bool) -> Heard:
    """By the official client."""
    http = serving(body, stream=stream)
    read = {
        Dialect.ANTHROPIC: _anthropic,
        Dialect.OPENAI_CHAT: _chat,
        Dialect.OPENAI_RESPONSES: _responses,
        Dialect.GEMINI: _gemini,
    }
    return read[client](http, stream)


def _anthropic(http: httpx2.Client, stream: bool) -> Heard:
    sdk = anthropic.Anthropic(api_key="k", base_url="http://gateway.test", http_client=http)
    ask: dict[str, Any] = PLAIN[Dialect.ANTHROPIC]
    if stream:
        with sdk.messages.stream(**ask) as events:
            message = events.get_final_message()
    else:
        message = sdk.messages.create(**ask)
    text = "".join(block.text for block in message.content if block.type == "text")
    return Heard(text, [(b.name, b.input) for b in message.content if b.type == "tool_use"])


def _openai(http: httpx2.Client) -> openai.OpenAI:
    return openai.OpenAI(api_key="k", base_url="http://gateway.test/v1", http_client=http)


def _chat(http: httpx2.Client, stream: bool) -> Heard:
    ask: dict[str, Any] = PLAIN[Dialect.OPENAI_CHAT]
    if stream:
        with _openai(http).chat.completions.stream(**ask) as events:
            completion = events.get_final_completion()
        message: Any = completion.choices[0].message
    else:
        message = _openai(http).chat.completions.create(**ask).choices[0].message
    calls = [call.function for call in message.tool_calls or ()]
    return Heard(message.content or "", [(c.name, json.loads(c.arguments)) for c in calls])


def _responses(http: httpx2.Client, stream: bool) -> Heard:
    ask: dict[str, Any] = PLAIN[Dialect.OPENAI_RESPONSES]
    if stream:
        with _openai(http).responses.stream(**ask) as events:
            response: Any = events.get_final_response()
    else:
        response = _openai(http).responses.create(**ask)
    calls = [item for item in response.output if item.type == "function_call"]
    return Heard(response.output_text, [(c.name, json.loads(c.arguments)) for c in calls])


def _gemini(http: httpx2.Client, stream: bool) -> Heard:
    options = types.HttpOptions(base_url="http://gateway.test", httpx_client=http)
    sdk = genai.Client(api_key="k", http_options=options)
    ask: dict[str, Any] = {"model": "m", "contents": "say hello"}
    answers = (
        list(sdk.models.generate_content_stream(**ask))
        if stream
        else [sdk.models.generate_content(**ask)]
    )
    found = Heard("", [])
    for candidate in (one for answer in answers for one in answer.candidates or ()):
        for part in (candidate.content and candidate.content.parts) or ():
            if not part.thought:
                found = found._replace(text=found.text + (part.text or ""))
            if part.function_call is not None:
                found.calls.append((part.function_call.name or "", part.function_call.args))
    return found


def said(response: Response) -> Heard:
    blocks = response.blocks
    text = "".join(block.text for block in blocks if isinstance(block, Text))
    calls = [(b.name, json.loads(b.arguments)) for b in blocks if isinstance(b, ToolUse)]
    return Heard(text, calls)


def roads() -> Iterator[object]:
    for client in Dialect:
        for vendor in Dialect:
            if client is not vendor:
                yield pytest.param(client, vendor, id=f"{vendor}-to-{client}")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("kind", list(QUESTIONS))
@pytest.mark.parametrize(("client", "vendor"), list(roads()))
def test_an_answer(client: Dialect, vendor: Dialect, kind: str, stream: bool) -> None:
    body, response = translated(asked_by(client, kind, stream=stream), vendor)
    if stream:
        assert keeps_the_order(client, body) in {"stop", "done", "completed", "finish"}
    heard = heard_by(client, body, stream=stream)
    assert heard == said(response)
    match kind:
        case "tools":
            assert [name for name, _ in heard.calls] == ["weather"]
            assert isinstance(heard.calls[0][1]["city"], str)
        case "structured":
            assert json.loads(heard.text).keys() == {"city"}
        case _:
            assert heard.text
            assert heard.calls == []
