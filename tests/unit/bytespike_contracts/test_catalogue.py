"""The catalogue: what a good file gives, and that a bad one is refused with every reason."""

from __future__ import annotations

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
aliases = ["claude-sonnet-4.6"]
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

[[groups]]
id = "default"

[[groups]]
id = "half"
multiplier = "0.5"
models = ["claude-sonnet-4-6"]
channels = ["main"]
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
