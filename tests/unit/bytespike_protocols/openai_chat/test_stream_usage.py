"""Usage asked for in the client's place: to the byte."""

from __future__ import annotations

import json

import pytest

from bytespike_protocols.openai_chat.stream_usage import asks_for_usage, is_usage_only, with_usage
from bytespike_protocols.splice import shallow
from bytespike_protocols.sse import Frame


def asking(body: bytes) -> bytes:
    return with_usage(body, shallow(body))


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (
            b'{"model":"m","stream":true}',
            b'{"model":"m","stream":true,"stream_options":{"include_usage":true}}',
        ),
        (
            b' { "stream" : true , "x" : "\\u00e9 }" } \n',
            b' { "stream" : true , "x" : "\\u00e9 }" ,"stream_options":{"include_usage":true}} \n',
        ),
        (
            b'{"stream_options":null,"stream":true}',
            b'{"stream_options":{"include_usage":true},"stream":true}',
        ),
        (
            b'{"stream_options": {} ,"stream":true}',
            b'{"stream_options": {"include_usage":true} ,"stream":true}',
        ),
        (
            b'{"stream":true,"stream_options":{"x": false }}',
            b'{"stream":true,"stream_options":{"x": false ,"include_usage":true}}',
        ),
        (
            b'{"stream_options":{"include_usage" : false,"include_obfuscation":false}}',
            b'{"stream_options":{"include_usage" : true,"include_obfuscation":false}}',
        ),
        (
            b'{"stream_options":{"a":1,"include_usage":null}}',
            b'{"stream_options":{"a":1,"include_usage":true}}',
        ),
        (b"{}", b'{"stream_options":{"include_usage":true}}'),
    ],
)
def test_one_field_is_added_and_no_other_byte_changes(body: bytes, sent: bytes) -> None:
    assert asking(body) == sent
    assert asks_for_usage(shallow(sent))
    assert asking(sent) is sent
    # Everything else is where it was.
    before, after = json.loads(body), json.loads(sent)
    assert {**after, "stream_options": 0} == {**before, "stream_options": 0}


@pytest.mark.parametrize(
    "body",
    [
        b'{"stream_options":{"include_usage":true}}',
        b'{"stream_options": { "include_usage" : true, "x": 1 }}',
        b'{"stream_options":7}',
        b'{"stream_options":[]}',
        b'{"stream_options":"include_usage"}',
        b'{"stream_options":{"include_usage":false,"include_usage":false}}',
    ],
)
def test_what_asks_already_or_is_wrong_stays(body: bytes) -> None:
    assert asking(body) is body


@pytest.mark.parametrize(
    ("data", "only"),
    [
        (b'{"id":"c","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}', True),
        (b'{"choices":[],"usage":null}', False),
        (b'{"choices":[],"prompt_filter_results":[]}', False),
        (b'{"choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}', False),
        (b'{"choices":[{"delta":{"content":"\\"usage\\":{}"}}]}', False),
        (b'{"usage":{"prompt_tokens":1}}', False),
        (b'{"choices":[],"usage":{},"error":{"message":"m"}}', False),
        (b"[DONE]", False),
        (b'"usage"', False),
    ],
)
def test_the_chunk_to_swallow(data: bytes, only: bool) -> None:
    assert is_usage_only(Frame(b"", data)) is only
