"""`bytespike admin user`: people, and individuals with an account of their own."""

from __future__ import annotations

import argparse
from urllib.parse import quote

from bytespike_cli.admin.commands import Commands, changes, given
from bytespike_cli.admin.paths import ADMIN
from bytespike_cli.admin.tiers import add_tier
from bytespike_cli.admin.views import thing
from bytespike_cli.gateway_api import GatewayApi, decode
from bytespike_cli.tables import rows_of

__all__ = ["add_user_commands"]

_USERS = f"{ADMIN}/users"

_show_users = rows_of("id", "email", "name", "status", "account_id", "tier", "concurrency")


def add_user_commands(commands: Commands) -> None:
    """`user create`, `list`, `show`, `update`."""
    create = commands.leaf("create", "make a user", _create, thing)
    create.add_argument("--email", required=True)
    create.add_argument("--name", required=True)
    create.add_argument(
        "--individual",
        action="store_true",
        default=None,
        help="with an account and a wallet of their own",
    )
    add_tier(create, default="free")
    commands.leaf("list", "all users", _list, _show_users)
    _add_user(commands.leaf("show", "everything about a user", _show, thing))
    update = commands.leaf("update", "change a user", _update, thing)
    _add_user(update)
    update.add_argument("--email")
    update.add_argument("--name")
    update.add_argument(
        "--status", choices=("active", "disabled"), help="keys of disabled users are refused"
    )
    add_tier(update)


def _add_user(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("user", metavar="USER", help="the user's id, or e-mail address")


async def _user(api: GatewayApi, user: str) -> str:
    """The path of a user given by id or address."""
    if "@" in user:
        query = f"?email={quote(user.strip(), safe='')}"
        found = decode(await api.call("GET", _USERS + query))["items"]
        if not found:
            raise ValueError(f"no user has the address {user.strip()!r}")
        user = str(found[0]["id"])
    return f"{_USERS}/{quote(user, safe='')}"


async def _create(api: GatewayApi, args: argparse.Namespace) -> bytes:
    body = given(args, "email", "name", "individual", "tier", "concurrency")
    return await api.call("POST", _USERS, body)


async def _list(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.every(_USERS)


async def _show(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.call("GET", await _user(api, args.user))


async def _update(api: GatewayApi, args: argparse.Namespace) -> bytes:
    wanted = changes(args, "email", "name", "status", "tier", "concurrency")
    return await api.call("PATCH", await _user(api, args.user), wanted)
