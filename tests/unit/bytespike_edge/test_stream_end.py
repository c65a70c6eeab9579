"""What is put to the end of a stream that broke, in every dialect and framing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bytespike_contracts.errors import ErrorCode, GatewayError
from bytespike_edge.errors import stream_error
from bytespike_edge.stream_end import stream_end
from bytespike_protocols.codec import Framing
from bytespike_protocols.ir import Dialect

BROKEN = GatewayError(ErrorCode.UNAVAILABLE, "it broke")
EVENT = b'data: {"a":"b"}\n\n'


def last_words(dialect: Dialect, framing: Framing, *pieces: bytes) -> bytes:
    end = stream_end(dialect, framing)
    for piece in pieces:
        end.note(piece)
    return end.last_words(BROKEN, request_id="req_1")


@pytest.mark.parametrize("dialect", list(Dialect))
@pytest.mark.parametrize(
    "pieces", [(), (EVENT,), (EVENT[:5], EVENT[5:]), (EVENT.replace(b"\n", b"\r\n"),)]
)
def test_where_a_frame_has_ended_the_client_is_told(
    dialect: Dialect, pieces: tuple[bytes, ...]
) -> None:
    words = last_words(dialect, "sse", *pieces)
    assert b"it broke" in words
    assert words.endswith((b"\n\n", b"\r\n\r\n"))
    if dialect in (Dialect.GEMINI, Dialect.OPENAI_CHAT):
        assert words.startswith(b'data: {"error":')
        assert b"event:" not in words
    else:
        assert words.startswith(b"event: error\n")


@pytest.mark.parametrize("dialect", list(Dialect))
@pytest.mark.parametrize("cut", [b"data: {", b'data: {"a":1}', b'data: {"a":1}\n', b": ping"])
def test_within_a_frame_nothing_can_be_said(dialect: Dialect, cut: bytes) -> None:
    assert last_words(dialect, "sse", EVENT, cut) == b""


@pytest.mark.parametrize("dialect", list(Dialect))
def test_what_the_service_has_said_is_not_said_again(dialect: Dialect) -> None:
    said = stream_error(BROKEN, dialect=dialect, request_id="req_1", framing="sse")
    assert last_words(dialect, "sse", EVENT, said) == b""
    assert last_words(dialect, "sse", EVENT + said[:9], said[9:]) == b""


def test_a_failed_response_is_an_error_too() -> None:
    failed = b'event: response.failed\ndata: {"type":"response.failed"}\n\n'
    assert last_words(Dialect.OPENAI_RESPONSES, "sse", EVENT, failed) == b""


def elements(text: bytes) -> list[Any]:
    """The elements of an array that was cut just before its closing bracket."""
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(text)
    found = msgspec.json.decode(text + b"]")
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize(
    ("pieces", "before"),
    [
        ((), []),
        ((b"[",), []),
        ((b'[{"a":1}',), [{"a": 1}]),
        ((b'[{"a":1}', b",\r\n"), [{"a": 1}]),
        ((b'[{"a":"}]"}', b',\r\n{"b":', b"[2]}"), [{"a": "}]"}, {"b": [2]}]),
    ],
)
def test_an_array_gets_an_error_for_an_element_and_stays_broken(
    pieces: tuple[bytes, ...], before: list[Any]
) -> None:
    text = b"".join(pieces) + last_words(Dialect.GEMINI, "array", *pieces)
    *found, error = elements(text)
    assert found == before
    assert error["error"]["status"] == "UNAVAILABLE"


@pytest.mark.parametrize(
    "pieces",
    [
        (b'[{"a":1',),
        (b'[{"a":"]}',),
        (b'[{"a":1}', b"]"),
        (b"nonsense", b'[{"a":1}'),
        (b'[{"error":{"code":503}}',),
    ],
)
def test_an_array_that_cannot_or_need_not_take_an_error_gets_none(
    pieces: tuple[bytes, ...],
) -> None:
    assert last_words(Dialect.GEMINI, "array", *pieces) == b""
