"""One level of JSON: what is read, what is refused, and that no other byte moves."""

from __future__ import annotations

import pytest

from bytespike_protocols.errors import BadClientMessage
from bytespike_protocols.splice import is_string, replace_span, shallow, shallow_at


def test_fields_keep_their_bytes_and_order() -> None:
    fields = shallow(b' {"b": [1,  2.50], "a" : "\\u00e9"} ')
    assert [(name, bytes(raw)) for name, raw in fields.items()] == [
        ("b", b"[1,  2.50]"),
        ("a", b'"\\u00e9"'),
    ]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"model":"a","x":1}', b'{"model":"NEW","x":1}'),
        (
            b'\n{ "x" : {"model":"a"} ,\t"model" : "a" }\n',
            b'\n{ "x" : {"model":"a"} ,\t"model" : "NEW" }\n',
        ),
        (b'{"mod\\u0065l":"a"}', b'{"mod\\u0065l":"NEW"}'),
        (b'{"x":"\\"model\\":\\"a\\"","model":null}', b'{"x":"\\"model\\":\\"a\\"","model":"NEW"}'),
    ],
)
def test_replacing_touches_no_other_byte(body: bytes, expected: bytes) -> None:
    fields, span = shallow_at(body, "model")
    assert fields == shallow(body)
    assert bytes(fields["model"]) == body[slice(*span)]
    assert replace_span(body, span, b'"NEW"') == expected


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"a","model":"a"}',
        b'{"model":"a","model":"b"}',
        b'{"model":"a","mod\\u0065l":"b"}',
        b'{"model":1,"x":2,"model":1}',
        b'{"x":12,"x":1}',
        b'{"x":1,"x":12}',
        b'{"x":"a,\\"x\\":1","x":"a"}',
    ],
)
def test_a_repeated_key_is_refused(body: bytes) -> None:
    with pytest.raises(BadClientMessage, match="repeats"):
        shallow(body)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b'{"a":1} x', "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b'{"\xff":1}', "not UTF-8"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    ],
)
def test_anything_but_an_object_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(BadClientMessage, match=words):
        shallow(body)


@pytest.mark.parametrize("body", [b"{}", b'{"x":{"model":"a"}}', b'{ "x":"model" }'])
def test_a_field_that_is_not_there_has_no_place(body: bytes) -> None:
    with pytest.raises(BadClientMessage, match="model: field required"):
        shallow_at(body, "model")


@pytest.mark.parametrize(
    ("span", "fits"),
    [
        ((9, 12), True),
        ((9, 11), False),
        ((8, 12), False),
        ((9, 10), False),
        ((12, 9), False),
        ((9, 99), False),
        ((-5, 12), False),
    ],
)
def test_a_span_must_lie_on_a_string(span: tuple[int, int], *, fits: bool) -> None:
    assert is_string(b'{"model":"a"}', span) is fits
