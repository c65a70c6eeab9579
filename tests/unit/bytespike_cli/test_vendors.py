"""The simulator stands in exactly for the vendors nobody gave a key for."""

from __future__ import annotations

from bytespike_cli.vendors import simulated_vendors
from tests.support.stack import DEFAULT_CATALOGUE

_URL = "http://127.0.0.1:9"


def test_without_a_key_the_vendor_is_simulated() -> None:
    redirected = simulated_vendors(DEFAULT_CATALOGUE, {}, simulator_url=_URL)
    assert redirected["BYTESPIKE_ANTHROPIC_BASE_URL"] == _URL
    assert redirected["ANTHROPIC_API_KEY"]
    assert len(redirected) == 2


def test_with_a_key_the_vendor_is_real() -> None:
    env = {"ANTHROPIC_API_KEY": "sk-ant-x"}
    assert simulated_vendors(DEFAULT_CATALOGUE, env, simulator_url=_URL) == {}


def test_an_address_chosen_by_the_user_is_left_alone() -> None:
    env = {"BYTESPIKE_ANTHROPIC_BASE_URL": "http://proxy.test"}
    assert simulated_vendors(DEFAULT_CATALOGUE, env, simulator_url=_URL) == {}
