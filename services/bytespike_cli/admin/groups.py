"""`bytespike admin group`: groups, and who may use the exclusive ones."""

from __future__ import annotations

import argparse
from urllib.parse import quote

from bytespike_cli.admin.commands import Commands
from bytespike_cli.admin.paths import ADMIN, account_path, add_org
from bytespike_cli.admin.views import thing
from bytespike_cli.gateway_api import GatewayApi
from bytespike_cli.tables import rows_of

__all__ = ["add_group_commands"]

_show_groups = rows_of("id", "public", "multiplier", "vendors", "keys", "grants")
_show_own_groups = rows_of("id", "usable", "public", "granted_by", "granted_at", "keys")


def add_group_commands(commands: Commands) -> None:
    """`group list`, `grant`, `revoke`."""
    listed = commands.leaf("list", "groups of the catalogue, or of one account", _list, _show_list)
    listed.add_argument(
        "--org", metavar="ORG", help="its groups; an id, a name, or an account's id"
    )
    for name, words, ask in (
        ("grant", "let an account use a group", _grant),
        ("revoke", "take a group away; its keys of the group are disabled", _revoke),
    ):
        command = commands.leaf(name, words, ask, thing)
        command.add_argument("group", metavar="GROUP")
        add_org(command)


def _show_list(answer: object) -> str:
    items = answer["items"] if isinstance(answer, dict) else []
    of_account = bool(items) and "usable" in items[0]
    return (_show_own_groups if of_account else _show_groups)(answer)


async def _list(api: GatewayApi, args: argparse.Namespace) -> bytes:
    path = ADMIN if args.org is None else await account_path(api, args.org)
    return await api.call("GET", f"{path}/groups")


async def _grant(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.call("PUT", await _grant_path(api, args))


async def _revoke(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.call("DELETE", await _grant_path(api, args))


async def _grant_path(api: GatewayApi, args: argparse.Namespace) -> str:
    return f"{await account_path(api, args.org)}/groups/{quote(args.group, safe='')}"
