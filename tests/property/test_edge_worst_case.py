"""The bound bounds: whatever is sent, the parts that cost money never cost more than the hold."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bytespike_contracts.catalogue import Model
from bytespike_contracts.money import Rates, TokenUsage, price
from bytespike_edge.worst_case import WorstCase, worst_case
from bytespike_protocols.errors import BadClientMessage
from bytespike_protocols.heads import Head
from bytespike_protocols.ir import Dialect
from bytespike_protocols.splice import shallow

MODEL = Model(id="m", vendor="v", family="f", context_window=200_000, max_output_tokens=1_000)
FLAT = Rates(
    input_uusd=3_000_000,
    output_uusd=1,
    cache_read_uusd=1,
    cache_write_5m_uusd=1,
    cache_write_1h_uusd=1,
)
amounts = st.integers(0, 100_000_000)
rates = st.builds(
    Rates,
    input_uusd=amounts,
    output_uusd=amounts,
    cache_read_uusd=st.just(0),
    cache_write_5m_uusd=amounts,
    cache_write_1h_uusd=amounts,
    web_search_uusd=amounts,
    multiplier_ppm=st.integers(1, 5_000_000),
)
leaves = st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=20)
#: Every name and word that one of the readers looks for.
names = st.sampled_from(
    [
        "type", "content", "source", "data", "cache_control", "ttl", "max_uses", "text",
        "x", "url", "detail", "image_url", "input_audio", "file", "file_data", "audio",
        "output", "result", "parts", "inlineData", "inline_data", "fileData", "file_data",
        "mimeType", "mime_type", "functionResponse", "function_response", "videoMetadata",
        "video_metadata", "fps", "googleSearch", "functionDeclarations",
    ]
)  # fmt: skip
words = st.sampled_from(
    [
        "image", "document", "tool_result", "base64", "url", "text", "content",
        "web_search_1", "1h", "image_url", "input_audio", "file", "input_image",
        "input_file", "item_reference", "image_generation_call", "computer_screenshot",
        "original", "function", "web_search", "mcp", "image/png", "application/pdf",
        "audio/wav", "video/mp4", "text/plain", "data:image/png;base64,AAAA",
        "data:application/pdf;base64,AAAA", "https://x/y",
    ]
)  # fmt: skip
trees: st.SearchStrategy[Any] = st.recursive(
    leaves | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=25,
)
#: What each dialect holds its conversation in, and what else its reader looks at.
PLACES: dict[Dialect, tuple[str, tuple[str, ...]]] = {
    Dialect.ANTHROPIC: ("messages", ("tools", "system", "cache_control")),
    Dialect.OPENAI_CHAT: (
        "messages",
        ("tools", "functions", "web_search_options", "grounding", "cache_control"),
    ),
    Dialect.OPENAI_RESPONSES: (
        "input",
        ("tools", "max_tool_calls", "previous_response_id", "conversation", "prompt"),
    ),
    Dialect.GEMINI: (
        "contents",
        ("tools", "systemInstruction", "system_instruction", "cachedContent"),
    ),
}


@st.composite
def requests(draw: st.DrawFn) -> tuple[Dialect, bytes]:
    dialect = draw(st.sampled_from(list(PLACES)))
    place, more = PLACES[dialect]
    fields = st.fixed_dictionaries({place: trees}, optional=dict.fromkeys(more, trees))
    return dialect, msgspec.json.encode(draw(fields))


def bound(dialect: Dialect, body: bytes, rate: Rates, head: Head) -> WorstCase:
    fields = shallow(body)
    return worst_case(len(body), fields, dialect=dialect, head=head, model=MODEL, rates=rate)


@given(
    request=requests(),
    rate=rates,
    cap=st.none() | st.integers(0, 10_000_000),
    candidates=st.integers(1, 128),
)
def test_any_json_is_bounded_and_no_split_of_its_input_costs_more(
    request: tuple[Dialect, bytes], rate: Rates, cap: int | None, candidates: int
) -> None:
    dialect, body = request
    found = bound(dialect, body, rate, Head("m", cap, candidates=candidates))
    assert found.input_tokens >= 0
    each = 1_000 if cap is None else min(cap, 200_000)
    assert found.usage.output_tokens == each * candidates
    fresh = TokenUsage(
        input_tokens=found.input_tokens,
        output_tokens=found.usage.output_tokens,
        web_searches=found.usage.web_searches,
    )
    assert price(fresh, rate) <= found.amount_uusd


@given(dialect=st.sampled_from(list(PLACES)), data=st.binary(max_size=200))
def test_any_bytes_are_a_body_or_a_client_error(dialect: Dialect, data: bytes) -> None:
    try:
        fields = shallow(data)
    except BadClientMessage:
        return
    fields.setdefault(PLACES[dialect][0], msgspec.Raw(b"[]"))
    worst_case(len(data), fields, dialect=dialect, head=Head("m", 1), model=MODEL, rates=FLAT)


def prompt(dialect: Dialect, text: str) -> bytes:
    content = {"parts": [{"text": text}]} if dialect is Dialect.GEMINI else {"content": text}
    return msgspec.json.encode({PLACES[dialect][0]: [{"role": "user", **content}]})


@given(
    dialect=st.sampled_from(list(PLACES)), text=st.text(max_size=300), more=st.text(max_size=100)
)
def test_a_longer_prompt_never_costs_less(dialect: Dialect, text: str, more: str) -> None:
    short, long = (
        bound(dialect, prompt(dialect, words), FLAT, Head("m", 1)).amount_uusd
        for words in (text, text + more)
    )
    assert short <= long
    assert short >= price(TokenUsage(input_tokens=len(text.encode()) // 3), FLAT)


@given(request=requests(), copies=st.integers(2, 4))
def test_saying_everything_again_never_costs_less(
    request: tuple[Dialect, bytes], copies: int
) -> None:
    dialect, body = request
    fields = msgspec.json.decode(body)
    place = PLACES[dialect][0]
    if not isinstance(fields[place], list):
        return
    longer = msgspec.json.encode({**fields, place: fields[place] * copies})
    once, often = (bound(dialect, data, FLAT, Head("m", 1)).amount_uusd for data in (body, longer))
    assert once <= often
