"""A real edge, fed bytes: every answer is an answer, none is an internal error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.edge.surfaces import MODEL, SURFACES, Surface
from tests.integration.edge.surroundings import EdgeUnderTest, message, running_edge

#: After this nothing more is coming: the edge is in this very process.
SILENCE_S = 0.25


@pytest.fixture(scope="module")
async def edge(
    redis_url: str, nats_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[EdgeUnderTest]:
    folder = tmp_path_factory.mktemp("edge")
    async with running_edge(redis_url, nats_url, folder, body_timeout_s=0.2) as started:
        yield started


async def statuses(edge: EdgeUnderTest, raw: bytes) -> list[int]:
    """The status of every response to ``raw``, sent on a connection of its own. A request that is
    not complete may be answered by silence.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    received = b""
    try:
        writer.write(raw)
        async with asyncio.timeout(SILENCE_S) as silence:
            while piece := await reader.read(65_536):
                received += piece
                silence.reschedule(asyncio.get_running_loop().time() + SILENCE_S)
    except (ConnectionError, TimeoutError):
        pass
    finally:
        writer.transport.abort()
    parts = received.split(b"HTTP/1.")[1:]
    return [int(part[2:5]) for part in parts if part[1:2] == b" " and part[2:5].isdigit()]


every_byte = [bytes([value]) for value in range(256)]


@pytest.mark.parametrize("place", ["query", "path", "header", "credential"])
async def test_no_byte_anywhere_in_a_head_is_an_internal_error(
    edge: EdgeUnderTest, place: str
) -> None:
    key, _ = await edge.ledger.key()
    answered = 0
    for byte in every_byte:
        parts = {"query": b"", "path": b"", "header": b"", "credential": b"", place: byte}
        raw = (
            b"GET /v1/balance%s?x=%s HTTP/1.1\r\nhost: x\r\nx-api-key: %s%s\r\n"
            b"anthropic-beta: a%s\r\nconnection: close\r\n\r\n"
        ) % (parts["path"], parts["query"], key.encode(), parts["credential"], parts["header"])
        found = await statuses(edge, raw)
        assert all(status < 500 for status in found), (byte, found)
        answered += len(found)
    assert answered >= 200, "most bytes end in an answer, not in silence"


async def test_no_byte_in_a_models_name_is_an_internal_error(edge: EdgeUnderTest) -> None:
    key, _ = await edge.ledger.key()
    answered = 0
    for byte in (*every_byte, *(b"%%%02X" % value for value in range(256))):
        raw = (
            b"POST /v1beta/models/x%s:generateContent HTTP/1.1\r\nhost: x\r\nx-api-key: %s\r\n"
            b"content-length: 17\r\nconnection: close\r\n\r\n"
            b'{"contents":[{}]}'
        ) % (byte, key.encode())
        found = await statuses(edge, raw)
        assert all(400 <= status < 500 for status in found), (byte, found)
        answered += len(found)
    assert answered >= 450, "most bytes end in an answer, not in silence"


async def test_odd_targets_are_answered(edge: EdgeUnderTest) -> None:
    for target in ("*", "http://elsewhere/v1/nothing", "elsewhere:443", "//v1/messages", "/%00"):
        for method in ("GET", "OPTIONS", "CONNECT"):
            raw = f"{method} {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
            found = await statuses(edge, raw.encode())
            assert all(status in (400, 404, 405) for status in found), (method, target, found)


async def test_the_absolute_form_is_the_same_route(edge: EdgeUnderTest) -> None:
    key, _ = await edge.ledger.key()
    raw = (
        f"GET http://gateway/v1/balance?a=1 HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\n"
        "connection: close\r\n\r\n"
    )
    assert await statuses(edge, raw.encode()) == [200]
    assert edge.router.last.line == "GET /v1/balance?a=1 HTTP/1.1"


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    noise=st.binary(max_size=60),
    at=st.integers(0, 260),
    drop=st.integers(0, 40),
    chunked=st.booleans(),
)
async def test_damaged_requests_never_break_the_edge(
    edge: EdgeUnderTest, noise: bytes, at: int, drop: int, chunked: bool
) -> None:
    body = message()
    framing = b"transfer-encoding: chunked" if chunked else b"content-length: %d" % len(body)
    sent = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    raw = (
        b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: sk-byts-x\r\n"
        b"connection: close\r\n" + framing + b"\r\n\r\n" + sent
    )
    found = await statuses(edge, raw[:at] + noise + raw[at + drop :])
    assert all(400 <= status < 500 for status in found), found


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
config = st.fixed_dictionaries(
    {}, optional={"maxOutputTokens": json_values, "candidate_count": json_values}
)
#: Every top-level field that the edge looks at in any dialect.
fields = st.fixed_dictionaries(
    {},
    optional={
        "model": st.just(MODEL) | json_values,
        "max_tokens": st.just(10) | json_values,
        "max_output_tokens": json_values,
        "n": json_values,
        "messages": json_values,
        "input": json_values,
        "contents": json_values,
        "generationConfig": config | json_values,
        "stream": json_values,
        "tools": json_values,
        "system": json_values,
        "web_search_options": json_values,
        "previous_response_id": json_values,
    },
)


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(surface=st.sampled_from(SURFACES), body=fields, named=st.booleans())
async def test_any_json_body_is_relayed_or_refused_with_a_reason(
    edge: EdgeUnderTest, surface: Surface, body: dict[str, object], named: bool
) -> None:
    key, _ = await edge.ledger.key()
    # Half of them are good enough to get beyond the head.
    body = {**body, **msgspec.json.decode(surface.body())} if named else body
    reply = await edge.call("POST", surface.target(), key=key, body=msgspec.json.encode(body))
    assert reply.status in (200, 400, 402, 404)
    if reply.status != 200:
        assert reply.error["message"]
