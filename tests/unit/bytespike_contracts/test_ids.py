"""Ids and API keys: shape, checksum, order."""

from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bytespike_contracts.ids import (
    PARTITIONS,
    key_hash,
    key_hint,
    key_is_well_formed,
    mint_id,
    mint_key,
    partition_of,
    request_time_ms,
)

times = st.integers(0, 2**48 - 1)
entropy = st.binary(min_size=10, max_size=10)
keys = st.binary(min_size=40, max_size=64).map(mint_key)


@given(times, entropy)
def test_an_id_tells_its_time(now_ms: int, noise: bytes) -> None:
    minted = mint_id("req", now_ms, noise)
    assert re.fullmatch(r"req_[0-9A-HJKMNP-TV-Z]{26}", minted)
    assert request_time_ms(minted) == now_ms


@given(times, times, entropy)
def test_ids_sort_by_time(one: int, two: int, noise: bytes) -> None:
    first, second = mint_id("req", min(one, two), noise), mint_id("req", max(one, two), noise)
    assert first <= second


@pytest.mark.parametrize("text", ["", "req_", "req_123", "req_" + "U" * 26, "req_" + "0" * 27])
def test_foreign_ids_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an id of ours"):
        request_time_ms(text)


@given(keys)
def test_minted_keys_are_well_formed(key: str) -> None:
    assert re.fullmatch(r"sk-byts-[0-9A-Za-z]{46}", key)
    assert key_is_well_formed(key)


@given(keys, st.integers(8, 53), st.sampled_from("0aZ"))
def test_a_typo_is_noticed_without_a_look_up(key: str, at: int, char: str) -> None:
    typo = key[:at] + char + key[at + 1 :]
    assert key_is_well_formed(typo) == (typo == key)


@pytest.mark.parametrize(
    ("key", "possible"),
    [
        ("a" * 24, True),
        ("a" * 128, True),
        ("tenant-7_production-key-2026", True),
        ("sk-byts-my-own-key-for-testing", True),
        ("a" * 23, False),
        ("a" * 129, False),
        ("has space in it, and punctuation!", False),
        ("ключ-ключ-ключ-ключ-ключ", False),
        ("", False),
    ],
)
def test_custom_keys_need_no_checksum(key: str, possible: bool) -> None:
    assert key_is_well_formed(key) is possible


def test_only_the_hash_and_a_hint_are_kept() -> None:
    key = mint_key(bytes(range(40)))
    assert key_hash(key) == hashlib.sha256(key.encode()).hexdigest()
    assert key_hint(key) == f"sk-byts-...{key[-4:]}"
    assert key_hint("tenant-7_production-key-2026") == "tena...2026"


def test_keys_need_enough_entropy() -> None:
    with pytest.raises(ValueError, match="40 bytes"):
        mint_key(b"short")


@given(st.text(min_size=1))
def test_partitions_are_stable_and_bounded(account_id: str) -> None:
    assert 0 <= partition_of(account_id) < PARTITIONS
    assert partition_of(account_id) == partition_of(account_id)


def test_partition_of_a_known_account_never_changes() -> None:
    assert partition_of("acct_01KAV0000000000000000000") == 0
