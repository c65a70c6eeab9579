"""State in custody: seen in any client's body, and never handed to anybody but its issuer."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import pytest
from msgspec.structs import replace

from bytespike_protocols.codec import Codec, ReplyContext, RouteHints
from bytespike_protocols.custody import carries_wrapped
from bytespike_protocols.dialects import CODECS, codec_of
from bytespike_protocols.ir import (
    Block,
    Dialect,
    Json,
    Opaque,
    Reasoning,
    RedactedThinking,
    Request,
    Response,
    Stop,
    StopReason,
    Text,
    Thinking,
    ToolUse,
    Usage,
)

MODEL = "gemini-3-pro"
PAIRS = list(permutations(Dialect, 2))


def answered(codec: Codec, *blocks: Block) -> Any:
    """What a client of the dialect gets."""
    asked = Request(
        dialect=codec.dialect,
        model="m",
        turns=(),
        reasoning=Reasoning(mode="adaptive", show=True),
    )
    context = ReplyContext(
        request=asked, request_id="req_01JCZK3V5Q8M2N4P6R7S9T0V1W", created_s=1, model="m"
    )
    response = Response(
        id="x",
        model="m",
        blocks=blocks,
        stop=Stop(reason=StopReason.TOOL_USE),
        usage=Usage(input_tokens=1, output_tokens=1),
    )
    return json.loads(codec.encode_response(response, context))


def asked_again(dialect: Dialect, answer: Any) -> bytes:
    """The next request of a client that hands everything back."""
    body: dict[str, Any]
    match dialect:
        case Dialect.ANTHROPIC:
            result = {"type": "tool_result", "tool_use_id": "call_1", "content": "done"}
            body = {
                "model": "m",
                "max_tokens": 9,
                "messages": [
                    {"role": "user", "content": "go"},
                    {"role": "assistant", "content": answer["content"]},
                    {"role": "user", "content": [result]},
                ],
            }
        case Dialect.OPENAI_CHAT:
            body = {
                "model": "m",
                "messages": [
                    {"role": "user", "content": "go"},
                    answer["choices"][0]["message"],
                    {"role": "tool", "tool_call_id": "call_1", "content": "done"},
                ],
            }
        case Dialect.OPENAI_RESPONSES:
            done = {"type": "function_call_output", "call_id": "call_1", "output": "done"}
            body = {"model": "m", "input": [{"role": "user", "content": "go"}, *answer["output"]]}
            body["input"].append(done)
        case Dialect.GEMINI:
            response = {"id": "call_1", "name": "f", "response": {"output": "done"}}
            body = {
                "contents": [
                    {"role": "user", "parts": [{"text": "go"}]},
                    answer["candidates"][0]["content"],
                    {"role": "user", "parts": [{"functionResponse": response}]},
                ],
            }
    return json.dumps(body).encode()


def blocks_of(issuer: Dialect) -> tuple[Block, ...]:
    state = Opaque(issuer=issuer, payload="U0VDUkVU" if issuer is Dialect.GEMINI else "SECRET")
    if issuer is Dialect.OPENAI_CHAT:
        detail = '{"type":"reasoning.text","text":"hmm","signature":"SECRET"}'
        state = Opaque(issuer=issuer, payload=detail)
    call = ToolUse(id="call_1", name="f", arguments=Json('{"a":1}'))
    if issuer is Dialect.GEMINI:
        return Text(text="words"), ToolUse(
            id="call_1", name="f", arguments=Json('{"a":1}'), opaque=state
        )
    return Thinking(text="hmm", opaque=state), Text(text="words"), call


@pytest.mark.parametrize(("client", "issuer"), PAIRS)
def test_a_dialects_own_vendor_never_sees_what_another_issued(
    client: Dialect, issuer: Dialect
) -> None:
    codec = CODECS[client]
    body = asked_again(client, answered(codec, *blocks_of(issuer)))
    assert carries_wrapped(body, client)
    request = codec.decode_request(body, RouteHints(model=MODEL))
    encoded = codec.encode_request(request, model=MODEL)
    assert not carries_wrapped(encoded.body, client)
    assert b"SECRET" not in encoded.body
    assert b"U0VDUkVU" not in encoded.body
    # Nothing else is missing.
    for word in (b"go", b"words", b"call_1", b"done"):
        assert word in encoded.body
    # And its issuer gets it back.
    vendor = codec_of(issuer, compatible=True)
    returned = vendor.encode_request(replace(request, max_output_tokens=9), model=MODEL)
    assert b"SECRET" in returned.body or b"U0VDUkVU" in returned.body


@pytest.mark.parametrize("client", Dialect)
def test_a_dialects_own_state_is_no_reason_to_read_a_body(client: Dialect) -> None:
    codec = CODECS[client]
    body = asked_again(client, answered(codec, *blocks_of(client)))
    assert not carries_wrapped(body, client)
    # In Chat it is others that give out state; OpenAI would refuse theirs.
    vendor = codec_of(client, compatible=True)
    request = codec.decode_request(body, RouteHints(model=MODEL))
    encoded = vendor.encode_request(request, model=MODEL)
    assert b"SECRET" in encoded.body or b"U0VDUkVU" in encoded.body


@pytest.mark.parametrize("client", [d for d in Dialect if d is not Dialect.ANTHROPIC])
def test_thoughts_that_may_not_be_shown_are_seen_too(client: Dialect) -> None:
    codec = CODECS[client]
    hidden = RedactedThinking(opaque=Opaque(issuer=Dialect.ANTHROPIC, payload="SECRET"))
    call = ToolUse(id="call_1", name="f", arguments=Json("{}"))
    body = asked_again(client, answered(codec, hidden, Text(text="words"), call))
    assert carries_wrapped(body, client)
    request = codec.decode_request(body, RouteHints(model=MODEL))
    again = codec.encode_request(request, model=MODEL).body
    assert not carries_wrapped(again, client)
    assert b"words" in again


def test_a_call_that_lost_anothers_state_is_signed_as_nobodys() -> None:
    codec = CODECS[Dialect.GEMINI]
    body = asked_again(Dialect.GEMINI, answered(codec, *blocks_of(Dialect.ANTHROPIC)))
    request = codec.decode_request(body, RouteHints(model=MODEL))
    contents = json.loads(codec.encode_request(request, model=MODEL).body)["contents"]
    (call,) = (part for part in contents[1]["parts"] if "functionCall" in part)
    assert call["thoughtSignature"] == "skip_thought_signature_validator"
    older = json.loads(codec.encode_request(request, model="gemini-2.5-flash").body)["contents"]
    assert all("thoughtSignature" not in part for part in older[1]["parts"])


def test_a_turn_of_nothing_but_anothers_state_goes() -> None:
    codec = CODECS[Dialect.GEMINI]
    state = Opaque(issuer=Dialect.ANTHROPIC, payload="SECRET")
    answer = answered(codec, Thinking(text="hmm", opaque=state))
    body = asked_again(Dialect.GEMINI, answer)
    request = codec.decode_request(body, RouteHints(model=MODEL))
    contents = json.loads(codec.encode_request(request, model=MODEL).body)["contents"]
    assert [content["role"] for content in contents] == ["user", "user"]
