"""`bytespike admin key`: API keys of an account."""

from __future__ import annotations

import argparse
from typing import Any

from bytespike_cli.admin.caps import CAPS, add_caps
from bytespike_cli.admin.commands import Commands, Listed, changes, count, days, given
from bytespike_cli.admin.paths import account_path, add_org, key_path
from bytespike_cli.admin.views import thing
from bytespike_cli.gateway_api import GatewayApi
from bytespike_cli.tables import fields, rows_of

__all__ = ["add_key_commands"]

#: Options that are fields of a key, under the same name.
_FIELDS = (
    "name",
    *CAPS,
    "ip_allow",
    "ip_deny",
    "expires_in_days",
    "group",
    "scopes",
    "custom_key",
    "member_id",
)

_show_keys = rows_of(
    "id", "name", "status", "hint", "group", "scopes", "quota", "expires_at", "last_used_at"
)


def add_key_commands(commands: Commands) -> None:
    """`key create`, `list`, `update`, `rotate`, `reveal`, `show`, `disable`, `enable`, `delete`."""
    create = commands.leaf("create", "make a key; it is shown this once", _create, _show_new)
    add_org(create)
    create.add_argument("--name", required=True)
    _add_fields(create)
    create.add_argument(
        "--custom-key", metavar="KEY", help="use this key: 24 to 128 of A-Z a-z 0-9 _ -"
    )
    create.add_argument("--member-id", metavar="MEMBER_ID", help="whose key it is; else nobody's")
    add_org(commands.leaf("list", "keys of an organisation", _list, _show_keys))
    update = commands.leaf("update", "change a key", _update, thing)
    update.add_argument("key", metavar="KEY_ID")
    update.add_argument("--name")
    _add_fields(update)
    rotate = commands.leaf("rotate", "give a key a new secret", _rotate, _show_new)
    rotate.add_argument("key", metavar="KEY_ID")
    rotate.add_argument(
        "--overlap-seconds",
        type=count,
        metavar="N",
        help="how long the old secret goes on working (default 0, at most 86400)",
    )
    for name, words, ask in (
        ("reveal", "the key itself, where keys are kept to be revealed", _reveal),
        ("show", "everything about a key but the key", _show),
        ("disable", "refuse it until it is enabled", _disable),
        ("enable", "accept it again", _enable),
        ("delete", "refuse it for good", _delete),
    ):
        commands.leaf(name, words, ask, thing).add_argument("key", metavar="KEY_ID")


def _add_fields(parser: argparse.ArgumentParser) -> None:
    add_caps(parser, of_whom="the key")
    access = parser.add_argument_group("access")
    for option, words in (
        ("--ip-allow", "addresses it works from"),
        ("--ip-deny", "addresses it never works from"),
        ("--scopes", "inference, manage"),
    ):
        access.add_argument(
            option,
            action=Listed,
            metavar="LIST",
            help=f"{words}; comma-separated, and may be repeated",
        )
    access.add_argument("--group", metavar="GROUP", help="models and channels it may use")
    access.add_argument(
        "--expires-in-days", type=days, metavar="N", help="counted from now; or: never"
    )


def _show_new(answer: Any) -> str:
    return (
        f"{fields(answer)}\n\nKeep the key now: it can be shown again only where the ledger has an"
        " encryption key."
    )


async def _create(api: GatewayApi, args: argparse.Namespace) -> bytes:
    path = f"{await account_path(api, args.org)}/keys"
    return await api.call("POST", path, given(args, *_FIELDS))


async def _list(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.every(f"{await account_path(api, args.org)}/keys")


async def _show(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.call("GET", key_path(args.key))


async def _rotate(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.call("POST", f"{key_path(args.key)}/rotate", given(args, "overlap_seconds"))


async def _reveal(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.call("GET", f"{key_path(args.key)}/reveal")


async def _update(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.call("PATCH", key_path(args.key), changes(args, *_FIELDS))


async def _disable(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.call("POST", f"{key_path(args.key)}/disable")


async def _enable(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.call("PATCH", key_path(args.key), {"status": "active"})


async def _delete(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.call("DELETE", key_path(args.key))
