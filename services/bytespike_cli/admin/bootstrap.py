"""`bytespike admin bootstrap`: from an empty gateway to an owner who can do everything else."""

from __future__ import annotations

import argparse
from typing import Any

from bytespike_cli.admin.commands import Commands, given
from bytespike_cli.admin.paths import ADMIN
from bytespike_cli.gateway_api import GatewayApi
from bytespike_cli.tables import fields

__all__ = ["add_bootstrap_command"]


def add_bootstrap_command(commands: Commands) -> None:
    """Safe to repeat."""
    first = commands.leaf(
        "bootstrap", "an organisation, its owner and their key, made where missing", _ask, _show
    )
    first.add_argument("--org-name", required=True, metavar="NAME")
    first.add_argument("--owner-email", required=True, metavar="EMAIL")
    first.add_argument("--owner-name", required=True, metavar="NAME")


def _show(answer: Any) -> str:
    shown = fields(answer)
    if answer["key"] is None:
        return f"{shown}\n\nAll of it was there already: the key is not shown again."
    return f"{shown}\n\nKeep the key now: it cannot be shown again."


async def _ask(api: GatewayApi, args: argparse.Namespace) -> bytes:
    body = given(args, "org_name", "owner_email", "owner_name")
    return await api.call("POST", f"{ADMIN}/bootstrap", body)
