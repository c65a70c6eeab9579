"""Every exchange we have decodes, and what is written again means the same."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from bytespike_protocols.codec import RouteHints
from bytespike_protocols.errors import BadUpstreamMessage
from bytespike_protocols.events import Event, Failed
from bytespike_protocols.folding import fold, unfold
from bytespike_protocols.ir import Response, Stop
from bytespike_protocols.openai_chat import CODEC, COMPATIBLE_CODEC
from bytespike_protocols.openai_chat.reasoning import carries_thoughts
from tests.support.chat_corpus import (
    CREATED_S,
    RECORDINGS,
    REQUEST_ID,
    Case,
    answers,
    context_for,
    decode_stream,
    requests,
    streams,
)
from tests.support.openai_chat_grammar import check_stream


def name_of(case: Case) -> str:
    return case.id


def encoded(case: Case) -> bytes:
    return json.dumps(case.request, ensure_ascii=False).encode()


@pytest.mark.parametrize("case", requests(), ids=name_of)
def test_requests_survive_decoding_and_encoding(case: Case) -> None:
    body = encoded(case)
    request = CODEC.decode_request(body, RouteHints())
    # Thoughts come from other vendors than OpenAI and go back to them alone.
    vendor = COMPATIBLE_CODEC if carries_thoughts(body) else CODEC
    again = vendor.encode_request(request, model=request.model)
    assert again.losses == ()
    assert CODEC.decode_request(again.body, RouteHints()) == request
    assert normal(json.loads(again.body)) == normal(case.request)


def normal(body: dict[str, Any]) -> dict[str, Any]:
    """The spelling we write where the dialect has several for one meaning."""
    body = without_nulls(body)
    renames = {"max_tokens": "max_completion_tokens", "user": "safety_identifier"}
    body = {renames.get(name, name): value for name, value in body.items()}
    for name, default in (("stream", False), ("response_format", {"type": "text"})):
        if body.get(name) == default:
            del body[name]
    if body.get("stream_options") == {"include_usage": False}:
        del body["stream_options"]
    if isinstance(body.get("stop"), str):
        body["stop"] = [body["stop"]]
    choice = body.get("tool_choice")
    if choice == "any":
        body["tool_choice"] = "required"
    elif isinstance(choice, dict):
        choice.setdefault("type", "function")
    if "functions" in body:
        wrapped = [{"type": "function", "function": f} for f in body.pop("functions")]
        body["tools"] = body.get("tools", []) + wrapped
    body["messages"] = [normal_message(message) for message in body["messages"]]
    return body


def normal_message(message: dict[str, Any]) -> dict[str, Any]:
    if message["role"] == "developer":
        message["role"] = "system"
    if message["role"] == "tool":
        message.pop("name", None)
    thoughts = message.pop("reasoning", None) or message.get("reasoning_content")
    if thoughts:
        message["reasoning_content"] = thoughts
    content = message.get("content")
    if isinstance(content, list) and len(content) == 1 and set(content[0]) == {"type", "text"}:
        message["content"] = content[0]["text"]
    if "content" not in message or message.get("content") == "":
        message["content"] = None
    return message


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def reply(response: Response) -> Response:
    """What becomes of an answer when we send it under our own name."""
    ours = replace(
        response,
        id=f"chatcmpl-{REQUEST_ID.removeprefix('req_')}",
        model="some-model",
        created_s=CREATED_S,
    )
    return replace(ours, stop=Stop(reason=response.stop.reason))


def told(response: Response) -> Response:
    """An answer without the vendor's spelling of its end."""
    return replace(response, stop=Stop(reason=response.stop.reason))


@pytest.mark.parametrize("case", answers(), ids=name_of)
def test_answers_survive_decoding_and_encoding(case: Case) -> None:
    response = CODEC.decode_response(msgspec.json.encode(case.body))
    context = replace(context_for(), model=response.model)
    body = CODEC.encode_response(response, context)
    assert told(CODEC.decode_response(body)) == replace(reply(response), model=response.model)


@pytest.mark.parametrize("case", answers(), ids=name_of)
def test_answers_say_what_the_vendor_said(case: Case) -> None:
    response = CODEC.decode_response(msgspec.json.encode(case.body))
    written = json.loads(CODEC.encode_response(response, context_for()))
    before = case.body["choices"][0]["message"]
    after = written["choices"][0]["message"]
    assert (after["content"] or "") == (before.get("content") or "")
    assert (after["refusal"] or "") == (before.get("refusal") or "")
    calls = [call["function"] for call in before.get("tool_calls") or []]
    if (before.get("function_call") or {}).get("name"):
        calls.append(before["function_call"])
    assert [call["function"] for call in after.get("tool_calls", [])] == [
        {"name": call["name"], "arguments": call["arguments"] or "{}"} for call in calls
    ]
    for field in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert written["usage"][field] == case.body["usage"][field]


@pytest.mark.parametrize("case", answers(), ids=name_of)
def test_a_whole_answer_and_its_stream_are_the_same(case: Case) -> None:
    response = CODEC.decode_response(msgspec.json.encode(case.body))
    encoder = CODEC.stream_encoder(context_for(stream=True, stream_usage=True))
    stream = b"".join(encoder.feed(event) for event in unfold(response))
    assert told(fold(decode_stream([stream]))) == told(
        CODEC.decode_response(CODEC.encode_response(response, context_for()))
    )


@pytest.mark.parametrize("case", streams(), ids=name_of)
def test_recorded_streams_keep_the_grammar_we_check_by(case: Case) -> None:
    assert case.sse is not None
    checked = check_stream(case.sse, strict=False)
    failed = "mid-stream-error" in case.tags
    assert checked.end == ("error" if failed else checked.end)
    events = decode_stream([case.sse.encode()])
    if failed:
        assert isinstance(events[-1], Failed)
        return
    response = fold(events)
    said = json.loads(CODEC.encode_response(response, context_for()))["choices"][0]["message"]
    assert (said["content"] or "") == checked.content
    assert (said["refusal"] or "") == checked.refusal
    called = [call["function"]["name"] for call in said.get("tool_calls", [])]
    if not case.id.startswith("own-same-index"):
        assert called == [call["name"] for call in checked.calls]
    assert (response.usage is None) is (checked.usage is None)


@pytest.mark.parametrize("usage", [True, False])
@pytest.mark.parametrize("case", streams(), ids=name_of)
def test_recorded_streams_are_written_in_the_grammar_of_the_dialect(
    case: Case, usage: bool
) -> None:
    assert case.sse is not None
    events = decode_stream([case.sse.encode()])
    stream = rewritten(events, usage=usage)
    checked = check_stream(stream, strict=True, usage=usage)
    if isinstance(events[-1], Failed):
        assert checked.end == "error"
        with pytest.raises(BadUpstreamMessage):
            fold(events)
        return
    assert checked.end == "done"
    assert (checked.usage is not None) is (usage and fold(events).usage is not None)
    expected = reply(fold(events))
    if not usage:
        expected = replace(expected, usage=None)
    assert told(fold(decode_stream([stream]))) == expected
    if checked.finish_reason != "length":
        assert all(isinstance(json.loads(call["arguments"]), dict) for call in checked.calls)


def rewritten(events: list[Event], *, usage: bool) -> bytes:
    encoder = CODEC.stream_encoder(context_for(stream=True, stream_usage=usage))
    return b"".join(encoder.feed(event) for event in events)


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recorded exchanges are not here")
def test_the_recordings_are_all_there() -> None:
    counts = [
        len([c for c in cases if c.id.startswith("oac")]) for cases in (requests(), streams())
    ]
    assert counts == [151, 50]
