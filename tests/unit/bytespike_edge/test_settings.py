"""What an edge refuses to start with."""

from __future__ import annotations

import pytest

from bytespike_edge.settings import EdgeSettings
from bytespike_runtime.settings import SettingsError, load_settings

ENV = {
    "BYTESPIKE_REDIS_URL": "redis://localhost",
    "BYTESPIKE_NATS_URL": "nats://localhost",
    "BYTESPIKE_CATALOGUE": "catalogue.toml",
    "BYTESPIKE_INTERNAL_TOKEN": "token",
    "BYTESPIKE_EDGE_TEXT_URL": "http://localhost:1",
    "BYTESPIKE_EDGE_MEDIA_URL": "http://localhost:2",
    "BYTESPIKE_EDGE_LEDGER_URL": "http://localhost:3",
}


def test_the_required_variables_are_enough() -> None:
    settings = load_settings(EdgeSettings, "edge", ENV)
    assert settings.port == 8080
    assert settings.trusted_hops == 0


def test_headers_to_forward_are_a_list() -> None:
    env = ENV | {"BYTESPIKE_EDGE_FORWARD_HEADERS": "x-a, x-b"}
    assert load_settings(EdgeSettings, "edge", env).forward_headers == ("x-a", "x-b")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BYTESPIKE_EDGE_TRUSTED_HOPS", "*"),
        ("BYTESPIKE_EDGE_TRUSTED_HOPS", "-1"),
        ("BYTESPIKE_EDGE_TEXT_URL", "localhost:1"),
        ("BYTESPIKE_EDGE_IN_FLIGHT_BYTES", "0"),
    ],
)
def test_dangerous_values_are_refused_by_name(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        load_settings(EdgeSettings, "edge", ENV | {variable: value})
