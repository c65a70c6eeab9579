"""Real vendors where there are keys; without any the simulator stands in for all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bytespike_cli.vendors import choose_vendors
from bytespike_contracts.catalogue import parse_catalogue
from tests.support.stack import DEFAULT_CATALOGUE

_URL = "http://127.0.0.1:9"
_KEYS = {
    "ANTHROPIC_API_KEY": ("anthropic",),
    "OPENAI_API_KEY": ("openai", "openai-chat"),
    "GEMINI_API_KEY": ("google",),
    "DEEPSEEK_API_KEY": ("deepseek", "deepseek-anthropic"),
    "MOONSHOT_API_KEY": ("moonshot", "moonshot-anthropic"),
    "ZHIPU_API_KEY": ("zhipu", "zhipu-anthropic"),
    "MINIMAX_API_KEY": ("minimax", "minimax-anthropic"),
    "ARK_API_KEY": ("volcengine-ark", "volcengine-ark-anthropic"),
}


def test_without_a_key_all_vendors_are_simulated() -> None:
    vendors = choose_vendors(DEFAULT_CATALOGUE, {}, simulator_url=_URL)
    catalogue = parse_catalogue(DEFAULT_CATALOGUE.read_text(), vendors.environment)
    assert vendors.simulated == tuple(catalogue.channels)
    assert (vendors.real, vendors.absent) == ((), ())
    assert vendors.model == "claude-haiku-4-5"
    assert {name for name in vendors.environment if name.endswith("_API_KEY")} == set(_KEYS)


def test_the_simulator_is_found_where_an_sdk_would_look_for_it() -> None:
    vendors = choose_vendors(DEFAULT_CATALOGUE, {}, simulator_url=_URL)
    catalogue = parse_catalogue(DEFAULT_CATALOGUE.read_text(), vendors.environment)
    assert {(c.dialect, c.base_url) for c in catalogue.channels.values()} == {
        ("anthropic", _URL),
        ("openai_chat", f"{_URL}/v1"),
        ("openai_responses", f"{_URL}/v1"),
        ("gemini", _URL),
    }


@pytest.mark.parametrize("variable", _KEYS)
def test_one_key_makes_its_vendor_real_and_leaves_the_others_out(variable: str) -> None:
    vendors = choose_vendors(DEFAULT_CATALOGUE, {variable: "k"}, simulator_url=_URL)
    assert vendors.real == _KEYS[variable]
    assert (vendors.simulated, vendors.environment) == ((), {})
    assert set(vendors.absent) == {id for ids in _KEYS.values() for id in ids} - set(vendors.real)
    assert vendors.model is not None
    serving = parse_catalogue(DEFAULT_CATALOGUE.read_text(), {}).channels_for(
        "default", vendors.model
    )
    assert {channel.id for channel in serving} & set(vendors.real)


def test_google_keys_have_two_names() -> None:
    vendors = choose_vendors(DEFAULT_CATALOGUE, {"GOOGLE_API_KEY": "g"}, simulator_url=_URL)
    assert vendors.real == ("google",)
    assert vendors.environment == {"GEMINI_API_KEY": "g"}
    both = {"GOOGLE_API_KEY": "g", "GEMINI_API_KEY": "own"}
    assert choose_vendors(DEFAULT_CATALOGUE, both, simulator_url=_URL).environment == {}


def test_an_address_chosen_by_the_user_is_left_alone() -> None:
    env = {"BYTESPIKE_ANTHROPIC_BASE_URL": "http://proxy.test"}
    vendors = choose_vendors(DEFAULT_CATALOGUE, env, simulator_url=_URL)
    assert not env.keys() & vendors.environment.keys()
    assert "ANTHROPIC_API_KEY" not in vendors.environment
    assert vendors.absent == ("anthropic",)
    assert "openai" in vendors.simulated


def test_a_vendor_with_a_keyless_account_is_not_real(tmp_path: Path) -> None:
    """Its accounts share an address, so they go to the simulator together."""
    text = DEFAULT_CATALOGUE.read_text() + (
        '[[channels]]\nid = "second"\ndialect = "anthropic"\n'
        'base_url = "https://api.anthropic.com"\nbase_url_env = "BYTESPIKE_ANTHROPIC_BASE_URL"\n'
        'credential = "env:SECOND"\nmodels = { claude-haiku-4-5 = "x" }\n'
    )
    path = tmp_path / "catalogue.toml"
    path.write_text(text)
    env = {"SECOND": "k"}
    vendors = choose_vendors(path, env, simulator_url=_URL)
    assert (vendors.real, vendors.environment["BYTESPIKE_ANTHROPIC_BASE_URL"]) == ((), _URL)
    assert "SECOND" not in vendors.environment
    env["ANTHROPIC_API_KEY"] = "k"
    assert choose_vendors(path, env, simulator_url=_URL).real == ("anthropic", "second")


def test_a_catalogue_without_callable_models_has_none_to_show(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.toml"
    path.write_text(
        """
        [[models]]
        id = "m"
        vendor = "v"
        family = "f"
        context_window = 1
        max_output_tokens = 1

        [[channels]]
        id = "c"
        dialect = "openai_chat"
        base_url = "https://c.example/v1"
        credential = "file:/run/key"
        models = { m = "m" }

        [[groups]]
        id = "default"
        """
    )
    vendors = choose_vendors(path, {}, simulator_url=_URL)
    assert (vendors.real, vendors.model) == (("c",), None)
