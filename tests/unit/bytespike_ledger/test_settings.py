"""The ledger's settings: encryption keys are checked before anything starts."""

from __future__ import annotations

import base64

import pytest

from bytespike_cli.home import mint_encryption_key
from bytespike_ledger.sealing import parse_encryption_keys
from bytespike_ledger.settings import LedgerSettings
from bytespike_runtime.settings import SettingsError, load_settings

VARIABLE = "BYTESPIKE_LEDGER_ENCRYPTION_KEYS"


def load(**more: str) -> LedgerSettings:
    names = ("POSTGRES_URL", "REDIS_URL", "NATS_URL", "INTERNAL_TOKEN", "ADMIN_TOKEN", "CATALOGUE")
    required = {f"BYTESPIKE_LEDGER_{name}": "x" for name in names}
    return load_settings(LedgerSettings, "ledger", {**required, **more})


def test_none_are_needed() -> None:
    assert load().encryption_keys is None
    assert load(**{VARIABLE: ""}).encryption_keys is None


def test_a_key_made_by_the_command_line_is_one() -> None:
    text = f"{mint_encryption_key()},{mint_encryption_key()}"
    loaded = load(**{VARIABLE: text})
    assert loaded.encryption_keys is not None
    assert loaded.encryption_keys.reveal() == text
    assert len(parse_encryption_keys(text)) == 2
    assert text not in repr(loaded)


def test_nonsense_stops_the_start_without_being_shown() -> None:
    short = base64.b64encode(b"too short a key").decode()
    with pytest.raises(SettingsError) as raised:
        load(**{VARIABLE: f"k:{short}"})
    assert raised.value.problems == [f"{VARIABLE}: encryption key 1 (k) has 15 bytes instead of 32"]
    assert short not in str(raised.value)
