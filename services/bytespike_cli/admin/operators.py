"""`bytespike admin operator`: people who run the platform, each with a token of their own."""

from __future__ import annotations

import argparse
from typing import Any
from urllib.parse import quote

from bytespike_cli.admin.commands import Commands, given
from bytespike_cli.admin.paths import ADMIN
from bytespike_cli.admin.views import thing
from bytespike_cli.gateway_api import GatewayApi
from bytespike_cli.tables import fields, rows_of

__all__ = ["add_operator_commands"]

_OPERATORS = f"{ADMIN}/operators"

_show_operators = rows_of("id", "name", "status", "hint", "created_at")


def add_operator_commands(commands: Commands) -> None:
    """`operator create`, `list`, `disable`, `enable`."""
    create = commands.leaf("create", "make an operator; the token is shown once", _create, _new)
    create.add_argument("--name", required=True)
    commands.leaf("list", "all operators", _list, _show_operators)
    for name, words, ask in (
        ("disable", "refuse the token until it is enabled", _disable),
        ("enable", "accept the token again", _enable),
    ):
        commands.leaf(name, words, ask, thing).add_argument("operator", metavar="OPERATOR_ID")


def _new(answer: Any) -> str:
    return f"{fields(answer)}\n\nKeep the token now: it cannot be shown again."


def _path(operator: str) -> str:
    return f"{_OPERATORS}/{quote(operator, safe='')}"


async def _create(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.call("POST", _OPERATORS, given(args, "name"))


async def _list(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.every(_OPERATORS)


async def _disable(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.call("PATCH", _path(args.operator), {"status": "disabled"})


async def _enable(api: GatewayApi, args: argparse.Namespace) -> bytes:
    return await api.call("PATCH", _path(args.operator), {"status": "active"})
