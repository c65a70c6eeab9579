"""The catalogue: what a good file gives, and that a bad one is refused with every reason."""

from __future__ import annotations

import datetime

import pytest

from bytespike_contracts.catalogue import CatalogueError, parse_catalogue
from bytespike_contracts.money import Rates

GOOD = """
[[models]]
id = "claude-sonnet-4-6"
vendor = "anthropic"
family = "claude"
context_window = 200000
max_output_tokens = 16384
released = 2026-02-17
capabilities = ["vision", "tool_use"]
aliases = ["claude-sonnet-4.6", "Claude-Sonnet"]
retired_aliases = ["claude-sonnet-4-1"]
price = { input = "3.00", output = "15.00", cache_read = "0.30", cache_write_5m = "1.25" }

[[models]]
id = "claude-unpriced"
vendor = "anthropic"
family = "claude"
context_window = 200000
max_output_tokens = 16384

[[channels]]
id = "main"
dialect = "anthropic"
base_url = "https://api.anthropic.com"
base_url_env = "VENDOR_URL"
credential = "env:ANTHROPIC_API_KEY"
models = { claude-sonnet-4-6 = "claude-sonnet-4-6", claude-unpriced = "x" }

[[channels]]
id = "spare"
dialect = "anthropic"
base_url = "https://spare.example"
credential = "file:/run/secrets/spare"
priority = 5
cost_factor = "0.5"
models = { claude-sonnet-4-6 = "sonnet" }

[[channels]]
id = "chat"
dialect = "openai_chat"
base_url = "https://chat.example/v1"
base_url_env = "CHAT_URL"
credential = "env:CHAT_KEY"
compatible = true
models = { claude-unpriced = "sonnet" }

[[groups]]
id = "default"

[[groups]]
id = "half"
multiplier = "0.5"
models = ["claude-sonnet-4-6"]
channels = ["main"]
"""

#: Without the other channels, so that a row of ``spare`` may be of any dialect.
SPARE = """
[[models]]
id = "m"
vendor = "v"
family = "f"
context_window = 1
max_output_tokens = 1

[[channels]]
id = "spare"
dialect = "anthropic"
base_url = "https://spare.example"
credential = "env:SPARE"
models = { m = "m" }

[[groups]]
id = "default"
"""


def problems(text: str) -> list[str]:
    with pytest.raises(CatalogueError) as caught:
        parse_catalogue(text, {})
    return caught.value.problems


def test_names_resolve_to_models() -> None:
    catalogue = parse_catalogue(GOOD, {})
    by_alias = catalogue.resolve("claude-sonnet-4.6")
    assert by_alias is catalogue.resolve("claude-sonnet-4-6")
    assert by_alias is not None
    assert catalogue.resolve("gpt-17") is None


def test_a_retired_name_only_points_to_its_successor() -> None:
    catalogue = parse_catalogue(GOOD, {})
    assert catalogue.resolve("claude-sonnet-4-1") is None
    assert catalogue.successor("claude-sonnet-4-1") is catalogue.models["claude-sonnet-4-6"]
    assert catalogue.successor("claude-sonnet-4.6") is None


def test_what_a_file_says_of_a_model_is_kept() -> None:
    model = parse_catalogue(GOOD, {}).models["claude-sonnet-4-6"]
    assert model.released == datetime.date(2026, 2, 17)
    assert model.capabilities == ("vision", "tool_use")


@pytest.mark.parametrize(
    ("row", "auth", "counts"),
    [
        ('dialect = "anthropic"', "x-api-key", True),
        ('dialect = "anthropic"\ncompatible = true', "x-api-key", False),
        ('dialect = "anthropic"\ncompatible = true\ncounts_tokens = true', "x-api-key", True),
        ('dialect = "anthropic"\nauth = "bearer"\ncounts_tokens = false', "bearer", False),
        ('dialect = "openai_chat"', "bearer", False),
        ('dialect = "openai_responses"\nstores = true', "bearer", False),
        ('dialect = "gemini"', "x-goog-api-key", True),
    ],
)
def test_a_channel_is_used_as_its_dialect_is_unless_it_says_otherwise(
    row: str, auth: str, counts: bool
) -> None:
    channel = parse_catalogue(SPARE.replace('dialect = "anthropic"', row), {}).channels["spare"]
    assert (channel.auth_scheme, channel.can_count_tokens) == (auth, counts)


def test_a_model_may_be_served_in_several_dialects() -> None:
    catalogue = parse_catalogue(GOOD, {})
    serving = catalogue.channels_for("default", "claude-unpriced")
    assert {(c.id, c.dialect) for c in serving} == {("main", "anthropic"), ("chat", "openai_chat")}


