"""The README says what the code does: settings, error codes, commands."""

from __future__ import annotations

from bytespike_contracts.errors import ErrorCode
from tests.support.admin_page import ADMIN_PAGE, admin_page
from tests.support.readme import README, readme_with_settings


def test_settings_are_those_of_the_services() -> None:
    assert README.read_text() == readme_with_settings(), "run `make docs`"


def test_every_error_code_is_explained() -> None:
    text = README.read_text()
    assert [code for code in ErrorCode if f"`{code}`" not in text] == []


def test_the_page_of_admin_commands_is_what_the_command_says() -> None:
    assert ADMIN_PAGE.read_text() == admin_page(), "run `make docs`"
