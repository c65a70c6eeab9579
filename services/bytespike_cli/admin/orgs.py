"""`bytespike admin org`: organisations."""

from __future__ import annotations

import argparse

from bytespike_cli.admin.commands import Commands, count, given
from bytespike_cli.admin.paths import ADMIN
from bytespike_cli.admin.views import thing
from bytespike_cli.gateway_api import GatewayApi
from bytespike_cli.tables import rows_of

__all__ = ["add_org_commands"]

_show_orgs = rows_of("id", "name", "tier", "concurrency", "balance_usd")


def add_org_commands(commands: Commands) -> None:
    """`org create`, `org list`."""
    create = commands.leaf("create", "make an organisation", _create, thing)
    create.add_argument("--name", required=True)
    create.add_argument(
        "--tier", choices=("free", "pro", "max", "enterprise"), help="default: enterprise"
    )
    create.add_argument(
        "--concurrency", type=count, metavar="N", help="requests at once; default: by tier"
    )
    commands.leaf("list", "all organisations", _list, _show_orgs)


async def _create(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.call("POST", f"{ADMIN}/orgs", given(args, "name", "tier", "concurrency"))


async def _list(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.every(f"{ADMIN}/orgs")
