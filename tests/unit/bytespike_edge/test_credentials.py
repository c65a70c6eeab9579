"""Where a key is looked for, and what a query looks like without it."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict

from bytespike_edge.credentials import presented_key, without_key

EVERYWHERE = {
    "x-api-key": "one",
    "x-goog-api-key": "two",
    "authorization": "Bearer three",
}


@pytest.mark.parametrize(
    ("dropped", "found"),
    [
        ((), "one"),
        (("x-api-key",), "two"),
        (("x-api-key", "x-goog-api-key"), "three"),
        (("x-api-key", "x-goog-api-key", "authorization"), "four"),
    ],
)
def test_precedence(dropped: tuple[str, ...], found: str) -> None:
    headers = {name: value for name, value in EVERYWHERE.items() if name not in dropped}
    assert presented_key(CIMultiDict(headers), "key=four") == found


@pytest.mark.parametrize(
    ("headers", "query", "found"),
    [
        ({}, "", None),
        ({"x-api-key": ""}, "key=k", None),
        ({"x-api-key": "  k  "}, "", "k"),
        ({"authorization": "bearer  k"}, "", "k"),
        ({"authorization": "k"}, "key=other", None),
        ({"authorization": "Basic k"}, "key=other", None),
        ({}, "a=1&key=k%2Dx&key=second", "k-x"),
        ({}, "key=", None),
        ({}, "monkey=k", None),
    ],
)
def test_what_counts_as_a_key(headers: dict[str, str], query: str, found: str | None) -> None:
    assert presented_key(CIMultiDict(headers), query) == found


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("", ""),
        ("beta=true", "beta=true"),
        ("key=secret", ""),
        ("a=1&key=secret&b=%20x", "a=1&b=%20x"),
        ("k%65y=secret&beta=true", "beta=true"),
        ("monkey=1&keys=2", "monkey=1&keys=2"),
    ],
)
def test_the_credential_leaves_the_query(query: str, left: str) -> None:
    assert without_key(query) == left
