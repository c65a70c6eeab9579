"""The head of a Messages request: the fields the gateway prices and routes by."""

from __future__ import annotations

import pytest

from bytespike_protocols.anthropic.head import read_count_head, read_head
from bytespike_protocols.errors import BadClientMessage
from bytespike_protocols.heads import Head
from bytespike_protocols.splice import shallow

HEAD = b'"model":"m","messages":[{}]'


@pytest.mark.parametrize(
    ("body", "head"),
    [
        (b'{%b,"max_tokens":5}' % HEAD, Head("m", 5, False)),
        (b'{%b,"max_tokens":0,"stream":true}' % HEAD, Head("m", 0, True)),
        (b'{%b,"max_tokens":5,"stream":null}' % HEAD, Head("m", 5, False)),
        (b'{%b,"max_tokens":5,"temperature":"hot"}' % HEAD, Head("m", 5, False)),
    ],
)
def test_only_what_we_need_is_read(body: bytes, head: Head) -> None:
    assert read_head(shallow(body)) == head


@pytest.mark.parametrize(
    ("body", "path", "words"),
    [
        (b'{"messages":[{}],"max_tokens":5}', "model", "field required"),
        (b'{"model":7,"messages":[{}],"max_tokens":5}', "model", "must be a string"),
        (b'{"model":"","messages":[{}],"max_tokens":5}', "model", "must not be empty"),
        (b"{%b}" % HEAD, "max_tokens", "field required"),
        (b'{%b,"max_tokens":"5"}' % HEAD, "max_tokens", "must be an integer"),
        (b'{%b,"max_tokens":5.5}' % HEAD, "max_tokens", "must be an integer"),
        (b'{%b,"max_tokens":true}' % HEAD, "max_tokens", "must be an integer"),
        (b'{%b,"max_tokens":null}' % HEAD, "max_tokens", "must be an integer"),
        (b'{%b,"max_tokens":-1}' % HEAD, "max_tokens", "greater than or equal to 0"),
        (b'{%b,"max_tokens":99999999999999999999}' % HEAD, "max_tokens", "at most"),
        (b'{%b,"max_tokens":5,"stream":"yes"}' % HEAD, "stream", "must be a boolean"),
        (b'{"model":"m","max_tokens":5}', "messages", "field required"),
        (b'{"model":"m","messages":{},"max_tokens":5}', "messages", "must be an array"),
        (b'{"model":"m","messages":[ ],"max_tokens":5}', "messages", "at least one"),
    ],
)
def test_faults_name_the_field(body: bytes, path: str, words: str) -> None:
    with pytest.raises(BadClientMessage, match=words) as fault:
        read_head(shallow(body))
    assert fault.value.path == path


def test_counting_needs_no_max_tokens() -> None:
    assert read_count_head(shallow(b"{%b}" % HEAD)) == Head("m")
    with pytest.raises(BadClientMessage, match="model"):
        read_count_head(shallow(b'{"messages":[{}]}'))
