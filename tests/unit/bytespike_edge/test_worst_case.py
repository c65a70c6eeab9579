"""The bound, kind by kind of content."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest

from bytespike_contracts.catalogue import Model
from bytespike_contracts.money import Rates, price
from bytespike_edge.contents.quantities import DEFAULT_SEARCHES, MAX_PAGES
from bytespike_edge.worst_case import (
    IMAGE_TOKENS,
    KNOWN_TOOL_TOKENS,
    PAGE_TOKENS,
    SEARCH_RESULT_TOKENS,
    TOOL_PROMPT_TOKENS,
    WorstCase,
    worst_case,
)
from bytespike_protocols.heads import Head
from bytespike_protocols.ir import Dialect
from bytespike_protocols.splice import shallow

MODEL = Model(id="m", vendor="v", family="f", context_window=1_000_000, max_output_tokens=64_000)
RATES = Rates(
    input_uusd=3_000_000,
    output_uusd=15_000_000,
    cache_read_uusd=300_000,
    cache_write_5m_uusd=3_750_000,
    cache_write_1h_uusd=6_000_000,
    web_search_uusd=10_000_000,
)
BIG = base64.b64encode(bytes(300_000)).decode()


def bound(body: bytes, *, max_tokens: int = 0, model: Model = MODEL) -> WorstCase:
    return worst_case(
        len(body),
        shallow(body),
        dialect=Dialect.ANTHROPIC,
        head=Head("m", max_tokens),
        model=model,
        rates=RATES,
    )


def body(content: Any = "hi", **fields: Any) -> bytes:
    return msgspec.json.encode({"messages": [{"role": "user", "content": content}], **fields})


def text_tokens(data: bytes, media_bytes: int = 0) -> int:
    return -(-(len(data) - media_bytes) // 3)


def test_text_counts_by_its_bytes_and_output_by_the_clients_cap() -> None:
    data = body("x" * 1000)
    found = bound(data, max_tokens=500)
    assert found.usage.input_tokens == text_tokens(data)
    assert found.usage.output_tokens == 500
    assert found.amount_uusd == price(found.usage, RATES) == text_tokens(data) * 3 + 500 * 15


def test_input_and_output_end_at_the_context_window() -> None:
    small = msgspec.structs.replace(MODEL, context_window=1_000)
    found = bound(body("x" * 9_000), max_tokens=50_000, model=small)
    assert (found.usage.input_tokens, found.usage.output_tokens) == (1_000, 1_000)


def image(**source: str) -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", **source}}


def test_an_image_counts_as_an_image_not_by_its_bytes() -> None:
    data = body([image(data=BIG), {"type": "text", "text": "what is it?"}])
    assert bound(data).input_tokens == text_tokens(data, len(BIG) + 2) + IMAGE_TOKENS


def test_an_image_by_reference_counts_too() -> None:
    data = body([{"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}])
    assert bound(data).input_tokens == text_tokens(data) + IMAGE_TOKENS


def test_images_inside_tool_results_count() -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": [image(data=BIG)] * 2}
    data = body([result])
    expected = text_tokens(data, 2 * (len(BIG) + 2)) + 2 * IMAGE_TOKENS
    assert bound(data).input_tokens == expected


def test_the_shape_of_an_image_inside_a_tools_arguments_is_text() -> None:
    call = {"type": "tool_use", "id": "t", "name": "n", "input": image(data=BIG)}
    data = body([call])
    assert bound(data).input_tokens == text_tokens(data)


def test_documents_count_by_pages() -> None:
    pdf = {"type": "document", "source": {"type": "base64", "data": "A" * 40_000}}
    data = body([pdf])
    assert bound(data).input_tokens == text_tokens(data, 40_002) + 11 * PAGE_TOKENS


def test_a_document_by_reference_is_as_long_as_documents_get() -> None:
    data = body([{"type": "document", "source": {"type": "file", "file_id": "f"}}])
    assert bound(data).input_tokens == text_tokens(data) + MAX_PAGES * PAGE_TOKENS


def test_a_plain_text_document_counts_by_its_bytes_and_nested_images_as_images() -> None:
    plain = {"type": "document", "source": {"type": "text", "data": "x" * 900}}
    nested = {"type": "document", "source": {"type": "content", "content": [image(data=BIG)]}}
    data = body([plain, nested])
    assert bound(data).input_tokens == text_tokens(data, len(BIG) + 2) + IMAGE_TOKENS


@pytest.mark.parametrize(
    ("fields", "bucket"),
    [
        ({}, "input_tokens"),
        ({"cache_control": {"type": "ephemeral"}}, "cache_write_5m_tokens"),
        ({"cache_control": {"type": "ephemeral", "ttl": "1h"}}, "cache_write_1h_tokens"),
        ({"system": [{"type": "text", "cache_control": {}}]}, "cache_write_5m_tokens"),
        ({"tools": [{"name": "t", "cache_control": {"ttl": "1h"}}]}, "cache_write_1h_tokens"),
        ({"cache_control": None, "system": "cache_control 1h"}, "input_tokens"),
    ],
)
def test_input_is_priced_in_the_dearest_bucket_it_can_land_in(
    fields: dict[str, Any], bucket: str
) -> None:
    found = bound(body(**fields))
    assert getattr(found.usage, bucket) == found.input_tokens > 0


def test_a_breakpoint_deep_inside_counts() -> None:
    inner = {"type": "text", "text": "x", "cache_control": {"ttl": "1h"}}
    found = bound(body([{"type": "tool_result", "content": [inner]}]))
    assert found.usage.cache_write_1h_tokens == found.input_tokens


def test_words_inside_a_text_are_only_words() -> None:
    found = bound(body('"cache_control": {"ttl": "1h"}, "type": "image"'))
    assert found.usage.input_tokens == found.input_tokens


def test_escapes_hide_nothing() -> None:
    data = body([image(data=BIG)], cache_control={"ttl": "1h"})
    hidden = data.replace(b'"image"', b'"im\\u0061ge"').replace(b"ttl", b"tt\\u006c")
    assert bound(hidden).usage.cache_write_1h_tokens - bound(data).input_tokens < 10


@pytest.mark.parametrize(("max_uses", "searches"), [(None, DEFAULT_SEARCHES), (3, 3), (-1, 0)])
def test_web_searches_count_as_uses_and_as_input(max_uses: int | None, searches: int) -> None:
    tool = {"type": "web_search_20260209", "name": "web_search", "max_uses": max_uses}
    data = body(tools=[tool, {"name": "other", "input_schema": {}}])
    found = bound(data)
    assert found.usage.web_searches == searches
    expected = text_tokens(data) + TOOL_PROMPT_TOKENS + searches * SEARCH_RESULT_TOKENS
    assert found.input_tokens == expected


@pytest.mark.parametrize(
    ("fields", "lookups"),
    [
        ({"tools": [{"type": "web_fetch_20250910"}]}, DEFAULT_SEARCHES),
        ({"tools": [{"type": "web_fetch_20250910", "max_uses": 2}]}, 2),
        ({"tools": [{"type": "code_execution_20260120"}]}, DEFAULT_SEARCHES),
        ({"tools": [{"type": "custom", "name": "web_fetch_1"}]}, 0),
        ({"tools": [{"type": "bash_20250124"}]}, 0),
        ({"mcp_servers": [{"type": "url", "url": "https://x"}]}, DEFAULT_SEARCHES),
        ({"mcp_servers": []}, 0),
    ],
)
def test_what_the_vendors_own_tools_find_comes_on_top(fields: dict[str, Any], lookups: int) -> None:
    data = body(**fields)
    (tool,) = fields.get("tools", [{}])
    prompt = TOOL_PROMPT_TOKENS if tool else 0
    prompt += KNOWN_TOOL_TOKENS if tool.get("type", "").startswith("bash_") else 0
    found = bound(data)
    assert found.input_tokens == text_tokens(data) + prompt + lookups * SEARCH_RESULT_TOKENS
    assert found.usage.web_searches == 0


@pytest.mark.parametrize(
    "data",
    [
        b'{"messages":[{"content":[{"type":3}]}],"tools":"x"}',
        b'{"messages":[1],"tools":[]}',
        b'{"messages":[{"content":[{"cache_control":7}]}],"tools":[]}',
    ],
)
def test_what_cannot_be_read_is_taken_at_its_dearest(data: bytes) -> None:
    found = bound(data)
    assert found.usage.cache_write_1h_tokens == found.input_tokens
    assert found.usage.web_searches == DEFAULT_SEARCHES


@pytest.mark.parametrize(
    "block",
    [
        {"type": "search_result", "source": "https://x", "content": [{"type": "text"}]},
        {"type": "web_search_tool_result", "content": {"type": "error", "error_code": "x"}},
        {"type": "web_search_tool_result", "content": [{"type": "web_search_result"}]},
        {"type": "thinking", "thinking": "x", "signature": "y"},
        {"type": "tool_result", "content": "text"},
        {"type": "tool_result", "content": ["text", {"type": "text", "text": "x"}]},
        {"type": "code_execution_tool_result", "content": {"type": "x", "content": []}},
    ],
)
def test_every_shape_the_vendor_allows_is_read(block: dict[str, Any]) -> None:
    data = body([block])
    assert bound(data).usage.input_tokens == text_tokens(data)
