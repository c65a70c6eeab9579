"""The heads of Chat, Responses and Gemini requests (Anthropic's has a page of its own)."""

from __future__ import annotations

import msgspec
import pytest

from bytespike_protocols.errors import BadClientMessage
from bytespike_protocols.gemini.head import read_count_head
from bytespike_protocols.gemini.head import read_head as read_gemini
from bytespike_protocols.heads import Head
from bytespike_protocols.openai_chat.head import read_head as read_chat
from bytespike_protocols.openai_responses.head import read_head as read_responses
from bytespike_protocols.splice import shallow

CHAT = b'"model":"m","messages":[{}]'
CONTENTS = b'"contents":[{}]'


@pytest.mark.parametrize(
    ("more", "head"),
    [
        (b"", Head("m")),
        (b',"max_tokens":5', Head("m", 5)),
        (b',"max_completion_tokens":7,"max_tokens":5', Head("m", 7)),
        (b',"max_completion_tokens":5,"max_tokens":7', Head("m", 7)),
        (b',"max_tokens":null,"stream":null,"n":null', Head("m")),
        (b',"stream":true,"n":3', Head("m", None, True, 3)),
        (b',"temperature":"hot"', Head("m")),
    ],
)
def test_chat(more: bytes, head: Head) -> None:
    assert read_chat(shallow(b"{%b%b}" % (CHAT, more))) == head


@pytest.mark.parametrize(
    ("body", "path", "words"),
    [
        (b'{"messages":[{}]}', "model", "field required"),
        (b'{"model":"m"}', "messages", "field required"),
        (b'{"model":"m","messages":"hi"}', "messages", "must be an array"),
        (b'{"model":"m","messages":[]}', "messages", "at least one message"),
        (b'{%b,"max_tokens":0}' % CHAT, "max_tokens", "greater than or equal to 1"),
        (b'{%b,"max_completion_tokens":-1}' % CHAT, "max_completion_tokens", "or equal to 1"),
        (b'{%b,"max_tokens":"5"}' % CHAT, "max_tokens", "must be an integer"),
        (b'{%b,"max_tokens":1e99}' % CHAT, "max_tokens", "must be an integer"),
        (b'{%b,"max_tokens":10000001}' % CHAT, "max_tokens", "at most"),
        (b'{%b,"n":0}' % CHAT, "n", "greater than or equal to 1"),
        (b'{%b,"n":129}' % CHAT, "n", "at most 128"),
        (b'{%b,"n":true}' % CHAT, "n", "must be an integer"),
        (b'{%b,"stream":"yes"}' % CHAT, "stream", "must be a boolean"),
    ],
)
def test_chats_faults_name_the_field(body: bytes, path: str, words: str) -> None:
    with pytest.raises(BadClientMessage, match=words) as fault:
        read_chat(shallow(body))
    assert fault.value.path == path


@pytest.mark.parametrize(
    ("body", "head"),
    [
        (b'{"model":"m","input":"hi"}', Head("m")),
        (b'{"model":"m","input":[],"max_output_tokens":5,"stream":true}', Head("m", 5, True)),
        (b'{"model":"m","previous_response_id":"r","max_output_tokens":null}', Head("m")),
        (b'{"model":"m","input":"hi","max_tokens":5}', Head("m")),
    ],
)
def test_responses(body: bytes, head: Head) -> None:
    assert read_responses(shallow(body)) == head


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b'{"input":"hi"}', "model"),
        (b'{"model":"m","max_output_tokens":0}', "max_output_tokens"),
        (b'{"model":"m","max_output_tokens":[]}', "max_output_tokens"),
        (b'{"model":"m","stream":1}', "stream"),
    ],
)
def test_the_faults_of_responses_name_the_field(body: bytes, path: str) -> None:
    with pytest.raises(BadClientMessage) as fault:
        read_responses(shallow(body))
    assert fault.value.path == path


@pytest.mark.parametrize(
    ("more", "head"),
    [
        (b"", Head("")),
        (b',"generationConfig":null', Head("")),
        (b',"generationConfig":{}', Head("")),
        (b',"generationConfig":{"maxOutputTokens":5,"candidateCount":2}', Head("", 5, False, 2)),
        (b',"generation_config":{"max_output_tokens":5}', Head("", 5)),
        (b',"generationConfig": { "max_output_tokens" : "5" }', Head("", 5)),
        # Google's zero is "not said", so the answer may be as long as answers get.
        (b',"generationConfig":{"maxOutputTokens":0,"candidateCount":0}', Head("")),
        (b',"generationConfig":{"maxOutputTokens":null}', Head("")),
    ],
)
def test_gemini(more: bytes, head: Head) -> None:
    assert read_gemini(shallow(b"{%b%b}" % (CONTENTS, more))) == head


def test_a_lone_content_is_an_array_of_one() -> None:
    assert read_gemini(shallow(b'{"contents":{"parts":{"text":"hi"}}}')) == Head("")


@pytest.mark.parametrize(
    ("body", "path", "words"),
    [
        (b"{}", "contents", "field required"),
        (b'{"contents":[]}', "contents", "at least one content"),
        (b'{"contents":"hi"}', "contents", "must be an array"),
        (b'{%b,"generationConfig":[]}' % CONTENTS, "generationConfig", "must be an object"),
        (
            b'{%b,"generationConfig":{"maxOutputTokens":1,"maxOutputTokens":9}}' % CONTENTS,
            "generationConfig",
            "distinct keys",
        ),
        (
            b'{%b,"generationConfig":{"maxOutputTokens":1,"max_output_tokens":9}}' % CONTENTS,
            "generationConfig.maxOutputTokens",
            "given twice",
        ),
        (
            b'{%b,"generationConfig":{},"generation_config":{}}' % CONTENTS,
            "generationConfig",
            "given twice",
        ),
        (
            b'{%b,"generationConfig":{"maxOutputTokens":"x"}}' % CONTENTS,
            "generationConfig.maxOutputTokens",
            "must be an integer",
        ),
        (
            b'{%b,"generationConfig":{"maxOutputTokens":-1}}' % CONTENTS,
            "generationConfig.maxOutputTokens",
            "greater than or equal to 1",
        ),
        (
            b'{%b,"generation_config":{"candidate_count":129}}' % CONTENTS,
            "generation_config.candidate_count",
            "at most 128",
        ),
    ],
)
def test_geminis_faults_name_the_field(body: bytes, path: str, words: str) -> None:
    with pytest.raises(BadClientMessage, match=words) as fault:
        read_gemini(shallow(body))
    assert fault.value.path == path


def test_counting_takes_contents_or_a_whole_request() -> None:
    assert read_count_head(shallow(b"{%b}" % CONTENTS)) == Head("")
    whole = msgspec.json.encode({"generateContentRequest": {"contents": []}})
    assert read_count_head(shallow(whole)) == Head("")
    with pytest.raises(BadClientMessage, match="contents: field required"):
        read_count_head(shallow(b"{}"))
