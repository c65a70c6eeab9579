"""The vendors' own SDKs, given nothing but the edge's address and a key, reach their routes."""

from __future__ import annotations

import anthropic
import httpx2
import openai
import pytest
from google import genai
from google.genai import errors, types

from bytespike_contracts.principal import Reading
from tests.integration.edge.surfaces import MODEL
from tests.integration.edge.surroundings import EdgeUnderTest, sse, whole

any_base = pytest.mark.parametrize("base", ["", "/v1"])

CHAT = b"""{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[
{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}"""
RESPONSE = b"""{"id":"resp_1","object":"response","created_at":1,"model":"m","status":"completed",
"output":[{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[
{"type":"output_text","text":"hi","annotations":[]}]}]}"""
GENERATED = b'{"candidates":[{"content":{"role":"model","parts":[{"text":"hi"}]}}]}'


def reading(edge: EdgeUnderTest) -> Reading:
    found = edge.router.last.principal.reading
    assert found is not None
    return found


@any_base
async def test_openais(edge: EdgeUnderTest, base: str) -> None:
    key, _ = await edge.ledger.key()
    url = f"{edge.url}{base}/v1"
    async with openai.AsyncOpenAI(api_key=key, base_url=url, max_retries=0) as sdk:
        edge.router.answer = whole(CHAT)
        chat = await sdk.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "Hello"}], max_completion_tokens=9
        )
        assert chat.choices[0].message.content == "hi"
        assert edge.router.last.line == "POST /v1/chat/completions HTTP/1.1"
        edge.router.answer = whole(RESPONSE)
        answer = await sdk.responses.create(model=MODEL, input="Hello")
        assert answer.output_text == "hi"
        assert edge.router.last.line == "POST /v1/responses HTTP/1.1"
        edge.router.answer = sse(
            b"data: " + CHAT.replace(b"\n", b"") + b"\n\n", b"data: [DONE]\n\n"
        )
        stream = await sdk.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "Hello"}], stream=True
        )
        assert [chunk.id async for chunk in stream] == ["chatcmpl-1"]
        assert reading(edge).stream
        with pytest.raises(openai.NotFoundError, match="not kept here"):
            await sdk.responses.retrieve("resp_1")


@any_base
async def test_anthropics(edge: EdgeUnderTest, base: str) -> None:
    key, _ = await edge.ledger.key()
    url = edge.url + base
    async with anthropic.AsyncAnthropic(api_key=key, base_url=url, max_retries=0) as sdk:
        edge.router.answer = whole(b'{"input_tokens":3}')
        counted = await sdk.messages.count_tokens(
            model=MODEL, messages=[{"role": "user", "content": "Hello"}]
        )
        assert counted.input_tokens == 3
        assert edge.router.last.line == "POST /v1/messages/count_tokens HTTP/1.1"


@any_base
@pytest.mark.parametrize("version", [None, "v1beta"])
async def test_googles(edge: EdgeUnderTest, base: str, version: str | None) -> None:
    key, _ = await edge.ledger.key()
    async with httpx2.AsyncClient() as wire:
        options = types.HttpOptions(
            base_url=edge.url + base, api_version=version, httpx_async_client=wire
        )
        models = genai.Client(api_key=key, http_options=options).aio.models
        edge.router.answer = whole(GENERATED)
        found = await models.generate_content(model=MODEL, contents="Hello")
        assert found.text == "hi"
        assert edge.router.last.line == "POST /v1beta/generateContent HTTP/1.1"
        assert reading(edge) == Reading(
            model=MODEL, model_span=None, text_bytes=len(edge.router.last.body)
        )
        edge.router.answer = sse(b"data: " + GENERATED + b"\r\n\r\n")
        stream = await models.generate_content_stream(model=f"models/{MODEL}", contents="Hello")
        assert [chunk.text async for chunk in stream] == ["hi"]
        assert edge.router.last.line == "POST /v1beta/streamGenerateContent?alt=sse HTTP/1.1"
        assert reading(edge) == Reading(
            model=MODEL, model_span=None, stream=True, text_bytes=len(edge.router.last.body)
        )
        edge.router.answer = whole(b'{"totalTokens":3}')
        counted = await models.count_tokens(model=MODEL, contents="Hello")
        assert counted.total_tokens == 3
        assert edge.router.last.line == "POST /v1beta/countTokens HTTP/1.1"
        with pytest.raises(errors.ClientError) as missing:
            await models.generate_content(model="gpt-9", contents="Hello")
        assert (missing.value.code, missing.value.status) == (404, "NOT_FOUND")
