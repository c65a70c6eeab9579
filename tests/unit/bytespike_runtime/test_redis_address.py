"""Redis URLs: every form, and none of them in an error message."""

from __future__ import annotations

import pytest

from bytespike_runtime.kv import RedisAddress


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://cache", RedisAddress(host="cache")),
        ("redis://cache:7000/3", RedisAddress(host="cache", port=7000, database=3)),
        ("redis://:p%40ss@cache", RedisAddress(host="cache", password="p@ss")),
        (
            "rediss://me:secret@[::1]:7000/0",
            RedisAddress(host="::1", port=7000, tls=True, username="me", password="secret"),
        ),
        ("unix:///run/redis.sock?db=2", RedisAddress(path="/run/redis.sock", database=2)),
    ],
)
def test_addresses(url: str, expected: RedisAddress) -> None:
    assert RedisAddress.parse(url) == expected


def test_a_new_connection_introduces_itself() -> None:
    assert RedisAddress.parse("redis://h").greeting() == []
    assert RedisAddress.parse("redis://:pw@h").greeting() == [("AUTH", "pw")]
    assert RedisAddress.parse("redis://me:pw@h/2").greeting() == [
        ("AUTH", "me", "pw"),
        ("SELECT", 2),
    ]


@pytest.mark.parametrize("url", ["http://:hunter2@h", "redis://:hunter2@h/zero", "hunter2"])
def test_a_bad_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match="Redis URL") as failure:
        RedisAddress.parse(url)
    assert "hunter2" not in str(failure.value)


def test_an_address_shows_no_password() -> None:
    address = RedisAddress.parse("redis://me:hunter2@cache:7000")
    assert str(address) == "cache:7000"
    assert "hunter2" not in repr(address)
