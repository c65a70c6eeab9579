"""The catalogue we ship: every promised name and price is in it, and every model can be reached."""

from __future__ import annotations

import re

import pytest

from bytespike_contracts.catalogue import Catalogue, parse_catalogue
from bytespike_contracts.money import parse_usd
from tests.support.stack import DEFAULT_CATALOGUE


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return parse_catalogue(DEFAULT_CATALOGUE.read_text(), {})


def test_dotted_spellings_are_aliases(catalogue: Catalogue) -> None:
    for model in catalogue.models.values():
        dotted = re.sub(r"(\d)-(\d)", r"\1.\2", model.id)
        assert catalogue.resolve(dotted) is model, dotted


def test_what_vendors_call_a_model_is_an_alias(catalogue: Catalogue) -> None:
    """So that clients of the vendor need not rename, unless its model has two names here."""
    shared = {"gpt-4o-2024-05-13"}
    for channel in catalogue.channels.values():
        for model_id, vendor_name in channel.models.items():
            if vendor_name in shared or model_id == "deepseek-v3-anthropic":
                continue
            resolved = catalogue.resolve(vendor_name)
            assert resolved is catalogue.models[model_id], (channel.id, vendor_name)


@pytest.mark.parametrize(
    ("model", "prices"),
    [
        ("claude-haiku-4-5", ("1.00", "0.10", "5.00")),
        ("claude-opus-4-7", ("5.00", "0.50", "25.00")),
        ("gpt-4o-mini", ("0.15", "0.075", "0.60")),
        ("gpt-5-4-mini", ("0.75", "0.075", "4.50")),
        ("gpt-5-5", ("5.00", "0.50", "30.00")),
        ("gemini-3-1-pro", ("2.00", "0.20", "12.00")),
        ("deepseek-v4-flash", ("0.20", "0.02", "0.80")),
        ("deepseek-v4-pro", ("0.435", "0.004", "0.87")),
        ("kimi-k2-6", ("0.60", "0.06", "2.50")),
        ("glm-5-1", ("0.50", "0.05", "1.50")),
        ("minimax-m2-7", ("0.26", "0.06", "1.20")),
    ],
)
def test_prices_are_the_published_ones(
    catalogue: Catalogue, model: str, prices: tuple[str, str, str]
) -> None:
    rates = catalogue.rates("default", model)
    assert rates is not None
    found = (rates.input_uusd, rates.cache_read_uusd, rates.output_uusd)
    assert found == tuple(parse_usd(price) for price in prices)


def test_writing_the_cache_costs_more_with_claude_only(catalogue: Catalogue) -> None:
    for model in catalogue.models.values():
        if model.price is not None:
            factors = (model.price.cache_write_5m, model.price.cache_write_1h)
            assert factors == (("1.25", "2") if model.family == "claude" else ("1", "1")), model.id


def test_every_model_has_a_channel_in_every_group_that_offers_it(catalogue: Catalogue) -> None:
    for group in catalogue.groups:
        for model_id in catalogue.models:
            if catalogue.in_group(group, model_id):
                assert catalogue.channels_for(group, model_id), (group, model_id)


def test_models_are_served_in_their_family_s_own_dialect(catalogue: Catalogue) -> None:
    native = {"claude": "anthropic", "gpt": "openai_responses", "gemini": "gemini"}
    for model in catalogue.models.values():
        dialects = {c.dialect for c in catalogue.channels_for("default", model.id)}
        assert native.get(model.family, "anthropic") in dialects, model.id


def test_only_owners_of_a_dialect_are_asked_to_count(catalogue: Catalogue) -> None:
    counting = {c.id for c in catalogue.channels.values() if c.can_count_tokens}
    assert counting == {"anthropic", "google"}


@pytest.mark.parametrize(
    ("name", "successor"),
    [("deepseek-chat", "deepseek-v4-flash"), ("deepseek-reasoner", "deepseek-v4-pro")],
)
def test_names_past_their_date_are_retired(catalogue: Catalogue, name: str, successor: str) -> None:
    assert catalogue.resolve(name) is None
    assert catalogue.successor(name) is catalogue.models[successor]
