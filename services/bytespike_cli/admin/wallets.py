"""`bytespike admin wallet`: money of an account."""

from __future__ import annotations

import argparse

from bytespike_cli.admin.commands import Commands, given, usd
from bytespike_cli.admin.paths import account_path, add_org, org_path
from bytespike_cli.admin.views import thing
from bytespike_cli.gateway_api import GatewayApi

__all__ = ["add_wallet_commands"]


def add_wallet_commands(commands: Commands) -> None:
    """`wallet top-up`, `wallet show`."""
    top_up = commands.leaf("top-up", "put money in", _top_up, thing)
    add_org(top_up)
    top_up.add_argument("--usd", required=True, type=usd, help="amount, for example 25.00")
    top_up.add_argument(
        "--idempotency-key", metavar="TEXT", help="the same text again moves no money again"
    )
    top_up.add_argument("--note", metavar="TEXT", help="kept with the transfer")
    add_org(commands.leaf("show", "what is in it", _show, thing))


async def _top_up(api: GatewayApi, args: argparse.Namespace) -> bytes:
    body = given(args, "usd", "idempotency_key", "note")
    return await api.call("POST", f"{await account_path(api, args.org)}/top-ups", body)


async def _show(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.call("GET", await org_path(api, args.org))
