"""The official client reads our streams and answers as we meant them.

No socket: its HTTP library hands it our bytes.
"""

from __future__ import annotations

from typing import Any

import httpx2
import msgspec
import pytest
from openai import APIError, OpenAI
from openai.types.chat import ChatCompletionChunk

from bytespike_protocols.custody import wrap
from bytespike_protocols.events import Event, Failed
from bytespike_protocols.folding import fold, unfold
from bytespike_protocols.ir import (
    Dialect,
    Json,
    Opaque,
    Refusal,
    Response,
    Stop,
    StopReason,
    Text,
    ToolUse,
    Usage,
)
from bytespike_protocols.openai_chat import CODEC
from tests.support.chat_corpus import Case, answers, context_for, decode_stream, streams

FINISH = {
    StopReason.END: "stop",
    StopReason.TOOL_USE: "tool_calls",
    StopReason.MAX_TOKENS: "length",
}


def name_of(case: Case) -> str:
    return case.id


def client_for(body: bytes, content_type: str) -> OpenAI:
    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": content_type}, content=body)

    http_client = httpx2.Client(transport=httpx2.MockTransport(answer))
    return OpenAI(
        api_key="k", base_url="http://gateway.test/v1", max_retries=0, http_client=http_client
    )


def read_stream(events: list[Event]) -> list[ChatCompletionChunk]:
    encoder = CODEC.stream_encoder(context_for(stream=True, stream_usage=True))
    body = b"".join(encoder.feed(event) for event in events)
    client = client_for(body, "text/event-stream")
    return list(client.chat.completions.create(model="m", messages=[], stream=True))


def gathered(chunks: list[ChatCompletionChunk]) -> dict[str, Any]:
    """What the client's user makes of the chunks."""
    found: dict[str, Any] = {"text": "", "refusal": "", "calls": [], "finish": None, "usage": None}
    for chunk in chunks:
        found["usage"] = chunk.usage or found["usage"]
        for choice in chunk.choices:
            found["text"] += choice.delta.content or ""
            found["refusal"] += choice.delta.refusal or ""
            found["finish"] = choice.finish_reason or found["finish"]
            for piece in choice.delta.tool_calls or []:
                if piece.id:
                    assert piece.index == len(found["calls"])
                    assert piece.function is not None
                    found["calls"].append([piece.id, piece.function.name, ""])
                if piece.function is not None:
                    found["calls"][piece.index][2] += piece.function.arguments or ""
    return found


def expected(response: Response) -> dict[str, Any]:
    blocks = response.blocks
    refusal = "".join(block.text for block in blocks if isinstance(block, Refusal))
    return {
        "text": "".join(block.text for block in blocks if isinstance(block, Text)),
        "refusal": refusal,
        "calls": [[b.id, b.name, b.arguments] for b in blocks if isinstance(b, ToolUse)],
        "finish": "stop" if refusal else FINISH.get(response.stop.reason, "content_filter"),
    }


def assert_same_usage(read: Any, usage: Usage | None) -> None:
    assert (read is None) is (usage is None)
    if usage is None:
        return
    assert read.prompt_tokens == usage.prompt_tokens
    assert read.completion_tokens == usage.output_tokens
    assert read.total_tokens == usage.prompt_tokens + usage.output_tokens
    assert read.prompt_tokens_details.cached_tokens == usage.cache_read_tokens
    assert read.completion_tokens_details.reasoning_tokens == usage.reasoning_tokens


@pytest.mark.parametrize("case", streams(), ids=name_of)
def test_the_client_reads_every_stream_we_write(case: Case) -> None:
    assert case.sse is not None
    events = decode_stream([case.sse.encode()])
    if isinstance(events[-1], Failed):
        with pytest.raises(APIError, match=r"Tool call validation failed"):
            read_stream(events)
        return
    response = fold(events)
    found = gathered(read_stream(events))
    assert_same_usage(found.pop("usage"), response.usage)
    assert found == expected(response)


@pytest.mark.parametrize("case", answers(), ids=name_of)
def test_the_client_reads_every_answer_we_write(case: Case) -> None:
    response = CODEC.decode_response(msgspec.json.encode(case.body))
    body = CODEC.encode_response(response, context_for())
    read = client_for(body, "application/json").chat.completions.create(model="m", messages=[])
    choice = read.choices[0]
    calls = [
        [call.id, call.function.name, call.function.arguments]
        for call in choice.message.tool_calls or []
        if call.type == "function"
    ]
    assert_same_usage(read.usage, response.usage)
    assert expected(response) == {
        "text": choice.message.content or "",
        "refusal": choice.message.refusal or "",
        "calls": calls,
        "finish": choice.finish_reason,
    }


def complete_answers() -> list[Case]:
    """The helper raises on answers that were cut, by design."""
    cut = {"length", "content_filter"}
    return [case for case in answers() if case.body["choices"][0]["finish_reason"] not in cut]


@pytest.mark.parametrize("case", complete_answers(), ids=name_of)
def test_the_client_gathers_a_whole_answer_from_our_stream(case: Case) -> None:
    """Its own accumulator, which concatenates whatever is said twice."""
    response = CODEC.decode_response(msgspec.json.encode(case.body))
    encoder = CODEC.stream_encoder(context_for(stream=True, stream_usage=True))
    body = b"".join(encoder.feed(event) for event in unfold(response))
    client = client_for(body, "text/event-stream")
    with client.chat.completions.stream(model="m", messages=[]) as stream:
        final = stream.get_final_completion()
    message = final.choices[0].message
    wanted = expected(response)
    assert (message.content or "") == wanted["text"]
    assert final.choices[0].finish_reason == wanted["finish"]
    assert [
        [call.id, call.function.name, call.function.arguments] for call in message.tool_calls or []
    ] == wanted["calls"]
    assert_same_usage(final.usage, response.usage)


def test_the_client_gathers_sources_and_signatures() -> None:
    """Its accumulator gives up on entries without an index, and on pieces without a function."""
    opaque = Opaque(issuer=Dialect.GEMINI, payload="c2ln", model="gemini-3-pro")
    cited = [
        Text(
            text=f"See {page}.",
            citations=(
                Json(
                    '{"type":"web_search_result_location",'
                    f'"url":"https://{page}.test/","cited_text":"{page}"}}'
                ),
            ),
        )
        for page in ("one", "two")
    ]
    call = ToolUse(id="call_1", name="f", arguments=Json('{"a":1}'), opaque=opaque)
    response = Response(
        id="x", model="m", blocks=(*cited, call), stop=Stop(reason=StopReason.TOOL_USE)
    )
    encoder = CODEC.stream_encoder(context_for(stream=True))
    body = b"".join(encoder.feed(event) for event in unfold(response))
    client = client_for(body, "text/event-stream")
    with client.chat.completions.stream(model="m", messages=[]) as stream:
        message = stream.get_final_completion().choices[0].message
    spans = [note.url_citation for note in message.annotations or []]
    assert message.content is not None
    assert [(s.url, message.content[s.start_index : s.end_index]) for s in spans] == [
        ("https://one.test/", "one"),
        ("https://two.test/", "two"),
    ]
    [read] = message.tool_calls or []
    assert read.function.arguments == '{"a":1}'
    assert (read.model_extra or {})["extra_content"] == {
        "google": {"thought_signature": wrap(opaque, carrier=Dialect.OPENAI_CHAT)}
    }
