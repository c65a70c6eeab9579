"""`bytespike admin member`: who belongs to an organisation."""

from __future__ import annotations

import argparse
from urllib.parse import quote

from bytespike_cli.admin.caps import CAPS, add_caps
from bytespike_cli.admin.commands import Commands, changes, given
from bytespike_cli.admin.paths import org_path
from bytespike_cli.admin.views import thing
from bytespike_cli.gateway_api import GatewayApi, decode
from bytespike_cli.tables import rows_of

__all__ = ["add_member_commands"]

_ROLES = ("owner", "admin", "member", "viewer")

_show_members = rows_of("id", "email", "name", "role", "status", *CAPS)


def add_member_commands(commands: Commands) -> None:
    """`member add`, `list`, `update`, `remove`."""
    add = commands.leaf("add", "make somebody a member", _add, thing)
    _add_org(add)
    add.add_argument("--email", required=True)
    add.add_argument("--name", required=True)
    add.add_argument("--role", choices=_ROLES, help="default: member")
    add_caps(add, of_whom="the member")
    _add_org(commands.leaf("list", "members of an organisation", _list, _show_members))
    update = commands.leaf("update", "change a member", _update, thing)
    _add_member(update)
    update.add_argument("--name")
    update.add_argument("--role", choices=_ROLES)
    update.add_argument(
        "--status", choices=("active", "disabled"), help="keys of disabled members are refused"
    )
    add_caps(update, of_whom="the member")
    _add_member(commands.leaf("remove", "end a membership; the keys stop", _remove, thing))


def _add_org(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--org", required=True, metavar="ORG", help="its id, or its name")


def _add_member(parser: argparse.ArgumentParser) -> None:
    _add_org(parser)
    parser.add_argument("member", metavar="MEMBER", help="the member's id, or e-mail address")


async def _members(api: GatewayApi, args: argparse.Namespace) -> str:
    return f"{await org_path(api, args.org)}/members"


async def _member(api: GatewayApi, args: argparse.Namespace) -> str:
    """The path of a member; an address is looked up in the list of members."""
    members, member = await _members(api, args), str(args.member)
    if "@" in member:
        email = member.strip().lower()
        rows = decode(await api.every(members))["items"]
        found = [str(row["id"]) for row in rows if row["email"] == email]
        if not found:
            raise ValueError(f"no member has the address {email!r}")
        member = found[0]
    return f"{members}/{quote(member, safe='')}"


async def _add(api: GatewayApi, args: argparse.Namespace) -> bytes:
    body = given(args, "email", "name", "role", *CAPS)
    return await api.call("POST", await _members(api, args), body)


async def _list(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.every(await _members(api, args))


async def _update(api: GatewayApi, args: argparse.Namespace) -> bytes:
    wanted = changes(args, "name", "role", "status", *CAPS)
    return await api.call("PATCH", await _member(api, args), wanted)


async def _remove(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.call("DELETE", await _member(api, args))
