"""The bound bounds: whatever is sent, the parts that cost money never cost more than the hold."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bytespike_contracts.catalogue import Model
from bytespike_contracts.money import Rates, TokenUsage, price
from bytespike_edge.worst_case import worst_case
from bytespike_protocols.errors import BadClientMessage
from bytespike_protocols.splice import shallow

MODEL = Model(id="m", vendor="v", family="f", context_window=200_000, max_output_tokens=1)
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
names = st.sampled_from(
    ["type", "content", "source", "data", "cache_control", "ttl", "max_uses", "text", "x"]
)
words = st.sampled_from(
    ["image", "document", "tool_result", "base64", "url", "text", "content", "web_search_1", "1h"]
)
trees: st.SearchStrategy[Any] = st.recursive(
    leaves | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=25,
)
bodies = st.fixed_dictionaries(
    {"messages": trees}, optional={"tools": trees, "system": trees, "cache_control": trees}
).map(msgspec.json.encode)


@given(body=bodies, rate=rates, max_tokens=st.integers(0, 10_000_000))
def test_any_json_is_bounded_and_no_split_of_its_input_costs_more(
    body: bytes, rate: Rates, max_tokens: int
) -> None:
    fields = shallow(body)
    found = worst_case(len(body), fields, max_tokens=max_tokens, model=MODEL, rates=rate)
    assert found.input_tokens >= 0
    assert found.usage.output_tokens == min(max_tokens, 200_000)
    fresh = TokenUsage(
        input_tokens=found.input_tokens,
        output_tokens=found.usage.output_tokens,
        web_searches=found.usage.web_searches,
    )
    assert price(fresh, rate) <= found.amount_uusd


@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_body_or_a_client_error(data: bytes) -> None:
    try:
        fields = shallow(data)
    except BadClientMessage:
        return
    fields.setdefault("messages", msgspec.Raw(b"[]"))
    worst_case(
        len(data),
        fields,
        max_tokens=1,
        model=MODEL,
        rates=Rates(
            input_uusd=1,
            output_uusd=1,
            cache_read_uusd=1,
            cache_write_5m_uusd=1,
            cache_write_1h_uusd=1,
        ),
    )


@given(text=st.text(max_size=300), more=st.text(max_size=100))
def test_a_longer_prompt_never_costs_less(text: str, more: str) -> None:
    rate = Rates(
        input_uusd=3_000_000,
        output_uusd=1,
        cache_read_uusd=1,
        cache_write_5m_uusd=1,
        cache_write_1h_uusd=1,
    )

    def amount(content: str) -> int:
        body = msgspec.json.encode({"messages": [{"role": "user", "content": content}]})
        return worst_case(
            len(body), shallow(body), max_tokens=1, model=MODEL, rates=rate
        ).amount_uusd

    assert amount(text) <= amount(text + more)
