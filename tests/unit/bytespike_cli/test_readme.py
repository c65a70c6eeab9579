"""The README says what the code does: settings, error codes, commands."""

from __future__ import annotations

import argparse

from bytespike_cli.admin.options import add_admin_options
from bytespike_contracts.errors import ErrorCode
from tests.support.readme import README, readme_with_settings


def test_settings_are_those_of_the_services() -> None:
    assert README.read_text() == readme_with_settings(), "run `make docs`"


def test_every_error_code_is_explained() -> None:
    text = README.read_text()
    assert [code for code in ErrorCode if f"`{code}`" not in text] == []


def test_every_admin_option_is_named() -> None:
    parser = argparse.ArgumentParser()
    add_admin_options(parser)
    text = README.read_text()
    assert [option for option in sorted(_options(parser)) if option not in text] == []


def _options(parser: argparse.ArgumentParser) -> set[str]:
    found: set[str] = set()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                found |= _options(child)
        found.update(option for option in action.option_strings if option not in ("-h", "--help"))
    return found
