"""How a request goes to a lane and its answer comes back: what a relay may touch, and what not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from bytespike_contracts.catalogue import Channel
from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_contracts.principal import Principal, Reading
from bytespike_protocols.custody import wrap
from bytespike_protocols.dialects import codec_of
from bytespike_protocols.errors import BadUpstreamMessage
from bytespike_protocols.ir import Dialect, Opaque
from bytespike_protocols.sse import Frame
from bytespike_runtime.http_client import Origin
from bytespike_text.job import SURFACES, Job
from bytespike_text.passage import Counting, Relay, Translation, passage
from bytespike_text.routing import Lane

PATHS = {
    Dialect.ANTHROPIC: "/v1/messages",
    Dialect.OPENAI_CHAT: "/v1/chat/completions",
    Dialect.OPENAI_RESPONSES: "/v1/responses",
    Dialect.GEMINI: "/v1beta/generateContent",
}
HELLO: Mapping[Dialect, dict[str, Any]] = {
    Dialect.ANTHROPIC: {"max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]},
    Dialect.OPENAI_CHAT: {"messages": [{"role": "user", "content": "Hi"}]},
    Dialect.OPENAI_RESPONSES: {"input": "Hi"},
    Dialect.GEMINI: {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
}


def lane(dialect: Dialect, *, vendors_name: str = "vendor-m", stores: bool = False) -> Lane:
    channel = Channel(
        id=dialect.value,
        dialect=dialect.value,
        base_url="http://vendor.invalid",
        credential="env:KEY",
        models={"m": vendors_name},
        stores=stores,
    )
    origin, path = Origin.parse(channel.base_url)
    return Lane(
        id=channel.id,
        channel=channel,
        dialect=dialect,
        codec=codec_of(dialect),
        origin=origin,
        base_path=path,
        auth=(),
        cost_rates={},
        output_caps={"m": 777},
    )


def job(
    dialect: Dialect,
    *,
    path: str = "",
    query: str = "",
    stream: bool = False,
    strict: bool = False,
    betas: tuple[str, ...] = (),
    text_bytes: int = 0,
    **fields: Any,
) -> Job:
    named = {} if dialect is Dialect.GEMINI else {"model": "m"}
    body = json.dumps({**named, **HELLO[dialect], **fields}).encode()
    span = None if dialect is Dialect.GEMINI else (10, 13)
    return Job(
        surface=SURFACES[path or PATHS[dialect]],
        principal=Principal(
            request_id="req_1", account_id="a", key_id="k", group="g", scopes=(), strict=strict
        ),
        reading=Reading(model="m", model_span=span, stream=stream, text_bytes=text_bytes),
        query=query,
        headers=(("accept", "*/*"), ("user-agent", "test")),
        version="2026-10-21",
        betas=betas,
        body=body,
    )


@pytest.mark.parametrize("dialect", Dialect)
def test_a_relay_touches_the_models_name_alone(dialect: Dialect) -> None:
    asked = job(dialect, odd="\u00e9 \ud83d\ude00", number=1.50)
    way = passage(lane(dialect), asked)
    assert isinstance(way, Relay)
    assert way.body == asked.body.replace(b'"m"', b'"vendor-m"', 1)
    assert passage(lane(dialect, vendors_name="m"), asked).body == asked.body
    assert way.whole(b" as it came\n") == b" as it came\n"
    assert way.losses == ()


@pytest.mark.parametrize(
    ("dialect", "stream", "expected"),
    [
        (Dialect.ANTHROPIC, False, "/v1/messages?beta=true"),
        (Dialect.OPENAI_CHAT, False, "/chat/completions?beta=true"),
        (Dialect.OPENAI_RESPONSES, True, "/responses?beta=true"),
        (Dialect.GEMINI, False, "/v1beta/models/a%2Fb:generateContent?beta=true"),
        (Dialect.GEMINI, True, "/v1beta/models/a%2Fb:streamGenerateContent?beta=true"),
    ],
)
def test_a_relay_keeps_the_clients_query(dialect: Dialect, stream: bool, expected: str) -> None:
    asked = job(dialect, stream=stream, query="beta=true")
    assert passage(lane(dialect, vendors_name="a/b"), asked).call.path == expected


def test_only_anthropic_hears_of_versions_and_betas() -> None:
    asked = job(Dialect.ANTHROPIC, betas=("new-1",))
    relayed = passage(lane(Dialect.ANTHROPIC), asked)
    assert ("anthropic-version", "2026-10-21") in relayed.call.headers
    assert [loss.path for loss in relayed.losses] == ["anthropic-beta.new-1"]
    translated = passage(lane(Dialect.OPENAI_CHAT), asked)
    assert not [name for name, _ in translated.call.headers if name.startswith("anthropic")]
    assert [loss.path for loss in translated.losses] == ["anthropic-beta.new-1"]
    theirs = passage(lane(Dialect.ANTHROPIC), job(Dialect.OPENAI_CHAT))
    assert ("anthropic-version", "2023-06-01") in theirs.call.headers


def test_a_chat_stream_is_billed_by_usage_nobody_asked_for() -> None:
    asked = job(Dialect.OPENAI_CHAT, stream=True)
    way = passage(lane(Dialect.OPENAI_CHAT), asked)
    assert json.loads(way.body)["stream_options"] == {"include_usage": True}
    wording = way.wording()
    text = Frame(b"", b'{"choices":[{"delta":{"content":"x"}}],"usage":null}')
    usage = Frame(b"", b'{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}')
    done = Frame(b"", b"[DONE]")
    assert wording.pass_on(b"", [text, usage, done]) == b"data: %b\n\ndata: [DONE]\n\n" % text.data
    own = passage(
        lane(Dialect.OPENAI_CHAT, vendors_name="m"),
        job(Dialect.OPENAI_CHAT, stream=True, stream_options={"include_usage": True}),
    )
    assert own.wording().pass_on(b"chunk", [text, usage]) == b"chunk"


@pytest.mark.parametrize("client", Dialect)
@pytest.mark.parametrize("vendor", Dialect)
def test_any_dialect_reaches_any_other(client: Dialect, vendor: Dialect) -> None:
    way = passage(lane(vendor), job(client))
    assert isinstance(way, Relay if client is vendor else Translation)
    assert b"Hi" in way.body
    if client is not vendor and vendor is Dialect.GEMINI:
        assert way.call.path == "/v1beta/models/vendor-m:generateContent"


def test_what_was_reserved_is_the_most_that_is_asked_for() -> None:
    way = passage(lane(Dialect.ANTHROPIC), job(Dialect.OPENAI_CHAT))
    assert json.loads(way.body)["max_tokens"] == 777
    way = passage(lane(Dialect.ANTHROPIC), job(Dialect.OPENAI_CHAT, max_completion_tokens=5))
    assert json.loads(way.body)["max_tokens"] == 5


def test_state_of_another_vendor_is_not_relayed() -> None:
    foreign = wrap(
        Opaque(issuer=Dialect.GEMINI, payload="secret", model="g"), carrier=Dialect.ANTHROPIC
    )
    thinking = {"type": "thinking", "thinking": "hm", "signature": foreign}
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [thinking, {"type": "text", "text": "Hello"}]},
        {"role": "user", "content": "And?"},
    ]
    body = passage(lane(Dialect.ANTHROPIC), job(Dialect.ANTHROPIC, messages=turns)).body
    assert b"secret" not in body
    assert b"Hello" in body
    assert b"And?" in body


def test_a_strict_caller_is_refused_rather_than_given_less() -> None:
    asked = job(Dialect.OPENAI_CHAT, seed=7)
    assert [loss.path for loss in passage(lane(Dialect.ANTHROPIC), asked).losses] == ["seed"]
    strict = job(Dialect.OPENAI_CHAT, seed=7, strict=True)
    with pytest.raises(GatewayError) as refused:
        passage(lane(Dialect.ANTHROPIC), strict)
    assert refused.value.code is ErrorCode.UNSUPPORTED_FEATURE
    assert refused.value.param == "seed"
    assert passage(lane(Dialect.OPENAI_CHAT), strict).losses == ()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("previous_response_id", "resp_1"),
        ("conversation", "conv_1"),
        ("background", True),
        ("store", True),
    ],
)
def test_what_a_vendor_would_have_to_keep_is_refused(field: str, value: Any) -> None:
    asked = job(Dialect.OPENAI_RESPONSES, **{field: value})
    for elsewhere in (lane(Dialect.OPENAI_RESPONSES), lane(Dialect.ANTHROPIC)):
        with pytest.raises(GatewayError) as refused:
            passage(elsewhere, asked)
        assert refused.value.code is ErrorCode.UNSUPPORTED_FEATURE
        assert refused.value.param == field
    kept = passage(lane(Dialect.OPENAI_RESPONSES, stores=True, vendors_name="m"), asked)
    assert kept.body == asked.body
    nothing: dict[str, Any] = {field: None}
    quoted = job(Dialect.OPENAI_RESPONSES, input=f'what is "{field}"?', **nothing)
    assert isinstance(passage(lane(Dialect.OPENAI_RESPONSES), quoted), Relay)


def test_a_faulty_request_is_the_clients_fault() -> None:
    with pytest.raises(GatewayError) as refused:
        passage(lane(Dialect.ANTHROPIC), job(Dialect.OPENAI_CHAT, messages="no list"))
    assert refused.value.code is ErrorCode.INVALID_REQUEST
    assert refused.value.param == "messages"


def test_tokens_are_counted_by_the_vendor_whoever_asks() -> None:
    tools = [{"name": "f", "input_schema": {"type": "object"}}]
    asked = job(Dialect.ANTHROPIC, path="/v1/messages/count_tokens", tools=tools)
    google = passage(lane(Dialect.GEMINI), asked)
    assert isinstance(google, Counting)
    assert google.call.path == "/v1beta/models/vendor-m:countTokens"
    wrapped = json.loads(google.body)["generateContentRequest"]
    assert wrapped["model"] == "models/vendor-m"
    assert wrapped["contents"]
    assert wrapped["tools"]
    assert json.loads(google.whole(b'{"totalTokens": 5, "more": {}}')) == {"input_tokens": 5}
    with pytest.raises(BadUpstreamMessage):
        google.whole(b'{"totalTokens": "five"}')
    counted = job(Dialect.GEMINI, path="/v1beta/countTokens")
    claude = passage(lane(Dialect.ANTHROPIC), counted)
    assert set(json.loads(claude.body)) == {"model", "messages"}
    assert msgspec.json.decode(claude.whole(b'{"input_tokens":4}')) == {"totalTokens": 4}
