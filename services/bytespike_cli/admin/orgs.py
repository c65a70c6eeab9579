"""`bytespike admin org`: organisations."""

from __future__ import annotations

import argparse

from bytespike_cli.admin.caps import CAPS, add_caps
from bytespike_cli.admin.commands import Commands, changes, given
from bytespike_cli.admin.paths import ADMIN, org_path
from bytespike_cli.admin.tiers import add_tier
from bytespike_cli.admin.views import thing
from bytespike_cli.gateway_api import GatewayApi
from bytespike_cli.tables import rows_of

__all__ = ["add_org_commands"]

_FIELDS = ("name", "tier", "concurrency", *CAPS)

_show_orgs = rows_of("id", "name", "status", "tier", "concurrency", "balance_usd")


def add_org_commands(commands: Commands) -> None:
    """`org create`, `list`, `show`, `update`, `pause`, `resume`."""
    create = commands.leaf("create", "make an organisation", _create, thing)
    create.add_argument("--name", required=True)
    add_tier(create, default="enterprise")
    commands.leaf("list", "all organisations", _list, _show_orgs)
    update = commands.leaf("update", "change an organisation", _update, thing)
    _add_org(update)
    update.add_argument("--name")
    add_tier(update)
    add_caps(update, of_whom="the organisation")
    for name, words, ask in (
        ("show", "everything about an organisation", _show),
        ("pause", "refuse all its keys until it is resumed", _pause),
        ("resume", "accept its keys again", _resume),
    ):
        _add_org(commands.leaf(name, words, ask, thing))


def _add_org(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("org", metavar="ORG", help="its id, or its name")


async def _create(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.call("POST", f"{ADMIN}/orgs", given(args, "name", "tier", "concurrency"))


async def _list(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.every(f"{ADMIN}/orgs")


async def _show(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.call("GET", await org_path(api, args.org))


async def _update(api: GatewayApi, args: argparse.Namespace) -> bytes:
    wanted = changes(args, *_FIELDS)
    return await api.call("PATCH", await org_path(api, args.org), wanted)


async def _pause(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.call("PATCH", await org_path(api, args.org), {"status": "paused"})


async def _resume(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.call("PATCH", await org_path(api, args.org), {"status": "active"})