def test_groups_bound_models_channels_and_price() -> None:
    catalogue = parse_catalogue(GOOD, {})
    assert catalogue.in_group("half", "claude-sonnet-4-6")
    assert not catalogue.in_group("half", "claude-unpriced")
    assert not catalogue.in_group("nowhere", "claude-sonnet-4-6")
    assert [c.id for c in catalogue.channels_for("default", "claude-sonnet-4-6")] == [
        "spare",
        "main",
    ]
    assert [c.id for c in catalogue.channels_for("half", "claude-sonnet-4-6")] == ["main"]
    assert catalogue.rates("half", "claude-sonnet-4-6") == Rates(
        input_uusd=3_000_000,
        output_uusd=15_000_000,
        cache_read_uusd=300_000,
        cache_write_5m_uusd=3_750_000,
        cache_write_1h_uusd=3_000_000,
        multiplier_ppm=500_000,
    )


def test_a_model_without_a_price_has_no_rates() -> None:
    assert parse_catalogue(GOOD, {}).rates("default", "claude-unpriced") is None


def test_the_second_book_has_its_own_factor() -> None:
    catalogue = parse_catalogue(GOOD, {})
    rates = catalogue.cost_rates(catalogue.channels["spare"], "claude-sonnet-4-6")
    assert rates is not None
    assert rates.multiplier_ppm == 500_000


def test_the_environment_can_move_a_channel() -> None:
    catalogue = parse_catalogue(GOOD, {"VENDOR_URL": "http://127.0.0.1:8090"})
    assert catalogue.channels["main"].base_url == "http://127.0.0.1:8090"
    with pytest.raises(CatalogueError, match=r"VENDOR_URL is not an http\(s\) URL"):
        parse_catalogue(GOOD, {"VENDOR_URL": "ftp://x"})


def test_the_revision_is_that_of_the_prices() -> None:
    revision = parse_catalogue(GOOD, {}).revision
    assert parse_catalogue(GOOD.replace("priority = 5", "priority = 6"), {}).revision == revision
    assert parse_catalogue(GOOD.replace('"3.00"', '"3.01"'), {}).revision != revision
    assert parse_catalogue(GOOD.replace('"0.5"', '"0.6"', 2), {}).revision != revision


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            'id = "claude-unpriced"',
            'id = "claude-sonnet-4.6"',
            "'claude-sonnet-4.6' is defined twice",
        ),
        ('id = "spare"', 'id = "main"', "channel 'main' is defined twice"),
        ('id = "half"', 'id = "default"', "group 'default' is defined twice"),
        ('{ claude-sonnet-4-6 = "sonnet" }', '{ gpt-9 = "x" }', "unknown model 'gpt-9'"),
        ('channels = ["main"]', 'channels = ["gone"]', "unknown channel 'gone'"),
        ('models = ["claude-sonnet-4-6"]', 'models = ["gone"]', "unknown model 'gone'"),
        ('input = "3.00"', 'input = "three"', "not an amount in USD: 'three'"),
        ('input = "3.00"', 'input = "-3.00"', "negative amount"),
        ('multiplier = "0.5"', 'multiplier = "0"', "must be above zero"),
        ('input = "3.00"', "input = 3.0", "Expected `str`, got `float`"),
        ("priority = 5", "prioritee = 5", "unknown field `prioritee`"),
        ('"vision"', '"visoin"', "Invalid enum value 'visoin'"),
        ('"claude-sonnet-4-1"', '"claude-unpriced"', "'claude-unpriced' is defined twice"),
        ('"openai_chat"', '"openai"', "Invalid enum value 'openai'"),
        ("compatible = true", "stores = true", "channels[chat].stores: openai_chat keeps no"),
        ("compatible = true", "counts_tokens = true", "channels[chat].counts_tokens: openai_chat"),
        ("compatible = true", 'betas = ["*"]', "channels[chat].betas: openai_chat has none"),
        ("compatible = true", 'auth = "basic"', "Invalid enum value 'basic'"),
        ("spare.example", "spare.example/v1/", "does not end in '/v1'"),
        ("chat.example/v1", "chat.example/chat/completions", "does not end in '/completions'"),
        ('"CHAT_URL"', '"VENDOR_URL"', "VENDOR_URL is the base_url_env of channels whose"),
        ('"env:ANTHROPIC_API_KEY"', '"sk-ant-secret"', "$.channels[0].credential"),
        ("[[groups]]", "[[grupps]]", "unknown field `grupps`"),
    ],
)
def test_bad_files_are_refused_with_the_reason(old: str, new: str, expected: str) -> None:
    text = GOOD.replace(old, new, 1)
    assert text != GOOD
    assert any(expected in problem for problem in problems(text)), problems(text)


def test_every_problem_is_listed_at_once() -> None:
    text = GOOD.replace('channels = ["main"]', 'channels = ["gone"]').replace('"3.00"', '"x"')
    assert len(problems(text)) == 2
