"""Credentials come from the environment or a file; a missing one leaves only its channel out."""

from __future__ import annotations

from pathlib import Path

import pytest

from bytespike_contracts.catalogue import AuthScheme, parse_catalogue
from bytespike_text.routing_table import RoutingTable
from bytespike_text.upstream_auth import CredentialMissing, auth_headers, resolve_credential

CATALOGUE = """
[[models]]
id = "m"
vendor = "anthropic"
family = "claude"
context_window = 1000
max_output_tokens = 1000
[models.price]
input = "1"
output = "2"
cache_read = "0"

[[channels]]
id = "keyed"
dialect = "anthropic"
base_url = "https://vendor.invalid/base/"
credential = "env:KEYED"
models = { m = "vendor-m" }
cost_factor = "0.5"
priority = 1

[[channels]]
id = "keyless"
dialect = "anthropic"
base_url = "https://vendor.invalid"
credential = "env:KEYLESS"
models = { m = "m" }

[[channels]]
id = "odd"
dialect = "anthropic"
base_url = "https://user:pass@vendor.invalid"
credential = "env:KEYED"
models = { m = "m" }

[[channels]]
id = "off"
dialect = "anthropic"
base_url = "https://vendor.invalid"
credential = "env:KEYED"
enabled = false
models = { m = "m" }

[[groups]]
id = "default"
"""


def test_a_credential_comes_from_where_the_catalogue_says(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(" from-file\n")
    assert resolve_credential("env:A", {"A": "from-env"}) == "from-env"
    assert resolve_credential(f"file:{file}", {}) == "from-file"


@pytest.mark.parametrize("reference", ["env:ABSENT", "env:EMPTY", "env:ODD", "file:/no/such/file"])
def test_a_missing_credential_is_named_without_its_value(reference: str) -> None:
    with pytest.raises(CredentialMissing) as missing:
        resolve_credential(reference, {"EMPTY": "", "ODD": "se\ncret"})
    assert reference in str(missing.value)
    assert "cret" not in str(missing.value)


@pytest.mark.parametrize(
    ("scheme", "header"),
    [
        ("x-api-key", ("x-api-key", "k")),
        ("x-goog-api-key", ("x-goog-api-key", "k")),
        ("bearer", ("authorization", "Bearer k")),
    ],
)
def test_it_is_sent_in_the_header_of_the_scheme(
    scheme: AuthScheme, header: tuple[str, str]
) -> None:
    assert auth_headers(scheme, "k") == (header,)


@pytest.mark.parametrize(
    ("row", "header"),
    [
        ('dialect = "anthropic"', ("x-api-key", "secret")),
        ('dialect = "anthropic"\nauth = "bearer"', ("authorization", "Bearer secret")),
        ('dialect = "openai_chat"', ("authorization", "Bearer secret")),
        ('dialect = "openai_responses"', ("authorization", "Bearer secret")),
        ('dialect = "gemini"', ("x-goog-api-key", "secret")),
    ],
)
def test_a_lane_carries_it_as_its_channel_says(row: str, header: tuple[str, str]) -> None:
    env = {"KEYED": "secret"}
    text = CATALOGUE.replace('dialect = "anthropic"', row, 1)
    (lane,) = RoutingTable(parse_catalogue(text, env), env).candidates("default", "m")
    assert lane.auth == (header,)


def test_channels_that_cannot_be_called_are_left_out() -> None:
    env = {"KEYED": "secret"}
    table = RoutingTable(parse_catalogue(CATALOGUE, env), env)
    assert table.channel_ids == ["keyed"]
    (lane,) = table.candidates("default", "m")
    assert (lane.id, lane.base_path, lane.origin.port) == ("keyed", "/base", 443)
    assert lane.cost_rates["m"].multiplier_ppm == 500_000
    assert table.candidates("default", "unknown") == ()
    assert table.candidates("unknown", "m") == ()
