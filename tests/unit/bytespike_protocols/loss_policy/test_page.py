"""The page says what the code does."""

from __future__ import annotations

from tests.support.translation import PAGE, page_with_tables


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page_with_tables(), "run `make docs`"
