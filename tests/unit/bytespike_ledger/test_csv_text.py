"""CSV that any reader reads back, and no spreadsheet runs."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bytespike_ledger.accounts.csv_text import csv_bytes


def read(document: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(document.decode(), newline=""), strict=True))


@given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")), min_size=2))
def test_texts_come_back_as_they_were(texts: list[str]) -> None:
    header = [f"c{number}" for number, _ in enumerate(texts)]
    head, row = read(csv_bytes(header, [texts]))
    assert head == header
    assert [cell.removeprefix("'") for cell in row] == [text.removeprefix("'") for text in texts]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "=a,b", '="x"'])
def test_no_text_is_a_formula(text: str) -> None:
    assert read(csv_bytes(["c"], [[text]]))[1] == ["'" + text]


def test_amounts_are_numbers_with_their_sign() -> None:
    assert csv_bytes(["a", "b", "c"], [[-1, None, 2_500_000]]) == b"a,b,c\r\n-0.000001,,2.50\r\n"
