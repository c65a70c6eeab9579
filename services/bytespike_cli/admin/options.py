"""All of `bytespike admin`, put together from the areas that own their commands."""

from __future__ import annotations

import argparse

from bytespike_cli.admin.commands import Commands
from bytespike_cli.admin.keys import add_key_commands
from bytespike_cli.admin.office import add_office_commands
from bytespike_cli.admin.orgs import add_org_commands
from bytespike_cli.admin.parked import add_parked_commands
from bytespike_cli.admin.wallets import add_wallet_commands

__all__ = ["add_admin_options"]


def add_admin_options(parser: argparse.ArgumentParser) -> None:
    """Fill the parser of `bytespike admin`; adding an area is adding a line."""
    commands = Commands(parser)
    add_org_commands(commands.level("org", "organisations"))
    add_wallet_commands(commands.level("wallet", "money of an organisation"))
    add_key_commands(commands.level("key", "API keys"))
    add_parked_commands(commands.level("parked", "usage events that could not be settled"))
    add_office_commands(commands)
