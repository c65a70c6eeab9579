"""All of `bytespike admin`, put together from the areas that own their commands."""

from __future__ import annotations

import argparse

from bytespike_cli.admin.audit_log import add_audit_log_command
from bytespike_cli.admin.bootstrap import add_bootstrap_command
from bytespike_cli.admin.channels import add_channel_commands
from bytespike_cli.admin.commands import Commands
from bytespike_cli.admin.groups import add_group_commands
from bytespike_cli.admin.keys import add_key_commands
from bytespike_cli.admin.members import add_member_commands
from bytespike_cli.admin.office import add_office_commands
from bytespike_cli.admin.operators import add_operator_commands
from bytespike_cli.admin.orgs import add_org_commands
from bytespike_cli.admin.parked import add_parked_commands
from bytespike_cli.admin.pricing import add_pricing_command
from bytespike_cli.admin.secrets import add_secret_commands
from bytespike_cli.admin.usage import add_reconcile_command, add_usage_commands
from bytespike_cli.admin.users import add_user_commands
from bytespike_cli.admin.wallets import add_payment_commands, add_wallet_commands
from bytespike_cli.admin.webhooks import add_webhook_commands

__all__ = ["add_admin_options"]


def add_admin_options(parser: argparse.ArgumentParser) -> None:
    """Fill the parser of `bytespike admin`; adding an area is adding a line."""
    commands = Commands(parser)
    add_bootstrap_command(commands)
    add_org_commands(commands.level("org", "organisations"))
    add_member_commands(commands.level("member", "members of an organisation"))
    add_user_commands(commands.level("user", "people, and individuals with their own account"))
    add_wallet_commands(commands.level("wallet", "money of an organisation"))
    add_payment_commands(commands.level("payment", "payments behind top-ups"))
    add_key_commands(commands.level("key", "API keys"))
    add_parked_commands(commands.level("parked", "usage events that could not be settled"))
    add_operator_commands(commands.level("operator", "people who run the platform"))
    add_audit_log_command(commands)
    add_secret_commands(commands.level("secrets", "what the ledger keeps sealed"))
    add_webhook_commands(commands.level("webhook", "webhooks of an organisation"))
    add_group_commands(commands.level("group", "groups and who may use them"))
    add_channel_commands(commands.level("channel", "vendors' channels at run time"))
    add_pricing_command(commands)
    add_usage_commands(commands.level("usage", "what was used and what it cost"))
    add_reconcile_command(commands)
    add_office_commands(commands)
